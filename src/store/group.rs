//! What a group of commits comes to: a pure function of the commits, in their order, and of what the database holds. Each sees
//! what those before it in the group will have written, as though it had come after them alone.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use bytes::Bytes;
use crewline_protocol::value::{MutationKey, Offset, Revision, RunId, WorkspaceId};

use super::{
    Before, Block, Change, Commit, CommitError, Committed, Expected, Guard, KeyedReply, Row, RowChange, StoreError, StoredReply, Table,
    Told, Value, change,
};

/// The table whose `revision` column is the workspaces' counter.
pub(super) const WORKSPACES: &str = "workspaces";
/// The column of that table that holds the revision of the row's own last change.
const CHANGED_REVISION: &str = "changed_revision";
/// The columns that the store sets.
pub(super) const SET: [&str; 2] = ["revision", CHANGED_REVISION];

/// What the database holds of that which a group asks for.
pub(super) trait Known {
    /// The reply kept under a key.
    fn reply(&self, principal: &str, key: MutationKey) -> Option<StoredReply>;
    /// A workspace's counter.
    fn counter(&self, workspace: &str) -> Option<i64>;
    /// Whether a guarded row is there.
    fn present(&self, row: &RowKey<'_>) -> bool;
    /// A guarded column of a row; `None` where the row or the column is not there.
    fn cell(&self, row: &RowKey<'_>, column: &str) -> Option<Cow<'_, Value>>;
}

/// A row's id, as something that orders and hashes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Id<'a> {
    /// No row has it.
    None,
    Integer(i64),
    Text(Cow<'a, str>),
    Blob(Cow<'a, [u8]>),
}

impl<'a> Id<'a> {
    pub(super) fn of(value: &'a Value) -> Self {
        match value {
            // A float is no id: no table has such a key.
            Value::Null | Value::Real(_) => Self::None,
            Value::Integer(integer) => Self::Integer(*integer),
            Value::Text(text) => Self::Text(Cow::Borrowed(text)),
            Value::Blob(bytes) => Self::Blob(Cow::Borrowed(bytes)),
        }
    }
    pub(super) fn into_owned(self) -> Id<'static> {
        match self {
            Self::None => Id::None,
            Self::Integer(integer) => Id::Integer(integer),
            Self::Text(text) => Id::Text(Cow::Owned(text.into_owned())),
            Self::Blob(bytes) => Id::Blob(Cow::Owned(bytes.into_owned())),
        }
    }
    fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::None | Self::Integer(_) | Self::Blob(_) => "",
        }
    }
}

/// A row: its table's name, its id. In this order rows are locked and written, so that two nodes do not wait for each other.
pub(super) type RowKey<'a> = (&'static str, Id<'a>);

/// What a group leaves in a row.
#[derive(Debug)]
pub(super) struct Pending<'a> {
    pub(super) table: &'static Table,
    pub(super) state: RowState<'a>,
    /// A guard found that the database has no such row: if it has one by the time it is inserted, that is a failure.
    pub(super) absent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum RowState<'a> {
    /// These values, but for the revision where one is given.
    Put {
        values: &'a [Value],
        revision: Option<i64>,
        /// The revision of the commit that puts it: for a workspace's row another one, for its `revision` counts all commits.
        changed: Option<i64>,
    },
    /// No row.
    Deleted,
}

impl<'a> RowState<'a> {
    /// The values that are put, and what the store itself puts into the columns of [`SET`], in their order.
    pub(super) fn put(self) -> Option<(&'a [Value], [Option<i64>; 2])> {
        match self {
            Self::Put { values, revision, changed } => Some((values, [revision, changed])),
            Self::Deleted => None,
        }
    }
}

/// What a group comes to.
#[derive(Debug, Default)]
pub(super) struct Plan<'a> {
    /// The commits that are carried out, by their place in the group.
    pub(super) accepted: Vec<Accepted<'a>>,
    /// The others.
    pub(super) refused: Vec<(usize, CommitError)>,
    /// Rows, in the order in which they are written.
    pub(super) rows: BTreeMap<RowKey<'a>, Pending<'a>>,
    /// Counters that move and whose rows are not among `rows`.
    pub(super) counters: BTreeMap<Cow<'a, str>, i64>,
    /// The last revision at which each topic of a workspace was touched.
    pub(super) topics: BTreeMap<(WorkspaceId, String), Revision>,
    /// The last revision of each workspace whose revision moved.
    pub(super) revisions: BTreeMap<WorkspaceId, Revision>,
    /// By how much streams grow, and whether they end.
    pub(super) streams: BTreeMap<RunId, Growth>,
}

/// A commit that is carried out.
#[derive(Debug)]
pub(super) struct Accepted<'a> {
    pub(super) place: usize,
    pub(super) commit: &'a Commit,
    pub(super) revision: Option<Revision>,
    pub(super) reply: Option<Bytes>,
}

/// What a group adds to a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Growth {
    pub(super) count: i64,
    pub(super) complete: bool,
}

