//! The one place that knows sqlx, and that there are two databases: a connection runs a statement with arguments and gives rows.

use std::{borrow::Cow, path::Path, str::FromStr, sync::Arc};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection as _, Encode, Row, Type,
    encode::IsNull,
    error::BoxDynError,
    migrate::{MigrateError, Migrator},
    postgres::{PgArgumentBuffer, PgArguments, PgConnectOptions, PgConnection, PgRow, PgTypeInfo, Postgres, types::Oid},
    sqlite::{SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous},
};
use tokio::time::timeout;

use super::read::Dialect;
use crate::{
    settings::store::{BUSY_TIMEOUT, CONNECT_TIMEOUT, STATEMENTS_KEPT},
    store::{ColumnKind, StoreError, Value, group::Id},
};

static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// A statement, its arguments, and what its rows hold.
#[derive(Debug, Clone)]
pub(super) struct Query<'a> {
    /// `$1` stands for the first argument, on both databases.
    pub(super) sql: Arc<str>,
    pub(super) args: Vec<Arg<'a>>,
    /// The kinds of the columns that it returns.
    pub(super) kinds: Cow<'a, [ColumnKind]>,
}

/// What goes into a statement.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Arg<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(Cow<'a, str>),
    Blob(&'a [u8]),
}

/// Why a statement failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// A unique value of this table is there already.
    Unique(String),
    /// It got in another's way: the same transaction may succeed now.
    Again(String),
    /// The database is away, full or too slow.
    Away(String),
    /// A defect, here or there.
    Broken(String),
}

/// How a database is reached.
#[derive(Debug, Clone)]
pub(super) enum Options {
    Sqlite(SqliteConnectOptions),
    Postgres(PgConnectOptions),
}

/// A connection to a database.
pub(super) enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Write,
    Read,
}

impl Options {
    pub(super) fn sqlite(file: &Path) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(false)
            .statement_cache_capacity(STATEMENTS_KEPT)
            .disable_statement_logging();
        Self::Sqlite(options)
    }

    pub(super) fn postgres(url: &str) -> Result<Self, StoreError> {
        // The text of the error may hold the password.
        let options = PgConnectOptions::from_str(url).map_err(|_| {
            StoreError::Failed("the database's URL can't be read; it looks like postgres://user:password@host:5432/name".into())
        })?;
        let session = [
            // What a node that vanished has locked is freed.
            ("idle_in_transaction_session_timeout", "10s"),
            ("lock_timeout", "5s"),
            ("tcp_user_timeout", "10s"),
            // Everything is looked up by an index. A plan that was made while a table was small, and is kept, would read all of it
            // when it has grown: sixteen times as slow after twenty thousand keys.
            ("enable_seqscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            ("enable_material", "off"),
            // A plan that has no index seems so dear then that it would be compiled, for longer than it runs.
            ("jit", "off"),
        ];
        let options = match options.get_application_name() {
            Some(_) => options,
            None => options.application_name("crewline"),
        };
        let options = options.options(session).statement_cache_capacity(STATEMENTS_KEPT);
        Ok(Self::Postgres(options.disable_statement_logging()))
    }

    pub(super) async fn connect(&self, purpose: Purpose) -> Result<Connection, Failure> {
        let connecting = async {
            match self {
                Self::Sqlite(options) => {
                    let options = options.clone().read_only(purpose == Purpose::Read).create_if_missing(purpose == Purpose::Write);
                    SqliteConnection::connect_with(&options).await.map(Connection::Sqlite)
                }
                Self::Postgres(options) => PgConnection::connect_with(options).await.map(Connection::Postgres),
            }
        };
        let connected = timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| Failure::Away("it did not answer in time".into()))?;
        connected.map_err(|error| match failure(error) {
            Failure::Again(reason) => Failure::Away(reason),
            failure => failure,
        })
    }

    /// Which words it understands.
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// What begins a transaction of the writer.
    pub(super) fn begin(&self) -> &'static str {
        match self {
            // A transaction that begins as a reader can't always become a writer.
            Self::Sqlite(_) => "BEGIN IMMEDIATE",
            Self::Postgres(_) => "BEGIN",
        }
    }

    /// What begins a transaction in which every read is of the same moment.
    pub(super) fn begin_snapshot(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "BEGIN",
            Self::Postgres(_) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }

    /// What a `SELECT` ends in whose rows are to stay as they are until the transaction ends.
    pub(super) fn lock(&self) -> &'static str {
        match self {
            // There is one writer, and it has begun.
            Self::Sqlite(_) => "",
            Self::Postgres(_) => " FOR UPDATE",
        }
    }
}

