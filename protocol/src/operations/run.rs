//! Runs: executions of a crew.

mod held;

pub use held::{Append, Appended, BATCH_EVENTS, Finish, Outcome, Park, Release};

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    event::{Usage, WaitingFor},
    fault::Fault,
    operation::{Access, Kind, Operation, Rate},
    operations::reads::reads,
    value::{MessageId, MicroUsd, Millis, RecordId, Revision, RunId, SessionId, UserId, VALUE_DEPTH, depth},
};

/// A JSON object, as a crew's inputs are.
pub type Inputs = serde_json::Map<String, serde_json::Value>;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
#[ts(rename = "RunStatus")]
#[schemars(rename = "RunStatus")]
pub enum Status {
    /// Waits for someone to execute it.
    Queued,
    /// Is being executed.
    Running,
    /// Waits for a person or a worker.
    Waiting,
    /// Ended with an output.
    Succeeded,
    /// Ended with a fault.
    Failed,
    /// Was cancelled.
    Cancelled,
}

impl Status {
    /// As it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
    /// The status with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Queued, Self::Running, Self::Waiting, Self::Succeeded, Self::Failed, Self::Cancelled]
            .into_iter()
            .find(|status| status.as_str() == name)
    }
    /// Whether it will not change again.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// The most runs that one start makes.
pub const FOR_EACH: usize = 100;

/// A record that a run is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RunSubject")]
#[ts(rename = "RunSubject")]
pub struct Subject {
    /// Its collection.
    #[garde(length(bytes, min = 1, max = 100))]
    pub collection: String,
    /// Its id.
    #[garde(skip)]
    pub id: RecordId,
}

/// What a run may take; what is absent is not bounded. It ends with `over_quota` when any of it is used up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RunBudget")]
#[ts(rename = "RunBudget")]
pub struct Budget {
    /// What its models may cost.
    #[garde(custom(costs_something))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub cost_microusd: Option<MicroUsd>,
    /// Tokens that may go into its models and come out, together.
    #[garde(range(min = 1_u64, max = 1_000_000_000_000_u64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "number")]
    pub tokens: Option<u64>,
    /// How long it may be executed; what it waits for people does not count.
    #[garde(range(min = 1_u64, max = 1_000_000_000_000_u64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "number")]
    pub duration_ms: Option<u64>,
}

/// One execution of a crew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Run {
    /// Its id; its stream is followed by it.
    pub id: RunId,
    /// The workspace's revision at its last change.
    pub revision: Revision,
    /// When it was started by a person.
    pub created_at: Millis,
    /// When the row last changed.
    pub updated_at: Millis,
    /// The session that it belongs to.
    pub session_id: SessionId,
    /// The crew's name.
    pub crew: String,
    /// The app's version that it started with and keeps.
    pub version: String,
    /// What it was started with.
    #[ts(type = "Record<string, unknown>")]
    pub inputs: Inputs,
    /// Where it stands.
    pub status: Status,
    /// How often it was begun; 0 before the first time.
    pub attempt: u32,
    /// From 0 to 1.
    pub progress: f64,
    /// The last task's output, when it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub output: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub fault: Option<Fault>,
    /// What its models took and cost.
    pub usage: Usage,
    /// Who started it.
    pub started_by: UserId,
    /// Those with more are executed first.
    pub priority: i32,
    /// What it may take, beside what its crew may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub budget: Option<Budget>,
    /// The record that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub subject: Option<Subject>,
    /// The same record's id, by which runs are found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub subject_id: Option<RecordId>,
    /// The message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub message_id: Option<MessageId>,
    /// The run that it tries again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub retry_of: Option<RunId>,
    /// The run that stands for it and others, started with `for_each`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub parent_id: Option<RunId>,
    /// How many runs it stands for, where it was started with `for_each`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub runs: Option<u32>,
    /// What it waits for, where it is put away, or where no worker serves its crew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub waiting_for: Option<WaitingFor>,
    /// When someone asked for its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub cancel_requested_at: Option<Millis>,
    /// Since when it is to pause, or does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub pause_requested_at: Option<Millis>,
    /// When it was first begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub started_at: Option<Millis>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub finished_at: Option<Millis>,
}

/// Starts a run of a crew. It belongs to the server: it goes on when the connection ends.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RunStart")]
#[ts(rename = "RunStart")]
pub struct Start {
    /// An id of the client's own; absent: the server makes one. One that is there already: `conflict`, `taken`.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub id: Option<RunId>,
    /// The crew's name, as the app has it.
    #[garde(length(bytes, min = 1, max = 100))]
    pub crew: String,
    /// A value for each placeholder of the crew, and what its input schema asks for.
    #[garde(custom(not_too_deep))]
    #[serde(default)]
    #[ts(optional, type = "Record<string, unknown>")]
    pub inputs: Inputs,
    /// The session that it belongs to; absent: one is made.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub session_id: Option<SessionId>,
    /// The record that it is about.
    #[garde(dive)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub subject: Option<Subject>,
    /// Starts a run for each of these, whose values come before those of `inputs`. The reply is a run that stands for them: it ends when
    /// all have ended, and they name it as `parent_id`.
    #[garde(length(min = 1, max = FOR_EACH), custom(none_too_deep))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "Record<string, unknown>[]")]
    pub for_each: Option<Vec<Inputs>>,
    /// From -100 to 100: those with more are executed first. Absent: 0.
    #[garde(range(min = -100, max = 100))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub priority: Option<i32>,
    /// What it may take, beside what its crew may: the tighter of both holds. With `for_each`, each of the runs.
    #[garde(dive)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub budget: Option<Budget>,
    /// What becomes of it while another run of the crew goes on in the session; absent: as the crew says.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub on_busy: Option<OnBusy>,
}

