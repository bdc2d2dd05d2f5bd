//! Where a test's store is, empty and its own, and short names for what tests write.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use crewline_protocol::value::{MemberId, Millis, MutationKey, Offset, Revision, RunId, SessionId, UserId, WorkspaceId};
use sqlx::{Connection, Executor, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    entity,
    store::{Append, Block, Commit, KeyedReply, Location, Store, StoreError, Tell, Told},
};

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    Memory,
    Sqlite,
    Postgres,
}

/// An empty database that a test has to itself.
pub(crate) struct Place {
    pub(in crate::store) location: Location,
    told: Arc<Mutex<Vec<Told>>>,
    memory: Mutex<Option<Store>>,
    _folder: Option<tempfile::TempDir>,
}

impl Place {
    pub(crate) async fn new(database: Database) -> Self {
        let folder = (database == Database::Sqlite).then(|| tempfile::tempdir().unwrap());
        let location = match (database, &folder) {
            (Database::Postgres, _) => Location::Postgres(empty_schema().await),
            (_, Some(folder)) => Location::Sqlite(folder.path().join("crewline.db")),
            _ => Location::Memory,
        };
        Self { location, told: Arc::default(), memory: Mutex::default(), _folder: folder }
    }

    /// Opens the store, with what it held before.
    pub(super) async fn open(&self) -> Store {
        self.try_open().await.unwrap()
    }

    pub(super) async fn try_open(&self) -> Result<Store, StoreError> {
        let told = self.told.clone();
        self.open_telling(Arc::new(move |new| told.lock().unwrap().extend(new))).await
    }

    /// Opens the store as `open` does, telling somebody else.
    pub(crate) async fn open_telling(&self, tell: Tell) -> Result<Store, StoreError> {
        let again = self.memory.lock().unwrap().as_ref().and_then(|store| store.reopen_memory(tell.clone()));
        let store = match again {
            Some(store) => store,
            None => Store::open(&self.location, tell).await?,
        };
        *self.memory.lock().unwrap() = Some(store.clone()).filter(|_| self.location == Location::Memory);
        Ok(store)
    }

    /// Which database it is on.
    pub(super) fn database(&self) -> Database {
        match &self.location {
            Location::Memory => Database::Memory,
            Location::Sqlite(_) => Database::Sqlite,
            Location::Postgres(_) => Database::Postgres,
        }
    }

    /// The names of all indexes.
    pub(super) async fn indexes(&self) -> Vec<String> {
        match &self.location {
            Location::Memory => Vec::new(),
            Location::Sqlite(file) => {
                let mut connection = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(file)).await.unwrap();
                let sql = "SELECT name FROM sqlite_schema WHERE type = 'index'";
                sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap()
            }
            Location::Postgres(url) => {
                let sql = "SELECT indexname::text FROM pg_indexes WHERE schemaname = current_schema()";
                sqlx::query_scalar(sql).fetch_all(&mut PgConnection::connect(url).await.unwrap()).await.unwrap()
            }
        }
    }

    /// What was told since the last time.
    pub(super) fn told(&self) -> Vec<Told> {
        std::mem::take(&mut self.told.lock().unwrap())
    }
}

/// The URL of a schema that was made for one test, in the database that the test script started and throws away.
async fn empty_schema() -> String {
    let url = std::env::var("CREWLINE_TEST_POSTGRES").expect(
        "set CREWLINE_TEST_POSTGRES to the URL of a PostgreSQL database that tests may fill, such as postgres://postgres@localhost/postgres",
    );
    let schema = format!("test_{:016x}", rand::random::<u64>());
    let mut connection = PgConnection::connect(&url).await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).await.unwrap();
    connection.close().await.unwrap();
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}options[search_path]={schema}&application_name={schema}")
}

entity! {
    /// A person.
    pub(super) struct User in "users" {
        /// Id.
        id: UserId,
        /// Unique.
        email: String,
        /// Name.
        name: String,
        /// Hash.
        password_hash: String,
        /// Operator.
        operator: bool,
        /// Since when.
        disabled_at: Option<Millis>,
        /// Made.
        created_at: Millis,
        /// Changed.
        updated_at: Millis,
    }
}

