//! The events of a run. The stream alone rebuilds the run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    fault::Fault,
    operations::{
        approval::Approval,
        artifact::Artifact,
        run::{CancelMode, Inputs, Status},
    },
    value::{MicroUsd, Millis, SteerId, UserId},
};

/// What models took and cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Usage {
    /// Tokens that went into models.
    #[ts(type = "number")]
    pub input_tokens: u64,
    /// Tokens that came out.
    #[ts(type = "number")]
    pub output_tokens: u64,
    /// What they cost.
    pub cost_microusd: MicroUsd,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        self.cost_microusd.0 += other.cost_microusd.0;
    }
}

/// What a run waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum WaitingFor {
    /// A person's answer.
    Approval,
    /// Someone to resume it.
    Pause,
    /// A worker that serves its crew.
    Worker,
}

impl WaitingFor {
    /// As it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approval => "approval",
            Self::Pause => "pause",
            Self::Worker => "worker",
        }
    }
    /// What has this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Approval, Self::Pause, Self::Worker].into_iter().find(|waits| waits.as_str() == name)
    }
}

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum TextRole {
    /// An answer.
    Answer,
    /// A thought on the way to one.
    Thought,
}

/// How serious a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// For who looks closely.
    Debug,
    /// Worth knowing.
    Info,
    /// Something may be wrong.
    Warn,
    /// Something is wrong.
    Error,
}

macro_rules! run_events {
    ($(
        $(#[$doc:meta])*
        $variant:ident = $name:literal { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }
    )*) => {
        /// One event of a run: what happened, and when. `task`, `part` and `call` are unique within the run over all attempts.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
        #[serde(tag = "type")]
        pub enum RunEvent {
            $(
                $(#[$doc])*
                #[serde(rename = $name)]
                $variant {
                    /// When it happened.
                    at: Millis,
                    $($(#[$field_meta])* $field: $type,)*
                },
            )*
        }

        impl RunEvent {
            /// Every type of event, as `only` names them.
            pub const TYPES: &[&'static str] = &[$($name),*];

            /// Its type, as it stands on the wire.
            pub const fn type_name(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $name,)* }
            }
            /// When it happened.
            pub const fn at(&self) -> Millis {
                match self { $(Self::$variant { at, .. } => *at,)* }
            }
        }
    };
}

run_events! {
    /// An attempt begins. With `attempt` > 1 it voids parts without `text.finished` and calls without an end.
    RunStarted = "run.started" {
        /// From 1.
        attempt: u32,
        /// The crew's name.
        crew: String,
        /// What the run was started with.
        #[ts(type = "Record<string, unknown>")]
        inputs: Inputs,
    }
    /// The run waits.
    RunWaiting = "run.waiting" {
        /// For what.
        r#for: WaitingFor,
    }
    /// The run goes on after waiting.
    RunResumed = "run.resumed" {}
    /// Someone asked the run to pause: it waits after the model and tool calls that are going on.
    RunPauseRequested = "run.pause_requested" {
        /// Who.
        by: UserId,
    }
    /// Someone asked for the run's end.
    RunCancelRequested = "run.cancel_requested" {
        /// How.
        mode: CancelMode,
        /// Who.
        by: UserId,
    }
    /// The run has ended; nothing comes after it.
    RunFinished = "run.finished" {
        /// `succeeded`, `failed` or `cancelled`.
        status: Status,
        /// The last task's output.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        output: Option<String>,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        fault: Option<Fault>,
        /// What it took and cost, over all attempts.
        usage: Usage,
    }
    /// A task begins.
    TaskStarted = "task.started" {
        /// The task's id.
        task: String,
        /// Its name, as `tasks.yaml` has it.
        name: String,
        /// Who works on it, as `agents.yaml` names the agent.
        agent: String,
        /// The task under which it was delegated.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        parent: Option<String>,
    }
    /// A task has its output.
    TaskFinished = "task.finished" {
        /// The task's id.
        task: String,
        /// Its output.
        output: String,
    }
    /// A task failed.
    TaskFailed = "task.failed" {
        /// The task's id.
        task: String,
        /// Why.
        fault: Fault,
    }
    /// A model begins to speak.
    TextStarted = "text.started" {
        /// The part's id.
        part: String,
        /// For which task.
        task: String,
        /// Which agent.
        agent: String,
        /// What it is.
        role: TextRole,
    }
    /// Words of a part. Adjacent ones of the same part may reach a subscriber as one.
    TextDelta = "text.delta" {
        /// The part's id.
        part: String,
        /// The words.
        text: String,
    }
    /// A part is whole.
    TextFinished = "text.finished" {
        /// The part's id.
        part: String,
    }
    /// An agent calls a tool.
    ToolStarted = "tool.started" {
        /// The call's id.
        call: String,
        /// For which task.
        task: String,
        /// Which agent.
        agent: String,
        /// Which tool.
        tool: String,
        /// The arguments.
        #[ts(type = "unknown")]
        input: serde_json::Value,
    }
    /// A tool gave its result.
    ToolFinished = "tool.finished" {
        /// The call's id.
        call: String,
        /// The result.
        #[ts(type = "unknown")]
        output: serde_json::Value,
    }
    /// A tool failed; the agent reads the fault and goes on.
    ToolFailed = "tool.failed" {
        /// The call's id.
        call: String,
        /// Why.
        fault: Fault,
    }
    /// A person is asked; the run waits where it needs the answer.
    ApprovalRequested = "approval.requested" {
        /// The row.
        approval: Box<Approval>,
    }
    /// A person has answered, or nobody did in time, or the question was taken back.
    ApprovalAnswered = "approval.answered" {
        /// The row.
        approval: Box<Approval>,
    }
    /// Someone gave words to the run.
    SteerReceived = "steer.received" {
        /// The words' id.
        steer_id: SteerId,
        /// The words.
        text: String,
        /// Who gave them.
        by: UserId,
    }
    /// The words have reached an agent.
    SteerApplied = "steer.applied" {
        /// The words' id.
        steer_id: SteerId,
        /// In which task.
        task: String,
    }
    /// How far the run is. A later one supersedes an earlier.
    ProgressReported = "progress.reported" {
        /// From 0 to 1.
        fraction: f64,
        /// What is being done.
        message: String,
    }
    /// A model call's figures.
    UsageRecorded = "usage.recorded" {
        /// For which task.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        task: Option<String>,
        /// Which agent.
        agent: String,
        /// Which model.
        model: String,
        /// Tokens that went in.
        #[ts(type = "number")]
        input_tokens: u64,
        /// Tokens that came out.
        #[ts(type = "number")]
        output_tokens: u64,
        /// What they cost.
        cost_microusd: MicroUsd,
    }
    /// The run made a file.
    ArtifactCreated = "artifact.created" {
        /// The row.
        artifact: Box<Artifact>,
    }
    /// A line for who looks closely.
    LogWritten = "log.written" {
        /// How serious.
        level: LogLevel,
        /// The line.
        message: String,
        /// More about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional, type = "Record<string, unknown>")]
        fields: Option<Inputs>,
    }
}
