//! How a worker's hold on a run ends by its own will: the run has ended, waits for people, or is given back.

use crewline_protocol::{
    event::{RunEvent, WaitingFor},
    fault::{Fault, FaultCode},
    operations::{
        approval::Status,
        run::{Finish, Outcome, Park, Release, Run},
    },
    value::RunId,
};

use super::turn::in_turn;
use crate::{
    approvals::ApprovalRow,
    context::{Answer, Context, Failure, Services, not_now},
    endings,
    engine::unread_words,
    leases::{Assignment, ended},
    lines::Position,
    runs::{End, RunRow, finished_event},
    store::{Commit, CommitError, Condition, Select, StoreError, Stored},
};

/// Ends a run.
///
/// # Errors
/// `lease_lost`; `invalid` for an output or a fault that does not go with the status; `too_large`; `conflict`, `state` for `cancelled`
/// where nobody asked for that.
pub async fn finish(cx: Context, input: Finish) -> Result<Answer<Run>, Failure> {
    let Finish { run_id, lease_epoch, status, output, fault } = input;
    let end = end_of(status, output, fault, cx.services.settings.answer_bytes as usize)?;
    let_go(&cx, run_id, lease_epoch, async |run, hold, at| {
        if end == End::Cancelled && run.cancel_mode().is_none() {
            return Err(not_now("nobody asked for the run's end: finish it as failed, or give it back", run.run()).into());
        }
        Ok(ending(&cx.services, run, hold, at.seq, end.clone()).await?)
    })
    .await
}

/// Puts a run away until somebody answers one of its questions, or resumes it.
///
/// # Errors
/// `lease_lost`; `conflict`, `state` where nothing is waited for.
pub async fn park(cx: Context, input: Park) -> Result<Answer<Run>, Failure> {
    let_go(&cx, input.run_id, input.lease_epoch, async |run, hold, at| {
        let pending = Condition::In("status", vec![Status::Pending.to_value()]);
        let questions: Vec<ApprovalRow> = cx.services.store.select(&Select::by("run_id", run.id).and(pending)).await?;
        let r#for = match (run.pause_requested_at, questions.is_empty()) {
            (Some(_), _) => WaitingFor::Pause,
            (None, false) => WaitingFor::Approval,
            (None, true) => return Err(not_now("none of the run's questions waits for an answer: go on with it", run.run()).into()),
        };
        if run.cancel_mode().is_some() {
            return Err(not_now("somebody asked for the run's end: end it", run.run()).into());
        }
        let now = cx.now();
        let parked = run.parked(r#for, hold.taken(run, now), now);
        let commit = ended(Commit::in_workspace(run.workspace_id).guard(hold.guard(at.seq)), hold).replace(run, &parked);
        // An answer that comes now must not find the run put away without anybody to hear it.
        let commit = questions.iter().fold(commit, |commit, question| commit.guard(ApprovalRow::unanswered(question.id)));
        Ok((commit.append(run.id, &[RunEvent::RunWaiting { at: now, r#for }]), parked))
    })
    .await
}

/// Gives a run back.
///
/// # Errors
/// `lease_lost`.
pub async fn release(cx: Context, input: Release) -> Result<Answer<Run>, Failure> {
    let_go(&cx, input.run_id, input.lease_epoch, async |run, hold, at| {
        let now = cx.now();
        let commit = ended(Commit::in_workspace(run.workspace_id).guard(hold.guard(at.seq)), hold);
        let taken = hold.taken(run, now);
        // Whoever asked for its end waits for nobody else to hear that.
        if run.cancel_mode().is_some() {
            return Ok(ending(&cx.services, run, hold, at.seq, End::Cancelled).await?);
        }
        let back = run.given_back(taken, now);
        Ok((commit.replace(run, &back), back))
    })
    .await
}

/// Ends a run whatever its worker does: it used up what it may take. Gives whether it was there to be ended.
pub(super) async fn end_by_server(services: &Services, hold: &Assignment, seq: i64, end: End) -> Result<bool, StoreError> {
    loop {
        let Some(run) = services.store.get::<RunRow>(hold.run_id).await? else { return Ok(false) };
        let (commit, _) = ending(services, &run, hold, seq, end.clone()).await?;
        match services.store.commit(commit).await {
            Ok(_) => {
                services.lines.forget(hold.run_id);
                services.hub.run_queued();
                return Ok(true);
            }
            Err(CommitError::Guard(0)) => return Ok(false),
            // Somebody has said something meanwhile.
            Err(CommitError::Guard(_)) => {}
            Err(CommitError::Store(error)) => return Err(error),
            Err(error) => return Err(StoreError::Failed(error.to_string())),
        }
    }
}

/// Changes a run so that the worker's hold on it ends.
async fn let_go(
    cx: &Context,
    run_id: RunId,
    epoch: i64,
    change: impl AsyncFnOnce(&RunRow, &Assignment, Position) -> Result<(Commit, RunRow), Failure>,
) -> Result<Answer<Run>, Failure> {
    let done = in_turn(cx, run_id, epoch, async |run, hold, at| {
        let (commit, after) = change(run, hold, at).await?;
        cx.commit(commit, move |revision| after.at(revision)).await
    });
    let done = done.await?;
    cx.services.lines.forget(run_id);
    // There is a place again, and maybe a run for it.
    cx.services.hub.run_queued();
    Ok(done)
}

/// A run's end by its worker: the run's row, with all that belongs to an end.
async fn ending(services: &Services, run: &RunRow, hold: &Assignment, seq: i64, end: End) -> Result<(Commit, RunRow), StoreError> {
    let now = services.clock.now();
    let after = run.progressed(run.progress, hold.taken(run, now), now).finished(end, now);
    let commit = Commit { workspace: Some(run.workspace_id), ..Commit::default() }.guard(hold.guard(seq));
    let commit = unread_words(services, run, commit).await?;
    let (commit, mut events) = endings::with(&services.store, &services.clock, &after, commit).await?;
    events.push(finished_event(&after, after.usage()));
    let commit = ended(commit.replace(run, &after), hold).append(run.id, &events);
    Ok((commit, after))
}

fn end_of(status: Outcome, output: Option<String>, fault: Option<Fault>, most: usize) -> Result<End, Fault> {
    let unknown =
        |field: &'static str, with: &str| Fault::invalid(field, "unknown", format!("this comes with `{with}` alone: leave it out"));
    match (status, output, fault) {
        (Outcome::Succeeded, Some(output), None) if output.len() > most => {
            let message = format!("the output has {} bytes; {most} are the most: keep the rest elsewhere", output.len());
            Err(Fault::new(FaultCode::TooLarge, message))
        }
        (Outcome::Succeeded, Some(output), None) => Ok(End::Succeeded(output)),
        (Outcome::Succeeded, None, _) => Err(Fault::invalid("output", "required", "a run that succeeded has an output")),
        (Outcome::Failed, None, Some(fault)) if fault.message.len() > most => {
            Err(Fault::new(FaultCode::TooLarge, format!("the fault's message has {} bytes; {most} are the most", fault.message.len())))
        }
        // What else may stand in a fault is about requests.
        (Outcome::Failed, None, Some(fault)) => Ok(End::Failed(Fault { retry: fault.retry, ..Fault::new(fault.code, fault.message) })),
        (Outcome::Failed, _, None) => Err(Fault::invalid("fault", "required", "a run that failed has a fault")),
        (Outcome::Cancelled, None, None) => Ok(End::Cancelled),
        (_, Some(_), _) => Err(unknown("output", "succeeded")),
        (_, None, Some(_)) => Err(unknown("fault", "failed")),
    }
}
