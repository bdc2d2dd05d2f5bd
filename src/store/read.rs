//! What is read, told without SQL. A predicate is true or false of every row, also where a value is absent: a comparison with what
//! is absent is false, and its `Not` is true.

use std::sync::Arc;

use super::entity::{Direction, Table, Value};

/// Where a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In a column.
    Column(&'static str),
    /// Under a key at the top of a JSON column.
    Key(&'static str, Arc<str>),
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text, compared by code point.
    Text,
    /// A 64-bit integer.
    Integer,
    /// A 64-bit float.
    Real,
    /// An integer, 0 or 1.
    Boolean,
    /// A JSON list of texts.
    List,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// Where it is.
    pub source: Source,
    /// What it is.
    pub kind: Kind,
    /// Whether it may be absent.
    pub optional: bool,
}

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// What must hold of a row. Values are of their terms' kinds.
#[derive(Debug, Clone, PartialEq)]
pub enum Predicate {
    /// All of them; of none: true.
    All(Vec<Predicate>),
    /// One of them; of none: false.
    Any(Vec<Predicate>),
    /// Not that.
    Not(Box<Predicate>),
    /// The value compares so.
    Compare(Term, Comparison, Value),
    /// The value is one of these.
    In(Term, Vec<Value>),
    /// The text has this part, or the list this element; case matters.
    Contains(Term, Value),
    /// The value is absent.
    Absent(Term),
}

/// By what rows are ordered. What is absent comes last in either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The value.
    pub term: Term,
    /// The smallest first, or the largest.
    pub direction: Direction,
}

/// Which rows are read, in which order; ties by the primary key, ascending.
#[derive(Debug, Clone)]
pub struct Read {
    /// From which table.
    pub table: &'static Table,
    /// What must hold of each.
    pub predicate: Predicate,
    /// In which order.
    pub order: Vec<Order>,
    /// The key after which they begin: the order's values and the primary key.
    pub after: Option<Vec<Value>>,
    /// How many at most.
    pub limit: usize,
}

/// An index over the rows of a workspace, or of a part of its table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Over which table.
    pub table: &'static Table,
    /// Over which part of it.
    pub part: Option<String>,
    /// In which order.
    pub order: Vec<Order>,
}

/// A span of time, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A week, from Monday.
    Week,
    /// A month.
    Month,
}

/// What rows are grouped by.
#[derive(Debug, Clone, PartialEq)]
pub enum GroupBy {
    /// A value.
    Term(Term),
    /// The beginning of the span in which a time of integer milliseconds lies.
    Bucket(Term, Bucket),
    /// The cell in which a number lies: 0 below the first bound, 1 from it on and below the second, and so on.
    Bounds(Term, Vec<f64>),
}

/// A figure over the rows of a group.
#[derive(Debug, Clone, PartialEq)]
pub enum Measure {
    /// How many.
    Count,
    /// The sum of those present.
    Sum(Term),
    /// Their mean.
    Avg(Term),
    /// The smallest.
    Min(Term),
    /// The largest.
    Max(Term),
    /// By nearest rank: of `n` present, the `ceil(p / 100 * n)`th.
    Percentile(Term, u8),
}

/// A figure, and over which of the rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The figure.
    pub measure: Measure,
    /// Only rows of which this holds.
    pub only: Option<Predicate>,
}

/// Figures over groups of rows. A row of the result has the groups, then the figures; rows are ordered by the groups.
#[derive(Debug, Clone)]
pub struct Aggregate {
    /// From which table.
    pub table: &'static Table,
    /// Over which rows.
    pub predicate: Predicate,
    /// Grouped by these; by none: one row.
    pub groups: Vec<GroupBy>,
    /// The figures.
    pub measures: Vec<Measured>,
    /// How many rows at most.
    pub limit: usize,
}

impl Term {
    /// A text that is always there.
    pub fn text(column: &'static str) -> Self {
        Self { source: Source::Column(column), kind: Kind::Text, optional: false }
    }
}

impl Default for Predicate {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

impl Predicate {
    /// The value is this.
    pub fn equal(term: Term, value: impl Into<Value>) -> Self {
        Self::Compare(term, Comparison::Equal, value.into())
    }
}