entity! {
    /// A workspace.
    pub(super) struct Workspace in "workspaces" {
        /// Id.
        id: WorkspaceId,
        /// Name.
        name: String,
        /// The counter.
        revision: Revision,
        /// That of the last change of the row.
        changed_revision: Revision,
        /// Made.
        created_at: Millis,
        /// Changed.
        updated_at: Millis,
    }
}

entity! {
    /// A session.
    pub(super) struct Session in "sessions" {
        /// Id.
        id: SessionId,
        /// Whose.
        workspace_id: WorkspaceId,
        /// Revision.
        revision: Revision,
        /// Made.
        created_at: Millis,
        /// Changed.
        updated_at: Millis,
        /// Title.
        title: String,
        /// Who.
        created_by: UserId,
        /// Since when it is out of the way.
        archived_at: Option<Millis>,
        /// Which crew.
        crew: Option<String>,
    }
}

entity! {
    /// A membership.
    pub(super) struct Member in "members" {
        /// Id.
        id: MemberId,
        /// Where.
        workspace_id: WorkspaceId,
        /// Who.
        user_id: UserId,
        /// Role.
        role: String,
        /// Name.
        name: String,
        /// Address.
        email: String,
        /// Revision.
        revision: Revision,
        /// Made.
        created_at: Millis,
        /// Changed.
        updated_at: Millis,
    }
}

/// The id with this number: any kind, `id(RunId::new, 7)`.
pub(super) fn id<I>(new: fn(Millis, [u8; 10]) -> I, number: u32) -> I {
    let mut random = [0; 10];
    random[6..].copy_from_slice(&number.to_be_bytes());
    new(Millis(1_700_000_000_000 + i64::from(number)), random)
}

pub(in crate::store) fn workspace(number: u32) -> WorkspaceId {
    id(WorkspaceId::new, number)
}

pub(super) fn run(number: u32) -> RunId {
    id(RunId::new, number)
}

pub(super) fn user(number: u32, email: &str) -> User {
    User {
        id: id(UserId::new, number),
        email: email.to_owned(),
        name: format!("User {number}"),
        password_hash: "none".to_owned(),
        operator: false,
        disabled_at: None,
        created_at: Millis(1),
        updated_at: Millis(2),
    }
}

pub(super) fn session(number: u32, workspace_id: WorkspaceId, title: &str) -> Session {
    Session {
        id: id(SessionId::new, number),
        workspace_id,
        revision: Revision(0),
        created_at: Millis(1),
        updated_at: Millis(2),
        title: title.to_owned(),
        created_by: id(UserId::new, 1),
        archived_at: None,
        crew: None,
    }
}

/// A commit that makes a workspace.
pub(super) fn make(workspace: WorkspaceId) -> Commit {
    let row = Workspace {
        id: workspace,
        name: "W".to_owned(),
        revision: Revision(0),
        changed_revision: Revision(0),
        created_at: Millis(1),
        updated_at: Millis(1),
    };
    Commit::in_workspace(workspace).put(&row)
}

/// A reply under a key, which says the revision.
pub(super) fn keyed(principal: &str, number: u32, at: Millis) -> KeyedReply {
    KeyedReply {
        principal: principal.to_owned(),
        key: id(MutationKey::new, number),
        operation: "session.create",
        digest: [7; 32],
        at,
        reply: Arc::new(|revision| revision.0.to_string().into_bytes()),
    }
}

/// A commit that appends events as they would be encoded: each of one byte, to be told apart.
pub(super) fn append(run: RunId, events: &[u8]) -> Commit {
    let append = Append { run, count: u32::try_from(events.len()).unwrap(), events: Bytes::copy_from_slice(events), complete: false };
    Commit { events: vec![append], ..Commit::default() }
}

pub(super) fn block(first: i64, events: &[u8]) -> Arc<Block> {
    Arc::new(Block { first: Offset(first), count: u32::try_from(events.len()).unwrap(), events: Bytes::copy_from_slice(events) })
}
