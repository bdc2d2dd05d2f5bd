//! Taking a run from a worker that holds it: one that said nothing for too long, or that came back without it.

use crewline_protocol::{fault::Fault, value::Millis};

use super::{
    Assignment, Lease,
    assign::{done, given_up},
    assignment::ended,
};
use crate::{
    clock::Clock,
    endings,
    runs::{End, RunRow, finished_event},
    store::{Commit, Guard, Store, StoreError, Stored},
};

/// Takes a run from its worker: it is queued for another attempt, or ends, cancelled while nobody heard of it or begun too often. With
/// `expired_by` only where the lease has not been renewed since. Gives whether it was taken.
///
/// # Errors
/// See [`StoreError`].
pub async fn lose(
    store: &Store,
    clock: &Clock,
    hold: &Assignment,
    max_attempts: u32,
    expired_by: Option<Millis>,
) -> Result<bool, StoreError> {
    let (run, lease) = (store.get::<RunRow>(hold.run_id).await?, store.get::<Lease>(hold.run_id).await?);
    let Some((run, lease)) = run.zip(lease).filter(|(_, lease)| lease.epoch == hold.epoch) else { return Ok(false) };
    if expired_by.is_some_and(|by| lease.expires_at >= by) {
        return Ok(false);
    }
    let now = clock.now();
    let held = vec![("epoch", lease.epoch.to_value()), ("expires_at", lease.expires_at.to_value())];
    let commit = ended(Commit::in_workspace(run.workspace_id).guard(Guard::columns::<Lease>(run.id, held)), hold);
    let end = if run.cancel_mode().is_some() {
        Some(End::Cancelled)
    } else {
        (run.attempt >= max_attempts).then(|| End::Failed(given_up(run.attempt)))
    };
    let taken = run.progressed(run.progress, hold.taken(&run, now), now);
    let commit = match end {
        Some(end) => {
            let ended = taken.finished(end, now);
            let (commit, mut events) = endings::with(store, clock, &ended, commit).await?;
            events.push(finished_event(&ended, ended.usage()));
            commit.replace(&run, &ended).append(run.id, &events)
        }
        None => commit.replace(&run, &taken.requeued(now)),
    };
    Ok(done(store.commit(commit).await)?.is_some())
}

/// The fault of a worker that writes to what is not its own.
pub fn lease_lost() -> Fault {
    Fault::new(
        crewline_protocol::fault::FaultCode::LeaseLost,
        "this run is held by somebody else by now, or by nobody: stop it, nothing was stored",
    )
}
