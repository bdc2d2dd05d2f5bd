//! Approvals: questions that hold a run until a person answers them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    operation::Role,
    value::{ApprovalId, Millis, Revision, RunId, SessionId, UserId},
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

/// What becomes of the run when nobody answers in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum OnExpire {
    /// It goes on as if the approval was rejected.
    Reject,
    /// It fails.
    Fail,
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
