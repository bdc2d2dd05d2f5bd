//! Reads as statements: one generator for both databases, and the few words in which they differ.

use std::borrow::Cow;

use super::{
    driver::{Arg, Query},
    query::{Builder, names, primary},
};
use crate::store::{ColumnKind, Comparison, Direction, Index, Kind, Order, Predicate, Read, Source, StoreError, Table, Term, Value};

/// Which database's words are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Dialect {
    Sqlite,
    Postgres,
}

/// What a read is made of, as text; arguments go into the builder in the order in which they are written.
pub(super) struct Writer<'a> {
    dialect: Dialect,
    table: &'static Table,
    pub(super) out: Builder<'a>,
}

/// A stretch of an order, which an index holds in one piece: rows that share the key's first values and come after it by the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    /// How many of the key's values are shared.
    shared: usize,
    /// How its rows come after the key.
    then: Then,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// By the primary key: all values are shared.
    Primary,
    /// By the next value, which goes further.
    Further,
    /// By the next value, which is absent.
    Absent,
}

/// How many statements a read takes at most, one after another, until it has all its rows: one, or after a key one a stretch. Asked
/// for all at once, neither database would enter an index at the key.
pub(super) fn statements(read: &Read) -> usize {
    read.after.as_ref().map_or(1, |after| stretches(&read.order, after).len())
}

/// One of the [`statements`] of a read, for so many rows.
pub(super) fn read(dialect: Dialect, read: &Read, statement: usize, limit: usize) -> Result<Query<'_>, StoreError> {
    let mut writer = Writer::new(dialect, read.table);
    writer.out.push(&format!("SELECT {} FROM {} WHERE ", names(read.table), read.table.name));
    writer.predicate(&read.predicate)?;
    let stretch = match &read.after {
        Some(after) => {
            let stretch = stretches(&read.order, after).get(statement).copied().ok_or_else(no_such_place)?;
            writer.after(&read.order, after, stretch)?;
            Some(stretch)
        }
        None => None,
    };
    writer.out.push(" ORDER BY ");
    writer.orders(&read.order, stretch)?;
    writer.out.push(primary(read.table));
    writer.limit(limit);
    Ok(writer.out.query(read.table.columns.iter().map(|column| column.kind).collect()))
}

/// The stretches after a key, in their order.
fn stretches(orders: &[Order], key: &[Value]) -> Vec<Stretch> {
    if key.len() != orders.len() + 1 {
        return Vec::new();
    }
    let mut stretches = vec![Stretch { shared: orders.len(), then: Then::Primary }];
    for (shared, (order, value)) in orders.iter().zip(key).enumerate().rev() {
        // After what is absent comes nothing else.
        if *value != Value::Null {
            stretches.push(Stretch { shared, then: Then::Further });
            stretches.extend(order.term.optional.then_some(Stretch { shared, then: Then::Absent }));
        }
    }
    stretches
}

/// The name and the statement of an index.
pub(super) fn index(dialect: Dialect, index: &Index) -> Result<(String, String), StoreError> {
    let mut writer = Writer::new(dialect, index.table);
    writer.orders(&index.order, None)?;
    let only = match (index.table.divided_by, &index.part) {
        (Some(column), Some(part)) if is_name(part) => Some((column, format!(" WHERE {column} = '{part}'"))),
        _ => None,
    };
    let part = match (dialect, &only) {
        // The part's column stands in the index too, though all its rows have the same there: SQLite would else think that what
        // is absent is found sooner by the index over the part's ids, and read all of them.
        (Dialect::Sqlite, Some((column, _))) => format!("{column}, "),
        (Dialect::Postgres, _) | (_, None) => String::new(),
    };
    let only = only.map(|(_, only)| only).unwrap_or_default();
    let terms = writer.out.text();
    let body = format!("ON {} (workspace_id, {part}{terms}{}){only}", index.table.name, primary(index.table));
    let name = format!("live_{:016x}", fingerprint(&body));
    let sql = format!("CREATE INDEX IF NOT EXISTS {name} {body}");
    Ok((name, sql))
}

