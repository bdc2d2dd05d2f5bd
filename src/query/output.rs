//! What a read comes to.

use bytes::Bytes;
use crewline_protocol::rows;

use super::{List, cursor};
use crate::store::Value;

/// A row of an output.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Its id.
    pub id: String,
    /// What it is sorted by, its id last.
    pub key: Vec<Value>,
    /// As the wire has it.
    pub body: Bytes,
}

/// What a read comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// One row.
    Row(Item),
    /// A part of a list.
    List {
        /// Its rows.
        items: Vec<Item>,
        /// Whether there are more after them.
        more: bool,
        /// How many there are in all, where that was asked.
        total: Option<u64>,
    },
    /// Figures, as the wire has them.
    Figures(Bytes),
}

impl Output {
    /// As the wire has it. `list`: how the list was asked for, if it is one.
    pub fn encode(&self, list: Option<&List>) -> Bytes {
        match self {
            Self::Row(item) => item.body.clone(),
            Self::Figures(bytes) => bytes.clone(),
            Self::List { items, more, total } => {
                let next = if *more { next(items, list) } else { None };
                rows::page(items.iter().map(|item| item.body.as_ref()), next.as_deref(), *total).into()
            }
        }
    }
}

/// The cursor of what comes after these rows.
pub(super) fn next(items: &[Item], list: Option<&List>) -> Option<String> {
    Some(cursor::to_text(&list?.order, &items.last()?.key))
}
