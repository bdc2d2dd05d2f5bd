//! Rows as the domain has them, and as a database does: a table's description, and values that go in and out of its columns.

use std::fmt;

use bytes::Bytes;
use crewline_protocol::{
    event::WaitingFor,
    opening::PrincipalKind,
    operation::Role,
    operations::{approval, budget::Period, crew::Executor, invitation, run::Status, worker},
    value::{
        AgentId, ApiKeyId, ApprovalId, ArtifactId, BudgetId, CollectionId, ConnectionId, CrewId, InvitationId, LeaseId, MemberId,
        MessageId, MicroUsd, Millis, MutationKey, Offset, RecordId, Revision, RunId, SessionId, SignInId, SteerId, UserId, WorkerId,
        WorkspaceId,
    },
};
use serde::{Serialize, de::DeserializeOwned};

use super::StoreError;

/// A value in a column.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub enum Value {
    /// Absent.
    Null,
    /// A 64-bit integer; also times, revisions, flags.
    Integer(i64),
    /// A 64-bit float.
    Real(f64),
    /// Text; also ids and JSON.
    Text(String),
    /// Bytes.
    Blob(Bytes),
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// `INTEGER`, `BIGINT`
    Integer,
    /// `REAL`, `DOUBLE PRECISION`
    Real,
    /// `TEXT`
    Text,
    /// `BLOB`, `BYTEA`
    Blob,
}

/// A column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnKind,
}

/// A table that entities live in. Its first column is the primary key.
#[derive(PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its columns.
    pub columns: &'static [Column],
    /// The column by whose values it is divided into parts that are waited for and indexed apart.
    pub divided_by: Option<&'static str>,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Table {
    /// The place of the column with this name.
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == column)
    }
}

/// A domain row that a table stores. Made by the [`entity!`](crate::entity) macro.
pub trait Entity: Sized + Clone + Send + Sync + 'static {
    /// Its table.
    const TABLE: &'static Table;
    /// A value for each column, in their order.
    fn to_values(&self) -> Vec<Value>;
    /// The row that these values are.
    ///
    /// # Errors
    /// `Malformed`, naming the column whose value can't be read.
    fn from_values(values: Vec<Value>) -> Result<Self, StoreError>;
}

/// A type of field that a column can store.
pub trait Stored: Sized {
    /// The column's kind.
    const KIND: ColumnKind;
    /// The column's value.
    fn to_value(&self) -> Value;
    /// The field; `None` where the value is not one of its.
    fn from_value(value: Value) -> Option<Self>;
}

/// Anything that serializes, stored as JSON text.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Json<T>(pub T);

/// Declares a row: a struct, and its table with one column a field, in the fields' order. The first is the primary key.
/// `in "records" by collection` divides the table into parts by that column.
#[macro_export]
macro_rules! entity {
    ($(#[$meta:meta])* $vis:vis struct $name:ident in $table:literal $(by $part:ident)? { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        $vis struct $name { $($(#[$field_meta])* pub $field: $type,)* }

        impl $crate::store::Entity for $name {
            const TABLE: &'static $crate::store::Table = &$crate::store::Table {
                name: $table,
                columns: &[$($crate::store::Column { name: stringify!($field), kind: <$type as $crate::store::Stored>::KIND }),*],
                divided_by: {
                    const PART: &[&str] = &[$(stringify!($part))?];
                    if PART.is_empty() { None } else { Some(PART[0]) }
                },
            };
            fn to_values(&self) -> Vec<$crate::store::Value> {
                vec![$($crate::store::Stored::to_value(&self.$field)),*]
            }
            fn from_values(values: Vec<$crate::store::Value>) -> Result<Self, $crate::store::StoreError> {
                let mut values = values.into_iter();
                Ok(Self {
                    $($field: values.next().and_then($crate::store::Stored::from_value)
                        .ok_or($crate::store::StoreError::Malformed { table: $table, column: stringify!($field) })?,)*
                })
            }
        }
    };
}

/// Which rows are read, in which order.
#[derive(Debug, Clone, Default)]
pub struct Select {
    /// What must hold of each.
    pub conditions: Vec<Condition>,
    /// By which column, ascending or descending; ties by the primary key. Empty: by the primary key.
    pub order: Option<(&'static str, Direction)>,
    /// How many at most; 0: all.
    pub limit: usize,
}

/// Ascending or descending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The smallest first.
    Ascending,
    /// The largest first.
    Descending,
}

/// What must hold of a row that is read.
#[derive(Debug, Clone)]
pub enum Condition {
    /// The column holds the value; with `Null`: it is absent.
    Equals(&'static str, Value),
    /// The column holds one of the values.
    In(&'static str, Vec<Value>),
    /// The column is present and greater.
    Greater(&'static str, Value),
    /// The column is present and less.
    Less(&'static str, Value),
}

impl Select {
    /// Rows whose column holds the value.
    pub fn by(column: &'static str, value: impl Into<Value>) -> Self {
        Self { conditions: vec![Condition::Equals(column, value.into())], ..Self::default() }
    }
    /// The same under one more condition.
    #[must_use]
    pub fn and(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }
    /// The same in this order.
    #[must_use]
    pub fn order_by(mut self, column: &'static str, direction: Direction) -> Self {
        self.order = Some((column, direction));
        self
    }
    /// The same with at most this many rows.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }
}

impl Stored for i64 {
    const KIND: ColumnKind = ColumnKind::Integer;
    fn to_value(&self) -> Value {
        Value::Integer(*self)
    }
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Integer(integer) => Some(integer),
            _ => None,
        }
    }
}

impl Stored for f64 {
    const KIND: ColumnKind = ColumnKind::Real;
    fn to_value(&self) -> Value {
        Value::Real(*self)
    }
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Real(real) => Some(real),
            _ => None,
        }
    }
}