/// Plans a group.
pub(super) fn plan<'a>(commits: impl Iterator<Item = &'a Commit>, known: &impl Known) -> Plan<'a> {
    let mut planner = Planner { known, keys: HashMap::new(), counters: HashMap::new(), plan: Plan::default() };
    for (place, commit) in commits.enumerate() {
        let admitted = planner.admit(commit).and_then(|revision| Ok((revision, reply(commit, revision)?)));
        match admitted {
            Ok((revision, reply)) => planner.accept(Accepted { place, commit, revision, reply }),
            Err(error) => planner.plan.refused.push((place, error)),
        }
    }
    planner.finish()
}

struct Planner<'a, 'k, K> {
    known: &'k K,
    /// Replies that the group keeps.
    keys: HashMap<(&'a str, MutationKey), (&'a KeyedReply, Revision, Bytes)>,
    /// Counters that the group moves, makes or removes.
    counters: HashMap<Cow<'a, str>, Option<i64>>,
    plan: Plan<'a>,
}

impl<'a, K: Known> Planner<'a, '_, K> {
    /// The revision that a commit gets, or why it gets none. Changes nothing.
    fn admit(&self, commit: &'a Commit) -> Result<Option<Revision>, CommitError> {
        if let Some(stored) = commit.key.as_ref().and_then(|key| self.reply(key)) {
            return Err(CommitError::KeyUsed(stored));
        }
        if let Some(failed) = commit.guards.iter().position(|guard| !self.holds(guard)) {
            return Err(CommitError::Guard(failed));
        }
        let Some(workspace) = commit.workspace else { return Ok(None) };
        let id = workspace.to_string();
        let counter = self.counter(&id).or_else(|| makes_workspace(commit, &id).then_some(0));
        counter.map(|counter| Some(Revision(counter + 1))).ok_or(CommitError::NoWorkspace)
    }

    fn accept(&mut self, accepted: Accepted<'a>) {
        let Accepted { commit, revision, .. } = accepted;
        if let Some((workspace, revision)) = commit.workspace.zip(revision) {
            self.counters.insert(workspace.to_string().into(), Some(revision.0));
            self.plan.revisions.insert(workspace, revision);
        }
        for change in &commit.rows {
            self.change(change, revision);
            if let (Some(workspace), Some(revision)) = (commit.workspace, revision) {
                self.plan.topics.insert((workspace, topic(change)), revision);
            }
        }
        for append in &commit.events {
            let growth = self.plan.streams.entry(append.run).or_default();
            growth.count += i64::from(append.count);
            growth.complete |= append.complete;
        }
        if let Some((key, reply)) = commit.key.as_ref().zip(accepted.reply.as_ref()) {
            self.keys.insert((&key.principal, key.key), (key, revision.unwrap_or_default(), reply.clone()));
        }
        self.plan.accepted.push(accepted);
    }

    fn change(&mut self, change: &'a RowChange, revision: Option<Revision>) {
        let (table, id, state) = match change {
            RowChange::Put { table, values, .. } => {
                let Some(id) = values.first() else { return };
                let revision = revision.map(|revision| revision.0);
                (*table, id, RowState::Put { values, revision, changed: revision })
            }
            RowChange::Delete { table, id, .. } => (*table, id, RowState::Deleted),
        };
        let key = (table.name, Id::of(id));
        if table.name == WORKSPACES {
            let counter = self.counter(key.1.text());
            let counter = match state {
                RowState::Put { values, .. } => counter.or(Some(column(table, values, "revision").max(0))),
                RowState::Deleted => None,
            };
            if let Id::Text(workspace) = &key.1 {
                self.counters.insert(workspace.clone(), counter);
            }
        }
        self.plan.rows.insert(key, Pending { table, state, absent: false });
    }

    fn finish(mut self) -> Plan<'a> {
        for accepted in &self.plan.accepted {
            for guard in accepted.commit.guards.iter().filter(|guard| guard.expected == Expected::Absent) {
                let key = (guard.table.name, Id::of(&guard.id));
                if let Some(pending) = self.plan.rows.get_mut(&key) {
                    pending.absent |= !self.known.present(&key);
                }
            }
        }
        for (workspace, counter) in self.counters {
            let Some(counter) = counter else { continue };
            match self.plan.rows.get_mut(&(WORKSPACES, Id::Text(workspace.clone()))) {
                Some(Pending { state: RowState::Put { revision, .. }, .. }) => *revision = Some(counter),
                _ => {
                    self.plan.counters.insert(workspace, counter);
                }
            }
        }
        self.plan
    }

    fn reply(&self, key: &'a KeyedReply) -> Option<StoredReply> {
        let kept = self.keys.get(&(key.principal.as_str(), key.key)).map(|(kept, revision, reply)| StoredReply {
            operation: kept.operation.to_owned(),
            digest: kept.digest,
            revision: *revision,
            reply: reply.clone(),
        });
        kept.or_else(|| self.known.reply(&key.principal, key.key))
    }

    fn counter(&self, workspace: &str) -> Option<i64> {
        self.counters.get(workspace).copied().unwrap_or_else(|| self.known.counter(workspace))
    }

    fn holds(&self, guard: &'a Guard) -> bool {
        let key = (guard.table.name, Id::of(&guard.id));
        let present = match self.plan.rows.get(&key).map(|pending| pending.state) {
            Some(RowState::Put { .. }) => true,
            Some(RowState::Deleted) => false,
            None => self.known.present(&key),
        };
        match &guard.expected {
            Expected::Absent => !present,
            Expected::Columns(columns) => present && columns.iter().all(|(name, value)| self.cell_is(&key, name, value)),
        }
    }

    fn cell_is(&self, key: &RowKey<'a>, name: &str, value: &Value) -> bool {
        if key.0 == WORKSPACES && name == "revision" {
            return self.counter(key.1.text()).map(Value::Integer).as_ref() == Some(value);
        }
        match self.plan.rows.get(key) {
            Some(Pending { state: RowState::Put { revision: Some(revision), .. }, .. }) if name == "revision" => {
                *value == Value::Integer(*revision)
            }
            Some(Pending { state: RowState::Put { changed: Some(changed), .. }, .. }) if name == CHANGED_REVISION => {
                *value == Value::Integer(*changed)
            }
            Some(Pending { table, state: RowState::Put { values, .. }, .. }) => {
                table.position(name).and_then(|place| values.get(place)) == Some(value)
            }
            _ => self.known.cell(key, name).as_deref() == Some(value),
        }
    }
}

