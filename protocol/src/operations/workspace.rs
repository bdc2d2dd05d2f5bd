//! Workspaces: the boundaries of members, data and quota.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    operation::{Access, Kind, Operation, Rate},
    operations::reads::{describe, get, list},
    value::{Millis, Revision, WorkspaceId},
};

/// The boundary of members, data and quota.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Workspace {
    /// Its id.
    pub id: WorkspaceId,
    /// Its revision when this row last changed.
    pub revision: Revision,
    /// When it was made.
    pub created_at: Millis,
    /// When the row last changed.
    pub updated_at: Millis,
    /// What people call it.
    pub name: String,
}

describe! { "workspace": Workspace; title "name"; fields [Field::text("name")] }
get! { "workspace": Workspace by WorkspaceId, for Viewer, live true, as "WorkspaceGet" }
list! { "workspace": Workspace, for Own, live false, as "WorkspaceList"; }

/// Changes the workspace that the connection acts in.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WorkspaceUpdate")]
#[ts(rename = "WorkspaceUpdate")]
pub struct Update {
    /// Which one.
    #[garde(skip)]
    pub id: WorkspaceId,
    /// The row's revision as the client has it: another one is a `conflict`; absent: whatever it is.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub revision: Option<Revision>,
    /// What people call it; absent: as before.
    #[garde(length(chars, min = 1, max = 200))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub name: Option<String>,
}

impl Operation for Update {
    const NAME: &'static str = "workspace.update";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Owner;
    const RATE: Rate = Rate::Write;
    type Output = Workspace;
}