impl Stored for String {
    const KIND: ColumnKind = ColumnKind::Text;
    fn to_value(&self) -> Value {
        Value::Text(self.clone())
    }
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Stored for Bytes {
    const KIND: ColumnKind = ColumnKind::Blob;
    fn to_value(&self) -> Value {
        Value::Blob(self.clone())
    }
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Blob(bytes) => Some(bytes),
            _ => None,
        }
    }
}

impl<T: Stored> Stored for Option<T> {
    const KIND: ColumnKind = T::KIND;
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::to_value)
    }
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl<T: Serialize + DeserializeOwned> Stored for Json<T> {
    const KIND: ColumnKind = ColumnKind::Text;
    fn to_value(&self) -> Value {
        serde_json::to_string(&self.0).map_or(Value::Null, Value::Text)
    }
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Text(text) => serde_json::from_str(&text).ok().map(Json),
            _ => None,
        }
    }
}

/// Fields that are stored through a type that already can be.
macro_rules! stored_as {
    ($($type:ty as $column:ty: $to:expr, $from:expr;)*) => {$(
        impl Stored for $type {
            const KIND: ColumnKind = <$column as Stored>::KIND;
            fn to_value(&self) -> Value {
                let to: fn(&$type) -> $column = $to;
                to(self).to_value()
            }
            fn from_value(value: Value) -> Option<Self> {
                let from: fn($column) -> Option<$type> = $from;
                <$column as Stored>::from_value(value).and_then(from)
            }
        }
        impl From<$type> for Value {
            fn from(field: $type) -> Self {
                field.to_value()
            }
        }
    )*};
}

stored_as! {
    bool as i64: |flag| i64::from(*flag), |integer| match integer { 0 => Some(false), 1 => Some(true), _ => None };
    u32 as i64: |number| i64::from(*number), |integer| u32::try_from(integer).ok();
    Millis as i64: |time| time.0, |integer| Some(Millis(integer));
    Revision as i64: |revision| revision.0, |integer| Some(Revision(integer));
    Offset as i64: |offset| offset.0, |integer| Some(Offset(integer));
    MicroUsd as i64: |money| money.0, |integer| Some(MicroUsd(integer));
    PrincipalKind as String: |kind| kind.as_str().to_owned(), |name| PrincipalKind::from_name(&name);
    invitation::Status as String: |status| status.as_str().to_owned(), |name| invitation::Status::from_name(&name);
    Role as String: |role| role.as_str().to_owned(), |name| Role::from_name(&name);
    approval::Kind as String: |kind| kind.as_str().to_owned(), |name| approval::Kind::from_name(&name);
    approval::Status as String: |status| status.as_str().to_owned(), |name| approval::Status::from_name(&name);
    approval::OnExpire as String: |consequence| consequence.as_str().to_owned(), |name| approval::OnExpire::from_name(&name);
    Period as String: |period| period.as_str().to_owned(), |name| Period::from_name(&name);
    Status as String: |status| status.as_str().to_owned(), |name| Status::from_name(&name);
    ConnectionId as String: ToString::to_string, |text| text.parse().ok();
    WorkspaceId as String: ToString::to_string, |text| text.parse().ok();
    UserId as String: ToString::to_string, |text| text.parse().ok();
    SignInId as String: ToString::to_string, |text| text.parse().ok();
    MemberId as String: ToString::to_string, |text| text.parse().ok();
    SessionId as String: ToString::to_string, |text| text.parse().ok();
    CollectionId as String: ToString::to_string, |text| text.parse().ok();
    RecordId as String: ToString::to_string, |text| text.parse().ok();
    RunId as String: ToString::to_string, |text| text.parse().ok();
    MessageId as String: ToString::to_string, |text| text.parse().ok();
    InvitationId as String: ToString::to_string, |text| text.parse().ok();
    MutationKey as String: ToString::to_string, |text| text.parse().ok();
    SteerId as String: ToString::to_string, |text| text.parse().ok();
    ApprovalId as String: ToString::to_string, |text| text.parse().ok();
    ArtifactId as String: ToString::to_string, |text| text.parse().ok();
    BudgetId as String: ToString::to_string, |text| text.parse().ok();
    CrewId as String: ToString::to_string, |text| text.parse().ok();
    AgentId as String: ToString::to_string, |text| text.parse().ok();
    ApiKeyId as String: ToString::to_string, |text| text.parse().ok();
    WorkerId as String: ToString::to_string, |text| text.parse().ok();
    LeaseId as String: ToString::to_string, |text| text.parse().ok();
    Executor as String: |executor| executor.as_str().to_owned(), |name| Executor::from_name(&name);
    WaitingFor as String: |waits| waits.as_str().to_owned(), |name| WaitingFor::from_name(&name);
    worker::State as String: |state| state.as_str().to_owned(), |name| worker::State::from_name(&name);
}

impl From<i64> for Value {
    fn from(integer: i64) -> Self {
        Self::Integer(integer)
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
