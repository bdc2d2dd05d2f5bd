//! What the database holds of that which a group asks for: read in a few statements, and locked where the database has several
//! writers.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use crewline_protocol::value::MutationKey;

use super::{
    driver::{Arg, Connection, Failure, Query},
    query::{IDS, among, primary},
};
use crate::store::{
    Column, ColumnKind, Commit, Expected, Guard, RowChange, StoredReply, Table, Value,
    group::{Id, Known, RowKey, WORKSPACES},
    sql::stored_reply,
};

#[derive(Default)]
pub(super) struct Facts {
    replies: HashMap<(String, MutationKey), StoredReply>,
    counters: HashMap<String, i64>,
    /// The guarded columns of guarded rows that are there.
    rows: HashMap<RowKey<'static>, Vec<(&'static str, Value)>>,
}

impl Facts {
    /// Reads what these commits ask for. `lock` is what a `SELECT` ends in whose rows are to stay as they are.
    ///
    /// Workspaces are locked before guarded rows: who holds a workspace's row writes in it alone, on all nodes, so that a row
    /// that was found absent stays absent. Replies are read after both: where another node has just carried the same request
    /// out, its reply is found, and not only the guard that it made fail.
    pub(super) async fn read(connection: &mut Connection, commits: &[&Commit], lock: &str) -> Result<Self, Failure> {
        let mut facts = Self::default();
        facts.read_counters(connection, commits, lock).await?;
        facts.read_rows(connection, commits, lock).await?;
        facts.read_replies(connection, commits).await?;
        Ok(facts)
    }

    async fn read_replies(&mut self, connection: &mut Connection, commits: &[&Commit]) -> Result<(), Failure> {
        let keys: Vec<_> = commits.iter().filter_map(|commit| commit.key.as_ref()).collect();
        for keys in keys.chunks(IDS) {
            let length = keys.len().next_power_of_two();
            let places: Vec<String> = (0..length).map(|place| format!("(${}, ${})", 2 * place + 1, 2 * place + 2)).collect();
            // Joined in this order, which SQLite keeps to: given the list as a condition it reads the whole table.
            let sql = format!(
                "WITH asked (principal, key) AS (VALUES {}) \
                 SELECT keys.principal, keys.key, keys.operation, keys.digest, keys.revision, keys.reply \
                 FROM asked CROSS JOIN keys WHERE keys.principal = asked.principal AND keys.key = asked.key",
                places.join(", ")
            );
            let padded = keys.iter().chain(std::iter::repeat(&keys[keys.len() - 1])).take(length);
            let args = padded.flat_map(|key| [Arg::Text(key.principal.as_str().into()), Arg::Text(key.key.to_string().into())]);
            let kinds = [ColumnKind::Text, ColumnKind::Text, ColumnKind::Text, ColumnKind::Blob, ColumnKind::Integer, ColumnKind::Blob];
            let query = Query { sql: sql.into(), args: args.collect(), kinds: Cow::Borrowed(&kinds) };
            for row in connection.run(&query).await? {
                let [Value::Text(principal), Value::Text(key), kept @ ..] = row.as_slice() else { continue };
                let Ok(key) = key.parse() else { continue };
                let reply = stored_reply(kept).map_err(|error| Failure::Broken(error.to_string()))?;
                self.replies.insert((principal.clone(), key), reply);
            }
        }
        Ok(())
    }

    async fn read_counters(&mut self, connection: &mut Connection, commits: &[&Commit], lock: &str) -> Result<(), Failure> {
        let mut ids: BTreeSet<Cow<'_, str>> = BTreeSet::new();
        for commit in commits {
            ids.extend(commit.workspace.map(|workspace| workspace.to_string().into()));
            ids.extend(commit.rows.iter().filter_map(changed_workspace).map(Cow::Borrowed));
            ids.extend(commit.guards.iter().filter_map(guarded_workspace).map(Cow::Borrowed));
        }
        let ids: Vec<Cow<'_, str>> = ids.into_iter().collect();
        let tail = format!(" ORDER BY id{lock}");
        for ids in ids.chunks(IDS) {
            let ids = ids.iter().map(|id| Arg::Text(id.as_ref().into()));
            let query = among("SELECT id, revision FROM workspaces WHERE id IN ", ids, &tail, &[ColumnKind::Text, ColumnKind::Integer]);
            for row in connection.run(&query).await? {
                if let [Value::Text(id), Value::Integer(counter)] = row.as_slice() {
                    self.counters.insert(id.clone(), *counter);
                }
            }
        }
        Ok(())
    }