reads! {
    "run": Run by RunId, for Viewer as "RunGet", "RunList", "RunAggregate";
    fields [
        Field::reference("session_id", "session"),
        Field::text("crew"),
        Field::text("version"),
        Field::other("inputs"),
        Field::text("status"),
        Field::integer("attempt"),
        Field::number("progress"),
        Field::text("output").optional().unsorted(),
        Field::other("fault").optional(),
        Field::other("usage"),
        Field::reference("started_by", "member"),
        Field::integer("priority"),
        Field::other("budget").optional(),
        Field::other("subject").optional(),
        Field::id("subject_id").optional(),
        Field::reference("message_id", "message").optional(),
        Field::reference("retry_of", "run").optional(),
        Field::reference("parent_id", "run").optional(),
        Field::integer("runs").optional(),
        Field::text("waiting_for").optional(),
        Field::time("cancel_requested_at").optional(),
        Field::time("pause_requested_at").optional(),
        Field::time("started_at").optional(),
        Field::time("finished_at").optional(),
    ]
}

/// What becomes of a run that is started in a session while another of the same crew goes on there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum OnBusy {
    /// It is refused: `conflict`, `busy`, with the run that goes on.
    Reject,
    /// It waits for its turn.
    #[default]
    Queue,
    /// There is no new run: its words are given to the one that goes on, which is the reply.
    Steer,
}

/// How a run is to end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum CancelMode {
    /// After the model or tool call that is going on.
    #[default]
    Graceful,
    /// At once: the model's stream is cut off.
    Now,
}

/// Asks a run to end. Replies at once with its row; the stream's `run.finished` says when it has. A finished run: its row.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RunCancel")]
#[ts(rename = "RunCancel")]
pub struct Cancel {
    /// Which run.
    #[garde(skip)]
    pub id: RunId,
    /// How; absent: `graceful`.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub mode: Option<CancelMode>,
}

/// Gives words to a run's agents: the next model call reads them. Those that come too late become messages of the session.
/// A run that has ended: `conflict`, `state`, with its row.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RunSteer")]
#[ts(rename = "RunSteer")]
pub struct Steer {
    /// Which run.
    #[garde(skip)]
    pub id: RunId,
    /// The words.
    #[garde(length(chars, min = 1, max = 16_000))]
    pub text: String,
}

/// Asks a run to pause: it waits after the model and tool calls that are going on, held by nobody, until it is resumed. One that is
/// asked already: its row. One that has ended: `conflict`, `state`, with its row.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RunPause")]
#[ts(rename = "RunPause")]
pub struct Pause {
    /// Which run.
    #[garde(skip)]
    pub id: RunId,
}

/// Lets a paused run go on, or one that was asked to pause. One that is neither: `conflict`, `state`, with its row.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RunResume")]
#[ts(rename = "RunResume")]
pub struct Resume {
    /// Which run.
    #[garde(skip)]
    pub id: RunId,
}

/// Starts a run that has ended anew, as the app is now: with the same inputs, session, subject, priority and budget. Of one that stands
/// for others, those that did not succeed. One that has not ended: `conflict`, `state`, with its row.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RunRetry")]
#[ts(rename = "RunRetry")]
pub struct Retry {
    /// Which run.
    #[garde(skip)]
    pub id: RunId,
}

impl Operation for Retry {
    const NAME: &'static str = "run.retry";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Member;
    const RATE: Rate = Rate::Write;
    type Output = Run;
}
impl Operation for Steer {
    const NAME: &'static str = "run.steer";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Member;
    const RATE: Rate = Rate::Write;
    type Output = Run;
}
impl Operation for Pause {
    const NAME: &'static str = "run.pause";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Member;
    const RATE: Rate = Rate::Write;
    type Output = Run;
}
impl Operation for Resume {
    const NAME: &'static str = "run.resume";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Member;
    const RATE: Rate = Rate::Write;
    type Output = Run;
}
impl Operation for Start {
    const NAME: &'static str = "run.start";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Member;
    const RATE: Rate = Rate::Write;
    type Output = Run;
}
impl Operation for Cancel {
    const NAME: &'static str = "run.cancel";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Member;
    const RATE: Rate = Rate::Write;
    type Output = Run;
}

/// Passes inputs that come out as they were let in.
pub(super) fn not_too_deep(inputs: &Inputs, (): &()) -> garde::Result {
    let depth = 1 + inputs.values().map(depth).max().unwrap_or(0);
    if depth > VALUE_DEPTH { Err(garde::Error::new(format!("is nested {depth} deep; {VALUE_DEPTH} is the most"))) } else { Ok(()) }
}

fn none_too_deep(all: &Option<Vec<Inputs>>, (): &()) -> garde::Result {
    all.iter().flatten().try_for_each(|inputs| not_too_deep(inputs, &()))
}

/// Passes a cost of something.
pub(super) fn costs_something(cost: &Option<MicroUsd>, (): &()) -> garde::Result {
    if cost.is_some_and(|cost| cost.0 < 1) { Err(garde::Error::new("is 1 or more")) } else { Ok(()) }
}
