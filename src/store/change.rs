//! What a commit changed, row by row: as it was before, where who wrote it had looked, and as it is now.

use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value as Json};

use super::entity::{Table, Value};

/// A row as a change has it; its JSON is parsed once, however many ask.
#[derive(Debug, Clone)]
pub struct Row {
    /// Which table.
    pub table: &'static Table,
    values: Vec<Value>,
    data: OnceLock<Map<String, Json>>,
}

/// A row as it was before a change.
#[derive(Debug, Clone, PartialEq)]
pub enum Before {
    /// There was none.
    Absent,
    /// It was this.
    Row(Arc<Row>),
    /// Nobody looked.
    Unknown,
}

/// A change of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Which table.
    pub table: &'static Table,
    /// Which row.
    pub id: Value,
    /// As it was.
    pub before: Before,
    /// As it is; `None`: deleted.
    pub after: Option<Arc<Row>>,
}

impl Row {
    /// A row with a value for each column of its table.
    pub fn new(table: &'static Table, values: Vec<Value>) -> Self {
        Self { table, values, data: OnceLock::new() }
    }
    /// A value for each column.
    pub fn values(&self) -> &[Value] {
        &self.values
    }
    /// The value in a column.
    pub fn cell(&self, column: &str) -> Option<&Value> {
        self.values.get(self.table.position(column)?)
    }
    /// The value under a key of a JSON column. A table has one such column that is asked.
    pub fn key(&self, column: &str, key: &str) -> Option<&Json> {
        let parse = || match self.cell(column) {
            Some(Value::Text(text)) => serde_json::from_str(text).unwrap_or_default(),
            _ => Map::new(),
        };
        self.data.get_or_init(parse).get(key).filter(|value| !value.is_null())
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.table == other.table && self.values == other.values
    }
}

impl Change {
    /// What it changed, for who waits for it: the table's name, or that of one of the parts into which the table is divided.
    pub fn topic(&self) -> String {
        let before = match &self.before {
            Before::Row(row) => Some(row),
            Before::Absent | Before::Unknown => None,
        };
        let row = self.after.as_ref().or(before);
        topic(self.table, self.table.divided_by.and_then(|column| row?.cell(column)))
    }
}

/// The topic of a table, or of the part of it that has this value.
pub fn topic(table: &Table, part: Option<&Value>) -> String {
    match part {
        Some(Value::Text(part)) => format!("{}/{part}", table.name),
        _ => table.name.to_owned(),
    }
}
