//! Reads as statements: one generator for both databases, and the few words in which they differ.

use std::{borrow::Cow, collections::HashMap};

use super::{
    driver::{Arg, Query},
    query::{Builder, names, primary},
};
use crate::store::{
    Aggregate, Bucket, ColumnKind, Comparison, Direction, GroupBy, Index, Kind, Measure, Measured, Order, Predicate, Read, Source,
    StoreError, Table, Term, Value,
};

/// Which database's words are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Dialect {
    Sqlite,
    Postgres,
}

/// What a read is made of, as text; arguments go into the builder in the order in which they are written.
struct Writer<'a> {
    dialect: Dialect,
    table: &'static Table,
    out: Builder<'a>,
}

pub(super) fn read(dialect: Dialect, read: &Read) -> Result<Query<'_>, StoreError> {
    let mut writer = Writer::new(dialect, read.table);
    writer.out.push(&format!("SELECT {} FROM {} WHERE ", names(read.table), read.table.name));
    writer.predicate(&read.predicate)?;
    if let Some(after) = &read.after {
        writer.out.push(" AND ");
        writer.after(&read.order, after)?;
    }
    writer.out.push(" ORDER BY ");
    for order in &read.order {
        writer.order(order)?;
        writer.out.push(", ");
    }
    writer.out.push(primary(read.table));
    writer.limit(read.limit);
    Ok(writer.out.query(read.table.columns.iter().map(|column| column.kind).collect()))
}

/// The statement for all figures but percentiles, and one for each of those, with their places among the figures.
pub(super) fn aggregate(dialect: Dialect, aggregate: &Aggregate) -> Result<(Query<'_>, Vec<(usize, Query<'_>)>), StoreError> {
    let all = figures(dialect, aggregate)?;
    let mut percentiles = Vec::new();
    for (place, measured) in aggregate.measures.iter().enumerate() {
        if let Measure::Percentile(term, percent) = &measured.measure {
            percentiles.push((place, percentile(dialect, aggregate, measured, term, *percent)?));
        }
    }
    Ok((all, percentiles))
}

/// Puts percentiles in their places: rows of the groups' values and the percentile.
pub(super) fn insert(rows: &mut [Vec<Value>], groups: usize, place: usize, percentiles: Vec<Vec<Value>>) {
    let name = |row: &[Value]| format!("{:?}", &row[..groups]);
    let mut found: HashMap<String, Value> = HashMap::new();
    for mut row in percentiles {
        if let Some(value) = row.pop() {
            found.insert(name(&row), value);
        }
    }
    for row in rows {
        if let Some(value) = found.remove(&name(row)) {
            row[groups + place] = value;
        }
    }
}

fn figures(dialect: Dialect, aggregate: &Aggregate) -> Result<Query<'_>, StoreError> {
    let mut writer = Writer::new(dialect, aggregate.table);
    let groups = aggregate.groups.len();
    let mut columns: Vec<String> = (0..groups).map(|place| format!("g{place}")).collect();
    let mut kinds: Vec<ColumnKind> = aggregate.groups.iter().map(group_kind).collect();
    for (place, measured) in aggregate.measures.iter().enumerate() {
        let (column, kind) = match &measured.measure {
            Measure::Count => (format!("COUNT(v{place})"), ColumnKind::Integer),
            Measure::Sum(term) if term.kind == Kind::Real => (format!("SUM(v{place})"), ColumnKind::Real),
            Measure::Sum(_) => (format!("CAST(SUM(v{place}) AS BIGINT)"), ColumnKind::Integer),
            Measure::Avg(_) => (format!("CAST(AVG(v{place}) AS DOUBLE PRECISION)"), ColumnKind::Real),
            Measure::Min(term) => (format!("MIN(v{place})"), kind_of(term)),
            Measure::Max(term) => (format!("MAX(v{place})"), kind_of(term)),
            // Filled in from a statement of its own.
            Measure::Percentile(term, _) => (format!("MIN(v{place})"), kind_of(term)),
        };
        columns.push(column);
        kinds.push(kind);
    }
    writer.out.push(&format!("SELECT {} FROM (SELECT ", columns.join(", ")));
    writer.groups(&aggregate.groups)?;
    for (place, measured) in aggregate.measures.iter().enumerate() {
        writer.measured(measured)?;
        writer.out.push(&format!(" AS v{place}, "));
    }
    writer.out.push(&format!("1 AS present FROM {} WHERE ", aggregate.table.name));
    writer.predicate(&aggregate.predicate)?;
    writer.out.push(") AS grouped");
    if groups > 0 {
        let names: Vec<String> = (0..groups).map(|place| format!("g{place}")).collect();
        let orders: Vec<String> = names.iter().map(|name| format!("({name} IS NULL), {name}")).collect();
        writer.out.push(&format!(" GROUP BY {} ORDER BY {}", names.join(", "), orders.join(", ")));
    }
    writer.limit(aggregate.limit);
    Ok(writer.out.query(kinds.into()))
}

