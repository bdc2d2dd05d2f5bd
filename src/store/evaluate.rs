//! Reads carried out in memory, to the same results as the databases': for the twin in memory, for rows that no table holds, and to
//! tell what a changed row means to a live query.

use std::{cmp::Ordering, collections::BTreeMap};

use serde_json::Value as Json;

use super::{
    change::Row,
    entity::{Direction, Value},
    read::{Aggregate, Bucket, Comparison, GroupBy, Kind, Measure, Measured, Order, Predicate, Read, Source, Term},
};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// The epoch was a Thursday, three days after a Monday.
const MONDAY_MS: i64 = 3 * DAY_MS;

/// Whether a predicate holds of a row.
pub fn matches(predicate: &Predicate, row: &Row) -> bool {
    match predicate {
        Predicate::All(all) => all.iter().all(|one| matches(one, row)),
        Predicate::Any(any) => any.iter().any(|one| matches(one, row)),
        Predicate::Not(not) => !matches(not, row),
        Predicate::Compare(term, comparison, wanted) => {
            let value = value(term, row);
            value != Value::Null && *wanted != Value::Null && holds(*comparison, order(&value, wanted))
        }
        Predicate::In(term, wanted) => {
            let value = value(term, row);
            value != Value::Null && wanted.iter().any(|wanted| *wanted != Value::Null && order(&value, wanted) == Ordering::Equal)
        }
        Predicate::Contains(term, wanted) => contains(term, wanted, row),
        Predicate::Absent(term) => match term.kind {
            Kind::List => json(term, row).is_none(),
            _ => value(term, row) == Value::Null,
        },
    }
}

/// A row's values by which it is ordered, and its primary key.
pub fn key(order: &[Order], row: &Row) -> Vec<Value> {
    let primary = row.values().first().cloned().unwrap_or(Value::Null);
    order.iter().map(|order| value(&order.term, row)).chain([primary]).collect()
}

/// Which of two keys in an order comes first.
pub fn compare(orders: &[Order], a: &[Value], b: &[Value]) -> Ordering {
    let by_order = orders.iter().zip(a.iter().zip(b)).map(|(one, (a, b))| absent_last(a, b, one.direction));
    let primary = || order(a.last().unwrap_or(&Value::Null), b.last().unwrap_or(&Value::Null));
    by_order.fold(Ordering::Equal, Ordering::then).then_with(primary)
}

/// The rows that are read, in their order.
pub fn read<'a>(read: &Read, rows: impl Iterator<Item = &'a Row>) -> Vec<&'a Row> {
    let mut found: Vec<(Vec<Value>, &Row)> = rows
        .filter(|row| matches(&read.predicate, row))
        .map(|row| (key(&read.order, row), row))
        .filter(|(key, _)| read.after.as_ref().is_none_or(|after| compare(&read.order, key, after) == Ordering::Greater))
        .collect();
    found.sort_by(|(a, _), (b, _)| compare(&read.order, a, b));
    found.into_iter().take(read.limit).map(|(_, row)| row).collect()
}

/// The figures over groups of rows.
pub fn aggregate<'a>(aggregate: &Aggregate, rows: impl Iterator<Item = &'a Row>) -> Vec<Vec<Value>> {
    let mut groups: BTreeMap<Group, Vec<&Row>> = BTreeMap::new();
    if aggregate.groups.is_empty() {
        groups.insert(Group(Vec::new()), Vec::new());
    }
    for row in rows.filter(|row| matches(&aggregate.predicate, row)) {
        let group = aggregate.groups.iter().map(|by| group(by, row)).collect();
        groups.entry(Group(group)).or_default().push(row);
    }
    let figures = |(group, rows): (Group, Vec<&Row>)| {
        let measures = aggregate.measures.iter().map(|measured| measure(measured, &rows));
        group.0.iter().cloned().chain(measures).collect()
    };
    groups.into_iter().take(aggregate.limit).map(figures).collect()
}

