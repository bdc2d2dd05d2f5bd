//! What a handler ends in: one value that says all that is to be written, and under which conditions.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use crewline_protocol::{
    event::RunEvent,
    value::{Millis, MutationKey, Offset, Revision, RunId, WorkspaceId, encode},
};

use super::{
    StoreError,
    change::{Before, Change, Row},
    entity::{Entity, Table, Value},
};

/// Everything that one handler writes. It is written whole or not at all.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// Whose revision it raises by one; `None`: no revision moves (renewals, last-seen times, a run's events).
    pub workspace: Option<WorkspaceId>,
    /// What must still hold.
    pub guards: Vec<Guard>,
    /// Rows to write. Where `workspace` is named their `revision` column gets the new revision.
    pub rows: Vec<RowChange>,
    /// Events to append.
    pub events: Vec<Append>,
    /// The reply to keep under the request's key.
    pub key: Option<KeyedReply>,
}

/// A column of a row that must still hold what the handler read.
#[derive(Debug, Clone, PartialEq)]
pub struct Guard {
    /// Which table.
    pub table: &'static Table,
    /// Which row.
    pub id: Value,
    /// What must hold of it.
    pub expected: Expected,
}

/// What a guard expects of its row.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// It is not there.
    Absent,
    /// It is there and these columns hold these values.
    Columns(Vec<(&'static str, Value)>),
}

/// A change of one row.
#[derive(Debug, Clone, PartialEq)]
pub enum RowChange {
    /// Inserts the row, or replaces the one with its id.
    Put {
        /// Which table.
        table: &'static Table,
        /// A value for each of its columns, in their order; the first is the id.
        values: Vec<Value>,
        /// As it was, where a guard of the commit makes sure of it.
        before: Before,
    },
    /// Deletes the row, if it is there.
    Delete {
        /// Which table.
        table: &'static Table,
        /// Which row.
        id: Value,
        /// As it was, where a guard of the commit makes sure of it.
        before: Before,
    },
}

/// Events for the end of a run's log. The first append of a run makes its stream.
#[derive(Debug, Clone)]
pub struct Append {
    /// Whose log.
    pub run: RunId,
    /// How many events.
    pub count: u32,
    /// The events, each as MessagePack, one after another.
    pub events: Bytes,
    /// Whether nothing will come after them.
    pub complete: bool,
}

/// Makes a mutation's encoded reply from the revision that it got. It may be called more than once.
pub type MakeReply = Arc<dyn Fn(Revision) -> Vec<u8> + Send + Sync>;

/// A reply that is kept, in the same transaction, under its request's key.
#[derive(Clone)]
pub struct KeyedReply {
    /// Whose key.
    pub principal: String,
    /// The key.
    pub key: MutationKey,
    /// The operation's name.
    pub operation: &'static str,
    /// SHA-256 of the decoded input, encoded again.
    pub digest: [u8; 32],
    /// When it is kept: 24 hours later it may go.
    pub at: Millis,
    /// Makes the reply.
    pub reply: MakeReply,
}

impl fmt::Debug for KeyedReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedReply").field("key", &self.key).field("operation", &self.operation).finish_non_exhaustive()
    }
}

/// A reply as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReply {
    /// The operation's name.
    pub operation: String,
    /// SHA-256 of the input.
    pub digest: [u8; 32],
    /// The revision at which the reply is true.
    pub revision: Revision,
    /// The encoded reply.
    pub reply: Bytes,
}

/// What a commit came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// The workspace's new revision, where one was named.
    pub revision: Option<Revision>,
    /// The streams' heads after the appends, in their order.
    pub heads: Vec<Offset>,
    /// The encoded reply, where there was a key.
    pub reply: Option<Bytes>,
}

/// Why a commit was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The guard with this index does not hold.
    #[error("guard {0} does not hold")]
    Guard(usize),
    /// A unique column of this table already holds the value.
    #[error("a unique value of table {0} is taken")]
    Taken(String),
    /// A reply is already kept under the key.
    #[error("the key was used before")]
    KeyUsed(StoredReply),
    /// The workspace whose revision was to be raised is not there.
    #[error("the workspace is not there")]
    NoWorkspace,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Consecutive events of a log, as they were written together and are stored: one row of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The first event's offset.
    pub first: Offset,
    /// How many events.
    pub count: u32,
    /// The events, each as MessagePack, one after another.
    pub events: Bytes,
}

impl Block {
    /// The last event's offset.
    pub fn last(&self) -> Offset {
        Offset(self.first.0 + i64::from(self.count) - 1)
    }
}

