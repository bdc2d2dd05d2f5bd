//! Collections: the types of record that an app declares.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
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
    /// What its records are.
    pub description: String,
    /// The field of `data` that people know a record by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub title_field: Option<String>,
    /// The JSON Schema of its records' `data`.
    #[ts(type = "Record<string, unknown>")]
    pub schema: serde_json::Map<String, serde_json::Value>,
    /// What its records are kept in order by, for quick lists.
    pub indexes: Vec<Vec<Sort>>,
    /// Who may do what with its records.
    pub access: Rights,
    /// Fields of `data` that hold other records' ids, and of which collection.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub references: BTreeMap<String, String>,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[schemars(rename = "CollectionAccess")]
#[ts(rename = "CollectionAccess")]
pub struct Rights {
    /// Who sees them.
    pub read: Vec<Who>,
    /// Who makes them.
    pub create: Vec<Who>,
    /// Who changes them.
    pub update: Vec<Who>,
    /// Who deletes them.
    pub delete: Vec<Who>,
}

/// One of those who may do something with a record; nobody may where there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "CollectionWho")]
#[ts(rename = "CollectionWho")]
pub enum Who {
    /// A viewer or more.
    Viewer,
    /// A member or more.
    Member,
    /// An admin or the owner.
    Admin,
    /// The owner.
    Owner,
    /// Who made the record, as long as they are a member or more.
    Own,
}

/// How a field of a record may change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Transitions {
    /// Which field.
    pub field: String,
    /// What it may be in a new record; empty: whatever the schema allows.
    pub initial: Vec<String>,
    /// Each change that it may make.
    pub moves: Vec<Move>,
}

/// A change that a field may make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[schemars(rename = "CollectionMove")]
#[ts(rename = "CollectionMove")]
pub struct Move {
    /// From this value.
    pub from: String,
    /// To this one.
    pub to: String,
    /// Who may make it; absent: whoever may change the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub roles: Option<Vec<Who>>,
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
        Field::text("description").unsorted(),
        Field::text("title_field").optional(),
        Field::other("schema"),
        Field::other("indexes"),
        Field::other("access"),
        Field::other("references").optional(),
        Field::other("transitions").optional(),
        Field::text("singleton").optional(),
    ]
}
