//! What workers hold: a lease as its worker sees it, in one of the worker's places.

use std::sync::{Arc, LazyLock};

use crewline_protocol::{
    operations::{
        lease::{self, Lease as Wire},
        run::Inputs,
    },
    value::{LeaseId, Millis, Offset, Revision, RunId, SessionId, WorkerId, WorkspaceId, encode},
};

use super::Lease;
use crate::{
    entity,
    query::{Noun, in_workspace},
    runs::{RunRow, Taken},
    store::{Before, Commit, Condition, Guard, Json, Predicate, Select, Store, StoreError, Stored, Term, Told},
};

entity! {
    /// A run that a worker holds, as long as it does.
    pub struct Assignment in "assignments" {
        /// The hold's id: the same run, assigned again, is another.
        id: LeaseId,
        /// Where it is.
        workspace_id: WorkspaceId,
        /// The workspace's revision when it was assigned.
        revision: Revision,
        /// When it was assigned.
        created_at: Millis,
        /// The same.
        updated_at: Millis,
        /// The run.
        run_id: RunId,
        /// Who holds it.
        worker_id: WorkerId,
        /// In which of its places: no two runs have the same.
        slot: i64,
        /// The epoch of the lease.
        epoch: i64,
        /// Which attempt at the run it is.
        attempt: u32,
        /// The run's session.
        session_id: SessionId,
        /// The crew's name.
        crew: String,
        /// What the run was started with.
        inputs: Json<Inputs>,
        /// Where the run's log stood.
        history_head: Offset,
        /// How long the run was executed before.
        executed_ms: i64,
        /// When its time is used up; absent: it is not bounded.
        ends_at: Option<Millis>,
    }
}

entity! {
    /// How far what a worker says under a lease is stored: whatever is written under it is guarded by this row, which goes with the lease.
    pub struct Written in "written" {
        /// The lease.
        id: LeaseId,
        /// The number of the last event that is stored.
        seq: i64,
    }
}

/// A place for a run at a worker.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The worker.
    pub worker: WorkerId,
    /// The place's number.
    pub slot: i64,
    /// How long the run may be executed in all.
    pub duration_ms: Option<i64>,
}

/// Leases of workers, as reads see them: people those of their workspace, a worker its own.
pub fn noun() -> Arc<Noun> {
    static NOUN: LazyLock<Arc<Noun>> = LazyLock::new(|| {
        let noun = Noun::of(&lease::NOUN, |row: Assignment| encode(&row.lease()));
        Arc::new(noun.visible(|identity| {
            let mine = |worker: WorkerId| Predicate::equal(Term::text("worker_id"), worker);
            match (identity.worker, identity.principal.role) {
                (Some(worker), _) => Predicate::All(vec![in_workspace(identity), mine(worker)]),
                (None, crewline_protocol::operation::Role::Worker) => Predicate::Any(Vec::new()),
                (None, _) => in_workspace(identity),
            }
        }))
    });
    NOUN.clone()
}

impl Assignment {
    /// A run that is assigned now and begun.
    pub(super) fn new(id: LeaseId, run: &RunRow, place: Place, history_head: Offset, now: Millis) -> Self {
        Self {
            id,
            workspace_id: run.workspace_id,
            revision: Revision(0),
            created_at: now,
            updated_at: now,
            run_id: run.id,
            worker_id: place.worker,
            slot: place.slot,
            epoch: run.lease_epoch,
            attempt: run.attempt,
            session_id: run.session_id,
            crew: run.crew.clone(),
            inputs: run.inputs.clone(),
            history_head,
            executed_ms: run.executed_ms,
            ends_at: place.duration_ms.map(|most| now.plus((most - run.executed_ms).max(0))),
        }
    }

    /// As the wire has it.
    pub fn lease(&self) -> Wire {
        Wire {
            id: self.id,
            revision: self.revision,
            created_at: self.created_at,
            updated_at: self.updated_at,
            run_id: self.run_id,
            worker_id: self.worker_id,
            epoch: self.epoch,
            attempt: self.attempt,
            session_id: self.session_id,
            crew: self.crew.clone(),
            inputs: self.inputs.0.clone(),
            history_head: self.history_head,
        }
    }

    /// What the run has taken until now.
    pub fn taken(&self, run: &RunRow, now: Millis) -> Taken {
        Taken { executed_ms: self.executed_ms + now.since(self.created_at).max(0), ..run.taken() }
    }

    /// Holds while the worker has the lease and nothing after this is stored.
    pub fn guard(&self, seq: i64) -> Guard {
        Guard::columns::<Written>(self.id, vec![("seq", seq.to_value())])
    }
}

/// A commit by which a worker's hold ends, with what else is in it.
pub fn ended(commit: Commit, hold: &Assignment) -> Commit {
    commit.remove(hold).delete::<Lease>(hold.run_id).delete::<Written>(hold.id)
}

/// Whether a worker holds a run.
///
/// # Errors
/// See [`StoreError`].
pub async fn holds(store: &Store, worker: Option<WorkerId>, run: RunId) -> Result<bool, StoreError> {
    let Some(worker) = worker else { return Ok(false) };
    let held = Select::by("run_id", run).and(Condition::Equals("worker_id", worker.into())).limit(1);
    Ok(!store.select::<Assignment>(&held).await?.is_empty())
}

/// Runs that their workers hold no more, by what was written: those that have ended are told of by their streams.
pub fn lost(told: &[Told]) -> Vec<(WorkerId, RunId)> {
    let ended = |run: RunId| told.iter().any(|told| matches!(told, Told::Stream { run: other, complete: true, .. } if *other == run));
    let mut lost = Vec::new();
    for told in told {
        let Told::Rows { changes, .. } = told else { continue };
        for change in changes.iter().filter(|change| change.table.name == "assignments" && change.after.is_none()) {
            let Before::Row(row) = &change.before else { continue };
            let cell = |column| row.cell(column).cloned();
            let held = cell("worker_id").and_then(WorkerId::from_value).zip(cell("run_id").and_then(RunId::from_value));
            lost.extend(held.filter(|(_, run)| !ended(*run)));
        }
    }
    lost
}
