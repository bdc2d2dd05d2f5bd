//! Approvals: questions that hold a run until a person answers them.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    operation::{Access, Kind as OperationKind, Operation, Rate, Role},
    operations::{member::of_a_person, reads::reads},
    value::{ApprovalId, Millis, Revision, RunId, SessionId, UserId, VALUE_DEPTH, depth},
};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
#[ts(rename = "ApprovalKind")]
#[schemars(rename = "ApprovalKind")]
pub enum Kind {
    /// Whether a tool may be called with these arguments.
    Tool,
    /// A value that the run goes on with.
    Input,
    /// Whether a result is good.
    Review,
}

impl Kind {
    /// As it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Input => "input",
            Self::Review => "review",
        }
    }
    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Tool, Self::Input, Self::Review].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Where an approval stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
#[ts(rename = "ApprovalStatus")]
#[schemars(rename = "ApprovalStatus")]
pub enum Status {
    /// Waits for an answer.
    Pending,
    /// Was approved.
    Approved,
    /// Was rejected.
    Rejected,
    /// Was answered with a value.
    Answered,
    /// Nobody answered in time.
    Expired,
    /// Was taken back.
    Withdrawn,
}

impl Status {
    /// As it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Answered => "answered",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }
    /// The status with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Pending, Self::Approved, Self::Rejected, Self::Answered, Self::Expired, Self::Withdrawn]
            .into_iter()
            .find(|status| status.as_str() == name)
    }
}

/// What becomes of the run when nobody answers in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum OnExpire {
    /// It goes on as if the approval was rejected.
    Reject,
    /// It fails.
    Fail,
}

impl OnExpire {
    /// As it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Fail => "fail",
        }
    }
    /// The consequence with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Reject, Self::Fail].into_iter().find(|consequence| consequence.as_str() == name)
    }
}

/// What a person decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Yes.
    Approve,
    /// No.
    Reject,
    /// This value.
    Answer,
}

/// A person's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(rename = "ApprovalAnswered")]
#[schemars(rename = "ApprovalAnswered")]
pub struct Answered {
    /// What was decided.
    pub verdict: Verdict,
    /// The tool's arguments as the person changed them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "unknown")]
    pub arguments: Option<serde_json::Value>,
    /// The value, with `answer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "unknown")]
    pub value: Option<serde_json::Value>,
    /// Words to the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub comment: Option<String>,
}

/// A question that holds a run until a person answers it. The first answer wins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// The workspace's revision at its last change.
    pub revision: Revision,
    /// When it was asked.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
    /// The session of its run.
    pub session_id: SessionId,
    /// The run that it holds.
    pub run_id: RunId,
    /// The task that waits for it, as the run's events name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub task: Option<String>,
    /// The tool's call that waits for it, with `tool`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub call: Option<String>,
    /// What is asked for.
    pub kind: Kind,
    /// The question in a line.
    pub title: String,
    /// The question.
    pub body: String,
    /// The tool that is to be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub tool: Option<String>,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "unknown")]
    pub arguments: Option<serde_json::Value>,
    /// The JSON Schema of the value that is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "unknown")]
    pub schema: Option<serde_json::Value>,
    /// Who may answer.
    pub roles: Vec<Role>,
    /// Until when it may be answered; absent: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub expires_at: Option<Millis>,
    /// What becomes of the run then.
    pub on_expire: OnExpire,
    /// Where it stands.
    pub status: Status,
    /// The answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub answer: Option<Answered>,
    /// Who answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub answered_by: Option<UserId>,
}

reads! {
    "approval": Approval by ApprovalId, for Viewer as "ApprovalGet", "ApprovalList", "ApprovalAggregate";
    title "title";
    fields [
        Field::reference("session_id", "session"),
        Field::reference("run_id", "run"),
        Field::text("task").optional(),
        Field::text("call").optional(),
        Field::text("kind"),
        Field::text("title").unsorted(),
        Field::text("body").unsorted(),
        Field::text("tool").optional(),
        Field::other("arguments").optional(),
        Field::other("schema").optional(),
        Field::other("roles"),
        Field::time("expires_at").optional(),
        Field::text("on_expire"),
        Field::text("status"),
        Field::other("answer").optional(),
        Field::id("answered_by").optional(),
    ]
}