fn percentile<'a>(
    dialect: Dialect,
    aggregate: &'a Aggregate,
    measured: &'a Measured,
    term: &Term,
    percent: u8,
) -> Result<Query<'a>, StoreError> {
    let mut writer = Writer::new(dialect, aggregate.table);
    let names: Vec<String> = (0..aggregate.groups.len()).map(|place| format!("g{place}, ")).collect();
    let names = names.concat();
    let partition = if names.is_empty() { String::new() } else { format!("PARTITION BY {}", names.trim_end_matches(", ")) };
    writer.out.push(&format!(
        "SELECT {names}v FROM (SELECT {names}v, ROW_NUMBER() OVER ({partition} ORDER BY v) AS place, \
         COUNT(*) OVER ({partition}) AS present FROM (SELECT "
    ));
    writer.groups(&aggregate.groups)?;
    writer.measured(measured)?;
    writer.out.push(&format!(" AS v FROM {} WHERE ", aggregate.table.name));
    writer.predicate(&aggregate.predicate)?;
    writer.out.push(&format!(") AS grouped WHERE v IS NOT NULL) AS ranked WHERE place = (present * {percent} + 99) / 100"));
    let kinds: Vec<ColumnKind> = aggregate.groups.iter().map(group_kind).chain([kind_of(term)]).collect();
    Ok(writer.out.query(kinds.into()))
}

/// The name and the statement of an index.
pub(super) fn index(dialect: Dialect, index: &Index) -> Result<(String, String), StoreError> {
    let mut writer = Writer::new(dialect, index.table);
    for order in &index.order {
        writer.order(order)?;
        writer.out.push(", ");
    }
    let part = match (index.table.divided_by, &index.part) {
        (Some(column), Some(part)) if is_name(part) => format!(" WHERE {column} = '{part}'"),
        _ => String::new(),
    };
    let terms = writer.out.text();
    let body = format!("ON {} (workspace_id, {terms}{}){part}", index.table.name, primary(index.table));
    let name = format!("live_{:016x}", fingerprint(&body));
    let sql = format!("CREATE INDEX IF NOT EXISTS {name} {body}");
    Ok((name, sql))
}