/// FNV-1a: the same on every node and in every version.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl<'a> Writer<'a> {
    pub(super) fn new(dialect: Dialect, table: &'static Table) -> Self {
        Self { dialect, table, out: Builder::default() }
    }

    pub(super) fn predicate(&mut self, predicate: &'a Predicate) -> Result<(), StoreError> {
        match predicate {
            Predicate::All(all) => self.joined(all, " AND ", "1 = 1"),
            Predicate::Any(any) => self.joined(any, " OR ", "1 = 0"),
            Predicate::Not(not) => {
                self.out.push("NOT (");
                self.predicate(not)?;
                self.out.push(")");
                Ok(())
            }
            Predicate::Compare(term, Comparison::Equal, Value::Text(part)) if self.is_part(term, part) => {
                // Written out, so that an index over this part is known to hold all rows that are asked for.
                self.out.push(&format!("{} = '{part}'", self.expression(term)?));
                Ok(())
            }
            // What is absent compares with nothing.
            Predicate::Compare(_, _, Value::Null) => self.never(),
            Predicate::Compare(term, comparison, value) => self.compare(term, sign(*comparison), value),
            Predicate::In(_, values) if values.iter().all(|value| *value == Value::Null) => self.never(),
            Predicate::In(term, values) => self.present(term, |writer, expression| {
                writer.out.push(&format!("{expression} IN "));
                writer.out.list(values.iter().filter(|value| **value != Value::Null).map(Arg::from));
            }),
            Predicate::Contains(term, value) if term.kind == Kind::List => self.has(term, value),
            Predicate::Contains(term, value) => self.present(term, |writer, expression| {
                let function = match writer.dialect {
                    Dialect::Sqlite => "instr",
                    Dialect::Postgres => "strpos",
                };
                writer.out.push(&format!("{function}({expression}, "));
                writer.out.arg(value.into());
                writer.out.push(") > 0");
            }),
            Predicate::Absent(term) => self.absent(term),
        }
    }

    fn joined(&mut self, predicates: &'a [Predicate], word: &str, none: &str) -> Result<(), StoreError> {
        if predicates.is_empty() {
            self.out.push(none);
            return Ok(());
        }
        self.out.push("(");
        for (place, predicate) in predicates.iter().enumerate() {
            if place > 0 {
                self.out.push(word);
            }
            self.predicate(predicate)?;
        }
        self.out.push(")");
        Ok(())
    }

    fn never(&mut self) -> Result<(), StoreError> {
        self.out.push("1 = 0");
        Ok(())
    }

    /// A condition that is false, and not unknown, where the value is absent.
    fn present(&mut self, term: &Term, condition: impl FnOnce(&mut Self, &str)) -> Result<(), StoreError> {
        let expression = self.expression(term)?;
        if term.optional {
            let present = match self.dialect {
                // As the indexes have it.
                Dialect::Sqlite => format!("(({expression} IS NULL) = 0 AND "),
                Dialect::Postgres => format!("({expression} IS NOT NULL AND "),
            };
            self.out.push(&present);
        }
        condition(self, &expression);
        if term.optional {
            self.out.push(")");
        }
        Ok(())
    }

    fn has(&mut self, term: &Term, value: &'a Value) -> Result<(), StoreError> {
        let Source::Key(column, key) = &term.source else { return Err(no_such_place()) };
        let key = checked(key)?;
        match self.dialect {
            Dialect::Sqlite => {
                self.out.push(&format!("EXISTS (SELECT 1 FROM json_each({column}, '$.{key}') WHERE type = 'text' AND value = "));
                self.out.arg(value.into());
                self.out.push(")");
            }
            Dialect::Postgres => {
                self.out.push(&format!("COALESCE(({column}::jsonb -> '{key}') @> to_jsonb(CAST("));
                self.out.arg(value.into());
                self.out.push(" AS TEXT)), FALSE)");
            }
        }
        Ok(())
    }

    /// Rows of a stretch after the one with this key.
    fn after(&mut self, orders: &'a [Order], key: &'a [Value], stretch: Stretch) -> Result<(), StoreError> {
        for (order, value) in orders.iter().zip(key).take(stretch.shared) {
            self.out.push(" AND ");
            match value {
                Value::Null => self.absent(&order.term)?,
                value => self.compare(&order.term, "=", value)?,
            }
        }
        self.out.push(" AND ");
        match (stretch.then, orders.get(stretch.shared), key.get(stretch.shared)) {
            (Then::Primary, None, Some(last)) => {
                self.out.push(&format!("{} > ", primary(self.table)));
                self.out.arg(last.into());
                Ok(())
            }
            (Then::Further, Some(order), Some(value)) => {
                self.compare(&order.term, if order.direction == Direction::Ascending { ">" } else { "<" }, value)
            }
            (Then::Absent, Some(order), Some(_)) => self.absent(&order.term),
            _ => Err(no_such_place()),
        }
    }

    fn compare(&mut self, term: &Term, sign: &str, value: &'a Value) -> Result<(), StoreError> {
        self.present(term, |writer, expression| {
            writer.out.push(&format!("{expression} {sign} "));
            writer.out.arg(value.into());
        })
    }

    fn absent(&mut self, term: &Term) -> Result<(), StoreError> {
        let expression = self.expression(term)?;
        let words = match self.dialect {
            // The first by which the indexes have it, the second for the value that stands after it there.
            Dialect::Sqlite if term.optional => format!("({expression} IS NULL) = 1 AND {expression} IS NULL"),
            Dialect::Sqlite | Dialect::Postgres => format!("{expression} IS NULL"),
        };
        self.out.push(&format!("({words})"));
        Ok(())
    }

    /// The order of a stretch, or of all rows, each term followed by a comma.
    fn orders(&mut self, orders: &[Order], stretch: Option<Stretch>) -> Result<(), StoreError> {
        for (place, order) in orders.iter().enumerate() {
            match (self.dialect, stretch) {
                // In what all of a stretch have alike SQLite sees no order, and would sort by it.
                (Dialect::Sqlite, Some(stretch)) if place < stretch.shared => continue,
                (Dialect::Sqlite, Some(stretch)) if place == stretch.shared && stretch.then == Then::Absent => continue,
                (Dialect::Sqlite, Some(stretch)) if place == stretch.shared => {
                    let present = Order { term: Term { optional: false, ..order.term.clone() }, ..order.clone() };
                    self.order(&present)?;
                }
                _ => self.order(order)?,
            }
            self.out.push(", ");
        }
        Ok(())
    }

    /// What is absent comes last in either direction.
    fn order(&mut self, order: &Order) -> Result<(), StoreError> {
        let expression = self.expression(&order.term)?;
        let word = if order.direction == Direction::Ascending { "" } else { " DESC" };
        let text = match (self.dialect, order.term.optional) {
            (Dialect::Sqlite, true) => format!("({expression} IS NULL), {expression}{word}"),
            (Dialect::Postgres, true) => format!("{expression}{word} NULLS LAST"),
            // Absent or not, PostgreSQL's index must be told the same as its query.
            (_, false) => format!("{expression}{word}"),
        };
        self.out.push(&text);
        Ok(())
    }

    pub(super) fn limit(&mut self, limit: usize) {
        self.out.push(" LIMIT ");
        self.out.arg(Arg::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
    }

    pub(super) fn expression(&self, term: &Term) -> Result<String, StoreError> {
        let (column, key) = match &term.source {
            Source::Column(column) => return Ok((*column).to_owned()),
            Source::Key(column, key) => (column, checked(key)?),
        };
        Ok(match (self.dialect, term.kind) {
            (Dialect::Sqlite, Kind::Text | Kind::List | Kind::Boolean) => format!("json_extract({column}, '$.{key}')"),
            (Dialect::Sqlite, Kind::Integer) => format!("CAST(json_extract({column}, '$.{key}') AS INTEGER)"),
            (Dialect::Sqlite, Kind::Real) => format!("CAST(json_extract({column}, '$.{key}') AS REAL)"),
            (Dialect::Postgres, Kind::Text) => format!("(({column}::jsonb ->> '{key}') COLLATE \"C\")"),
            (Dialect::Postgres, Kind::List) => format!("({column}::jsonb ->> '{key}')"),
            (Dialect::Postgres, Kind::Integer) => format!("(({column}::jsonb ->> '{key}')::numeric::bigint)"),
            (Dialect::Postgres, Kind::Real) => format!("(({column}::jsonb ->> '{key}')::double precision)"),
            (Dialect::Postgres, Kind::Boolean) => format!("(({column}::jsonb ->> '{key}')::boolean::int::bigint)"),
        })
    }

    fn is_part(&self, term: &Term, part: &str) -> bool {
        matches!(term.source, Source::Column(column) if self.table.divided_by == Some(column)) && is_name(part)
    }
}

