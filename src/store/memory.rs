//! The store's twin in memory, for tests in simulated time: the same commits come to the same, without a thread, a timer or a file.

use std::{
    borrow::Cow,
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crewline_protocol::value::{Millis, MutationKey, Offset, Revision, RunId, WorkspaceId};
use tokio::task::yield_now;

use super::{
    Aggregate, Block, Column, Commit, CommitError, Committed, Condition, Direction, Read, Select, StoreError, StoredReply, StreamHead,
    Table, Tell, Value, change, evaluate,
    group::{self, Id, Known, Pending, Plan, RowKey, RowState, SET, WORKSPACES},
    schema,
};
use crate::settings::store::KEY_KEPT_MS;

/// Everything that is stored. It outlives the stores that are opened on it, as a file does.
#[derive(Default)]
pub(super) struct Memory {
    contents: Mutex<Contents>,
}

/// Rows as they were at one moment.
pub(super) struct MemorySnapshot {
    rows: Rows,
    topics: Arc<Topics>,
}

#[derive(Default)]
struct Contents {
    rows: Rows,
    topics: Arc<Topics>,
    streams: HashMap<RunId, Stream>,
    /// With the times at which they were kept.
    keys: HashMap<(String, MutationKey), (StoredReply, Millis)>,
}

/// Rows by table and id. A snapshot shares the tables that have not changed since.
#[derive(Default, Clone)]
struct Rows(HashMap<&'static str, Arc<BTreeMap<Id<'static>, Row>>>);

/// The last revision at which each topic of a workspace was touched.
type Topics = HashMap<(WorkspaceId, String), Revision>;

#[derive(Clone)]
struct Row {
    columns: &'static [Column],
    values: Vec<Value>,
}

#[derive(Default)]
struct Stream {
    blocks: Vec<Arc<Block>>,
    head: Offset,
    complete: bool,
}

impl Memory {
    pub(super) async fn commit(&self, commit: &Commit, tell: &Tell) -> Result<Committed, CommitError> {
        // With a database others run between the question and the write, and between the write and the answer.
        yield_now().await;
        let committed = self.carry_out(commit, tell);
        yield_now().await;
        committed
    }

    pub(super) async fn snapshot(&self) -> MemorySnapshot {
        // As with a database: a reader that reads all the time lets others run.
        yield_now().await;
        let contents = self.lock();
        MemorySnapshot { rows: contents.rows.clone(), topics: contents.topics.clone() }
    }

    pub(super) fn reply(&self, principal: &str, key: MutationKey) -> Option<StoredReply> {
        Known::reply(&*self.lock(), principal, key)
    }

    pub(super) fn heads(&self, runs: &[RunId]) -> Vec<(RunId, StreamHead)> {
        let contents = self.lock();
        let head = |run: &RunId| {
            let stream = contents.streams.get(run)?;
            Some((*run, StreamHead { head: stream.head, complete: stream.complete }))
        };
        runs.iter().filter_map(head).collect()
    }

    pub(super) fn revisions(&self, workspaces: &[WorkspaceId]) -> Vec<(WorkspaceId, Revision)> {
        let contents = self.lock();
        let revision = |id: &WorkspaceId| Some((*id, Revision(contents.counter(&id.to_string())?)));
        workspaces.iter().filter_map(revision).collect()
    }

    pub(super) fn log_after(&self, run: RunId, after: Offset, limit_bytes: usize) -> Vec<Arc<Block>> {
        let contents = self.lock();
        let Some(stream) = contents.streams.get(&run) else { return Vec::new() };
        let start = stream.blocks.partition_point(|block| block.last() <= after);
        let mut bytes = 0;
        let enough = |block: &&Arc<Block>| {
            let more = bytes < limit_bytes.max(1);
            bytes += block.events.len();
            more
        };
        stream.blocks[start..].iter().take_while(enough).cloned().collect()
    }

    fn carry_out(&self, commit: &Commit, tell: &Tell) -> Result<Committed, CommitError> {
        let mut contents = self.lock();
        let mut plan = group::plan(std::iter::once(commit), &*contents);
        if let Some((_, error)) = plan.refused.pop() {
            return Err(error);
        }
        if let Some(table) = contents.rows.taken(&plan) {
            return Err(CommitError::Taken(table.to_owned()));
        }
        let appended = contents.write(plan);
        // Told under the lock: what is written next is told after it.
        tell(appended.told);
        Ok(appended.committed.into_iter().next().map(|(_, committed)| committed).unwrap_or_default())
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemorySnapshot {
    pub(super) fn revision(&self, workspace: WorkspaceId) -> Revision {
        Revision(self.rows.counter(&workspace.to_string()).unwrap_or(0))
    }

    pub(super) fn get(&self, table: &'static Table, id: &Value) -> Result<Option<Vec<Value>>, StoreError> {
        self.rows.get(&(table.name, Id::of(id))).map(|row| row.read(table)).transpose()
    }

    pub(super) fn select(&self, table: &'static Table, select: &Select) -> Result<Vec<Vec<Value>>, StoreError> {
        let mut rows: Vec<&Row> = self.rows.table(table.name).filter(|row| select.conditions.iter().all(|c| row.meets(c))).collect();
        // The rows come in the order of their ids, and the sort keeps that among equals.
        if let Some((column, direction)) = select.order {
            rows.sort_by(|a, b| absent_last(a.cell(column), b.cell(column), direction));
        }
        let limit = if select.limit == 0 { usize::MAX } else { select.limit };
        rows.into_iter().take(limit).map(|row| row.read(table)).collect()
    }
}

impl MemorySnapshot {
    pub(super) fn read(&self, read: &Read) -> Result<Vec<Vec<Value>>, StoreError> {
        let rows = self.all(read.table)?;
        Ok(evaluate::read(read, rows.iter()).into_iter().map(|row| row.values().to_vec()).collect())
    }

    pub(super) fn aggregate(&self, aggregate: &Aggregate) -> Result<Vec<Vec<Value>>, StoreError> {
        Ok(evaluate::aggregate(aggregate, self.all(aggregate.table)?.iter()))
    }

    pub(super) fn touched(&self, workspace: WorkspaceId, topics: &[String]) -> Revision {
        topics.iter().filter_map(|topic| self.topics.get(&(workspace, topic.clone()))).copied().max().unwrap_or_default()
    }

    fn all(&self, table: &'static Table) -> Result<Vec<change::Row>, StoreError> {
        self.rows.table(table.name).map(|row| Ok(change::Row::new(table, row.read(table)?))).collect()
    }
}

impl Contents {
    fn write(&mut self, plan: Plan<'_>) -> group::Appended {
        for (key, pending) in &plan.rows {
            self.rows.write(key, pending);
        }
        Arc::make_mut(&mut self.topics).extend(plan.topics.clone());
        for (workspace, counter) in &plan.counters {
            self.rows.set_counter(workspace, *counter);
        }
        for accepted in &plan.accepted {
            if let Some((key, reply)) = accepted.commit.key.as_ref().zip(accepted.reply.clone()) {
                let revision = accepted.revision.unwrap_or_default();
                let kept = StoredReply { operation: key.operation.to_owned(), digest: key.digest, revision, reply };
                self.keys.retain(|_, (_, at)| *at >= key.at.plus(-KEY_KEPT_MS));
                self.keys.insert((key.principal.clone(), key.key), (kept, key.at));
            }
        }
        for (run, growth) in &plan.streams {
            self.streams.entry(*run).or_default().complete |= growth.complete;
        }
        let heads = plan.streams.keys().filter_map(|run| Some((*run, self.streams.get(run)?.head))).collect();
        let appended = plan.append(heads);
        for (run, block) in &appended.blocks {
            let stream = self.streams.entry(*run).or_default();
            stream.head = block.last();
            stream.blocks.push(block.clone());
        }
        appended
    }
}

impl Known for Contents {
    fn reply(&self, principal: &str, key: MutationKey) -> Option<StoredReply> {
        self.keys.get(&(principal.to_owned(), key)).map(|(kept, _)| kept.clone())
    }
    fn counter(&self, workspace: &str) -> Option<i64> {
        self.rows.counter(workspace)
    }
    fn present(&self, row: &RowKey<'_>) -> bool {
        self.rows.get(row).is_some()
    }
    fn cell(&self, row: &RowKey<'_>, column: &str) -> Option<Cow<'_, Value>> {
        self.rows.get(row)?.cell(column).map(Cow::Borrowed)
    }
}

impl Rows {
    fn table(&self, name: &str) -> impl Iterator<Item = &Row> {
        self.0.get(name).into_iter().flat_map(|rows| rows.values())
    }

    fn get(&self, (table, id): &RowKey<'_>) -> Option<&Row> {
        self.0.get(table)?.get(&id.clone().into_owned())
    }

    fn counter(&self, workspace: &str) -> Option<i64> {
        match self.get(&(WORKSPACES, Id::Text(workspace.into())))?.cell("revision") {
            Some(Value::Integer(counter)) => Some(*counter),
            _ => None,
        }
    }

    fn set_counter(&mut self, workspace: &str, counter: i64) {
        let id = Id::Text(workspace.to_owned().into());
        if let Some(row) = self.0.get_mut(WORKSPACES).and_then(|rows| Arc::make_mut(rows).get_mut(&id)) {
            row.set("revision", Value::Integer(counter));
        }
    }

    fn write(&mut self, (name, id): &RowKey<'_>, pending: &Pending<'_>) {
        let rows = Arc::make_mut(self.0.entry(name).or_default());
        let id = id.clone().into_owned();
        match pending.state.put() {
            None => {
                rows.remove(&id);
            }
            Some((values, set)) => {
                let mut row = Row { columns: pending.table.columns, values: values.to_vec() };
                for (column, value) in SET.into_iter().zip(set).filter_map(|(column, value)| value.map(|value| (column, value))) {
                    row.set(column, Value::Integer(value));
                }
                rows.insert(id, row);
            }
        }
    }

    /// The first table in which the plan would put a unique value twice.
    fn taken(&self, plan: &Plan<'_>) -> Option<&'static str> {
        plan.rows.iter().find_map(|(key, pending)| {
            let RowState::Put { values, .. } = pending.state else { return None };
            let put = Row { columns: pending.table.columns, values: values.to_vec() };
            let taken = schema::unique(key.0).any(|columns| self.holds_another(&put, key, columns, plan));
            taken.then_some(key.0)
        })
    }

    fn holds_another(&self, put: &Row, key: &RowKey<'_>, columns: &[&str], plan: &Plan<'_>) -> bool {
        let same = |other: &Row| {
            let equal = |name: &&str| other.cell(name) == put.cell(name) && put.cell(name) != Some(&Value::Null);
            columns.iter().all(equal)
        };
        let stored = self.0.get(key.0).into_iter().flat_map(|rows| rows.iter());
        let stays = |id: &Id<'static>| *id != key.1 && !plan.rows.contains_key(&(key.0, id.clone()));
        let stored = stored.filter(|(id, _)| stays(id)).any(|(_, row)| same(row));
        stored
            || plan.rows.iter().any(|(other, pending)| match pending.state {
                RowState::Put { values, .. } if other.0 == key.0 && other.1 != key.1 => {
                    same(&Row { columns: pending.table.columns, values: values.to_vec() })
                }
                RowState::Put { .. } | RowState::Deleted => false,
            })
    }
}

impl Row {
    fn cell(&self, column: &str) -> Option<&Value> {
        let place = self.columns.iter().position(|c| c.name == column)?;
        self.values.get(place)
    }

    fn set(&mut self, column: &str, value: Value) {
        let place = self.columns.iter().position(|c| c.name == column);
        if let Some(cell) = place.and_then(|place| self.values.get_mut(place)) {
            *cell = value;
        }
    }

    /// The row as this table has its columns: two rooms may name them in another order.
    fn read(&self, table: &'static Table) -> Result<Vec<Value>, StoreError> {
        if std::ptr::eq(self.columns, table.columns) {
            return Ok(self.values.clone());
        }
        let cell = |c: &Column| self.cell(c.name).cloned().ok_or(StoreError::Malformed { table: table.name, column: c.name });
        table.columns.iter().map(cell).collect()
    }

    fn meets(&self, condition: &Condition) -> bool {
        let compares = |column: &str, value: &Value, ordering: Ordering| match self.cell(column) {
            None | Some(Value::Null) => false,
            Some(cell) => *value != Value::Null && cell.partial_cmp(value) == Some(ordering),
        };
        match condition {
            Condition::Equals(column, value) => self.cell(column) == Some(value),
            Condition::In(column, values) => values.iter().any(|value| compares(column, value, Ordering::Equal)),
            Condition::Greater(column, value) => compares(column, value, Ordering::Greater),
            Condition::Less(column, value) => compares(column, value, Ordering::Less),
        }
    }
}

fn absent_last(a: Option<&Value>, b: Option<&Value>, direction: Direction) -> Ordering {
    let (a, b) = (a.filter(|a| **a != Value::Null), b.filter(|b| **b != Value::Null));
    match (a, b) {
        (Some(a), Some(b)) => {
            let ordering = a.partial_cmp(b).unwrap_or(Ordering::Equal);
            if direction == Direction::Ascending { ordering } else { ordering.reverse() }
        }
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
    }
}
