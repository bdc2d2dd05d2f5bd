//! Endings: what is written with a run's end, whoever ends it. Its questions are taken back, what it answers is said in its session,
//! whoever waits for its turn gets it, and the run that stands for it is told.

use crewline_protocol::{
    event::RunEvent,
    fault::{Fault, FaultCode, Retry},
    opening::PrincipalKind,
    operations::run::Status,
    value::{MessageId, Millis, Revision, RunId},
};

use crate::{
    approvals,
    clock::Clock,
    entity,
    runs::{End, RunRow, Taken, finished_event},
    sessions::MessageRow,
    store::{Commit, Select, Store, StoreError},
};

entity! {
    /// As much of a run as tells how far those are that one stands for.
    struct Child in "runs" {
        id: RunId,
        parent_id: Option<RunId>,
        status: Status,
    }
}

/// Puts what belongs to a run's end into a commit, beside its row. What comes back are the events before its last.
///
/// # Errors
/// See [`StoreError`].
pub async fn with(store: &Store, clock: &Clock, ended: &RunRow, commit: Commit) -> Result<(Commit, Vec<RunEvent>), StoreError> {
    let now = clock.now();
    let (commit, events) = approvals::withdraw_all(store, ended, commit, now).await?;
    let commit = answered(clock, ended, commit, now);
    let mut commit = next_in_turn(store, ended, commit, now).await?;
    if let Some((parent, grown)) = told_parent(store, ended, now).await? {
        let progress = RunEvent::ProgressReported { at: now, fraction: grown.progress, message: one_more(ended) };
        let mut told = vec![progress];
        if grown.status.is_final() {
            told.push(finished_event(&grown, grown.usage()));
            commit = next_in_turn(store, &grown, commit, now).await?;
        }
        commit = commit.replace(&parent, &grown).append(grown.id, &told);
    }
    Ok((commit, events))
}

/// The answer to a message is a message.
fn answered(clock: &Clock, ended: &RunRow, commit: Commit, now: Millis) -> Commit {
    let Some(answer) = ended.output.as_ref().filter(|_| ended.message_id.is_some() && ended.status == Status::Succeeded) else {
        return commit;
    };
    commit.insert(&MessageRow {
        id: clock.id(MessageId::new),
        workspace_id: ended.workspace_id,
        revision: Revision(0),
        created_at: now,
        updated_at: now,
        session_id: ended.session_id,
        author_kind: PrincipalKind::Agent,
        author_id: ended.id.to_string(),
        author_name: ended.crew.clone(),
        text: answer.clone(),
        run_id: Some(ended.id),
    })
}

/// Whoever was to come after it comes next; or, where it was still waiting itself, after the one that it waited for.
async fn next_in_turn(store: &Store, ended: &RunRow, commit: Commit, now: Millis) -> Result<Commit, StoreError> {
    let next: Vec<RunRow> = store.select(&Select::by("turn_after", ended.id)).await?;
    Ok(next.iter().fold(commit, |commit, run| {
        let moved = run.next_in_turn(ended.turn_after, now);
        let begins = moved.status == Status::Running && run.status != Status::Running;
        let commit = commit.replace(run, &moved);
        if begins { commit.append(run.id, &[moved.started(now)]) } else { commit }
    }))
}

/// The run that stands for it, before and after: further, and ended with the last of those that it stands for.
async fn told_parent(store: &Store, ended: &RunRow, now: Millis) -> Result<Option<(RunRow, RunRow)>, StoreError> {
    let Some(parent) = ended.parent_id else { return Ok(None) };
    let Some(parent) = store.get::<RunRow>(parent).await?.filter(|parent| !parent.status.is_final()) else { return Ok(None) };
    let children: Vec<Child> = store.select(&Select::by("parent_id", parent.id)).await?;
    let statuses: Vec<Status> = children.iter().map(|child| if child.id == ended.id { ended.status } else { child.status }).collect();
    let grown = grown(&parent, &statuses, ended.taken(), now);
    Ok(Some((parent, grown)))
}

/// A run that stands for others, after one more of them has ended that took this.
pub fn grown(parent: &RunRow, children: &[Status], taken: Taken, now: Millis) -> RunRow {
    let count = |status| children.iter().filter(|child| **child == status).count();
    let (all, succeeded, ended) = (children.len(), count(Status::Succeeded), children.iter().filter(|child| child.is_final()).count());
    let mut sum = parent.taken();
    sum += taken;
    let grown = parent.progressed(ended as f64 / all.max(1) as f64, sum, now);
    if ended < all {
        return grown;
    }
    let end = if succeeded == all {
        End::Succeeded(format!("{all} of {all} runs succeeded"))
    } else if parent.cancel_mode().is_some() {
        End::Cancelled
    } else {
        let message = format!(
            "{} of {all} runs did not succeed: `run.list` with this run as `parent_id` tells which, and `run.retry` tries them again",
            all - succeeded
        );
        End::Failed(Fault { retry: Retry::Never, ..Fault::new(FaultCode::Internal, message) })
    };
    grown.finished(end, now)
}

fn one_more(ended: &RunRow) -> String {
    match ended.status {
        Status::Failed => "one more run has failed".into(),
        Status::Cancelled => "one more run was cancelled".into(),
        _ => "one more run has succeeded".into(),
    }
}