fn sign(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "=",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    }
}

/// A key that can stand in a statement's text as it is.
fn checked(key: &str) -> Result<&str, StoreError> {
    if is_name(key) { Ok(key) } else { Err(StoreError::Failed(format!("`{}` is no name of a field", key.escape_debug()))) }
}

/// Whether it has nothing but small letters, digits, `_` and `-`.
fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-'))
}

fn no_such_place() -> StoreError {
    StoreError::Failed("a read names a list, or a key, that its table has not".into())
}

/// The statement that asks when topics were touched.
pub(super) fn touched(workspace: &str, topics: &[String]) -> Query<'static> {
    let mut out = Builder::default();
    out.push("SELECT MAX(revision) FROM topics WHERE workspace_id = ");
    out.arg(Arg::Text(workspace.to_owned().into()));
    out.push(" AND topic IN ");
    out.list(topics.iter().map(|topic| Arg::Text(Cow::Owned(topic.clone()))));
    out.query(Cow::Borrowed(&[ColumnKind::Integer]))
}

/// The statement that names the indexes made here before.
pub(super) fn indexes(dialect: Dialect) -> Query<'static> {
    let sql = match dialect {
        Dialect::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'index' AND substr(name, 1, 5) = 'live_'",
        Dialect::Postgres => {
            "SELECT indexname::text FROM pg_indexes WHERE schemaname = current_schema() AND left(indexname::text, 5) = 'live_'"
        }
    };
    Query { sql: sql.into(), args: Vec::new(), kinds: Cow::Borrowed(&[ColumnKind::Text]) }
}
