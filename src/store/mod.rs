//! The truth: rows, run logs and revisions, on SQLite, PostgreSQL or in memory. sqlx lives here only.
//!
//! Nothing is written but by a [`Commit`], and only the writer carries commits out, many in one transaction. What was written
//! is told ([`Told`]) after it is durable, never before.

pub mod change;
mod commit;
#[cfg(test)]
pub(crate) mod conformance;
mod entity;
pub mod evaluate;
mod group;
mod memory;
mod read;
mod schema;
mod sql;

pub use change::{Before, Change, Row, topic};
pub use commit::{Append, Block, Commit, CommitError, Committed, Expected, Guard, KeyedReply, MakeReply, RowChange, StoredReply, Told};
pub use entity::{Column, ColumnKind, Condition, Direction, Entity, Json, Select, Stored, Table, Value};
pub use read::{Aggregate, Bucket, Comparison, GroupBy, Index, Kind, Measure, Measured, Order, Predicate, Read, Source, Term};

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crewline_protocol::value::{MutationKey, Offset, Revision, RunId, WorkspaceId};

use self::{
    memory::{Memory, MemorySnapshot},
    sql::{Sql, SqlSnapshot},
};

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
pub struct Store(Arc<Backing>);

enum Backing {
    Memory { memory: Arc<Memory>, tell: Tell, closed: AtomicBool },
    Sql(Box<Sql>),
}

/// Rows and revisions as they were at one moment.
pub struct Snapshot(SnapshotKind);

enum SnapshotKind {
    Memory(MemorySnapshot),
    Sql(SqlSnapshot),
}

/// Where a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamHead {
    /// Its last offset.
    pub head: Offset,
    /// Whether nothing will come after it.
    pub complete: bool,
}

impl Store {
    /// Opens the database, brings its schema up to date and starts the writer.
    ///
    /// # Errors
    /// Where it can't be reached, or a later version has already changed its schema.
    pub async fn open(location: &Location, tell: Tell) -> Result<Self, StoreError> {
        let backing = match location {
            Location::Memory => Backing::Memory { memory: Arc::default(), tell, closed: AtomicBool::new(false) },
            Location::Sqlite(file) => Backing::Sql(Sql::open_sqlite(file, true, &tell).await?.into()),
            Location::Postgres(url) => Backing::Sql(Sql::open_postgres(url, &tell).await?.into()),
        };
        Ok(Self(Arc::new(backing)))
    }

    /// Opens the database for a short work beside a server that may have it open: what is written reaches that server's clients
    /// with its next sweep. Otherwise a SQLite file has one server.
    ///
    /// # Errors
    /// As `open`.
    pub async fn open_beside(location: &Location) -> Result<Self, StoreError> {
        let nobody: Tell = Arc::new(|_| {});
        match location {
            Location::Sqlite(file) => Ok(Self(Arc::new(Backing::Sql(Sql::open_sqlite(file, false, &nobody).await?.into())))),
            Location::Postgres(_) | Location::Memory => Self::open(location, nobody).await,
        }
    }

    /// The database's incarnation: made with it, so that a restored copy given a new one is known as another.
    pub fn epoch(&self) -> &str {
        match &*self.0 {
            Backing::Memory { .. } => "memory",
            Backing::Sql(sql) => sql.epoch(),
        }
    }

