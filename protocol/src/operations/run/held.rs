//! What a worker says of a run that it holds.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::Run;
use crate::{
    event::RunEvent,
    fault::Fault,
    operation::{Access, Kind, Operation, Rate},
    value::{Offset, RunId},
};

/// The most events in one batch.
pub const BATCH_EVENTS: usize = 1_000;

/// Appends events to the stream of a run that the worker holds: `task.*`, `text.*`, `tool.*`, `progress.reported`, `usage.recorded`,
/// `log.written`, `steer.applied`; the server writes the others. A batch is stored whole or not at all, those of one run in the order in
/// which they come, however many are under way. What is stored already is skipped; a hole is `conflict`, `sequence`, whose `current` is
/// `{seq}`, the last that is stored. The cost of `usage.recorded` is the server's to tell, whatever it says. Where it uses up a budget the
/// run ends, and this is answered with `over_quota`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RunAppend")]
#[ts(rename = "RunAppend")]
pub struct Append {
    /// Which run.
    #[garde(skip)]
    pub run_id: RunId,
    /// The epoch of the worker's lease.
    #[garde(range(min = 1))]
    #[ts(type = "number")]
    pub lease_epoch: i64,
    /// The number of the batch's first event: they count from 1 in each lease epoch.
    #[garde(range(min = 1))]
    #[ts(type = "number")]
    pub seq: i64,
    /// The events.
    #[garde(length(min = 1, max = BATCH_EVENTS))]
    pub events: Vec<RunEvent>,
}

/// What is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[schemars(rename = "RunAppended")]
#[ts(rename = "RunAppended")]
pub struct Appended {
    /// The number of the last event that is stored.
    #[ts(type = "number")]
    pub seq: i64,
    /// The stream's last offset after it.
    pub head: Offset,
}

/// Puts a run away until one of its questions is answered, or, where it is to pause, until someone resumes it: the lease ends and its place
/// is free. The next lease has the same attempt. Where nothing is waited for, for it was answered just now: `conflict`, `state`, with the
/// run.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RunPark")]
#[ts(rename = "RunPark")]
pub struct Park {
    /// Which run.
    #[garde(skip)]
    pub run_id: RunId,
    /// The epoch of the worker's lease.
    #[garde(range(min = 1))]
    #[ts(type = "number")]
    pub lease_epoch: i64,
}

/// How a worker says that a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "RunOutcome")]
#[ts(rename = "RunOutcome")]
pub enum Outcome {
    /// With an output.
    Succeeded,
    /// With a fault.
    Failed,
    /// As someone asked for.
    Cancelled,
}

/// Ends a run, and with it the lease, after everything that was appended before.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RunFinish")]
#[ts(rename = "RunFinish")]
pub struct Finish {
    /// Which run.
    #[garde(skip)]
    pub run_id: RunId,
    /// The epoch of the worker's lease.
    #[garde(range(min = 1))]
    #[ts(type = "number")]
    pub lease_epoch: i64,
    /// How it ended. `cancelled` where nobody asked for its end: `conflict`, `state`.
    #[garde(skip)]
    pub status: Outcome,
    /// Its output; with `succeeded` alone, and then it must be there.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub output: Option<String>,
    /// Why it failed; with `failed` alone, and then it must be there.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub fault: Option<Fault>,
}

/// Gives a run back: whoever is next goes on with it, in the same attempt.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RunRelease")]
#[ts(rename = "RunRelease")]
pub struct Release {
    /// Which run.
    #[garde(skip)]
    pub run_id: RunId,
    /// The epoch of the worker's lease.
    #[garde(range(min = 1))]
    #[ts(type = "number")]
    pub lease_epoch: i64,
}

impl Operation for Append {
    const NAME: &'static str = "run.append";
    const KIND: Kind = Kind::Idempotent;
    const ACCESS: Access = Access::Worker;
    const RATE: Rate = Rate::Lease;
    type Output = Appended;
}
impl Operation for Park {
    const NAME: &'static str = "run.park";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Worker;
    const RATE: Rate = Rate::Lease;
    type Output = Run;
}
impl Operation for Finish {
    const NAME: &'static str = "run.finish";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Worker;
    const RATE: Rate = Rate::Lease;
    type Output = Run;
}
impl Operation for Release {
    const NAME: &'static str = "run.release";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Worker;
    const RATE: Rate = Rate::Lease;
    type Output = Run;
}
