//! Following: what a subscription asks for and how it begins and ends.

use std::fmt;

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, IgnoredAny, MapAccess},
    ser,
};
use ts_rs::TS;

use crate::{
    decode::{ENCODED, decode},
    fault::Fault,
    frame::Body,
    keys::{self, Keys, once},
    value::{Offset, Revision, RunId, SessionId, encode},
};

/// Credit that a subscription starts with when its options name none, in bytes.
pub const CREDIT_BYTES: i64 = 256 << 10;
/// The most credit that a subscription can hold, in bytes.
pub const CREDIT_CAP_BYTES: i64 = 16 << 20;
/// The most credit that a connection (sub 0) can hold, in bytes.
pub const CONNECTION_CREDIT_CAP_BYTES: i64 = 64 << 20;

/// What is followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema, TS)]
#[serde(untagged)]
pub enum Target {
    /// A run's stream.
    Run {
        /// Which run.
        run: RunId,
        /// Only events of these types; absent: all.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        only: Option<Vec<String>>,
    },
    /// A read that stays true.
    Query {
        /// Which read.
        query: Query,
    },
    /// Who is in a session.
    Presence {
        /// Which session.
        presence: Place,
    },
}

/// A read that is followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[schemars(rename = "TargetQuery")]
#[ts(rename = "TargetQuery")]
pub struct Query {
    /// The operation's name; the table of operations marks it live.
    pub op: String,
    /// Its input, without `cursor`.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    #[ts(type = "Record<string, unknown>")]
    pub input: Input,
}

/// Where someone is present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[schemars(rename = "TargetPresence")]
#[ts(rename = "TargetPresence")]
pub struct Place {
    /// The session.
    pub session_id: SessionId,
}

/// An operation's input as it came, encoded: which type it is depends on the operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input(Vec<u8>);

impl Input {
    /// An input of this side's own.
    pub fn of<T: Serialize>(input: &T) -> Self {
        Self(encode(input))
    }
    /// To be decoded. Where it came from a peer, the frame's scan has passed it.
    pub fn body(&self) -> Body<'_> {
        Body::own(&self.0)
    }
}

impl Serialize for Input {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value: serde_json::Value = decode(&self.0).map_err(ser::Error::custom)?;
        value.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Input;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }
            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Input, E> {
                Ok(Input(bytes.to_vec()))
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Input, D::Error> {
                serde_json::Value::deserialize(deserializer).map(|value| Input::of(&value))
            }
        }
        deserializer.deserialize_newtype_struct(ENCODED, Visitor)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        keys::read::<TargetKeys, D>(deserializer)
    }
}

#[derive(Default)]
struct TargetKeys {
    target: Option<Target>,
    only: Option<Vec<String>>,
}

impl Keys for TargetKeys {
    type Built = Target;
    const EXPECTED: &'static str = "a map";

    fn key<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "run" => once(&mut self.target, map, "run", |run| Target::Run { run, only: None }),
            "query" => once(&mut self.target, map, "query", |query| Target::Query { query }),
            "presence" => once(&mut self.target, map, "presence", |presence| Target::Presence { presence }),
            "only" => {
                self.only = map.next_value()?;
                Ok(())
            }
            _ => map.next_value::<IgnoredAny>().map(drop),
        }
    }

    fn build<E: de::Error>(self) -> Result<Target, E> {
        match self.target {
            Some(Target::Run { run, .. }) => Ok(Target::Run { run, only: self.only }),
            Some(target) => Ok(target),
            None => Err(E::custom("without anything to follow: a target has `run`, `query` or `presence`")),
        }
    }
}

/// Options of a subscription. Presence has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct SubscribeOptions {
    /// The last offset of a run that the client has applied; absent: 0. The revision that it has of a query; absent: none.
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

/// A subscription to a query has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct SubscribedQuery {
    /// The revision at which the query stands.
    pub revision: Revision,
    /// Whether a snapshot follows; else changes since `from` do.
    pub snapshot: bool,
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