    /// Carries a commit out and returns when it is durable.
    ///
    /// # Errors
    /// See [`CommitError`]; on any of them nothing of it was written, except that [`StoreError::Unavailable`] leaves open
    /// whether it was: a keyed commit sent again finds out.
    pub async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        match &*self.0 {
            Backing::Memory { closed, .. } if closed.load(Ordering::Relaxed) => Err(StoreError::closed().into()),
            Backing::Memory { memory, tell, .. } => memory.commit(&commit, tell).await,
            Backing::Sql(sql) => sql.commit(commit).await,
        }
    }

    /// Takes a snapshot: everything read from it was true at the same moment.
    ///
    /// # Errors
    /// `Unavailable` when the database is away, or all its readers are busy for too long.
    pub async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        match &*self.0 {
            Backing::Memory { memory, .. } => Ok(Snapshot(SnapshotKind::Memory(memory.snapshot().await))),
            Backing::Sql(sql) => Ok(Snapshot(SnapshotKind::Sql(sql.snapshot().await?))),
        }
    }

    /// Reads the row with this id.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn get<E: Entity>(&self, id: impl Into<Value>) -> Result<Option<E>, StoreError> {
        let id = id.into();
        let values = match &*self.0 {
            Backing::Memory { memory, .. } => memory.snapshot().await.get(E::TABLE, &id)?,
            Backing::Sql(sql) => sql.get(E::TABLE, &id).await?,
        };
        values.map(E::from_values).transpose()
    }

    /// Reads rows.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn select<E: Entity>(&self, select: &Select) -> Result<Vec<E>, StoreError> {
        let rows = match &*self.0 {
            Backing::Memory { memory, .. } => memory.snapshot().await.select(E::TABLE, select)?,
            Backing::Sql(sql) => sql.select(E::TABLE, select).await?,
        };
        rows.into_iter().map(E::from_values).collect()
    }

    /// Reads the reply stored under a principal's key.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn reply(&self, principal: &str, key: MutationKey) -> Result<Option<StoredReply>, StoreError> {
        match &*self.0 {
            Backing::Memory { memory, .. } => Ok(memory.reply(principal, key)),
            Backing::Sql(sql) => sql.reply(principal, key).await,
        }
    }

    /// Where streams stand, one entry for each that exists.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn heads(&self, runs: &[RunId]) -> Result<Vec<(RunId, StreamHead)>, StoreError> {
        match &*self.0 {
            Backing::Memory { memory, .. } => Ok(memory.heads(runs)),
            Backing::Sql(sql) => sql.heads(runs).await,
        }
    }

    /// The revisions of workspaces, one entry for each that exists.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn revisions(&self, workspaces: &[WorkspaceId]) -> Result<Vec<(WorkspaceId, Revision)>, StoreError> {
        match &*self.0 {
            Backing::Memory { memory, .. } => Ok(memory.revisions(workspaces)),
            Backing::Sql(sql) => sql.revisions(workspaces).await,
        }
    }

    /// The last revision at which one of these topics of a workspace was touched; 0 when none was.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn touched(&self, workspace: WorkspaceId, topics: &[String]) -> Result<Revision, StoreError> {
        match &*self.0 {
            Backing::Memory { memory, .. } => Ok(memory.snapshot().await.touched(workspace, topics)),
            Backing::Sql(sql) => sql.touched(workspace, topics).await,
        }
    }

    /// Makes the indexes that are missing, and drops those made before that are not among these any more.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn index(&self, indexes: &[Index]) -> Result<(), StoreError> {
        match &*self.0 {
            Backing::Memory { .. } => Ok(()),
            Backing::Sql(sql) => sql.index(indexes).await,
        }
    }

    /// Reads blocks of a run's log, from the one that holds the event after `after`, in order, until about `limit_bytes` are
    /// read (at least one block when there is one).
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn log_after(&self, run: RunId, after: Offset, limit_bytes: usize) -> Result<Vec<Arc<Block>>, StoreError> {
        match &*self.0 {
            Backing::Memory { memory, .. } => Ok(memory.log_after(run, after, limit_bytes)),
            Backing::Sql(sql) => sql.log_after(run, after, limit_bytes).await,
        }
    }

    /// Waits until every commit of this process that can be read now has been told of: a commit is durable, and read, a moment
    /// before.
    pub async fn settled(&self) {
        match &*self.0 {
            // Memory tells in the same breath.
            Backing::Memory { .. } => {}
            Backing::Sql(sql) => sql.settled().await,
        }
    }

    /// Finishes what the writer has taken on, then ends it. Later commits get [`StoreError::Unavailable`].
    pub async fn close(&self) {
        match &*self.0 {
            Backing::Memory { closed, .. } => closed.store(true, Ordering::Relaxed),
            Backing::Sql(sql) => sql.close().await,
        }
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// `Unavailable` when it gives none.
    pub async fn ping(&self) -> Result<(), StoreError> {
        match &*self.0 {
            Backing::Memory { .. } => Ok(()),
            Backing::Sql(sql) => sql.ping().await,
        }
    }

    /// Opens the same memory once more, as a restarted server opens the same file; `None` for a database.
    #[cfg(test)]
    pub fn reopen_memory(&self, tell: Tell) -> Option<Self> {
        match &*self.0 {
            Backing::Memory { memory, .. } => {
                Some(Self(Arc::new(Backing::Memory { memory: memory.clone(), tell, closed: AtomicBool::new(false) })))
            }
            Backing::Sql(_) => None,
        }
    }
}