/// FNV-1a: the same on every node and in every version.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl<'a> Writer<'a> {
    fn new(dialect: Dialect, table: &'static Table) -> Self {
        Self { dialect, table, out: Builder::default() }
    }

    fn predicate(&mut self, predicate: &'a Predicate) -> Result<(), StoreError> {
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
            Predicate::Compare(term, comparison, value) => self.present(term, |writer, expression| {
                writer.out.push(&format!("{expression} {} ", sign(*comparison)));
                writer.out.arg(value.into());
            }),
            Predicate::In(_, values) if values.is_empty() => {
                self.out.push("1 = 0");
                Ok(())
            }
            Predicate::In(term, values) => self.present(term, |writer, expression| {
                writer.out.push(&format!("{expression} IN "));
                writer.out.list(values.iter().map(Arg::from));
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
            Predicate::Absent(term) => {
                let expression = self.expression(term)?;
                self.out.push(&format!("({expression} IS NULL)"));
                Ok(())
            }
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
        let Source::Key(column, key) = &term.source else { return Err(no_list()) };
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

    /// Rows that come after the one with this key.
    fn after(&mut self, orders: &'a [Order], key: &'a [Value]) -> Result<(), StoreError> {
        let Some((last, values)) = key.split_last().filter(|(_, values)| values.len() == orders.len()) else { return Err(no_list()) };
        if let Some((first, value)) =
            orders.first().zip(values.first()).filter(|(first, value)| !first.term.optional && **value != Value::Null)
        {
            // Says nothing new; by this alone an index is entered at the right place.
            let sign = if first.direction == Direction::Ascending { ">=" } else { "<=" };
            let expression = self.expression(&first.term)?;
            self.out.push(&format!("{expression} {sign} "));
            self.out.arg(value.into());
            self.out.push(" AND ");
        }
        self.out.push("(");
        for place in 0..=orders.len() {
            if place > 0 {
                self.out.push(" OR ");
            }
            self.out.push("(");
            for (order, value) in orders.iter().zip(values).take(place) {
                let expression = self.expression(&order.term)?;
                if *value == Value::Null {
                    self.out.push(&format!("{expression} IS NULL AND "));
                } else {
                    self.out.push(&format!("{expression} = "));
                    self.out.arg(value.into());
                    self.out.push(" AND ");
                }
            }
            match orders.get(place).zip(values.get(place)) {
                None => {
                    self.out.push(&format!("{} > ", primary(self.table)));
                    self.out.arg(last.into());
                }
                // After what is absent comes nothing else.
                Some((_, Value::Null)) => self.out.push("1 = 0"),
                Some((order, value)) => {
                    let expression = self.expression(&order.term)?;
                    let sign = if order.direction == Direction::Ascending { ">" } else { "<" };
                    self.out.push(&format!("({expression} {sign} "));
                    self.out.arg(value.into());
                    self.out.push(&if order.term.optional { format!(" OR {expression} IS NULL)") } else { ")".to_owned() });
                }
            }
            self.out.push(")");
        }
        self.out.push(")");
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

    /// The groups' values, each followed by a comma.
    fn groups(&mut self, groups: &'a [GroupBy]) -> Result<(), StoreError> {
        for (place, group) in groups.iter().enumerate() {
            match group {
                GroupBy::Term(term) => {
                    let expression = self.expression(term)?;
                    self.out.push(&expression);
                }
                GroupBy::Bucket(term, bucket) => {
                    let expression = self.expression(term)?;
                    self.out.push(&begin(self.dialect, *bucket, &expression));
                }
                GroupBy::Bounds(term, bounds) => {
                    let expression = self.expression(term)?;
                    self.out.push(&format!("CAST(CASE WHEN {expression} IS NULL THEN NULL"));
                    for (cell, bound) in bounds.iter().enumerate() {
                        self.out.push(&format!(" WHEN {expression} < "));
                        self.out.arg(Arg::Real(*bound));
                        self.out.push(&format!(" THEN {cell}"));
                    }
                    self.out.push(&format!(" ELSE {} END AS BIGINT)", bounds.len()));
                }
            }
            self.out.push(&format!(" AS g{place}, "));
        }
        Ok(())
    }

    /// A figure's value of each row, absent where the row is not among those that it is over.
    fn measured(&mut self, measured: &'a Measured) -> Result<(), StoreError> {
        let value = match &measured.measure {
            Measure::Count => "1".to_owned(),
            Measure::Sum(term) | Measure::Avg(term) | Measure::Min(term) | Measure::Max(term) | Measure::Percentile(term, _) => {
                self.expression(term)?
            }
        };
        match &measured.only {
            None => self.out.push(&value),
            Some(only) => {
                self.out.push("CASE WHEN ");
                self.predicate(only)?;
                self.out.push(&format!(" THEN {value} END"));
            }
        }
        Ok(())
    }

    fn limit(&mut self, limit: usize) {
        self.out.push(" LIMIT ");
        self.out.arg(Arg::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
    }

    fn expression(&self, term: &Term) -> Result<String, StoreError> {
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

/// When the span begins in which a time of milliseconds lies. Division and remainder cut towards zero on both databases.
fn begin(dialect: Dialect, bucket: Bucket, at: &str) -> String {
    let span = |ms: i64, shift: i64| format!("({at} - (((({at} + {shift}) % {ms}) + {ms}) % {ms}))");
    match bucket {
        Bucket::Hour => span(3_600_000, 0),
        Bucket::Day => span(86_400_000, 0),
        Bucket::Week => span(604_800_000, 259_200_000),
        Bucket::Month => match dialect {
            Dialect::Sqlite => {
                format!("(CAST(strftime('%s', {} / 1000, 'unixepoch', 'start of month') AS INTEGER) * 1000)", span(1_000, 0))
            }
            Dialect::Postgres => {
                format!("CAST(extract(epoch FROM date_trunc('month', to_timestamp({at} / 1000.0) AT TIME ZONE 'UTC')) * 1000 AS BIGINT)")
            }
        },
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

fn kind_of(term: &Term) -> ColumnKind {
    match term.kind {
        Kind::Text | Kind::List => ColumnKind::Text,
        Kind::Integer | Kind::Boolean => ColumnKind::Integer,
        Kind::Real => ColumnKind::Real,
    }
}

fn group_kind(group: &GroupBy) -> ColumnKind {
    match group {
        GroupBy::Term(term) => kind_of(term),
        GroupBy::Bucket(..) | GroupBy::Bounds(..) => ColumnKind::Integer,
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

fn no_list() -> StoreError {
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
