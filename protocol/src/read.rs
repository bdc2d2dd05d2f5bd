//! What a read asks for, the same for every noun: filters, sorting, groups and measures, and what it answers.
//!
//! Their shapes on the wire are told apart by their keys, and read by hand: a fault names the key that is wrong, which a
//! derived decoder of untagged variants can't.

mod aggregate;
mod filter;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

pub(crate) use self::aggregate::told_apart;
pub use self::{
    aggregate::{Aggregated, BOUNDS, Bucket, GROUPS, Group, MEASURES, Measure, What},
    filter::{FILTER_DEPTH, FILTER_PARTS, Filter, IN_VALUES, Scalar, Test},
};
use crate::operation::Operation;

/// Rows of a list that names no limit.
pub const LIST_LIMIT: u32 = 50;
/// Rows at most of a list that goes on with a cursor.
pub const LIST_LIMIT_WITH_CURSOR: u32 = 200;
/// Rows at most of a list from its beginning, and of one that is followed.
pub const LIST_LIMIT_MOST: u32 = 500;

/// A field that a list is sorted by. Absent values come last either way, and equals by `id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS, garde::Validate)]
#[serde(deny_unknown_fields)]
pub struct Sort {
    /// Which field.
    #[garde(length(bytes, max = 100))]
    pub field: String,
    /// Whether the greatest comes first.
    #[garde(skip)]
    #[serde(default, deserialize_with = "crate::value::nil_as_absent", skip_serializing_if = "std::ops::Not::not")]
    #[ts(optional, as = "Option<bool>")]
    pub descending: bool,
}

/// A part of a noun's rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    /// The rows, in order.
    pub items: Vec<T>,
    /// Where the rest begins; absent: there is no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub next: Option<String>,
    /// How many rows the filter matches, where `count` asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub total: Option<u64>,
}

/// A read without its operation's type.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The noun's name.
    pub noun: &'static str,
    /// The parent, where the operation names one: a session's id, or a collection's name.
    pub parent: Option<String>,
    /// What is asked of it.
    pub read: Read,
}

/// What is asked of a noun.
#[derive(Debug, Clone, PartialEq)]
pub enum Read {
    /// One row.
    Get {
        /// Its id, well-formed.
        id: String,
    },
    /// Rows in order.
    List {
        /// Which; absent: all.
        filter: Option<Filter>,
        /// By what; empty: by `id`.
        sort: Vec<Sort>,
        /// How many at most.
        limit: Option<u32>,
        /// `next` of the list before.
        cursor: Option<String>,
        /// Whether to tell how many match in all.
        count: bool,
    },
    /// Measures over groups of rows.
    Aggregate {
        /// What a group's rows have in common; empty: all are one group.
        groups: Vec<Group>,
        /// What is told of each.
        measures: Vec<Measure>,
        /// Which rows; absent: all.
        filter: Option<Filter>,
    },
}

/// An operation that reads a noun.
pub trait ReadOperation: Operation<Output: crate::live::Live> {
    /// What it asks for.
    fn asked(self) -> Asked;
}
