//! A worker's row.

use std::sync::{Arc, LazyLock};

use crewline_protocol::{
    operations::worker::{self, State, Worker},
    value::{ApiKeyId, Millis, Revision, WorkerId, WorkspaceId, encode},
};

use crate::{entity, query::Noun, store::Json};

entity! {
    /// A worker as it is stored.
    pub struct WorkerRow in "workers" {
        /// Its id.
        id: WorkerId,
        /// Where it is.
        workspace_id: WorkspaceId,
        /// The workspace's revision at its last change.
        revision: Revision,
        /// When it first registered.
        created_at: Millis,
        /// When it last changed.
        updated_at: Millis,
        /// Its name.
        name: String,
        /// Its key.
        api_key_id: ApiKeyId,
        /// The crews that it serves, by their names.
        crews: Json<Vec<String>>,
        /// What it has that crews may ask for.
        labels: Json<Vec<String>>,
        /// How many places it has.
        capacity: u32,
        /// How many runs it holds, as whoever assigns runs counted last.
        held: u32,
        /// Where it stands; moved on by the worker itself, and by whoever finds it silent.
        state: State,
        /// Whether an admin asked it to take no more.
        drained: bool,
        /// When it last said something; moves no revision.
        last_seen_at: Millis,
    }
}

/// Workers, as reads see them.
pub fn noun() -> Arc<Noun> {
    static NOUN: LazyLock<Arc<Noun>> = LazyLock::new(|| Arc::new(Noun::of(&worker::NOUN, |row: WorkerRow| encode(&row.at(row.revision)))));
    NOUN.clone()
}

impl WorkerRow {
    /// Where it stands once it has said something.
    pub(super) fn present(&self) -> State {
        if self.drained || self.capacity == 0 { State::Draining } else { State::Online }
    }

    /// Whether it serves a crew that asks for these labels.
    pub(super) fn serves(&self, crew: &str, labels: &[String]) -> bool {
        self.crews.0.iter().any(|served| served == crew) && labels.iter().all(|label| self.labels.0.contains(label))
    }

    /// As the wire has it, written at this revision.
    pub(super) fn at(&self, revision: Revision) -> Worker {
        let row = self.clone();
        Worker {
            id: row.id,
            revision,
            created_at: row.created_at,
            updated_at: row.updated_at,
            name: row.name,
            api_key_id: row.api_key_id,
            crews: row.crews.0,
            labels: row.labels.0,
            capacity: row.capacity,
            held: row.held,
            state: row.state,
            drained: row.drained,
            last_seen_at: row.last_seen_at,
        }
    }
}
