//! Following a run: what a subscription asks for and how it begins and ends.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    fault::Fault,
    value::{Offset, RunId},
};

/// Credit that a subscription starts with when its options name none, in bytes.
pub const CREDIT_BYTES: i64 = 256 << 10;
/// The most credit that a subscription can hold, in bytes.
pub const CREDIT_CAP_BYTES: i64 = 16 << 20;
/// The most credit that a connection (sub 0) can hold, in bytes.
pub const CONNECTION_CREDIT_CAP_BYTES: i64 = 64 << 20;

/// What is followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Target {
    /// A run's stream.
    pub run: RunId,
    /// Only events of these types; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub only: Option<Vec<String>>,
}

/// Options of a subscription.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct SubscribeOptions {
    /// The last offset that the client has applied; absent: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub from: Option<i64>,
    /// The credit to start with, in bytes; absent: 256 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "number")]
    pub credit: Option<i64>,
}

/// A subscription to a run has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct SubscribedRun {
    /// Events after this offset follow.
    pub from: Offset,
    /// The stream's last offset.
    pub head: Offset,
    /// Whether the run has finished: nothing will come after `head`.
    pub complete: bool,
}

/// Why a subscription ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum EndedWhy {
    /// The run has finished and all of it was sent.
    Complete,
    /// The right to it was taken away.
    Forbidden,
    /// It was deleted.
    Deleted,
    /// The server ended it: subscribe again.
    Server,
    /// It was never begun; the fault says why.
    Refused,
}

/// A subscription's end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Ended {
    /// Why.
    pub why: EndedWhy,
    /// What was wrong, with `refused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub fault: Option<Fault>,
}
