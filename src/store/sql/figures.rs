//! Figures over groups of rows as statements.

use std::collections::HashMap;

use super::{
    driver::{Arg, Query},
    read::{Dialect, Writer},
};
use crate::store::{Aggregate, Bucket, ColumnKind, GroupBy, Kind, Measure, Measured, StoreError, Term, Value, evaluate};

/// Bits of the lower half of an integer.
const HALF: u32 = 26;

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

/// The rows with one value for each measure.
pub(super) fn folded(rows: Vec<Vec<Value>>, aggregate: &Aggregate) -> Vec<Vec<Value>> {
    let fold = |row: Vec<Value>| {
        let mut columns = row.into_iter();
        let mut folded: Vec<Value> = columns.by_ref().take(aggregate.groups.len()).collect();
        for Measured { measure, .. } in &aggregate.measures {
            let mut next = || columns.next().unwrap_or(Value::Null);
            folded.push(match measure {
                Measure::Sum(term) | Measure::Avg(term) if term.kind != Kind::Real => match (next(), next(), next()) {
                    (Value::Integer(high), Value::Integer(low), Value::Integer(count)) => {
                        let sum = (i128::from(high) << HALF) + i128::from(low);
                        if matches!(measure, Measure::Sum(_)) { evaluate::sum_of(sum) } else { evaluate::mean_of(sum, count) }
                    }
                    _ => Value::Null,
                },
                _ => next(),
            });
        }
        folded
    };
    rows.into_iter().map(fold).collect()
}

/// Puts percentiles in their places: rows of the groups' values and the percentile.
pub(super) fn insert(rows: &mut [Vec<Value>], groups: usize, place: usize, percentiles: Vec<Vec<Value>>) {
    // The two zeros are one group, named after either.
    let positive = |value: &Value| if let Value::Real(real) = value { Value::Real(real + 0.0) } else { value.clone() };
    let name = |row: &[Value]| format!("{:?}", row[..groups].iter().map(positive).collect::<Vec<_>>());
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
            // PostgreSQL's own mean of floats squares them, which is too much for large ones.
            Measure::Avg(term) if term.kind == Kind::Real => (format!("SUM(v{place}) / COUNT(v{place})"), ColumnKind::Real),
            Measure::Sum(_) | Measure::Avg(_) => {
                // In two halves, which no table has rows enough to overflow.
                columns.push(format!("CAST(SUM(v{place} >> {HALF}) AS BIGINT)"));
                columns.push(format!("CAST(SUM(v{place} & {}) AS BIGINT)", (1_i64 << HALF) - 1));
                kinds.extend([ColumnKind::Integer; 2]);
                (format!("COUNT(v{place})"), ColumnKind::Integer)
            }
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

impl<'a> Writer<'a> {
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
                    self.out.push(&begin(*bucket, &expression));
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
}

/// When the span begins in which a time of milliseconds lies. Division and remainder cut towards zero on both databases.
fn begin(bucket: Bucket, at: &str) -> String {
    let span = |ms: i64, shift: i64| format!("({at} - (((({at} + {shift}) % {ms}) + {ms}) % {ms}))");
    match bucket {
        Bucket::Hour => span(3_600_000, 0),
        Bucket::Day => span(86_400_000, 0),
        Bucket::Week => span(604_800_000, 259_200_000),
        Bucket::Month => month(at),
    }
}

/// The same calendar as the evaluator's, step by step: the databases' own end at years in which times still can lie. The limit
/// keeps each step from being written out into the next, which would read the time a hundred times.
fn month(at: &str) -> String {
    let steps = [
        format!("({at} - ((({at} % 86400000) + 86400000) % 86400000)) / 86400000 AS days"),
        "days, (((days + 719468) % 146097) + 146097) % 146097 AS of_era".to_owned(),
        "days, of_era, (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365 AS year".to_owned(),
        "days, of_era - (365 * year + year / 4 - year / 100) AS of_year".to_owned(),
        "(days - (of_year - (153 * ((5 * of_year + 2) / 153) + 2) / 5)) * 86400000".to_owned(),
    ];
    let nested = steps.into_iter().reduce(|inner, step| format!("{step} FROM (SELECT {inner} LIMIT 1) AS step"));
    format!("(SELECT {})", nested.unwrap_or_default())
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
