//! Files that a worker's runs make.

use bytes::{Bytes, BytesMut};
use crewline_protocol::{
    event::RunEvent,
    fault::{Fault, FaultCode},
    operations::artifact::{ARTIFACT_BYTES, Append, Artifact, Create},
    value::ArtifactId,
};

use super::turn::in_turn;
use crate::{
    artifacts::ArtifactRow,
    context::{Answer, Context, Failure},
    store::Commit,
};

/// Makes an artifact, and tells of it in the run's log.
///
/// # Errors
/// `invalid`, `lease_lost`.
pub async fn create(cx: Context, input: Create) -> Result<Answer<Artifact>, Failure> {
    let Create { run_id, lease_epoch, name, media_type, bytes } = input;
    let id = cx.services.clock.id(ArtifactId::new);
    in_turn(&cx, run_id, lease_epoch, async |run, hold, at| {
        let now = cx.now();
        let row = ArtifactRow::made(run, name, media_type, bytes, id, now);
        let made = RunEvent::ArtifactCreated { at: now, artifact: Box::new(row.artifact()) };
        let commit = Commit::in_workspace(run.workspace_id).guard(hold.guard(at.seq)).insert(&row).append(run_id, &[made]);
        cx.commit(commit, move |revision| Artifact { revision, ..row.artifact() }).await
    })
    .await
}

/// Adds to the end of an artifact of the run.
///
/// # Errors
/// `not_found` for one that is another run's or nobody's, `too_large` where it would be, `lease_lost`.
pub async fn extend(cx: Context, input: Append) -> Result<Answer<Artifact>, Failure> {
    let Append { run_id, lease_epoch, id, bytes } = input;
    in_turn(&cx, run_id, lease_epoch, async |run, hold, at| {
        let before = cx.services.store.get::<ArtifactRow>(id).await?.filter(|row| row.run_id == run_id).ok_or_else(Fault::not_found)?;
        let content = joined(&before.content, &bytes)?;
        let after = before.with(content, cx.now());
        let commit = Commit::in_workspace(run.workspace_id).guard(hold.guard(at.seq)).replace(&before, &after);
        cx.commit(commit, move |revision| Artifact { revision, ..after.artifact() }).await
    })
    .await
}

fn joined(before: &Bytes, more: &Bytes) -> Result<Bytes, Fault> {
    let bytes = before.len() + more.len();
    if bytes > ARTIFACT_BYTES {
        let message = format!("the artifact would have {bytes} bytes; {ARTIFACT_BYTES} are the most: begin another");
        return Err(Fault::new(FaultCode::TooLarge, message));
    }
    let mut joined = BytesMut::with_capacity(bytes);
    joined.extend_from_slice(before);
    joined.extend_from_slice(more);
    Ok(joined.freeze())
}
