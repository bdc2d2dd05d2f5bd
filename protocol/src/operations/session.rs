//! Sessions: durable shared places where people and agents work.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    operation::{Access, Kind, Operation, Rate},
    value::{Millis, Revision, SessionId, UserId},
};

/// A durable shared place where people and agents work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The workspace's revision at its last change.
    pub revision: Revision,
    /// When it was made.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
    /// What people call it.
    pub title: String,
    /// Who made it.
    pub created_by: UserId,
}

/// Makes a session.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SessionCreate")]
#[ts(rename = "SessionCreate")]
pub struct Create {
    /// An id of the client's own; absent: the server makes one. One that is there already: `conflict`, `taken`.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub id: Option<SessionId>,
    /// What people call it.
    #[garde(length(chars, min = 1, max = 200))]
    pub title: String,
}

impl Operation for Create {
    const NAME: &'static str = "session.create";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Member;
    const RATE: Rate = Rate::Write;
    type Output = Session;
}
