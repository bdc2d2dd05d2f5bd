//! Records: an app's own rows.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    fault::Fault,
    operation::{Access, Kind, Operation, Rate},
    operations::{
        auth::Done,
        reads::{aggregate, describe, get, list},
    },
    value::{Millis, RecordId, Revision, UserId, VALUE_DEPTH, depth},
};

/// Operations at most in one batch.
pub const BATCH: usize = 100;

/// A record's own fields, as its collection's schema describes them.
pub type Data = serde_json::Map<String, serde_json::Value>;

/// A row of a collection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[schemars(rename = "RecordRow")]
#[ts(rename = "RecordRow")]
pub struct Record {
    /// Its id.
    pub id: RecordId,
    /// The workspace's revision at its last change.
    pub revision: Revision,
    /// When it was made.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
    /// Its collection's name.
    pub collection: String,
    /// Its own fields.
    #[ts(type = "Record<string, unknown>")]
    pub data: Data,
    /// Who made it.
    pub created_by: UserId,
}

describe! {
    "record": Record;
    under collection;
    fields [Field::text("collection"), Field::other("data"), Field::reference("created_by", "member")]
}
get! { "record": Record by RecordId, for Viewer, live true, as "RecordGet"; under collection: String; }
list! { "record": Record, for Viewer, live true, as "RecordList"; under collection: String; }
aggregate! { "record", for Viewer, as "RecordAggregate"; under collection: String; }

/// Makes a record. What its collection's schema refuses is `invalid`, with the path in `data`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RecordCreate")]
#[ts(rename = "RecordCreate")]
pub struct Create {
    /// An id of the client's own; absent: the server makes one. One that is there already: `conflict`, `taken`.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub id: Option<RecordId>,
    /// The collection's name.
    #[garde(length(bytes, min = 1, max = 100))]
    pub collection: String,
    /// Its own fields.
    #[garde(custom(not_too_deep))]
    #[ts(type = "Record<string, unknown>")]
    pub data: Data,
}

/// Changes a record: `data` is merged into it by its keys, and `nil` removes one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RecordUpdate")]
#[ts(rename = "RecordUpdate")]
pub struct Update {
    /// The collection's name.
    #[garde(length(bytes, min = 1, max = 100))]
    pub collection: String,
    /// Which one.
    #[garde(skip)]
    pub id: RecordId,
    /// The row's revision as the client has it: another one is a `conflict`; absent: whatever it is.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub revision: Option<Revision>,
    /// What changes.
    #[garde(custom(not_too_deep))]
    #[ts(type = "Record<string, unknown>")]
    pub data: Data,
}

/// Deletes a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RecordDelete")]
#[ts(rename = "RecordDelete")]
pub struct Delete {
    /// The collection's name.
    #[garde(length(bytes, min = 1, max = 100))]
    pub collection: String,
    /// Which one.
    #[garde(skip)]
    pub id: RecordId,
    /// The row's revision as the client has it: another one is a `conflict`; absent: whatever it is.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub revision: Option<Revision>,
}

/// Carries out several writes, in order, in one transaction: all or none, unless `atomic` is `false`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RecordBatch")]
#[ts(rename = "RecordBatch")]
pub struct Batch {
    /// The writes: 1 to 100.
    #[garde(length(min = 1, max = BATCH), dive)]
    pub operations: Vec<Write>,
    /// Whether one that is refused refuses all; absent: it does.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub atomic: Option<bool>,
}

/// One write of a batch, with the single operation's input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "RecordWrite")]
#[ts(rename = "RecordWrite")]
pub enum Write {
    /// As `record.create`.
    Create(#[garde(dive)] Create),
    /// As `record.update`.
    Update(#[garde(dive)] Update),
    /// As `record.delete`.
    Delete(#[garde(dive)] Delete),
}

/// What a batch did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[schemars(rename = "RecordBatched")]
#[ts(rename = "RecordBatched")]
pub struct Batched {
    /// The outputs, in the order of the writes.
    pub results: Vec<Written>,
}

/// What one write of a batch did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(untagged)]
#[schemars(rename = "RecordWritten")]
#[ts(rename = "RecordWritten")]
pub enum Written {
    /// The row that was created or updated.
    Row(Record),
    /// Why it was refused, with `atomic: false`.
    Refused {
        /// Why.
        fault: Fault,
    },
    /// It is deleted.
    Deleted(Done),
}

impl Operation for Create {
    const NAME: &'static str = "record.create";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Viewer;
    const RATE: Rate = Rate::Write;
    type Output = Record;
}
impl Operation for Update {
    const NAME: &'static str = "record.update";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Viewer;
    const RATE: Rate = Rate::Write;
    type Output = Record;
}
impl Operation for Delete {
    const NAME: &'static str = "record.delete";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Viewer;
    const RATE: Rate = Rate::Write;
    type Output = Done;
}
impl Operation for Batch {
    const NAME: &'static str = "record.batch";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Viewer;
    const RATE: Rate = Rate::Write;
    type Output = Batched;
}

fn not_too_deep(data: &Data, (): &()) -> garde::Result {
    let depth = 1 + data.values().map(depth).max().unwrap_or(0);
    if depth > VALUE_DEPTH { Err(garde::Error::new(format!("is nested {depth} deep; {VALUE_DEPTH} is the most"))) } else { Ok(()) }
}
