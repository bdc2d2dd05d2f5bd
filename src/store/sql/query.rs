//! What is read, as statements: one text for both databases.

use std::{borrow::Cow, fmt::Write as _, sync::Arc};

use crewline_protocol::value::{MutationKey, Offset, RunId, WorkspaceId};

use super::driver::{Arg, Query};
use crate::store::{
    ColumnKind::{self, Blob, Integer, Text},
    Condition, Direction, Select, Table, Value,
};

/// Ids asked for in one statement.
pub(super) const IDS: usize = 256;

/// A statement that grows, and its arguments.
#[derive(Default)]
pub(super) struct Builder<'a> {
    sql: String,
    args: Vec<Arg<'a>>,
}

pub(super) fn get<'a>(table: &'static Table, id: &'a Value) -> Query<'a> {
    let sql = format!("SELECT {} FROM {} WHERE {} = $1", names(table), table.name, primary(table));
    Query { sql: sql.into(), args: vec![id.into()], kinds: kinds(table) }
}

pub(super) fn select<'a>(table: &'static Table, select: &'a Select) -> Query<'a> {
    let mut builder = Builder { sql: format!("SELECT {} FROM {}", names(table), table.name), args: Vec::new() };
    for (place, condition) in select.conditions.iter().enumerate() {
        builder.push(if place == 0 { " WHERE " } else { " AND " });
        builder.condition(condition);
    }
    builder.push(" ORDER BY ");
    let primary = primary(table);
    match select.order {
        Some((column, direction)) if column == primary => builder.push(&format!("{column}{}", word(direction))),
        Some((column, direction)) => builder.push(&format!("{column}{} NULLS LAST, {primary}", word(direction))),
        None => builder.push(primary),
    }
    if select.limit > 0 {
        builder.push(" LIMIT ");
        builder.arg(Arg::Integer(i64::try_from(select.limit).unwrap_or(i64::MAX)));
    }
    builder.query(kinds(table))
}

pub(super) fn reply(principal: &str, key: MutationKey) -> Query<'_> {
    Query {
        sql: Arc::from("SELECT operation, digest, revision, reply FROM keys WHERE principal = $1 AND key = $2"),
        args: vec![Arg::Text(principal.into()), Arg::Text(key.to_string().into())],
        kinds: Cow::Borrowed(&[Text, Blob, Integer, Blob]),
    }
}

pub(super) fn epoch() -> Query<'static> {
    Query { sql: Arc::from("SELECT value FROM meta WHERE name = 'epoch'"), args: Vec::new(), kinds: Cow::Borrowed(&[Text]) }
}

pub(super) fn ping() -> Query<'static> {
    Query { sql: Arc::from("SELECT COUNT(*) FROM meta"), args: Vec::new(), kinds: Cow::Borrowed(&[Integer]) }
}

/// Where these streams stand. At most [`IDS`].
pub(super) fn heads(runs: &[RunId]) -> Query<'static> {
    let ids = runs.iter().map(|run| Arg::Text(run.to_string().into()));
    among("SELECT run_id, head, complete FROM streams WHERE run_id IN ", ids, "", &[Text, Integer, Integer])
}

/// The revisions of these workspaces. At most [`IDS`].
pub(super) fn revisions(workspaces: &[WorkspaceId]) -> Query<'static> {
    let ids = workspaces.iter().map(|workspace| Arg::Text(workspace.to_string().into()));
    among("SELECT id, revision FROM workspaces WHERE id IN ", ids, "", &[Text, Integer])
}

/// The first `limit` blocks of a run's log, from the one that holds the event after `after`.
pub(super) fn log_after(run: RunId, after: Offset, limit: usize) -> Query<'static> {
    // The block that holds the event is the last that begins at it or before. The ranges are of whole index entries, so that
    // PostgreSQL goes along the index and ends at the limit, rather than gather and sort all that is left of a long log.
    let sql = "SELECT first, count, events FROM log \
               WHERE (stream, first) >= ((SELECT key FROM streams WHERE run_id = $1), COALESCE((SELECT MAX(first) FROM log \
               WHERE stream = (SELECT key FROM streams WHERE run_id = $1) AND first <= $2), 0)) \
               AND (stream, first) < ((SELECT key + 1 FROM streams WHERE run_id = $1), 0) \
               AND first + count > $2 ORDER BY stream, first LIMIT $3";
    let args = vec![
        Arg::Text(run.to_string().into()),
        Arg::Integer(after.0.saturating_add(1)),
        Arg::Integer(i64::try_from(limit).unwrap_or(i64::MAX)),
    ];
    Query { sql: Arc::from(sql), args, kinds: Cow::Borrowed(&[Integer, Integer, Blob]) }
}

/// A statement that asks for rows whose column, named last in `head`, is among these. The list's length is rounded up, by
/// repeating its last, so that few statements are prepared.
pub(super) fn among<'a>(head: &str, ids: impl Iterator<Item = Arg<'a>>, tail: &str, kinds: &'static [ColumnKind]) -> Query<'a> {
    let mut builder = Builder { sql: head.to_owned(), args: Vec::new() };
    builder.list(ids);
    builder.push(tail);
    builder.query(Cow::Borrowed(kinds))
}

pub(super) fn names(table: &Table) -> String {
    table.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
}

pub(super) fn primary(table: &'static Table) -> &'static str {
    table.columns.first().map_or("id", |column| column.name)
}

fn kinds(table: &Table) -> Cow<'static, [ColumnKind]> {
    table.columns.iter().map(|column| column.kind).collect()
}

fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Ascending => "",
        Direction::Descending => " DESC",
    }
}

impl<'a> Builder<'a> {
    pub(super) fn push(&mut self, text: &str) {
        self.sql.push_str(text);
    }

    pub(super) fn arg(&mut self, arg: Arg<'a>) {
        self.args.push(arg);
        // Writing to a string does not fail.
        let _ = write!(self.sql, "${}", self.args.len());
    }

    pub(super) fn list(&mut self, args: impl Iterator<Item = Arg<'a>>) {
        let mut args: Vec<Arg<'a>> = args.collect();
        if let Some(last) = args.last().cloned() {
            args.resize(args.len().next_power_of_two(), last);
        }
        let first = self.args.len() + 1;
        self.args.append(&mut args);
        let places: Vec<String> = (first..=self.args.len()).map(|place| format!("${place}")).collect();
        self.push(&format!("({})", places.join(", ")));
    }

    fn condition(&mut self, condition: &'a Condition) {
        match condition {
            Condition::Equals(column, Value::Null) => self.push(&format!("{column} IS NULL")),
            Condition::Equals(column, value) => self.compare(column, "=", value),
            Condition::Greater(column, value) => self.compare(column, ">", value),
            Condition::Less(column, value) => self.compare(column, "<", value),
            Condition::In(_, values) if values.is_empty() => self.push("1 = 0"),
            Condition::In(column, values) => {
                self.push(&format!("{column} IN "));
                self.list(values.iter().map(Arg::from));
            }
        }
    }

    fn compare(&mut self, column: &str, operator: &str, value: &'a Value) {
        self.push(&format!("{column} {operator} "));
        self.arg(value.into());
    }

    /// What was written; nothing that has arguments.
    pub(super) fn text(self) -> String {
        self.sql
    }

    pub(super) fn query(self, kinds: Cow<'a, [ColumnKind]>) -> Query<'a> {
        Query { sql: self.sql.into(), args: self.args, kinds }
    }
}