/// Answers a question that holds a run. The first answer wins; one that comes later, also after the question has expired or was taken
/// back: `conflict`, `state`, with the row. A role that is not among the row's: `forbidden`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ApprovalAnswer")]
#[ts(rename = "ApprovalAnswer")]
pub struct Answer {
    /// Which question.
    #[garde(skip)]
    pub id: ApprovalId,
    /// The row's revision, as who answers has seen it; absent: whatever it is.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub revision: Option<Revision>,
    /// The decision: `answer` for an `input`, `approve` for the others, `reject` for each.
    #[garde(skip)]
    pub verdict: Verdict,
    /// With `approve` of a `tool`: the arguments with which it is called instead, an object.
    #[garde(inner(custom(not_too_deep)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "unknown")]
    pub arguments: Option<serde_json::Value>,
    /// With `answer`: the value, as the question's schema wants it.
    #[garde(inner(custom(not_too_deep)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "unknown")]
    pub value: Option<serde_json::Value>,
    /// Words to the agent.
    #[garde(inner(length(chars, max = 16_000)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub comment: Option<String>,
}

/// Takes a question back: the run goes on as if it was rejected. One that waits no more: `conflict`, `state`, with the row.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ApprovalWithdraw")]
#[ts(rename = "ApprovalWithdraw")]
pub struct Withdraw {
    /// Which question.
    #[garde(skip)]
    pub id: ApprovalId,
}

/// Puts a question before people, for a run that the worker holds. The run goes on; `run.park` puts it away until there is an answer, which
/// the run's stream tells.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ApprovalRequest")]
#[ts(rename = "ApprovalRequest")]
pub struct Request {
    /// Which run.
    #[garde(skip)]
    pub run_id: RunId,
    /// The epoch of the worker's lease.
    #[garde(range(min = 1))]
    #[ts(type = "number")]
    pub lease_epoch: i64,
    /// The task that waits for it, as the run's events name it.
    #[garde(inner(length(bytes, min = 1, max = 200)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub task: Option<String>,
    /// The tool's call that waits for it, with `tool`.
    #[garde(inner(length(bytes, min = 1, max = 200)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub call: Option<String>,
    /// What is asked for.
    #[garde(skip)]
    pub kind: Kind,
    /// The question in a line.
    #[garde(length(chars, min = 1, max = 500))]
    pub title: String,
    /// The question.
    #[garde(length(bytes, max = 65_536))]
    pub body: String,
    /// The tool that is to be called: with `kind` `tool` alone, and then it must be there.
    #[garde(inner(length(bytes, min = 1, max = 200)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub tool: Option<String>,
    /// Its arguments, an object.
    #[garde(inner(custom(not_too_deep)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "unknown")]
    pub arguments: Option<serde_json::Value>,
    /// The JSON Schema of the value that is asked for, with `kind` `input`.
    #[garde(inner(custom(not_too_deep)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "unknown")]
    pub schema: Option<serde_json::Value>,
    /// Who may answer: each of these, and those above; absent or empty: a member.
    #[garde(length(max = 4), inner(custom(of_a_person)))]
    #[serde(default)]
    #[ts(optional, as = "Option<Vec<Role>>")]
    pub roles: Vec<Role>,
    /// Until when it may be answered; absent: for ever.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub expires_at: Option<Millis>,
    /// What becomes of the run then; absent: `reject`.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub on_expire: Option<OnExpire>,
}

impl Operation for Request {
    const NAME: &'static str = "approval.request";
    const KIND: OperationKind = OperationKind::Mutation;
    const ACCESS: Access = Access::Worker;
    const RATE: Rate = Rate::Lease;
    type Output = Approval;
}
impl Operation for Answer {
    const NAME: &'static str = "approval.answer";
    const KIND: OperationKind = OperationKind::Mutation;
    const ACCESS: Access = Access::Viewer;
    const RATE: Rate = Rate::Write;
    type Output = Approval;
}
impl Operation for Withdraw {
    const NAME: &'static str = "approval.withdraw";
    const KIND: OperationKind = OperationKind::Mutation;
    const ACCESS: Access = Access::Admin;
    const RATE: Rate = Rate::Write;
    type Output = Approval;
}

fn not_too_deep(value: &serde_json::Value, (): &()) -> garde::Result {
    let depth = depth(value);
    if depth > VALUE_DEPTH { Err(garde::Error::new(format!("is nested {depth} deep; {VALUE_DEPTH} is the most"))) } else { Ok(()) }
}