/// A row's value; `Null` where it is absent, and for a list.
pub fn value(term: &Term, row: &Row) -> Value {
    match &term.source {
        Source::Column(column) => row.cell(column).cloned().unwrap_or(Value::Null),
        Source::Key(..) => match (term.kind, json(term, row)) {
            (Kind::Text, Some(Json::String(text))) => Value::Text(text.clone()),
            (Kind::Boolean, Some(Json::Bool(truth))) => Value::Integer((*truth).into()),
            (Kind::Integer, Some(Json::Number(number))) => whole(number).map_or(Value::Null, Value::Integer),
            (Kind::Real, Some(Json::Number(number))) => number.as_f64().map_or(Value::Null, Value::Real),
            _ => Value::Null,
        },
    }
}

/// A float may stand where an equal integer is meant.
fn whole(number: &serde_json::Number) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and within the wire's integers")]
    let of_float = |float: f64| (float.fract() == 0.0 && float.abs() <= 2f64.powi(53)).then_some(float as i64);
    number.as_i64().or_else(|| of_float(number.as_f64()?))
}

fn json<'a>(term: &Term, row: &'a Row) -> Option<&'a Json> {
    match &term.source {
        Source::Key(column, key) => row.key(column, key),
        Source::Column(_) => None,
    }
}

fn contains(term: &Term, wanted: &Value, row: &Row) -> bool {
    let Value::Text(wanted) = wanted else { return false };
    if term.kind == Kind::List {
        return json(term, row).and_then(Json::as_array).is_some_and(|list| list.iter().any(|one| one.as_str() == Some(wanted)));
    }
    matches!(value(term, row), Value::Text(text) if text.contains(wanted.as_str()))
}

fn holds(comparison: Comparison, ordering: Ordering) -> bool {
    match comparison {
        Comparison::Equal => ordering == Ordering::Equal,
        Comparison::Less => ordering == Ordering::Less,
        Comparison::LessOrEqual => ordering != Ordering::Greater,
        Comparison::Greater => ordering == Ordering::Greater,
        Comparison::GreaterOrEqual => ordering != Ordering::Less,
    }
}

/// Values of one kind; an integer may meet a float.
fn order(a: &Value, b: &Value) -> Ordering {
    #[expect(clippy::cast_precision_loss, reason = "the wire's integers are exact as floats")]
    let ordering = match (a, b) {
        (Value::Integer(a), Value::Real(b)) => (*a as f64).partial_cmp(b),
        (Value::Real(a), Value::Integer(b)) => a.partial_cmp(&(*b as f64)),
        _ => a.partial_cmp(b),
    };
    ordering.unwrap_or(Ordering::Equal)
}

fn absent_last(a: &Value, b: &Value, direction: Direction) -> Ordering {
    match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Greater,
        (_, Value::Null) => Ordering::Less,
        _ if direction == Direction::Ascending => order(a, b),
        _ => order(b, a),
    }
}

/// What a row is grouped under, as something that sorts.
#[derive(PartialEq)]
struct Group(Vec<Value>);

