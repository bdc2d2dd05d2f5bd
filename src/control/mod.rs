//! What people ask of a run: its end, a pause, words to its agents. Each writes what was asked into the run's log, where whoever
//! executes it hears it; where nobody does, it is done here.

use crewline_protocol::{
    event::RunEvent,
    operations::run::{Cancel, CancelMode, Pause, Resume, Run, Status, Steer},
    value::{RunId, SteerId},
};

use crate::{
    approvals,
    context::{Answer, Context, Failure, not_now},
    endings,
    runs::{self, Cancelled, RunRow, Taken, finished_event, load_row},
    store::{Commit, Select},
};

/// Asks a run to end. Where nobody executes it, its questions are taken back with it.
///
/// # Errors
/// `not_found` for one that is absent or in another workspace.
pub async fn cancel(cx: Context, input: Cancel) -> Result<Answer<Run>, Failure> {
    let identity = cx.identity()?.clone();
    let run = load_row(&cx.services, identity.workspace, input.id).await?;
    let (now, mode) = (cx.now(), input.mode.unwrap_or_default());
    let requested = RunEvent::RunCancelRequested { at: now, mode, by: identity.user };
    if run.stands_for_others() {
        return cancel_those(cx, run, mode, requested).await;
    }
    let commit = Commit::in_workspace(run.workspace_id);
    match run.cancelled(mode, now) {
        Cancelled::Unchanged => cx.commit(Commit::default(), move |_| run.run()).await,
        Cancelled::Requested(asked) => {
            let commit = commit.replace(&run, &asked).append(asked.id, &[requested]);
            cx.commit(commit, move |revision| asked.at(revision)).await
        }
        Cancelled::Ended(ended) => {
            let (commit, before) = endings::with(&cx.services.store, &cx.services.clock, &ended, commit).await?;
            let mut events = vec![requested];
            events.extend(before);
            events.push(finished_event(&ended, ended.usage()));
            let commit = commit.replace(&run, &ended).append(ended.id, &events);
            let answer = cx.commit(commit, move |revision| ended.at(revision)).await?;
            // Another may have its turn now.
            cx.services.hub.run_queued();
            Ok(answer)
        }
    }
}

/// Asks all runs to end that one stands for, and with them that one.
async fn cancel_those(cx: Context, parent: RunRow, mode: CancelMode, requested: RunEvent) -> Result<Answer<Run>, Failure> {
    let (store, now) = (&cx.services.store, cx.now());
    let Some(asked) = parent.asked_to_end(mode, now) else { return cx.commit(Commit::default(), move |_| parent.run()).await };
    let children: Vec<RunRow> = store.select(&Select::by("parent_id", parent.id)).await?;
    let mut commit = Commit::in_workspace(parent.workspace_id);
    let (mut statuses, mut taken) = (Vec::with_capacity(children.len()), Taken::default());
    for child in &children {
        match child.cancelled(mode, now) {
            Cancelled::Unchanged => statuses.push(child.status),
            Cancelled::Requested(asked) => {
                statuses.push(asked.status);
                commit = commit.replace(child, &asked).append(child.id, std::slice::from_ref(&requested));
            }
            Cancelled::Ended(ended) => {
                statuses.push(ended.status);
                taken += ended.taken();
                let (with, withdrawn) = approvals::withdraw_all(store, &ended, commit, now).await?;
                let events: Vec<RunEvent> =
                    [requested.clone()].into_iter().chain(withdrawn).chain([finished_event(&ended, ended.usage())]).collect();
                commit = with.replace(child, &ended).append(child.id, &events);
            }
        }
    }
    let grown = endings::grown(&asked, &statuses, taken, now);
    let mut events = vec![requested];
    if grown.status.is_final() {
        commit = endings::with(store, &cx.services.clock, &grown, commit).await?.0;
        events.push(finished_event(&grown, grown.usage()));
    }
    let commit = commit.replace(&parent, &grown).append(grown.id, &events);
    let answer = cx.commit(commit, move |revision| grown.at(revision)).await?;
    cx.services.hub.run_queued();
    Ok(answer)
}

/// Gives words to a run's agents.
///
/// # Errors
/// `not_found` for one that is absent or in another workspace; `conflict`, `state` for one that has ended.
pub async fn steer(cx: Context, input: Steer) -> Result<Answer<Run>, Failure> {
    let identity = cx.identity()?.clone();
    let run = going_on(&cx, input.id).await?;
    let commit = Commit::in_workspace(run.workspace_id);
    let (heard, commit) = runs::steered(&run, commit, cx.services.clock.id(SteerId::new), input.text, identity.user, cx.now());
    cx.commit(commit, move |revision| heard.at(revision)).await
}

/// Asks a run to pause.
///
/// # Errors
/// As [`steer`].
pub async fn pause(cx: Context, input: Pause) -> Result<Answer<Run>, Failure> {
    let identity = cx.identity()?.clone();
    let run = going_on(&cx, input.id).await?;
    if run.pause_requested_at.is_some() {
        return cx.commit(Commit::default(), move |_| run.run()).await;
    }
    let now = cx.now();
    let asked = RunRow { pause_requested_at: Some(now), updated_at: now, ..run.clone() };
    let event = RunEvent::RunPauseRequested { at: now, by: identity.user };
    let commit = Commit::in_workspace(run.workspace_id).replace(&run, &asked).append(run.id, &[event]);
    cx.commit(commit, move |revision| asked.at(revision)).await
}

/// Lets a paused run go on.
///
/// # Errors
/// `not_found` for one that is absent or in another workspace; `conflict`, `state` for one that is not paused.
pub async fn resume(cx: Context, input: Resume) -> Result<Answer<Run>, Failure> {
    let run = going_on(&cx, input.id).await?;
    if run.pause_requested_at.is_none() {
        return Err(not_now("the run is not paused", run.run()).into());
    }
    let now = cx.now();
    let queued = if run.is_parked() { run.requeued(now) } else { run.clone() };
    let resumed = RunRow { pause_requested_at: None, updated_at: now, ..queued };
    let commit = Commit::in_workspace(run.workspace_id).replace(&run, &resumed).append(run.id, &[RunEvent::RunResumed { at: now }]);
    let queues = resumed.status == Status::Queued;
    let answer = cx.commit(commit, move |revision| resumed.at(revision)).await?;
    if queues {
        cx.services.hub.run_queued();
    }
    Ok(answer)
}

async fn going_on(cx: &Context, id: RunId) -> Result<RunRow, Failure> {
    let run = load_row(&cx.services, cx.identity()?.workspace, id).await?;
    if run.status.is_final() {
        return Err(not_now("the run has ended", run.run()).into());
    }
    if run.stands_for_others() {
        return Err(not_now("the run stands for others: ask those, which have it as `parent_id`", run.run()).into());
    }
    Ok(run)
}

#[cfg(test)]
mod tests;
