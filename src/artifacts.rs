//! Artifacts: files that runs made. They are kept beside their rows, never on the server's disk.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use crewline_protocol::{
    fault::Fault,
    operations::artifact::{self, Artifact, Part, READ_BYTES, Read},
    value::{ArtifactId, Millis, Revision, RunId, SessionId, WorkspaceId, encode},
};

use crate::{
    context::{Answer, Context, Failure},
    entity,
    query::Noun,
    runs::RunRow,
};

entity! {
    /// An artifact as it is stored.
    pub struct ArtifactRow in "artifacts" {
        /// Its id.
        id: ArtifactId,
        /// Where it is.
        workspace_id: WorkspaceId,
        /// The workspace's revision at its last change.
        revision: Revision,
        /// When it was made.
        created_at: Millis,
        /// When it last changed.
        updated_at: Millis,
        /// The session of its run.
        session_id: SessionId,
        /// The run that made it.
        run_id: RunId,
        /// What it is called.
        name: String,
        /// What it holds.
        media_type: String,
        /// How many bytes it has.
        size_bytes: i64,
        /// The bytes.
        content: Bytes,
    }
}

/// Artifacts, as reads see them.
pub fn noun() -> Arc<Noun> {
    static NOUN: LazyLock<Arc<Noun>> = LazyLock::new(|| Arc::new(Noun::of(&artifact::NOUN, |row: ArtifactRow| encode(&row.artifact()))));
    NOUN.clone()
}

/// Reads a part of an artifact's bytes.
///
/// # Errors
/// `not_found` for one that is absent or in another workspace.
pub async fn read(cx: Context, input: Read) -> Result<Answer<Part>, Failure> {
    let workspace = cx.identity()?.workspace;
    let row = cx.services.store.get::<ArtifactRow>(input.id).await?;
    let content = row.filter(|row| row.workspace_id == workspace).ok_or_else(Fault::not_found)?.content;
    let from = usize::try_from(input.offset.unwrap_or_default()).unwrap_or(usize::MAX).min(content.len());
    let to = from.saturating_add(input.limit.unwrap_or(READ_BYTES) as usize).min(content.len());
    Ok(Part { bytes: content.slice(from..to) }.into())
}

impl ArtifactRow {
    /// A file that a run makes now. Without a media type, the ending of its name tells what it holds.
    pub fn made(run: &RunRow, name: String, media_type: Option<String>, content: Bytes, id: ArtifactId, now: Millis) -> Self {
        Self {
            id,
            workspace_id: run.workspace_id,
            revision: Revision(0),
            created_at: now,
            updated_at: now,
            session_id: run.session_id,
            run_id: run.id,
            media_type: media_type.unwrap_or_else(|| told_by(&name).to_owned()),
            name,
            size_bytes: size(&content),
            content,
        }
    }

    /// The same file with these bytes, from now on.
    pub fn with(&self, content: Bytes, now: Millis) -> Self {
        Self { updated_at: now, size_bytes: size(&content), content, ..self.clone() }
    }

    /// As the wire has it.
    pub fn artifact(&self) -> Artifact {
        Artifact {
            id: self.id,
            revision: self.revision,
            created_at: self.created_at,
            updated_at: self.updated_at,
            session_id: self.session_id,
            run_id: self.run_id,
            name: self.name.clone(),
            media_type: self.media_type.clone(),
            size_bytes: u64::try_from(self.size_bytes).unwrap_or(0),
        }
    }
}

fn size(content: &Bytes) -> i64 {
    i64::try_from(content.len()).unwrap_or(i64::MAX)
}

fn told_by(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).as_deref() {
        Some("md" | "markdown") => "text/markdown",
        Some("json") => "application/json",
        Some("html" | "htm") => "text/html",
        Some("csv") => "text/csv",
        Some("yaml" | "yml") => "application/yaml",
        Some("xml") => "application/xml",
        _ => "text/plain",
    }
}
