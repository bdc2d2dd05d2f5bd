//! Values that have a meaning of their own on the wire: ids, times, positions, money.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use ts_rs::TS;
use uuid::Uuid;

/// The largest integer that every client can hold exactly: 2^53 − 1 (ECMA-262, `Number.MAX_SAFE_INTEGER`).
pub const MAX_INTEGER: i64 = (1 << 53) - 1;

/// How deep a value that someone hands in may be, such as a run's inputs, itself counted as 1. A frame may be nested
/// [`crate::scan::DEPTH`] deep, and a row stands up to six levels deep in the frames that carry it: what is let in must come out.
pub const VALUE_DEPTH: usize = 24;

/// How deep arrays and maps stand in each other in a value; 0 for a scalar.
pub fn depth(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(elements) => 1 + elements.iter().map(depth).max().unwrap_or(0),
        serde_json::Value::Object(entries) => 1 + entries.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// A text is not a UUIDv7 in lower-case hyphenated form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a UUIDv7 in lower-case hyphenated form")]
pub struct MalformedId;

/// Reads a UUIDv7 as the wire has it (RFC 9562, section 5.7): 36 characters, lower case, with hyphens.
fn parse_uuid_v7(text: &str) -> Result<Uuid, MalformedId> {
    let canonical = text.len() == 36 && !text.bytes().any(|b| b.is_ascii_uppercase());
    let uuid = Uuid::try_parse(text).ok().filter(|_| canonical).ok_or(MalformedId)?;
    if uuid.get_version_num() == 7 { Ok(uuid) } else { Err(MalformedId) }
}

/// Makes a UUIDv7 from a time in milliseconds since the Unix epoch and 74 of the 80 random bits given.
fn uuid_v7(now: Millis, random: [u8; 10]) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(now.0.max(0).unsigned_abs(), &random).into_uuid()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id, made from the time and 10 random bytes.
            pub fn new(now: Millis, random: [u8; 10]) -> Self {
                Self(uuid_v7(now, random))
            }
            /// The same id as another of another kind: of something that is both.
            pub fn same_as(other: impl Into<Uuid>) -> Self {
                Self(other.into())
            }
            /// The time at which it was made, as its maker's clock had it.
            pub fn made_at(self) -> Millis {
                Millis((self.0.as_u128() >> 80) as i64)
            }
            /// The 16 bytes.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }
        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self.0.as_hyphenated(), f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
        impl FromStr for $name {
            type Err = MalformedId;
            fn from_str(text: &str) -> Result<Self, MalformedId> {
                parse_uuid_v7(text).map(Self)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut buffer = Uuid::encode_buffer();
                serializer.serialize_str(self.0.as_hyphenated().encode_lower(&mut buffer))
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(IdVisitor).map(Self)
            }
        }
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "format": "uuid"})
            }
        }
        impl TS for $name {
            type WithoutGenerics = Self;
            type OptionInnerType = Self;
            fn name(_: &ts_rs::Config) -> String {
                "string".into()
            }
            fn inline(_: &ts_rs::Config) -> String {
                "string".into()
            }
        }
    )*};
}

struct IdVisitor;

impl de::Visitor<'_> for IdVisitor {
    type Value = Uuid;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a UUIDv7 in lower-case hyphenated form")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Uuid, E> {
        parse_uuid_v7(text).map_err(E::custom)
    }
}

ids! {
    /// A connection: one socket, from upgrade to close.
    ConnectionId,
    /// A workspace: the boundary of members, data and quota.
    WorkspaceId,
    /// A person who signs in.
    UserId,
    /// One sign-in of a user: the family of refresh tokens that came from it.
    SignInId,
    /// A person's membership in a workspace.
    MemberId,
    /// An invitation to a workspace.
    InvitationId,
    /// A session: a durable shared place where people and agents work.
    SessionId,
    /// A message in a session.
    MessageId,
    /// A collection of an app.
    CollectionId,
    /// A record of a collection.
    RecordId,
    /// A run: one execution of a crew.
    RunId,
    /// The key of a mutation, made once by the client and kept through retries.
    MutationKey,
    /// Words given to a running run.
    SteerId,
    /// An approval: a question that holds a run until a person answers it.
    ApprovalId,
    /// A file that a run made.
    ArtifactId,
    /// What all runs of a workspace, or of a crew, may take in a day or a month.
    BudgetId,
    /// A crew: agents and their tasks.
    CrewId,
    /// An agent of a crew.
    AgentId,
    /// A key by which a program signs in.
    ApiKeyId,
    /// A worker: a process that executes runs.
    WorkerId,
    /// A worker's hold on one run.
    LeaseId,
}

macro_rules! integers {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, TS)]
        #[schemars(inline)]
        #[ts(type = "number")]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    )*};
}

integers! {
    /// A moment: milliseconds since the Unix epoch, UTC.
    Millis,
    /// A position in a stream: the number of an event, from 1; 0 is before the first.
    Offset,
    /// A workspace's count of committed writes; a row's last.
    Revision,
    /// Money in micro-US-dollars.
    MicroUsd,
}

impl Millis {
    /// The moment `ms` milliseconds later.
    #[must_use]
    pub fn plus(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
    /// Milliseconds from `earlier` to this moment; negative when it is later.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Decodes a field that may be left out, and for which `nil` is the same.
///
/// # Errors
/// As the type's own.
pub fn nil_as_absent<'de, D: serde::Deserializer<'de>, T: Default + serde::Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Decodes a field of an update that may be left out, which changes nothing, and that `nil` clears.
///
/// # Errors
/// As the type's own.
pub fn nil_clears<'de, D: serde::Deserializer<'de>, T: serde::Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

/// Encodes a value as MessagePack with named fields, the form of every body on the wire.
///
/// # Panics
/// Never for the types of this crate: none of them fails to serialize.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(value).expect("a wire type serializes")
}

/// The same, for values that usually take about `room` bytes: what fits is written without growing.
///
/// # Panics
/// Never for the types of this crate: none of them fails to serialize.
pub fn encode_with_room<T: Serialize + ?Sized>(value: &T, room: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(room);
    value.serialize(&mut rmp_serde::Serializer::new(&mut bytes).with_struct_map()).expect("a wire type serializes");
    bytes
}

/// Decodes a value that this side keeps or made itself. A peer's is decoded by [`crate::frame::Body::decode`], after its scan.
///
/// # Errors
/// Where the bytes are not a `T`; the text says at which field.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, crate::decode::Mismatch> {
    crate::decode::decode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_canonical_uuid_v7_and_nothing_else() {
        let id = RunId::new(Millis(1_700_000_000_000), [7; 10]);
        assert_eq!(id.to_string().parse::<RunId>(), Ok(id));
        assert_eq!(id.made_at(), Millis(1_700_000_000_000));
        for wrong in ["", "x", &id.to_string().to_uppercase(), &id.to_string().replace('-', ""), "9e107d9d-372b-4b82-a0b2-000000000000"] {
            assert_eq!(wrong.parse::<RunId>(), Err(MalformedId), "{wrong}");
        }
    }
}
