//! Workers: processes that execute runs.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    operation::{Access, Kind, Operation, Rate},
    operations::{
        crew::a_name,
        lease::{Held, HeldSince},
        reads::reads,
        run::{Inputs, not_too_deep},
    },
    value::{ApiKeyId, Millis, Revision, WorkerId},
};

/// The most runs that a worker holds at once.
pub const CAPACITY: u32 = 1_000;

/// Where a worker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "WorkerState")]
#[ts(rename = "WorkerState")]
pub enum State {
    /// Takes runs.
    Online,
    /// Is there, and takes no more: as it said itself with a `capacity` of 0, or as an admin asked.
    Draining,
    /// Has said nothing for `lease_ms`.
    Offline,
}

impl State {
    /// As it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Draining => "draining",
            Self::Offline => "offline",
        }
    }
    /// The state with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Online, Self::Draining, Self::Offline].into_iter().find(|state| state.as_str() == name)
    }
}

/// A process that executes runs. The same key and name is the same worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Worker {
    /// Its id.
    pub id: WorkerId,
    /// The workspace's revision at its last change.
    pub revision: Revision,
    /// When it first registered.
    pub created_at: Millis,
    /// When the row last changed.
    pub updated_at: Millis,
    /// Its name.
    pub name: String,
    /// The key that it signs in with.
    pub api_key_id: ApiKeyId,
    /// The crews that it serves.
    pub crews: Vec<String>,
    /// What it has that crews may ask for.
    pub labels: Vec<String>,
    /// How many runs it holds at most.
    pub capacity: u32,
    /// How many it holds, as of a moment ago.
    pub held: u32,
    /// Where it stands.
    pub state: State,
    /// Whether an admin asked it to take no more.
    pub drained: bool,
    /// When it last said something, as of the row's last reading: it moves no revision.
    pub last_seen_at: Millis,
}

reads! {
    "worker": Worker by WorkerId, for Viewer as "WorkerGet", "WorkerList", "WorkerAggregate";
    title "name";
    fields [
        Field::text("name"),
        Field::reference("api_key_id", "api_key"),
        Field::list("crews"),
        Field::list("labels"),
        Field::integer("capacity"),
        Field::integer("held"),
        Field::text("state"),
        Field::boolean("drained"),
        Field::time("last_seen_at"),
    ]
}

/// A crew that a worker serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WorkerCrew")]
#[ts(rename = "WorkerCrew")]
pub struct ServedCrew {
    /// Its name, as `run.start` takes it: that of one in the app or imported whose `crew.yaml` says `executor: worker`, or a new one.
    #[garde(custom(a_name))]
    pub name: String,
    /// Which version of it.
    #[garde(length(chars, max = 200))]
    #[serde(default)]
    #[ts(optional, as = "Option<String>")]
    pub version: String,
    /// What it does.
    #[garde(length(chars, max = 4_000))]
    #[serde(default)]
    #[ts(optional, as = "Option<String>")]
    pub description: String,
    /// The JSON Schema of a run's inputs, of type `object`; absent: any. Of a crew that `crew.yaml` describes, its own holds.
    #[garde(custom(not_too_deep))]
    #[serde(default)]
    #[ts(optional, type = "Record<string, unknown>")]
    pub input_schema: Inputs,
}

/// Says that a worker is there, what it serves, and which runs it goes on with. Crews that nobody described before are there for everyone
/// from then on. What the worker held before and does not name in `held` is lost to it. The connection acts as this worker from then on; an
/// older one of it gets `ended: server` on its subscriptions. A worker that stays must say something, `lease.renew` or this, within
/// `lease_ms`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WorkerRegister")]
#[ts(rename = "WorkerRegister")]
pub struct Register {
    /// Its name; the same key and name is the same worker.
    #[garde(length(chars, min = 1, max = 200))]
    pub name: String,
    /// The crews that it serves.
    #[garde(length(max = 100), dive)]
    pub crews: Vec<ServedCrew>,
    /// How many runs it holds at most; 0: it takes no more.
    #[garde(range(max = CAPACITY))]
    pub capacity: u32,
    /// What it has that crews may ask for, as `gpu`: a run is given to a worker that has all `labels` of its crew's `crew.yaml`.
    #[garde(length(max = 32), inner(length(bytes, min = 1, max = 100)))]
    #[serde(default)]
    #[ts(optional, as = "Option<Vec<String>>")]
    pub labels: Vec<String>,
    /// The runs that it goes on with.
    #[garde(length(max = CAPACITY as usize), dive)]
    #[serde(default)]
    #[ts(optional, as = "Option<Vec<Held>>")]
    pub held: Vec<Held>,
}

/// A worker that is registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[schemars(rename = "WorkerRegistered")]
#[ts(rename = "WorkerRegistered")]
pub struct Registered {
    /// The row.
    pub worker: Worker,
    /// How long a lease holds without being renewed: `lease.renew` comes every third of it.
    #[ts(type = "number")]
    pub lease_ms: u64,
    /// The runs among those named that it still holds.
    pub held: Vec<HeldSince>,
}

/// Asks a worker to take no more runs, or to take some again. What it holds it goes on with.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WorkerDrain")]
#[ts(rename = "WorkerDrain")]
pub struct Drain {
    /// Which one.
    #[garde(skip)]
    pub id: WorkerId,
    /// Whether it takes no more; absent: so.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub drained: Option<bool>,
}

impl Operation for Register {
    const NAME: &'static str = "worker.register";
    const KIND: Kind = Kind::Idempotent;
    const ACCESS: Access = Access::Worker;
    const RATE: Rate = Rate::Write;
    type Output = Registered;
}
impl Operation for Drain {
    const NAME: &'static str = "worker.drain";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Admin;
    const RATE: Rate = Rate::Write;
    type Output = Worker;
}
