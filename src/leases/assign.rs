//! Assigning runs, renewing leases, giving them back.

use crewline_protocol::{
    fault::{Fault, FaultCode, Retry},
    operations::{crew::Executor, run::Status},
    value::{LeaseId, Millis, Offset, Revision, RunId},
};

use super::{Assignment, Lease, Place, Written};
use crate::{
    clock::Clock,
    endings,
    runs::{End, RunRow, finished_event},
    store::{Commit, CommitError, Condition, Guard, Select, Store, StoreError, Stored},
};

/// A run that is to be executed now.
#[derive(Debug, Clone)]
pub struct Assigned {
    /// The hold on it.
    pub lease: Lease,
    /// The run.
    pub run: RunRow,
    /// Where its log stood when the attempt had begun.
    pub head: Offset,
}

/// Runs that somebody held: this holder before a restart, or whoever let a lease expire; the oldest first, at most so many of each.
///
/// # Errors
/// See [`StoreError`].
pub async fn held_before(store: &Store, holder: &str, now: Millis, most: usize) -> Result<Vec<Lease>, StoreError> {
    let own: Vec<Lease> = store.select(&Select::by("holder", holder).limit(most)).await?;
    let expired = Select::default().and(Condition::Less("expires_at", now.to_value())).limit(most);
    let expired: Vec<Lease> = store.select(&expired).await?;
    Ok(own.into_iter().chain(expired).collect())
}

/// Who is given a run.
#[derive(Debug, Clone, Copy)]
pub enum Holder<'a> {
    /// A node's engine, by the node's name.
    Node(&'a str),
    /// A worker, at one of its places.
    Worker(Place),
}

impl Holder<'_> {
    /// As the lease names it.
    fn name(self) -> String {
        match self {
            Self::Node(name) => name.to_owned(),
            Self::Worker(place) => place.worker.to_string(),
        }
    }

    fn executor(self) -> Executor {
        match self {
            Self::Node(_) => Executor::Engine,
            Self::Worker(_) => Executor::Worker,
        }
    }
}

/// Gives a run to this holder, who begins its next attempt, or goes on with one that was put away. `None` where there is nothing to
/// execute: someone else has it, it is not the holder's to execute, the place is taken, it has ended, or it ends here, cancelled while nobody
/// held it or begun too often.
///
/// # Errors
/// See [`StoreError`].
pub async fn assign(store: &Store, clock: &Clock, run: RunId, holder: Holder<'_>, terms: Terms) -> Result<Option<Assigned>, StoreError> {
    let Some(run) = store.get::<RunRow>(run).await?.filter(|run| run.executor == holder.executor()) else { return Ok(None) };
    let held = store.get::<Lease>(run.id).await?;
    let name = holder.name();
    let Terms { lease_ms, max_attempts } = terms;
    let now = clock.now();
    let takes = match &held {
        None => run.status == Status::Queued && run.turn_after.is_none(),
        // What a worker has held is taken from it first.
        Some(lease) => {
            run.status == Status::Running && run.executor == Executor::Engine && (lease.holder == name || lease.expires_at < now)
        }
    };
    if !takes {
        return Ok(None);
    }
    let free = match &held {
        None => Guard::absent::<Lease>(run.id),
        // A renewal in between keeps it.
        Some(lease) => Guard::columns::<Lease>(
            run.id,
            vec![("holder", lease.holder.to_value()), ("epoch", lease.epoch.to_value()), ("expires_at", lease.expires_at.to_value())],
        ),
    };
    let commit = Commit::in_workspace(run.workspace_id).guard(free);
    // Who put it away had done all that could be done: it goes on in the same attempt.
    let goes_on = held.is_none() && run.continues;
    let attempt = if goes_on { run.attempt } else { run.attempt + 1 };
    let end = match &held {
        Some(_) if run.cancel_mode().is_some() => Some(End::Cancelled),
        Some(lease) if attempt > max_attempts => Some(End::Failed(given_up(lease.attempt))),
        _ => None,
    };
    if let Some(end) = end {
        let ended = run.finished(end, now);
        let (commit, mut events) = endings::with(store, clock, &ended, commit).await?;
        events.push(finished_event(&ended, ended.usage()));
        let commit = commit.replace(&run, &ended).delete::<Lease>(run.id).append(run.id, &events);
        return done(store.commit(commit).await).map(|_| None);
    }
    let lease = Lease {
        run_id: run.id,
        workspace_id: run.workspace_id,
        revision: Revision(0),
        created_at: held.as_ref().map_or(now, |lease| lease.created_at),
        updated_at: now,
        holder: name,
        epoch: run.lease_epoch + 1,
        attempt,
        expires_at: now.plus(lease_ms),
    };
    let begun = run.begun(attempt, now);
    let event = begun.started(now);
    let commit = commit.replace(&run, &begun).put(&lease);
    let commit = if goes_on { commit } else { commit.append(run.id, &[event]) };
    let commit = match holder {
        Holder::Node(_) => commit,
        Holder::Worker(place) => {
            let before = store.heads(&[run.id]).await?.first().map(|(_, stream)| stream.head).unwrap_or_default();
            let head = if goes_on { before } else { Offset(before.0 + 1) };
            let assignment = Assignment::new(clock.id(LeaseId::new), &begun, place, head, now);
            commit.insert(&Written { id: assignment.id, seq: 0 }).insert(&assignment)
        }
    };
    let Some(committed) = done(store.commit(commit).await)? else { return Ok(None) };
    let revision = committed.revision.unwrap_or_default();
    let head = match committed.heads.first() {
        Some(head) => *head,
        None => store.heads(&[run.id]).await?.first().map(|(_, stream)| stream.head).unwrap_or_default(),
    };
    Ok(Some(Assigned { lease: Lease { revision, ..lease }, run: RunRow { revision, ..begun }, head }))
}

