//! Sessions: durable shared places where people and agents work.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    operation::{Access, Kind, Operation, Rate},
    operations::{auth::Done, reads::reads},
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
    /// The crew that answers what people say in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub crew: Option<String>,
    /// When it was put away; absent: it is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub archived_at: Option<Millis>,
}

reads! {
    "session": Session by SessionId, for Viewer as "SessionGet", "SessionList", "SessionAggregate";
    title "title";
    fields [Field::text("title"), Field::reference("created_by", "member"), Field::text("crew").optional(), Field::time("archived_at").optional()]
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
    /// The crew that answers what people say in it: one with a `message_input`. Absent: none does.
    #[garde(length(bytes, min = 1, max = 100))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub crew: Option<String>,
}

/// Changes a session.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SessionUpdate")]
#[ts(rename = "SessionUpdate")]
pub struct Update {
    /// Which one.
    #[garde(skip)]
    pub id: SessionId,
    /// The row's revision as the client has it: another one is a `conflict`; absent: whatever it is.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub revision: Option<Revision>,
    /// What people call it; absent: as before.
    #[garde(length(chars, min = 1, max = 200))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub title: Option<String>,
    /// The crew that answers what people say in it; `nil`: none from now on; absent: as before.
    #[garde(inner(length(bytes, min = 1, max = 100)))]
    #[serde(default, deserialize_with = "crate::value::nil_clears", skip_serializing_if = "Option::is_none")]
    #[ts(optional, as = "Option<Option<String>>")]
    pub crew: Option<Option<String>>,
}

/// Puts a session away, or takes it out again. Nothing of it is lost, and its runs go on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SessionArchive")]
#[ts(rename = "SessionArchive")]
pub struct Archive {
    /// Which one.
    #[garde(skip)]
    pub id: SessionId,
    /// The row's revision as the client has it: another one is a `conflict`; absent: whatever it is.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub revision: Option<Revision>,
    /// Whether it is put away; absent: it is.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub archived: Option<bool>,
}

/// Deletes a session with its messages. While a run of it has not ended: `conflict`, `state`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SessionDelete")]
#[ts(rename = "SessionDelete")]
pub struct Delete {
    /// Which one.
    #[garde(skip)]
    pub id: SessionId,
    /// The row's revision as the client has it: another one is a `conflict`; absent: whatever it is.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub revision: Option<Revision>,
}

impl Operation for Create {
    const NAME: &'static str = "session.create";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Member;
    const RATE: Rate = Rate::Write;
    type Output = Session;
}
impl Operation for Update {
    const NAME: &'static str = "session.update";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Member;
    const RATE: Rate = Rate::Write;
    type Output = Session;
}
impl Operation for Archive {
    const NAME: &'static str = "session.archive";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Member;
    const RATE: Rate = Rate::Write;
    type Output = Session;
}
impl Operation for Delete {
    const NAME: &'static str = "session.delete";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Member;
    const RATE: Rate = Rate::Write;
    type Output = Done;
}
