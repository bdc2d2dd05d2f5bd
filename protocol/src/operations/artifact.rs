//! Artifacts: files that a run made.

use bytes::Bytes;
use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    operation::{Access, Kind, Operation, Rate},
    operations::reads::reads,
    value::{ArtifactId, Millis, Revision, RunId, SessionId},
};

/// The most bytes that one read gives.
pub const READ_BYTES: u32 = 512 << 10;
/// The most bytes that one request brings.
pub const WRITE_BYTES: usize = 512 << 10;
/// The most bytes that an artifact has.
pub const ARTIFACT_BYTES: usize = 8 << 20;

/// A file that a run made. Its bytes are read apart from its row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Artifact {
    /// Its id.
    pub id: ArtifactId,
    /// The workspace's revision at its last change.
    pub revision: Revision,
    /// When it was made.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
    /// The session of its run.
    pub session_id: SessionId,
    /// The run that made it.
    pub run_id: RunId,
    /// What it is called, as `report.md`.
    pub name: String,
    /// What it holds, as `text/markdown`.
    pub media_type: String,
    /// How many bytes it has.
    #[ts(type = "number")]
    pub size_bytes: u64,
}

reads! {
    "artifact": Artifact by ArtifactId, for Viewer as "ArtifactGet", "ArtifactList", "ArtifactAggregate";
    title "name";
    fields [
        Field::reference("session_id", "session"),
        Field::reference("run_id", "run"),
        Field::text("name"),
        Field::text("media_type"),
        Field::integer("size_bytes"),
    ]
}

/// Reads a part of an artifact's bytes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ArtifactRead")]
#[ts(rename = "ArtifactRead")]
pub struct Read {
    /// Which one.
    #[garde(skip)]
    pub id: ArtifactId,
    /// The first byte's place, from 0; absent: 0. At or behind the end: no bytes.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "number")]
    pub offset: Option<u64>,
    /// How many bytes at most; absent: as many as one read gives.
    #[garde(range(min = 1, max = READ_BYTES))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub limit: Option<u32>,
}

/// A part of an artifact's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[schemars(rename = "ArtifactPart")]
#[ts(rename = "ArtifactPart")]
pub struct Part {
    /// The bytes.
    #[schemars(with = "String", extend("format" = "binary"))]
    #[ts(type = "Uint8Array")]
    pub bytes: Bytes,
}

impl Operation for Read {
    const NAME: &'static str = "artifact.read";
    const KIND: Kind = Kind::Read;
    const ACCESS: Access = Access::Viewer;
    const RATE: Rate = Rate::Read;
    type Output = Part;
}

/// Makes a file of a run that the worker holds. What is longer than one request may be is appended to it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ArtifactCreate")]
#[ts(rename = "ArtifactCreate")]
pub struct Create {
    /// Which run.
    #[garde(skip)]
    pub run_id: RunId,
    /// The epoch of the worker's lease.
    #[garde(range(min = 1))]
    #[ts(type = "number")]
    pub lease_epoch: i64,
    /// What it is called, as `report.md`.
    #[garde(length(chars, min = 1, max = 200))]
    pub name: String,
    /// What it holds, as `text/markdown`; absent: what the ending of its name says.
    #[garde(inner(length(bytes, min = 1, max = 200), ascii))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub media_type: Option<String>,
    /// Its bytes, or the first of them.
    #[garde(custom(not_too_many))]
    #[schemars(with = "String", extend("format" = "binary"))]
    #[ts(type = "Uint8Array")]
    pub bytes: Bytes,
}

/// Adds bytes to the end of a file that a run made, which the worker holds.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ArtifactAppend")]
#[ts(rename = "ArtifactAppend")]
pub struct Append {
    /// Which run.
    #[garde(skip)]
    pub run_id: RunId,
    /// The epoch of the worker's lease.
    #[garde(range(min = 1))]
    #[ts(type = "number")]
    pub lease_epoch: i64,
    /// Which artifact.
    #[garde(skip)]
    pub id: ArtifactId,
    /// The bytes.
    #[garde(custom(not_too_many))]
    #[schemars(with = "String", extend("format" = "binary"))]
    #[ts(type = "Uint8Array")]
    pub bytes: Bytes,
}

impl Operation for Create {
    const NAME: &'static str = "artifact.create";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Worker;
    const RATE: Rate = Rate::Lease;
    const BINARY: bool = true;
    type Output = Artifact;
}
impl Operation for Append {
    const NAME: &'static str = "artifact.append";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Worker;
    const RATE: Rate = Rate::Lease;
    const BINARY: bool = true;
    type Output = Artifact;
}

fn not_too_many(bytes: &Bytes, (): &()) -> garde::Result {
    let given = bytes.len();
    if given > WRITE_BYTES {
        return Err(garde::Error::new(format!("has {given} bytes; {WRITE_BYTES} are the most in one request: append the rest")));
    }
    Ok(())
}