impl Connection {
    /// Brings the schema up to date.
    pub(super) async fn migrate(&mut self) -> Result<(), StoreError> {
        let migrated = match self {
            Self::Sqlite(connection) => SQLITE_MIGRATIONS.run(connection).await,
            Self::Postgres(connection) => POSTGRES_MIGRATIONS.run(connection).await,
        };
        migrated.map_err(|error| match error {
            MigrateError::VersionMissing(version) => StoreError::Failed(format!(
                "its schema is that of a later version of crewline (it has migration {version}): start that version, or restore an older copy"
            )),
            MigrateError::VersionMismatch(version) => {
                StoreError::Failed(format!("migration {version} is not the one that this database was made with"))
            }
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failure(error).into(),
            error => StoreError::Failed(error.to_string()),
        })
    }

    /// Runs a statement that takes and gives nothing.
    pub(super) async fn execute(&mut self, sql: &'static str) -> Result<(), Failure> {
        match self {
            Self::Sqlite(connection) => sqlx::query(sql).execute(connection).await.map(drop),
            Self::Postgres(connection) => sqlx::query(sql).execute(connection).await.map(drop),
        }
        .map_err(failure)
    }

    /// Runs a statement.
    pub(super) async fn run(&mut self, query: &Query<'_>) -> Result<Vec<Vec<Value>>, Failure> {
        let sql = AssertSqlSafe(query.sql.clone());
        match self {
            Self::Sqlite(connection) => {
                let rows = sqlx::query_with(sql, sqlite_arguments(&query.args)?).fetch_all(connection).await.map_err(failure)?;
                rows.iter().map(|row| cells(row, &query.kinds, sqlite_cell)).collect()
            }
            Self::Postgres(connection) => {
                let rows = sqlx::query_with(sql, postgres_arguments(&query.args)?).fetch_all(connection).await.map_err(failure)?;
                rows.iter().map(|row| cells(row, &query.kinds, postgres_cell)).collect()
            }
        }
    }

    /// Ends the connection in good order.
    pub(super) async fn close(self) {
        // What was written is durable already, and the server notices by itself when a connection goes.
        let _ = match self {
            Self::Sqlite(connection) => connection.close().await,
            Self::Postgres(connection) => connection.close().await,
        };
    }
}

impl<'a> From<&'a Value> for Arg<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Integer(integer) => Self::Integer(*integer),
            Value::Real(real) => Self::Real(*real),
            Value::Text(text) => Self::Text(Cow::Borrowed(text)),
            Value::Blob(bytes) => Self::Blob(bytes),
        }
    }
}

impl<'a> From<&'a Id<'_>> for Arg<'a> {
    fn from(id: &'a Id<'_>) -> Self {
        match id {
            Id::None => Self::Null,
            Id::Integer(integer) => Self::Integer(*integer),
            Id::Text(text) => Self::Text(Cow::Borrowed(text)),
            Id::Blob(bytes) => Self::Blob(bytes),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Again(reason) | Failure::Away(reason) => Self::Unavailable(reason),
            Failure::Unique(table) => Self::Failed(format!("a unique value of table {table} is taken")),
            Failure::Broken(reason) => Self::Failed(reason),
        }
    }
}

/// An absent value whose type PostgreSQL takes from where it stands.
struct Absent;

