//! Approvals: questions that hold a run until a person answers them.

mod answer;
mod row;

use std::sync::{Arc, LazyLock};

use crewline_protocol::{
    event::RunEvent,
    fault::Fault,
    operations::approval::{self, Approval, Status, Withdraw},
    value::{ApprovalId, Millis, encode},
};

pub use self::{
    answer::answer,
    row::{ApprovalRow, Ask, arguments_hash},
};
use crate::{
    context::{Answer, Context, Failure, Services, not_now},
    query::Noun,
    runs::RunRow,
    store::{Commit, CommitError, Condition, Guard, Select, Store, StoreError, Stored},
};

/// How many questions one round of the sweep ends.
const BATCH: usize = 100;

/// Approvals, as reads see them.
pub fn noun() -> Arc<Noun> {
    static NOUN: LazyLock<Arc<Noun>> = LazyLock::new(|| Arc::new(Noun::of(&approval::NOUN, |row: ApprovalRow| encode(&row.approval()))));
    NOUN.clone()
}

/// Takes a question back.
///
/// # Errors
/// `not_found` for one that is absent or in another workspace; `conflict`, `state`, with the row, for one that waits no more.
pub async fn withdraw(cx: Context, input: Withdraw) -> Result<Answer<Approval>, Failure> {
    let row = pending(&cx, input.id).await?;
    let withdrawn = row.moved(Status::Withdrawn, cx.now());
    settle(&cx, row, withdrawn).await
}

/// Takes all questions of a run that ends back: the rows go into this commit, the events to where the caller writes the run's end.
///
/// # Errors
/// See [`StoreError`].
pub async fn withdraw_all(store: &Store, run: &RunRow, commit: Commit, now: Millis) -> Result<(Commit, Vec<RunEvent>), StoreError> {
    let rows: Vec<ApprovalRow> = store.select(&Select::by("run_id", run.id).and(is_pending())).await?;
    let mut events = Vec::new();
    let commit = rows.iter().fold(commit, |commit, row| {
        let withdrawn = row.moved(Status::Withdrawn, now);
        events.push(answered(&withdrawn));
        commit.replace(row, &withdrawn)
    });
    Ok((commit, events))
}

/// Ends the questions that nobody answered in time. Several nodes may try: the first does it.
///
/// # Errors
/// See [`StoreError`].
pub async fn expire(services: &Services) -> Result<(), StoreError> {
    let now = services.clock.now();
    let select = Select::default().and(is_pending()).and(Condition::Less("expires_at", now.to_value())).limit(BATCH);
    for row in services.store.select::<ApprovalRow>(&select).await? {
        let Some(run) = services.store.get::<RunRow>(row.run_id).await? else { continue };
        let (commit, queues) = settled(&row, &row.moved(Status::Expired, now), &run);
        match services.store.commit(commit).await {
            Ok(_) if queues => services.hub.run_queued(),
            // It was answered meanwhile, or the run has moved on: the next round looks again.
            Ok(_) | Err(CommitError::Guard(_)) => {}
            Err(CommitError::Store(error)) => return Err(error),
            Err(error) => return Err(StoreError::Failed(error.to_string())),
        }
    }
    Ok(())
}

fn is_pending() -> Condition {
    Condition::In("status", vec![Status::Pending.to_value()])
}

/// Reads a question of this workspace that may still be answered.
async fn pending(cx: &Context, id: ApprovalId) -> Result<ApprovalRow, Failure> {
    let row = cx.services.store.get::<ApprovalRow>(id).await?;
    let workspace = cx.identity()?.workspace;
    let row = row.filter(|row| row.workspace_id == workspace).ok_or_else(Fault::not_found)?;
    let late = row.expires_at.is_some_and(|expires_at| expires_at < cx.now());
    if row.status != Status::Pending || late {
        return Err(not_now("the question waits for no answer any more", row.approval()).into());
    }
    Ok(row)
}

/// Writes what became of a question, and lets its run go on.
async fn settle(cx: &Context, before: ApprovalRow, after: ApprovalRow) -> Result<Answer<Approval>, Failure> {
    let run = cx.services.store.get::<RunRow>(before.run_id).await?.ok_or_else(Fault::not_found)?;
    let (commit, queues) = settled(&before, &after, &run);
    let answer = cx.commit(commit, move |revision| Approval { revision, ..after.approval() }).await?;
    if queues {
        cx.services.hub.run_queued();
    }
    Ok(answer)
}

/// One commit: the row, what the run's log says of it, and the run queued again where it was put away; and whether it is.
fn settled(before: &ApprovalRow, after: &ApprovalRow, run: &RunRow) -> (Commit, bool) {
    let now = after.updated_at;
    let commit = Commit::in_workspace(before.workspace_id).replace(before, after);
    if run.status.is_final() {
        // Its log is complete.
        return (commit, false);
    }
    // A run that is paused, too, waits for who resumes it.
    if run.is_parked() && run.pause_requested_at.is_none() {
        let events = [answered(after), RunEvent::RunResumed { at: now }];
        return (commit.replace(run, &run.requeued(now)).append(run.id, &events), true);
    }
    // Whoever puts it away meanwhile would miss the answer.
    let still = Guard::columns::<RunRow>(run.id, vec![("status", run.status.to_value())]);
    (commit.guard(still).append(run.id, &[answered(after)]), false)
}

fn answered(row: &ApprovalRow) -> RunEvent {
    RunEvent::ApprovalAnswered { at: row.updated_at, approval: Box::new(row.approval()) }
}

#[cfg(test)]
mod tests;
