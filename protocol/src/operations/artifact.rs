//! Artifacts: files that a run made.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::value::{ArtifactId, Millis, Revision, RunId, SessionId};

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
