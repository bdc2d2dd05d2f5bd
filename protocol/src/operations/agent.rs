//! Agents: who works in crews.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    operations::reads::reads,
    value::{AgentId, Millis, Revision},
};

/// Who works on a crew's tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Agent {
    /// Its id.
    pub id: AgentId,
    /// Its crew's.
    pub revision: Revision,
    /// When its crew was first there.
    pub created_at: Millis,
    /// When its crew last changed.
    pub updated_at: Millis,
    /// Its crew's name.
    pub crew: String,
    /// As the crew names it.
    pub name: String,
    /// What it is, with placeholders.
    pub role: String,
    /// What it is after, with placeholders.
    pub goal: String,
    /// The model that it asks for; absent: the one that is used where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub model: Option<String>,
    /// The tools that it may use.
    pub tools: Vec<String>,
}

reads! {
    "agent": Agent by AgentId, for Viewer as "AgentGet", "AgentList", "AgentAggregate";
    title "role";
    fields [
        Field::text("crew"),
        Field::text("name"),
        Field::text("role"),
        Field::text("goal").unsorted(),
        Field::text("model").optional(),
        Field::list("tools"),
    ]
}
