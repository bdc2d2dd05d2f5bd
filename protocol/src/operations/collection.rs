//! Collections: the types of record that an app declares.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    operation::Role,
    operations::reads::reads,
    read::Sort,
    value::{CollectionId, Millis, Revision},
};

/// A type of record that an app declares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Collection {
    /// Its id.
    pub id: CollectionId,
    /// The workspace's revision at its last change.
    pub revision: Revision,
    /// When the app first had it.
    pub created_at: Millis,
    /// When the app last changed it.
    pub updated_at: Millis,
    /// What operations call it.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// The JSON Schema of its records' `data`.
    #[ts(type = "Record<string, unknown>")]
    pub schema: serde_json::Map<String, serde_json::Value>,
    /// What its records are kept in order by, for quick lists.
    pub indexes: Vec<Vec<Sort>>,
    /// Who may do what with its records.
    pub access: Rights,
    /// From which value of a field to which others, and who may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub transitions: Option<Transitions>,
    /// Whether there is one record alone, and for whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub singleton: Option<Singleton>,
}

/// Who may do what with a collection's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CollectionAccess")]
#[ts(rename = "CollectionAccess")]
pub struct Rights {
    /// Who reads them.
    pub read: Right,
    /// Who creates them.
    pub create: Right,
    /// Who updates them.
    pub update: Right,
    /// Who deletes them.
    pub delete: Right,
}

/// Who may do something with records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CollectionRight")]
#[ts(rename = "CollectionRight")]
pub struct Right {
    /// This role and those above, with every record.
    pub role: Role,
    /// This role and those above, with the records that they created; absent: nobody by that alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub own: Option<Role>,
}

/// How a field of a record may change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct Transitions {
    /// Which field.
    pub field: String,
    /// What a new record has.
    pub initial: String,
    /// From each value to those that may follow it, and the least role that may do it.
    pub to: BTreeMap<String, BTreeMap<String, Role>>,
}

/// For whom a collection has its one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Singleton {
    /// One for each user.
    User,
    /// One for the workspace.
    Workspace,
}

reads! {
    "collection": Collection by CollectionId, for Viewer as "CollectionGet", "CollectionList", "CollectionAggregate";
    title "title";
    fields [
        Field::text("name"),
        Field::text("title"),
        Field::other("schema"),
        Field::other("indexes"),
        Field::other("access"),
        Field::other("transitions").optional(),
        Field::text("singleton").optional(),
    ]
}
