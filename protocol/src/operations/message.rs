//! Messages: what people and agents say in a session.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    opening::PrincipalKind,
    operation::{Access, Kind, Operation, Rate},
    operations::{
        reads::reads,
        run::{Inputs, OnBusy, not_too_deep},
    },
    value::{MessageId, Millis, Revision, RunId, SessionId},
};

/// Who said something, as they were called then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[schemars(rename = "MessageAuthor")]
#[ts(rename = "MessageAuthor")]
pub struct Author {
    /// What it is.
    pub kind: PrincipalKind,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// Something said in a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// The workspace's revision at its last change.
    pub revision: Revision,
    /// When it was said.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
    /// The session that it was said in.
    pub session_id: SessionId,
    /// Who said it.
    pub author: Author,
    /// What was said.
    pub text: String,
    /// The run that said it, or that it was said to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub run_id: Option<RunId>,
}

reads! {
    "message": Message by MessageId, for Viewer as "MessageGet", "MessageList", "MessageAggregate";
    under session_id: SessionId;
    fields [
        Field::reference("session_id", "session"),
        Field::other("author"),
        Field::text("text").unsorted(),
        Field::reference("run_id", "run").optional(),
    ]
}

/// Says something in a session. Where a crew answers there, it starts a run of it, whose answer becomes a message when it succeeds.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MessagePost")]
#[ts(rename = "MessagePost")]
pub struct Post {
    /// An id of the client's own; absent: the server makes one. One that is there already: `conflict`, `taken`.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub id: Option<MessageId>,
    /// The session.
    #[garde(skip)]
    pub session_id: SessionId,
    /// What is said: 1 to 16,000 characters.
    #[garde(length(chars, min = 1, max = 16_000))]
    pub text: String,
    /// What the session's crew is given beside the text.
    #[garde(custom(not_too_deep))]
    #[serde(default)]
    #[ts(optional, type = "Record<string, unknown>")]
    pub inputs: Inputs,
    /// What becomes of it while a run of the crew goes on in the session; absent: as the crew says.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub on_busy: Option<OnBusy>,
}

impl Operation for Post {
    const NAME: &'static str = "message.post";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Member;
    const RATE: Rate = Rate::Write;
    type Output = Message;
}