impl Snapshot {
    /// A workspace's revision at this moment; 0 when there is none.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn revision(&mut self, workspace: WorkspaceId) -> Result<Revision, StoreError> {
        match &mut self.0 {
            SnapshotKind::Memory(snapshot) => Ok(snapshot.revision(workspace)),
            SnapshotKind::Sql(snapshot) => snapshot.revision(workspace).await,
        }
    }

    /// Reads the row with this id.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn get<E: Entity>(&mut self, id: impl Into<Value>) -> Result<Option<E>, StoreError> {
        let id = id.into();
        let values = match &mut self.0 {
            SnapshotKind::Memory(snapshot) => snapshot.get(E::TABLE, &id)?,
            SnapshotKind::Sql(snapshot) => snapshot.get(E::TABLE, &id).await?,
        };
        values.map(E::from_values).transpose()
    }

    /// Reads rows.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn select<E: Entity>(&mut self, select: &Select) -> Result<Vec<E>, StoreError> {
        let rows = match &mut self.0 {
            SnapshotKind::Memory(snapshot) => snapshot.select(E::TABLE, select)?,
            SnapshotKind::Sql(snapshot) => snapshot.select(E::TABLE, select).await?,
        };
        rows.into_iter().map(E::from_values).collect()
    }
}

impl Snapshot {
    /// Reads rows, each as the values of its table's columns.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn read(&mut self, read: &Read) -> Result<Vec<Vec<Value>>, StoreError> {
        match &mut self.0 {
            SnapshotKind::Memory(snapshot) => snapshot.read(read),
            SnapshotKind::Sql(snapshot) => snapshot.read(read).await,
        }
    }

    /// Counts rows.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn count(&mut self, table: &'static Table, predicate: &Predicate) -> Result<u64, StoreError> {
        let measures = vec![Measured { measure: Measure::Count, only: None }];
        let count = Aggregate { table, predicate: predicate.clone(), groups: Vec::new(), measures, limit: 1 };
        match self.aggregate(&count).await?.first().map(Vec::as_slice) {
            Some([Value::Integer(count)]) => Ok(u64::try_from(*count).unwrap_or_default()),
            _ => Err(StoreError::Malformed { table: table.name, column: "id" }),
        }
    }

    /// Reads figures over groups of rows.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Vec<Vec<Value>>, StoreError> {
        match &mut self.0 {
            SnapshotKind::Memory(snapshot) => snapshot.aggregate(aggregate),
            SnapshotKind::Sql(snapshot) => snapshot.aggregate(aggregate).await,
        }
    }

    /// The last revision at which one of these topics was touched; 0 when none was.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn touched(&mut self, workspace: WorkspaceId, topics: &[String]) -> Result<Revision, StoreError> {
        match &mut self.0 {
            SnapshotKind::Memory(snapshot) => Ok(snapshot.touched(workspace, topics)),
            SnapshotKind::Sql(snapshot) => snapshot.touched(workspace, topics).await,
        }
    }
}

impl StoreError {
    fn closed() -> Self {
        Self::Unavailable("the server is shutting down".into())
    }
}