impl Type<Postgres> for Absent {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for Absent {
    fn encode_by_ref(&self, _: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Ok(IsNull::Yes)
    }
}

fn sqlite_arguments(args: &[Arg<'_>]) -> Result<SqliteArguments, Failure> {
    use sqlx::Arguments;
    let mut arguments = SqliteArguments::default();
    arguments.reserve(args.len(), 0);
    for arg in args {
        match arg {
            Arg::Null => arguments.add(None::<i64>),
            Arg::Integer(integer) => arguments.add(*integer),
            Arg::Real(real) => arguments.add(*real),
            Arg::Text(text) => arguments.add(text.as_ref()),
            Arg::Blob(bytes) => arguments.add(*bytes),
        }
        .map_err(|error| Failure::Broken(error.to_string()))?;
    }
    Ok(arguments)
}

fn postgres_arguments(args: &[Arg<'_>]) -> Result<PgArguments, Failure> {
    use sqlx::Arguments;
    let mut arguments = PgArguments::default();
    arguments.reserve(args.len(), args.len() * 40);
    for arg in args {
        match arg {
            Arg::Null => arguments.add(Absent),
            Arg::Integer(integer) => arguments.add(*integer),
            Arg::Real(real) => arguments.add(*real),
            Arg::Text(text) => arguments.add(text.as_ref()),
            Arg::Blob(bytes) => arguments.add(*bytes),
        }
        .map_err(|error| Failure::Broken(error.to_string()))?;
    }
    Ok(arguments)
}

type Cell<R> = fn(&R, usize, ColumnKind) -> Result<Value, sqlx::Error>;

fn cells<R: Row>(row: &R, kinds: &[ColumnKind], cell: Cell<R>) -> Result<Vec<Value>, Failure> {
    kinds.iter().enumerate().map(|(place, kind)| cell(row, place, *kind).map_err(failure)).collect()
}

fn sqlite_cell(row: &SqliteRow, place: usize, kind: ColumnKind) -> Result<Value, sqlx::Error> {
    Ok(match kind {
        ColumnKind::Integer => row.try_get_unchecked::<Option<i64>, _>(place)?.map_or(Value::Null, Value::Integer),
        ColumnKind::Real => row.try_get_unchecked::<Option<f64>, _>(place)?.map_or(Value::Null, Value::Real),
        ColumnKind::Text => row.try_get_unchecked::<Option<String>, _>(place)?.map_or(Value::Null, Value::Text),
        ColumnKind::Blob => row.try_get_unchecked::<Option<Vec<u8>>, _>(place)?.map_or(Value::Null, |bytes| Value::Blob(bytes.into())),
    })
}

fn postgres_cell(row: &PgRow, place: usize, kind: ColumnKind) -> Result<Value, sqlx::Error> {
    Ok(match kind {
        ColumnKind::Integer => row.try_get::<Option<i64>, _>(place)?.map_or(Value::Null, Value::Integer),
        ColumnKind::Real => row.try_get::<Option<f64>, _>(place)?.map_or(Value::Null, Value::Real),
        ColumnKind::Text => row.try_get::<Option<String>, _>(place)?.map_or(Value::Null, Value::Text),
        ColumnKind::Blob => row.try_get::<Option<Vec<u8>>, _>(place)?.map_or(Value::Null, |bytes| Value::Blob(bytes.into())),
    })
}

fn failure(error: sqlx::Error) -> Failure {
    let text = error.to_string();
    match error {
        sqlx::Error::Database(error) if error.is_unique_violation() => {
            // SQLite names the table in its message alone: "UNIQUE constraint failed: users.email".
            let named = error.message().rsplit_once(": ").and_then(|(_, column)| column.split('.').next());
            Failure::Unique(error.table().or(named).unwrap_or_default().to_owned())
        }
        sqlx::Error::Database(error) => match error.code().as_deref() {
            Some("40001" | "40P01") => Failure::Again(text),
            Some(code) if is_away(code) => Failure::Away(text),
            _ => Failure::Broken(text),
        },
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => Failure::Away(text),
        _ => Failure::Broken(text),
    }
}

/// Whether a code means that the database is away, full or busy: five characters of PostgreSQL's, or a number of SQLite's.
fn is_away(code: &str) -> bool {
    const SQLITE: [i64; 8] = [
        5,  // busy
        6,  // locked
        7,  // out of memory
        8,  // read-only: the disk is
        10, // input or output failed
        13, // full
        14, // can't be opened
        15, // another process holds the log's lock
    ];
    if code.len() == 5 {
        let class = ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class));
        return class || matches!(code, "55P03" | "25P03" | "25006");
    }
    // The low byte is the code, the rest tells more.
    code.parse::<i64>().is_ok_and(|code| SQLITE.contains(&(code & 0xff)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_succeed_later_is_told_from_a_defect() {
        for away in ["08006", "53100", "53300", "57P01", "57014", "58030", "55P03", "5", "13", "10", "266", "778"] {
            assert!(is_away(away), "{away}");
        }
        for broken in ["42601", "23502", "22P02", "1", "11", "19", "1299", "x"] {
            assert!(!is_away(broken), "{broken}");
        }
    }

    #[test]
    fn both_databases_have_the_same_migrations() {
        let names = |migrator: &Migrator| migrator.iter().map(|one| (one.version, one.description.to_string())).collect::<Vec<_>>();
        assert_eq!(names(&SQLITE_MIGRATIONS), names(&POSTGRES_MIGRATIONS));
    }

    #[test]
    fn a_url_that_cannot_be_read_is_not_shown() {
        let error = Options::postgres("postgres://me:secret@[host/x").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