/// What a group's appends came to, once it is known where each stream stood.
#[derive(Debug, Default)]
pub(super) struct Appended {
    /// Blocks to write, in the commits' order.
    pub(super) blocks: Vec<(RunId, Arc<Block>)>,
    /// What each accepted commit is answered.
    pub(super) committed: Vec<(usize, Committed)>,
    /// What is told when it is durable.
    pub(super) told: Vec<Told>,
}

impl Plan<'_> {
    /// Gives the events their offsets. `heads` holds where each stream of the plan stood before.
    pub(super) fn append(self, mut heads: HashMap<RunId, Offset>) -> Appended {
        let mut appended = Appended::default();
        for accepted in self.accepted {
            let workspace = accepted.commit.workspace.zip(accepted.revision);
            if workspace.is_some() || !accepted.commit.rows.is_empty() {
                let changes = accepted.commit.rows.iter().filter_map(|change| changed(change, accepted.revision)).collect();
                appended.told.push(Told::Rows { workspace, changes });
            }
            let mut committed = Committed { revision: accepted.revision, heads: Vec::new(), reply: accepted.reply };
            for append in &accepted.commit.events {
                let head = heads.entry(append.run).or_default();
                if append.count > 0 {
                    let block = Arc::new(Block { first: Offset(head.0 + 1), count: append.count, events: append.events.clone() });
                    *head = block.last();
                    appended.blocks.push((append.run, block.clone()));
                    appended.told.push(Told::Stream { run: append.run, block, complete: append.complete });
                }
                committed.heads.push(*head);
            }
            appended.committed.push((accepted.place, committed));
        }
        appended
    }
}

/// What a change touches.
fn topic(change: &RowChange) -> String {
    let (table, part) = match change {
        RowChange::Put { table, values, .. } => (table, table.divided_by.and_then(|column| values.get(table.position(column)?))),
        RowChange::Delete { table, before: Before::Row(row), .. } => (table, table.divided_by.and_then(|column| row.cell(column))),
        RowChange::Delete { table, .. } => (table, None),
    };
    change::topic(table, part)
}

/// What a change comes to, written at this revision.
fn changed(change: &RowChange, revision: Option<Revision>) -> Option<Change> {
    match change {
        RowChange::Put { table, values, before } => {
            let mut values = values.clone();
            let id = values.first()?.clone();
            for column in SET {
                if let Some((place, revision)) = table.position(column).zip(revision) {
                    values[place] = Value::Integer(revision.0);
                }
            }
            Some(Change { table, id, before: before.clone(), after: Some(Arc::new(Row::new(table, values))) })
        }
        RowChange::Delete { table, id, before } => Some(Change { table, id: id.clone(), before: before.clone(), after: None }),
    }
}

/// The reply to keep. A handler's defect must not end the writer, which serves all of them.
fn reply(commit: &Commit, revision: Option<Revision>) -> Result<Option<Bytes>, CommitError> {
    let Some(key) = &commit.key else { return Ok(None) };
    let made = catch_unwind(AssertUnwindSafe(|| (key.reply)(revision.unwrap_or_default())));
    let failed = |_| StoreError::Failed(format!("making the reply of {} panicked", key.operation));
    Ok(Some(made.map_err(failed)?.into()))
}

fn makes_workspace(commit: &Commit, workspace: &str) -> bool {
    commit.rows.iter().any(|change| match change {
        RowChange::Put { table, values, .. } => {
            table.name == WORKSPACES && matches!(values.first(), Some(Value::Text(id)) if id == workspace)
        }
        RowChange::Delete { .. } => false,
    })
}

fn column(table: &Table, values: &[Value], name: &str) -> i64 {
    match table.position(name).and_then(|place| values.get(place)) {
        Some(Value::Integer(integer)) => *integer,
        _ => 0,
    }
}