    async fn read_rows(&mut self, connection: &mut Connection, commits: &[&Commit], lock: &str) -> Result<(), Failure> {
        for (name, asked) in asked(commits) {
            let table = asked.table;
            let (columns, ids): (Vec<&Column>, Vec<Id<'_>>) = (asked.columns.into_values().collect(), asked.ids.into_iter().collect());
            let named: Vec<&str> = std::iter::once(primary(table)).chain(columns.iter().map(|column| column.name)).collect();
            let head = format!("SELECT {} FROM {name} WHERE {} IN ", named.join(", "), primary(table));
            let tail = format!(" ORDER BY {}{lock}", primary(table));
            let primary_kind = table.columns.first().map_or(ColumnKind::Text, |column| column.kind);
            let kinds: Vec<ColumnKind> = std::iter::once(primary_kind).chain(columns.iter().map(|column| column.kind)).collect();
            for ids in ids.chunks(IDS) {
                let query = among(&head, ids.iter().map(Arg::from), &tail, &[]);
                let query = Query { kinds: Cow::Borrowed(&kinds), ..query };
                for row in connection.run(&query).await? {
                    let mut values = row.into_iter();
                    let Some(id) = values.next() else { continue };
                    let cells = columns.iter().map(|column| column.name).zip(values).collect();
                    self.rows.insert((name, Id::of(&id).into_owned()), cells);
                }
            }
        }
        Ok(())
    }
}

impl Known for Facts {
    fn reply(&self, principal: &str, key: MutationKey) -> Option<StoredReply> {
        // Most groups repeat no key: no text is made for them.
        if self.replies.is_empty() { None } else { self.replies.get(&(principal.to_owned(), key)).cloned() }
    }
    fn counter(&self, workspace: &str) -> Option<i64> {
        self.counters.get(workspace).copied()
    }
    fn present(&self, row: &RowKey<'_>) -> bool {
        self.cells(row).is_some()
    }
    fn cell(&self, row: &RowKey<'_>, column: &str) -> Option<Cow<'_, Value>> {
        self.cells(row)?.iter().find(|(name, _)| *name == column).map(|(_, value)| Cow::Borrowed(value))
    }
}

impl Facts {
    fn cells(&self, (table, id): &RowKey<'_>) -> Option<&Vec<(&'static str, Value)>> {
        self.rows.get(&(*table, id.clone().into_owned()))
    }
}

/// What a group's guards ask of a table.
struct Asked<'a> {
    table: &'static Table,
    ids: BTreeSet<Id<'a>>,
    columns: BTreeMap<&'static str, &'static Column>,
}

fn asked<'a>(commits: &[&'a Commit]) -> BTreeMap<&'static str, Asked<'a>> {
    let mut tables: BTreeMap<&'static str, Asked<'a>> = BTreeMap::new();
    for guard in commits.iter().flat_map(|commit| &commit.guards) {
        let none = || Asked { table: guard.table, ids: BTreeSet::new(), columns: BTreeMap::new() };
        let asked = tables.entry(guard.table.name).or_insert_with(none);
        asked.ids.insert(Id::of(&guard.id));
        if let Expected::Columns(columns) = &guard.expected {
            let known = |(name, _): &(&'static str, Value)| guard.table.columns.iter().find(|column| column.name == *name);
            asked.columns.extend(columns.iter().filter_map(known).map(|column| (column.name, column)));
        }
    }
    tables
}

fn changed_workspace(change: &RowChange) -> Option<&str> {
    match change {
        RowChange::Put { table, values, .. } => workspace(table, values.first()?),
        RowChange::Delete { table, id, .. } => workspace(table, id),
    }
}

fn guarded_workspace(guard: &Guard) -> Option<&str> {
    workspace(guard.table, &guard.id)
}

fn workspace<'a>(table: &Table, id: &'a Value) -> Option<&'a str> {
    match id {
        Value::Text(id) if table.name == WORKSPACES => Some(id),
        _ => None,
    }
}