/// What was written, told after it is durable.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// A commit has changed rows or raised a workspace's revision.
    Rows {
        /// Which workspace's revision it raised, and to what.
        workspace: Option<(WorkspaceId, Revision)>,
        /// What it changed, in its order.
        changes: Arc<[Change]>,
    },
    /// A run's log has grown by this block.
    Stream {
        /// Which run.
        run: RunId,
        /// What was appended.
        block: Arc<Block>,
        /// Whether nothing will come after it.
        complete: bool,
    },
}

impl Guard {
    /// The row is there and its columns hold these values.
    pub fn columns<E: Entity>(id: impl Into<Value>, columns: Vec<(&'static str, Value)>) -> Self {
        Self { table: E::TABLE, id: id.into(), expected: Expected::Columns(columns) }
    }
    /// The row is there and still has this revision.
    pub fn revision<E: Entity>(id: impl Into<Value>, revision: Revision) -> Self {
        Self::columns::<E>(id, vec![("revision", Value::Integer(revision.0))])
    }
    /// No row has this id.
    pub fn absent<E: Entity>(id: impl Into<Value>) -> Self {
        Self { table: E::TABLE, id: id.into(), expected: Expected::Absent }
    }
}

impl RowChange {
    /// Inserts the row, or replaces the one with its id.
    pub fn put<E: Entity>(row: &E) -> Self {
        Self::Put { table: E::TABLE, values: row.to_values(), before: Before::Unknown }
    }
    /// Deletes the row, if it is there.
    pub fn delete<E: Entity>(id: impl Into<Value>) -> Self {
        Self::Delete { table: E::TABLE, id: id.into(), before: Before::Unknown }
    }
}

impl Append {
    /// These events, in this order.
    pub fn new(run: RunId, events: &[RunEvent]) -> Self {
        let bytes: Vec<u8> = events.iter().flat_map(encode).collect();
        let complete = events.iter().any(|event| matches!(event, RunEvent::RunFinished { .. }));
        Self { run, count: u32::try_from(events.len()).unwrap_or(u32::MAX), events: bytes.into(), complete }
    }
}

impl Commit {
    /// A commit that raises the workspace's revision.
    pub fn in_workspace(workspace: WorkspaceId) -> Self {
        Self { workspace: Some(workspace), ..Self::default() }
    }
    /// The same under one more guard.
    #[must_use]
    pub fn guard(mut self, guard: Guard) -> Self {
        self.guards.push(guard);
        self
    }
    /// The same with one more row inserted or replaced.
    #[must_use]
    pub fn put<E: Entity>(mut self, row: &E) -> Self {
        self.rows.push(RowChange::put(row));
        self
    }
    /// The same with one more row deleted.
    #[must_use]
    pub fn delete<E: Entity>(mut self, id: impl Into<Value>) -> Self {
        self.rows.push(RowChange::delete::<E>(id));
        self
    }
    /// The same with a row that was not there. Where the id is the client's own, a guard must say so too.
    #[must_use]
    pub fn insert<E: Entity>(mut self, row: &E) -> Self {
        self.rows.push(RowChange::Put { table: E::TABLE, values: row.to_values(), before: Before::Absent });
        self
    }
    /// The same with a row replaced, if it still is as it was before.
    #[must_use]
    pub fn replace<E: Entity>(mut self, before: &E, after: &E) -> Self {
        let before = self.guarded(before);
        self.rows.push(RowChange::Put { table: E::TABLE, values: after.to_values(), before });
        self
    }
    /// The same with a row deleted, if it still is as it was before.
    #[must_use]
    pub fn remove<E: Entity>(mut self, before: &E) -> Self {
        let before = self.guarded(before);
        if let Before::Row(row) = &before {
            let id = row.values().first().cloned().unwrap_or(Value::Null);
            self.rows.push(RowChange::Delete { table: E::TABLE, id, before });
        }
        self
    }
    /// Guards that a row still has its revision, where its table has one.
    fn guarded<E: Entity>(&mut self, row: &E) -> Before {
        let row = Row::new(E::TABLE, row.to_values());
        if let Some((id, revision)) = row.values().first().zip(row.cell("revision")) {
            let expected = Expected::Columns(vec![("revision", revision.clone())]);
            self.guards.push(Guard { table: E::TABLE, id: id.clone(), expected });
        }
        Before::Row(Arc::new(row))
    }
    /// The same with events for the end of a run's log.
    #[must_use]
    pub fn append(mut self, run: RunId, events: &[RunEvent]) -> Self {
        self.events.push(Append::new(run, events));
        self
    }
}
