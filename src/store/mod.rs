//! The truth: rows, run logs and revisions, on SQLite, PostgreSQL or in memory. sqlx lives here only.
//!
//! Nothing is written but by a [`Commit`], and only the writer carries commits out, many in one transaction. What was written
//! is told ([`Told`]) after it is durable, never before.

mod commit;
mod entity;

pub use commit::{Append, Block, Commit, CommitError, Committed, Expected, Guard, KeyedReply, MakeReply, RowChange, StoredReply, Told};
pub use entity::{Column, ColumnKind, Condition, Direction, Entity, Json, Select, Stored, Table, Value};

use std::{path::PathBuf, sync::Arc};

use crewline_protocol::value::{MutationKey, Offset, Revision, RunId, WorkspaceId};

/// The database failed, or holds something that this version can't read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It can't be reached, or is full, or is shutting down: the same may succeed later.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// It answered something that is a defect, here or there.
    #[error("the database failed: {0}")]
    Failed(String),
    /// A stored value is not of its column's type.
    #[error("table {table}, column {column}: the stored value can't be read")]
    Malformed {
        /// Which table.
        table: &'static str,
        /// Which column.
        column: &'static str,
    },
}

/// Where the rows are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A file of SQLite; made when it is missing.
    Sqlite(PathBuf),
    /// A PostgreSQL database by its URL.
    Postgres(String),
    /// This process, gone with it: for tests in simulated time.
    Memory,
}

/// Called after commits are durable, with what they wrote, in commit order for each workspace and each stream.
pub type Tell = Arc<dyn Fn(Vec<Told>) + Send + Sync>;

/// The store: cheap to clone, shared by all.
#[derive(Clone)]
pub struct Store {}

/// Rows and revisions as they were at one moment.
pub struct Snapshot {}

/// Where a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamHead {
    /// Its last offset.
    pub head: Offset,
    /// Whether nothing will come after it.
    pub complete: bool,
}

#[allow(unused_variables, clippy::unused_async)]
impl Store {
    /// Opens the database, brings its schema up to date and starts the writer.
    ///
    /// # Errors
    /// Where it can't be reached, or a later version has already changed its schema.
    pub async fn open(location: &Location, tell: Tell) -> Result<Self, StoreError> {
        unimplemented!()
    }

    /// The database's incarnation: made with it, so that a restored copy given a new one is known as another.
    pub fn epoch(&self) -> &str {
        unimplemented!()
    }

    /// Carries a commit out and returns when it is durable.
    ///
    /// # Errors
    /// See [`CommitError`]; on any of them nothing of it was written, except that [`StoreError::Unavailable`] leaves open
    /// whether it was: a keyed commit sent again finds out.
    pub async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        unimplemented!()
    }

    /// Takes a snapshot: everything read from it was true at the same moment.
    pub async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        unimplemented!()
    }

    /// Reads the row with this id.
    pub async fn get<E: Entity>(&self, id: impl Into<Value>) -> Result<Option<E>, StoreError> {
        unimplemented!()
    }

    /// Reads rows.
    pub async fn select<E: Entity>(&self, select: &Select) -> Result<Vec<E>, StoreError> {
        unimplemented!()
    }

    /// Reads the reply stored under a principal's key.
    pub async fn reply(&self, principal: &str, key: MutationKey) -> Result<Option<StoredReply>, StoreError> {
        unimplemented!()
    }

    /// Where streams stand, one entry for each that exists.
    pub async fn heads(&self, runs: &[RunId]) -> Result<Vec<(RunId, StreamHead)>, StoreError> {
        unimplemented!()
    }

    /// The revisions of workspaces, one entry for each that exists.
    pub async fn revisions(&self, workspaces: &[WorkspaceId]) -> Result<Vec<(WorkspaceId, Revision)>, StoreError> {
        unimplemented!()
    }

    /// Reads blocks of a run's log, from the one that holds the event after `after`, in order, until about `limit_bytes` are
    /// read (at least one block when there is one).
    pub async fn log_after(&self, run: RunId, after: Offset, limit_bytes: usize) -> Result<Vec<Arc<Block>>, StoreError> {
        unimplemented!()
    }

    /// Finishes what the writer has taken on, then ends it. Later commits get [`StoreError::Unavailable`].
    pub async fn close(&self) {
        unimplemented!()
    }
}

#[allow(unused_variables, clippy::unused_async)]
impl Snapshot {
    /// A workspace's revision at this moment; 0 when there is none.
    pub async fn revision(&mut self, workspace: WorkspaceId) -> Result<Revision, StoreError> {
        unimplemented!()
    }

    /// Reads the row with this id.
    pub async fn get<E: Entity>(&mut self, id: impl Into<Value>) -> Result<Option<E>, StoreError> {
        unimplemented!()
    }

    /// Reads rows.
    pub async fn select<E: Entity>(&mut self, select: &Select) -> Result<Vec<E>, StoreError> {
        unimplemented!()
    }
}
