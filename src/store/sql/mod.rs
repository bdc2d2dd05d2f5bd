//! The store on SQLite and on PostgreSQL: one body of statements for both.

mod carry;
mod driver;
mod facts;
mod figures;
mod lock;
mod order;
#[cfg(test)]
mod plans;
mod query;
mod read;
mod readers;
mod statement;
mod writer;

use std::{
    borrow::Cow,
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use crewline_protocol::value::{MutationKey, Offset, Revision, RunId, WorkspaceId};

use self::{
    driver::{Arg, Connection, Options, Purpose, Query},
    lock::DataLock,
    read::Dialect,
    readers::{Reader, Readers},
    writer::Writer,
};
use super::{
    Aggregate, Block, Commit, CommitError, Committed, Index, Read, Select, StoreError, StoredReply, StreamHead, Table, Tell, Value,
};

/// Blocks asked for at once, at first and at most.
const BLOCKS: std::ops::RangeInclusive<usize> = 16..=256;

pub(super) struct Sql {
    epoch: String,
    options: Options,
    writer: Writer,
    readers: Arc<Readers>,
    lock: Mutex<Option<DataLock>>,
}

pub(super) struct SqlSnapshot(Reader, Dialect);

impl Sql {
    /// Opens a file of SQLite; `alone`: as the only server that may.
    pub(super) async fn open_sqlite(file: &Path, alone: bool, tell: &Tell) -> Result<Self, StoreError> {
        let lock = alone.then(|| DataLock::take(file)).transpose()?;
        Self::open(&Options::sqlite(file), lock, tell).await
    }

    pub(super) async fn open_postgres(url: &str, tell: &Tell) -> Result<Self, StoreError> {
        Self::open(&Options::postgres(url)?, None, tell).await
    }

    async fn open(options: &Options, lock: Option<DataLock>, tell: &Tell) -> Result<Self, StoreError> {
        let mut connection = options.connect(Purpose::Write).await?;
        connection.migrate().await?;
        let epoch = epoch(&mut connection).await?;
        let writer = Writer::start(options, connection, tell);
        Ok(Self { epoch, options: options.clone(), writer, readers: Readers::new(options.clone()), lock: Mutex::new(lock) })
    }

    pub(super) fn epoch(&self) -> &str {
        &self.epoch
    }

    pub(super) async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        self.writer.commit(commit).await
    }

    pub(super) async fn settled(&self) {
        self.writer.settled().await;
    }

    pub(super) async fn snapshot(&self) -> Result<SqlSnapshot, StoreError> {
        self.readers.snapshot().await.map(|reader| SqlSnapshot(reader, self.options.dialect()))
    }

    pub(super) async fn get(&self, table: &'static Table, id: &Value) -> Result<Option<Vec<Value>>, StoreError> {
        Ok(self.readers.run(&query::get(table, id)).await?.pop())
    }

    pub(super) async fn select(&self, table: &'static Table, select: &Select) -> Result<Vec<Vec<Value>>, StoreError> {
        self.readers.run(&query::select(table, select)).await
    }

    pub(super) async fn reply(&self, principal: &str, key: MutationKey) -> Result<Option<StoredReply>, StoreError> {
        self.readers.run(&query::reply(principal, key)).await?.pop().as_deref().map(stored_reply).transpose()
    }

    pub(super) async fn heads(&self, runs: &[RunId]) -> Result<Vec<(RunId, StreamHead)>, StoreError> {
        let mut heads = Vec::with_capacity(runs.len());
        for runs in runs.chunks(query::IDS) {
            for row in self.readers.run(&query::heads(runs)).await? {
                heads.push(head(&row)?);
            }
        }
        Ok(heads)
    }

    pub(super) async fn revisions(&self, workspaces: &[WorkspaceId]) -> Result<Vec<(WorkspaceId, Revision)>, StoreError> {
        let mut revisions = Vec::with_capacity(workspaces.len());
        for workspaces in workspaces.chunks(query::IDS) {
            for row in self.readers.run(&query::revisions(workspaces)).await? {
                revisions.push(revision(&row)?);
            }
        }
        Ok(revisions)
    }

    pub(super) async fn log_after(&self, run: RunId, after: Offset, limit_bytes: usize) -> Result<Vec<Arc<Block>>, StoreError> {
        let (mut blocks, mut bytes, mut ask) = (Vec::new(), 0, *BLOCKS.start());
        let mut after = after;
        loop {
            let rows = self.readers.run(&query::log_after(run, after, ask)).await?;
            let all = rows.len() < ask;
            for row in rows {
                let block = block(&row)?;
                after = block.last();
                bytes += block.events.len();
                blocks.push(Arc::new(block));
                if bytes >= limit_bytes {
                    return Ok(blocks);
                }
            }
            if all {
                return Ok(blocks);
            }
            let usual = bytes / blocks.len().max(1) + 1;
            ask = ((limit_bytes - bytes) / usual + 1).clamp(*BLOCKS.start(), *BLOCKS.end());
        }
    }

    pub(super) async fn touched(&self, workspace: WorkspaceId, topics: &[String]) -> Result<Revision, StoreError> {
        let rows = self.readers.run(&read::touched(&workspace.to_string(), topics)).await?;
        touched(&rows)
    }

    /// Makes indexes, on a connection of its own: it may take long.
    pub(super) async fn index(&self, indexes: &[Index]) -> Result<(), StoreError> {
        let (dialect, mut connection) = (self.options.dialect(), self.options.connect(Purpose::Write).await?);
        if dialect == Dialect::Postgres {
            // Nodes that start at once would each make the same index, and all but one fail. They wait as long as the one takes, which
            // holds this until its connection ends.
            connection.execute("SET lock_timeout = 0").await?;
            connection.execute("SELECT pg_advisory_lock(hashtext('crewline indexes'))").await?;
        }
        let wanted = indexes.iter().map(|index| read::index(dialect, index)).collect::<Result<Vec<_>, _>>()?;
        let there: Vec<String> = connection
            .run(&read::indexes(dialect))
            .await?
            .into_iter()
            .filter_map(|mut row| match row.pop() {
                Some(Value::Text(name)) => Some(name),
                _ => None,
            })
            .collect();
        let missing = indexes.iter().zip(&wanted).filter(|(_, (name, _))| !there.contains(name));
        let tables: BTreeSet<&str> = missing.clone().map(|(index, _)| index.table.name).collect();
        let made = missing.map(|(_, (_, sql))| sql.clone());
        let gone = there.iter().filter(|name| wanted.iter().all(|(wanted, _)| wanted != *name)).map(|name| format!("DROP INDEX {name}"));
        // Until PostgreSQL has looked at what is there it guesses that a workspace has few rows, and would rather sort all of a
        // million than go along an index.
        let looked = tables.iter().filter(|_| dialect == Dialect::Postgres).map(|table| format!("ANALYZE {table}"));
        for sql in made.chain(gone).chain(looked).collect::<Vec<_>>() {
            connection.run(&Query { sql: sql.into(), args: Vec::new(), kinds: Cow::Borrowed(&[]) }).await?;
        }
        connection.close().await;
        Ok(())
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        self.readers.run(&query::ping()).await.map(drop)
    }

    pub(super) async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl SqlSnapshot {
    pub(super) async fn revision(&mut self, workspace: WorkspaceId) -> Result<Revision, StoreError> {
        let row = self.0.run(&query::revisions(&[workspace])).await?.pop();
        row.map_or(Ok(Revision(0)), |row| revision(&row).map(|(_, revision)| revision))
    }

    pub(super) async fn get(&mut self, table: &'static Table, id: &Value) -> Result<Option<Vec<Value>>, StoreError> {
        Ok(self.0.run(&query::get(table, id)).await?.pop())
    }

    pub(super) async fn select(&mut self, table: &'static Table, select: &Select) -> Result<Vec<Vec<Value>>, StoreError> {
        Ok(self.0.run(&query::select(table, select)).await?)
    }
}

impl SqlSnapshot {
    pub(super) async fn read(&mut self, read: &Read) -> Result<Vec<Vec<Value>>, StoreError> {
        let mut rows = Vec::new();
        for statement in 0..read::statements(read) {
            let missing = read.limit.saturating_sub(rows.len());
            if missing == 0 {
                break;
            }
            rows.append(&mut self.0.run(&read::read(self.1, read, statement, missing)?).await?);
        }
        Ok(rows)
    }

    pub(super) async fn aggregate(&mut self, aggregate: &Aggregate) -> Result<Vec<Vec<Value>>, StoreError> {
        let (figures, percentiles) = figures::aggregate(self.1, aggregate)?;
        let mut rows = figures::folded(self.0.run(&figures).await?, aggregate);
        for (place, query) in percentiles {
            let found = self.0.run(&query).await?;
            figures::insert(&mut rows, aggregate.groups.len(), place, found);
        }
        Ok(rows)
    }

    pub(super) async fn touched(&mut self, workspace: WorkspaceId, topics: &[String]) -> Result<Revision, StoreError> {
        touched(&self.0.run(&read::touched(&workspace.to_string(), topics)).await?)
    }
}

fn touched(rows: &[Vec<Value>]) -> Result<Revision, StoreError> {
    match rows.first().map(Vec::as_slice) {
        Some([Value::Integer(revision)]) => Ok(Revision(*revision)),
        Some([Value::Null]) => Ok(Revision(0)),
        _ => Err(StoreError::Malformed { table: "topics", column: "revision" }),
    }
}

/// The database's incarnation; a new one is made up by the first who asks. The chance comes from the system, not from a clock
/// handed in: two databases made in the same simulated moment must differ too.
async fn epoch(connection: &mut Connection) -> Result<String, StoreError> {
    let made_up = format!("{:032x}", rand::random::<u128>());
    let args = vec![Arg::Text(made_up.into())];
    let sql = Arc::from("INSERT INTO meta (name, value) VALUES ('epoch', $1) ON CONFLICT (name) DO NOTHING");
    connection.run(&Query { sql, args, kinds: Cow::Borrowed(&[]) }).await?;
    match connection.run(&query::epoch()).await?.pop().as_deref() {
        Some([Value::Text(epoch)]) => Ok(epoch.clone()),
        _ => Err(StoreError::Malformed { table: "meta", column: "value" }),
    }
}

/// A kept reply from `operation, digest, revision, reply`.
fn stored_reply(row: &[Value]) -> Result<StoredReply, StoreError> {
    let [Value::Text(operation), Value::Blob(digest), Value::Integer(revision), Value::Blob(reply)] = row else {
        return Err(StoreError::Malformed { table: "keys", column: "reply" });
    };
    let digest = digest.as_ref().try_into().map_err(|_| StoreError::Malformed { table: "keys", column: "digest" })?;
    Ok(StoredReply { operation: operation.clone(), digest, revision: Revision(*revision), reply: reply.clone() })
}

fn head(row: &[Value]) -> Result<(RunId, StreamHead), StoreError> {
    let [Value::Text(run), Value::Integer(head), Value::Integer(complete)] = row else {
        return Err(StoreError::Malformed { table: "streams", column: "head" });
    };
    let run = run.parse().map_err(|_| StoreError::Malformed { table: "streams", column: "run_id" })?;
    Ok((run, StreamHead { head: Offset(*head), complete: *complete != 0 }))
}

fn revision(row: &[Value]) -> Result<(WorkspaceId, Revision), StoreError> {
    let [Value::Text(id), Value::Integer(revision)] = row else {
        return Err(StoreError::Malformed { table: "workspaces", column: "revision" });
    };
    let id = id.parse().map_err(|_| StoreError::Malformed { table: "workspaces", column: "id" })?;
    Ok((id, Revision(*revision)))
}

fn block(row: &[Value]) -> Result<Block, StoreError> {
    let [Value::Integer(first), Value::Integer(count), Value::Blob(events)] = row else {
        return Err(StoreError::Malformed { table: "log", column: "events" });
    };
    let count = u32::try_from(*count).map_err(|_| StoreError::Malformed { table: "log", column: "count" })?;
    Ok(Block { first: Offset(*first), count, events: Bytes::clone(events) })
}
