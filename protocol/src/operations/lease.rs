//! Leases: which run a worker holds, until when.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    operation::{Access, Kind, Operation, Rate},
    operations::{
        reads::{aggregate, describe, get},
        run::Inputs,
        worker::CAPACITY,
    },
    read::{Asked, Filter, Page, Read, ReadOperation, Sort},
    value::{LeaseId, Millis, Offset, Revision, RunId, SessionId, WorkerId},
};

/// A worker's hold on one run: it is there as long as the run is the worker's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Lease {
    /// Its id: the same run, assigned again, is another lease.
    pub id: LeaseId,
    /// The workspace's revision at its last change.
    pub revision: Revision,
    /// When the run was assigned.
    pub created_at: Millis,
    /// When the row last changed.
    pub updated_at: Millis,
    /// The run.
    pub run_id: RunId,
    /// Who holds it.
    pub worker_id: WorkerId,
    /// Its epoch, as what is written under it names it: raised with every new hold on the run.
    #[ts(type = "number")]
    pub epoch: i64,
    /// Which attempt at the run it is; the same as before for a run that was put away or given back.
    pub attempt: u32,
    /// The session of the run.
    pub session_id: SessionId,
    /// The crew's name.
    pub crew: String,
    /// What the run was started with.
    #[ts(type = "Record<string, unknown>")]
    pub inputs: Inputs,
    /// The last offset of the run's stream when it was assigned, `run.started` of this attempt among what is before it.
    pub history_head: Offset,
}

describe! {
    "lease": Lease;
    fields [
        Field::reference("run_id", "run"),
        Field::reference("worker_id", "worker"),
        Field::integer("epoch"),
        Field::integer("attempt"),
        Field::reference("session_id", "session"),
        Field::text("crew"),
        Field::other("inputs"),
        Field::integer("history_head"),
    ]
}
get! { "lease": Lease by LeaseId, for ViewerOrWorker, live true, as "LeaseGet" }
aggregate! { "lease", for ViewerOrWorker, as "LeaseAggregate"; }

/// Lists leases, by `id` unless `sort` says otherwise, which is about the order in which they were assigned. A worker sees its own alone.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LeaseList")]
#[ts(rename = "LeaseList")]
pub struct List {
    /// Those of the worker that the connection acts as; where none has registered: `conflict`, `state`.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub mine: Option<bool>,
    /// Which; absent: all.
    #[garde(dive)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub filter: Option<Filter>,
    /// By what; equals come by `id`.
    #[garde(length(max = 8), dive)]
    #[serde(default, deserialize_with = "crate::value::nil_as_absent", skip_serializing_if = "Vec::is_empty")]
    #[ts(optional, as = "Option<Vec<Sort>>")]
    pub sort: Vec<Sort>,
    /// How many at most: 1 to 500, with `cursor` 1 to 200; absent: 50, with `mine` 500.
    #[garde(range(min = 1, max = 500))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub limit: Option<u32>,
    /// `next` of the list before.
    #[garde(length(bytes, max = 4096))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub cursor: Option<String>,
    /// Whether to tell how many match in all.
    #[garde(skip)]
    #[serde(default, deserialize_with = "crate::value::nil_as_absent", skip_serializing_if = "std::ops::Not::not")]
    #[ts(optional, as = "Option<bool>")]
    pub count: bool,
}

/// What stands for `mine` in a question: workers' leases have no other parent.
pub const MINE: &str = "mine";

impl ReadOperation for List {
    fn asked(self) -> Asked {
        let Self { mine, filter, sort, limit, cursor, count } = self;
        let mine = mine == Some(true);
        let limit = limit.or((mine && cursor.is_none()).then_some(500));
        Asked { noun: "lease", parent: mine.then(|| MINE.to_owned()), read: Read::List { filter, sort, limit, cursor, count } }
    }
}

impl Operation for List {
    const NAME: &'static str = "lease.list";
    const KIND: Kind = Kind::Read;
    const ACCESS: Access = Access::ViewerOrWorker;
    const RATE: Rate = Rate::Read;
    const LIVE: bool = true;
    type Output = Page<Lease>;
}

/// A run that a worker holds, as the worker names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LeaseHeld")]
#[ts(rename = "LeaseHeld")]
pub struct Held {
    /// The run.
    #[garde(skip)]
    pub run_id: RunId,
    /// The epoch of its lease.
    #[garde(range(min = 1))]
    #[ts(type = "number")]
    pub lease_epoch: i64,
}

/// A run that a worker goes on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[schemars(rename = "LeaseHeldSince")]
#[ts(rename = "LeaseHeldSince")]
pub struct HeldSince {
    /// The run.
    pub run_id: RunId,
    /// The epoch of its lease.
    #[ts(type = "number")]
    pub lease_epoch: i64,
    /// The last `seq` that is stored; 0: nothing is.
    #[ts(type = "number")]
    pub seq: i64,
}

/// Moves the ends of leases on. What is not named is not renewed. With none it says that the worker is there.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LeaseRenew")]
#[ts(rename = "LeaseRenew")]
pub struct Renew {
    /// The runs that are held.
    #[garde(length(max = CAPACITY as usize), dive)]
    pub held: Vec<Held>,
}

/// What became of the leases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[schemars(rename = "LeaseRenewed")]
#[ts(rename = "LeaseRenewed")]
pub struct Renewed {
    /// Those among the runs that are the worker's no more: it stops them, for nothing that it writes is stored.
    pub lost: Vec<RunId>,
}

impl Operation for Renew {
    const NAME: &'static str = "lease.renew";
    const KIND: Kind = Kind::Idempotent;
    const ACCESS: Access = Access::Worker;
    const RATE: Rate = Rate::Lease;
    type Output = Renewed;
}
