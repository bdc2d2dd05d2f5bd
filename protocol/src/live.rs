//! Live queries: the changes that keep what a client has read true, and how they are applied.

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeOwned, IgnoredAny, MapAccess},
};
use serde_json::Value;
use ts_rs::TS;

use crate::{
    keys::{self, Keys, once},
    read::{Aggregated, Page},
};

/// One change of a read's output. Those of one frame are applied in order and at once.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema, TS)]
#[serde(untagged)]
#[schemars(rename = "LiveChange")]
#[ts(concrete(R = Value, O = Value), bound = "")]
pub enum LiveChange<R = Value, O = Value> {
    /// A row was added or changed, or has another place.
    Put {
        /// The row.
        #[ts(type = "unknown")]
        put: R,
        /// The id of the row that it stands before, which is there at this moment; `nil`: it is the last.
        before: Option<String>,
    },
    /// A row is gone: deleted, out of the window, or no longer visible.
    Remove {
        /// Its id.
        remove: String,
    },
    /// The whole output, where it is no list.
    Value {
        /// The output.
        #[ts(type = "unknown")]
        value: O,
    },
    /// Where the rest of the list begins now; `nil`: there is no more.
    Next {
        /// The cursor.
        next: Option<String>,
    },
    /// How many rows match now.
    Total {
        /// The count.
        total: u64,
    },
}

/// What a read answers, as a client keeps it true.
pub trait Live: DeserializeOwned + Send + 'static {
    /// The rows of a list; of anything else nothing is put.
    type Row: DeserializeOwned + Send;

    /// Applies the changes of one frame, in order.
    ///
    /// # Errors
    /// Where one does not fit what is there: the server and this client differ, and it must be read afresh.
    fn apply(&mut self, changes: Vec<LiveChange<Self::Row, Self>>) -> Result<(), Misfit>;
}

/// A row, as far as a list tells rows apart.
pub trait Row: DeserializeOwned + Send + 'static {
    /// Its id, as it stands on the wire.
    fn id(&self) -> String;
}

/// A change that does not fit what it is to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a change does not fit what is there: {0}")]
pub struct Misfit(String);

impl<R: Row> Live for Page<R> {
    type Row = R;

    fn apply(&mut self, changes: Vec<LiveChange<R, Self>>) -> Result<(), Misfit> {
        let mut ids: Vec<String> = self.items.iter().map(Row::id).collect();
        for change in changes {
            match change {
                LiveChange::Put { put, before } => {
                    let id = put.id();
                    if let Some(place) = ids.iter().position(|other| *other == id) {
                        ids.remove(place);
                        self.items.remove(place);
                    }
                    let place = match before {
                        None => ids.len(),
                        Some(before) => ids
                            .iter()
                            .position(|other| *other == before)
                            .ok_or_else(|| Misfit(format!("row {id} is to stand before {before}, which is not there")))?,
                    };
                    ids.insert(place, id);
                    self.items.insert(place, put);
                }
                LiveChange::Remove { remove } => {
                    if let Some(place) = ids.iter().position(|other| *other == remove) {
                        ids.remove(place);
                        self.items.remove(place);
                    }
                }
                LiveChange::Value { value } => {
                    *self = value;
                    ids = self.items.iter().map(Row::id).collect();
                }
                LiveChange::Next { next } => self.next = next,
                LiveChange::Total { total } => self.total = Some(total),
            }
        }
        Ok(())
    }
}

impl Row for Value {
    fn id(&self) -> String {
        self["id"].as_str().unwrap_or_default().to_owned()
    }
}

/// Takes the place of what is no list.
pub(crate) fn replace<T>(whole: &mut T, changes: Vec<LiveChange<IgnoredAny, T>>) -> Result<(), Misfit> {
    for change in changes {
        match change {
            LiveChange::Value { value } => *whole = value,
            _ => return Err(Misfit("a change of a list, for what is none".into())),
        }
    }
    Ok(())
}

/// Makes a type [`Live`] that is replaced as a whole.
macro_rules! whole {
    ($type:ty) => {
        impl $crate::live::Live for $type {
            type Row = serde::de::IgnoredAny;
            fn apply(&mut self, changes: Vec<$crate::live::LiveChange<serde::de::IgnoredAny, Self>>) -> Result<(), $crate::live::Misfit> {
                $crate::live::replace(self, changes)
            }
        }
    };
}
pub(crate) use whole;

whole!(Aggregated);
whole!(Value);

impl<'de, R: DeserializeOwned, O: DeserializeOwned> Deserialize<'de> for LiveChange<R, O> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        keys::read::<ChangeKeys<R, O>, D>(deserializer)
    }
}

struct ChangeKeys<R, O> {
    change: Option<LiveChange<R, O>>,
    before: Option<Option<String>>,
}

impl<R, O> Default for ChangeKeys<R, O> {
    fn default() -> Self {
        Self { change: None, before: None }
    }
}

impl<R: DeserializeOwned, O: DeserializeOwned> Keys for ChangeKeys<R, O> {
    type Built = LiveChange<R, O>;
    const EXPECTED: &'static str = "a map";

    fn key<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "put" => once(&mut self.change, map, "put", |put| LiveChange::Put { put, before: None }),
            "before" => once(&mut self.before, map, "before", |before| before),
            "remove" => once(&mut self.change, map, "remove", |remove| LiveChange::Remove { remove }),
            "value" => once(&mut self.change, map, "value", |value| LiveChange::Value { value }),
            "next" => once(&mut self.change, map, "next", |next| LiveChange::Next { next }),
            "total" => once(&mut self.change, map, "total", |total| LiveChange::Total { total }),
            _ => map.next_value::<IgnoredAny>().map(drop),
        }
    }

    fn build<E: de::Error>(self) -> Result<LiveChange<R, O>, E> {
        match self.change {
            Some(LiveChange::Put { put, .. }) => {
                Ok(LiveChange::Put { put, before: self.before.ok_or_else(|| E::missing_field("before"))? })
            }
            Some(change) => Ok(change),
            None => Err(E::custom("no change that is known here")),
        }
    }
}