impl Eq for Group {}
impl PartialOrd for Group {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Group {
    fn cmp(&self, other: &Self) -> Ordering {
        let pairs = self.0.iter().zip(&other.0).map(|(a, b)| absent_last(a, b, Direction::Ascending));
        pairs.fold(Ordering::Equal, Ordering::then)
    }
}

fn group(by: &GroupBy, row: &Row) -> Value {
    match by {
        GroupBy::Term(term) => value(term, row),
        GroupBy::Bucket(term, bucket) => match value(term, row) {
            Value::Integer(at) => Value::Integer(begin(*bucket, at)),
            _ => Value::Null,
        },
        GroupBy::Bounds(term, bounds) => match real(&value(term, row)) {
            Some(number) => Value::Integer(i64::try_from(bounds.partition_point(|bound| *bound <= number)).unwrap_or(i64::MAX)),
            None => Value::Null,
        },
    }
}

/// The largest integer of the wire: 2^53 - 1.
const MOST_EXACT: i64 = (1 << 53) - 1;

/// When the span begins in which a time lies.
pub fn begin(bucket: Bucket, at: i64) -> i64 {
    match bucket {
        Bucket::Hour => at - at.rem_euclid(HOUR_MS),
        Bucket::Day => at - at.rem_euclid(DAY_MS),
        Bucket::Week => at - (at + MONDAY_MS).rem_euclid(7 * DAY_MS),
        Bucket::Month => (at.div_euclid(DAY_MS) - i64::from(day_of_month(at.div_euclid(DAY_MS))) + 1) * DAY_MS,
    }
}

/// The day of its month, from 1, of a day counted from the epoch: Howard Hinnant's `civil_from_days`.
fn day_of_month(days: i64) -> u8 {
    let of_era = (days + 719_468).rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    u8::try_from(of_year - (153 * month + 2) / 5 + 1).unwrap_or(1)
}

fn measure(Measured { measure, only }: &Measured, rows: &[&Row]) -> Value {
    let rows = rows.iter().copied().filter(|row| only.as_ref().is_none_or(|only| matches(only, row)));
    let present = |term: &Term| rows.clone().map(|row| value(term, row)).filter(|value| *value != Value::Null).collect::<Vec<_>>();
    match measure {
        Measure::Count => Value::Integer(i64::try_from(rows.count()).unwrap_or(i64::MAX)),
        Measure::Sum(term) => sum(&present(term), term.kind),
        Measure::Avg(term) => mean(&present(term)),
        Measure::Min(term) => present(term).into_iter().min_by(order).unwrap_or(Value::Null),
        Measure::Max(term) => present(term).into_iter().max_by(order).unwrap_or(Value::Null),
        Measure::Percentile(term, percent) => {
            let mut present = present(term);
            present.sort_by(order);
            let rank = (present.len() * usize::from(*percent)).div_ceil(100);
            present.into_iter().nth(rank.saturating_sub(1)).unwrap_or(Value::Null)
        }
    }
}

/// A sum of integers: exact where the wire holds it, else the nearest float.
pub(super) fn sum_of(sum: i128) -> Value {
    match i64::try_from(sum) {
        Ok(sum) if sum.abs() <= MOST_EXACT => Value::Integer(sum),
        #[expect(clippy::cast_precision_loss, reason = "that is what is told")]
        _ => Value::Real(sum as f64),
    }
}

/// The mean of so many integers with this sum: the largest of them would take the smallest's place in a float.
#[expect(clippy::cast_precision_loss, reason = "a mean is a float, and no group has so many rows")]
pub(super) fn mean_of(sum: i128, count: i64) -> Value {
    if count == 0 { Value::Null } else { Value::Real(sum as f64 / count as f64) }
}

/// Integers are added up as integers.
fn mean(present: &[Value]) -> Value {
    if present.is_empty() {
        return Value::Null;
    }
    let integers: i128 = present.iter().map(|value| if let Value::Integer(integer) = value { i128::from(*integer) } else { 0 }).sum();
    let reals: f64 = present.iter().map(|value| if let Value::Real(real) = value { *real } else { 0.0 }).sum();
    #[expect(clippy::cast_precision_loss, reason = "a mean is a float, and no group has so many rows")]
    let mean = (integers as f64 + reals) / present.len() as f64;
    Value::Real(mean)
}

fn sum(present: &[Value], kind: Kind) -> Value {
    if present.is_empty() {
        return Value::Null;
    }
    match kind {
        Kind::Real => Value::Real(present.iter().filter_map(real).sum()),
        Kind::Text | Kind::Integer | Kind::Boolean | Kind::List => {
            let integer = |value: &Value| if let Value::Integer(integer) = value { i128::from(*integer) } else { 0 };
            sum_of(present.iter().map(integer).sum())
        }
    }
}

fn real(value: &Value) -> Option<f64> {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "the wire's integers are exact as floats")]
        Value::Integer(integer) => Some(*integer as f64),
        Value::Real(real) => Some(*real),
        Value::Null | Value::Text(_) | Value::Blob(_) => None,
    }
}