/// What an assignment goes by.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How long a lease holds without being renewed.
    pub lease_ms: i64,
    /// How often a run is begun before it fails.
    pub max_attempts: u32,
}

/// Moves the ends of all these leases on, in one commit, and says which of them are lost: taken over by someone else, or ended.
///
/// # Errors
/// See [`StoreError`]: nothing is known then.
pub async fn renew(store: &Store, mut leases: Vec<Lease>, expires_at: Millis) -> Result<Vec<RunId>, StoreError> {
    let mut lost = Vec::new();
    while !leases.is_empty() {
        let mut commit = Commit::default();
        for lease in &mut leases {
            lease.expires_at = expires_at;
            commit = commit.guard(lease.guard()).put(lease);
        }
        match store.commit(commit).await {
            Ok(_) => break,
            Err(CommitError::Guard(place)) if place < leases.len() => lost.push(leases.swap_remove(place).run_id),
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(lost)
}

/// Gives a run back: whoever looks for one next may take it at once.
///
/// # Errors
/// See [`StoreError`].
pub async fn release(store: &Store, lease: &Lease) -> Result<(), StoreError> {
    let given_back = Lease { expires_at: Millis(0), ..lease.clone() };
    done(store.commit(Commit::default().guard(lease.guard()).put(&given_back)).await).map(|_| ())
}

/// A guard that does not hold means that someone else was faster: there is nothing to do.
pub(super) fn done<T>(committed: Result<T, CommitError>) -> Result<Option<T>, StoreError> {
    match committed {
        Ok(committed) => Ok(Some(committed)),
        // Or the place is another run's.
        Err(CommitError::Guard(_) | CommitError::Taken(_)) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

fn failed(error: CommitError) -> StoreError {
    match error {
        CommitError::Store(error) => error,
        error => StoreError::Failed(error.to_string()),
    }
}

pub(super) fn given_up(attempts: u32) -> Fault {
    let message = format!("the run was begun {attempts} times, and whoever executed it was gone each time: start it again");
    Fault { retry: Retry::Never, ..Fault::new(FaultCode::Internal, message) }
}
