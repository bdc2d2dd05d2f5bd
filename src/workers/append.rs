//! Appending a worker's events to its run. Batches are handed to the store in the order in which they came, each under the guard that the
//! one before it is stored, and become durable together: many may be under way, of one run and of many.

use bytes::{Bytes, BytesMut};
use crewline_protocol::{
    event::RunEvent,
    fault::{Fault, FaultCode},
    operations::run::{self, Appended},
    value::{Offset, RunId, encode},
};
use futures::FutureExt;
use tokio::task::{coop::unconstrained, spawn};

use super::{
    end::end_by_server,
    turn::{held, hole, position, stored},
};
use crate::{
    budgets,
    context::{Answer, Context, Failure, Services},
    engine::{tighter, usage_of, within},
    leases::{Assignment, Written},
    lines::{Line, Position},
    runs::{End, RunRow},
    store::{Append, Commit, CommitError, Committed, Guard, StoreError, Stored},
};

/// Bytes of events in one append: a block is read and sent as it was written.
const APPEND_BYTES: usize = 128 << 10;
/// Bytes of one event.
const EVENT_BYTES: usize = 256 << 10;
/// How often a batch is tried that changes the run's row, which others change too.
const ATTEMPTS: usize = 10;

/// Appends events to a run that the worker holds.
///
/// # Errors
/// `invalid` for events that are the server's to write, `too_large`, `lease_lost`, `conflict`, `sequence` for a hole, `over_quota` where
/// they used up a budget: the run has ended then.
pub async fn append(cx: Context, input: run::Append) -> Result<Answer<Appended>, Failure> {
    // A request that has come must be in line before the next one is looked at.
    unconstrained(in_line(cx, input)).await
}

async fn in_line(cx: Context, input: run::Append) -> Result<Answer<Appended>, Failure> {
    let run::Append { run_id, lease_epoch, seq, mut events } = input;
    events.iter().enumerate().try_for_each(|(place, event)| allowed(event, place))?;
    let line = cx.services.lines.of(run_id);
    let mut turn = line.turn.lock().await;
    let at = position(&cx, &mut turn, run_id, lease_epoch).await?;
    let last = seq + i64::try_from(events.len()).unwrap_or(i64::MAX) - 1;
    if seq > at.seq + 1 {
        return Err(hole(at.seq).into());
    }
    if last <= at.seq {
        let _all_written = line.under_way.write().await;
        *turn = stored(&cx.services.store, run_id).await?;
        let at = position(&cx, &mut turn, run_id, lease_epoch).await?;
        return if last <= at.seq { Ok(appended(at.seq, head(&cx.services, run_id).await?)) } else { Err(hole(at.seq).into()) };
    }
    events.drain(..usize::try_from(at.seq + 1 - seq).unwrap_or_default());
    let next = Position { seq: last, ..at };
    if events.iter().any(changes_row) {
        let _all_written = line.under_way.write().await;
        let done = with_row(&cx.services, run_id, at, next, &mut events).await;
        // Where it failed, it is not known how far it is stored.
        *turn = done.as_ref().ok().map(|_| next);
        let (row, hold, committed) = done?;
        if let Some(fault) = over_budget(&cx.services, &row).await? {
            *turn = None;
            end_by_server(&cx.services, &hold, next.seq, End::Failed(fault.clone())).await?;
            return Err(fault.into());
        }
        return Ok(appended(last, committed.heads.last().copied().unwrap_or_default()));
    }
    let commit = written(Commit::default(), at, next, appends(run_id, &events)?);
    let under_way = line.under_way.clone().read_owned().await;
    let store = cx.services.store.clone();
    let mut writing = Box::pin(async move { store.commit(commit).await });
    // By its first look at it the store has it in line.
    let at_once = (&mut writing).now_or_never();
    *turn = Some(next);
    drop(turn);
    let done = match at_once {
        Some(done) => done,
        // It goes on to be written, and told of, also where whoever asked is gone.
        None => spawn(async move {
            let done = writing.await;
            drop(under_way);
            done
        })
        .await
        .unwrap_or_else(|error| Err(StoreError::Failed(error.to_string()).into())),
    };
    match done {
        Ok(committed) => Ok(appended(last, committed.heads.last().copied().unwrap_or_default())),
        Err(error) => Err(refused(&cx, &line, run_id, lease_epoch, error).await),
    }
}

/// Why a batch was not stored: the run is somebody else's by now, or one before it was not.
async fn refused(cx: &Context, line: &Line, run: RunId, epoch: i64, error: CommitError) -> Failure {
    let mut turn = line.turn.lock().await;
    *turn = None;
    if !matches!(error, CommitError::Guard(_)) {
        return error.into();
    }
    match position(cx, &mut turn, run, epoch).await {
        Ok(at) => hole(at.seq).into(),
        Err(failure) => failure,
    }
}

/// Writes a batch that changes the run's row with it.
async fn with_row(
    services: &Services,
    run: RunId,
    at: Position,
    next: Position,
    events: &mut [RunEvent],
) -> Result<(RunRow, Assignment, Committed), Failure> {
    let mut attempts = 1;
    loop {
        let (before, hold) = held(&services.store, run, at).await?;
        let now = services.clock.now();
        let mut taken = hold.taken(&before, now);
        let mut progress = before.progress;
        for event in events.iter_mut() {
            match event {
                RunEvent::UsageRecorded { model, input_tokens, output_tokens, cost_microusd, .. } => {
                    let usage = usage_of(&services.settings, model, *input_tokens, *output_tokens);
                    *cost_microusd = usage.cost_microusd;
                    taken.usage += usage;
                }
                RunEvent::ProgressReported { fraction, .. } => progress = *fraction,
                _ => {}
            }
        }
        let after = before.progressed(progress, taken, now);
        let commit = written(Commit::in_workspace(before.workspace_id), at, next, appends(run, events)?).replace(&before, &after);
        match services.store.commit(commit).await {
            Ok(committed) => {
                let revision = committed.revision.unwrap_or_default();
                return Ok((RunRow { revision, ..after }, hold, committed));
            }
            // Somebody has changed the run's row.
            Err(CommitError::Guard(1)) if attempts < ATTEMPTS => attempts += 1,
            Err(CommitError::Guard(0)) => {
                let now = stored(&services.store, run).await?.filter(|now| now.lease == at.lease);
                return Err(now.map_or_else(crate::leases::lease_lost, |now| hole(now.seq)).into());
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn written(commit: Commit, at: Position, next: Position, events: Vec<Append>) -> Commit {
    let guard = Guard::columns::<Written>(at.lease, vec![("seq", at.seq.to_value())]);
    let commit = commit.guard(guard).put(&Written { id: at.lease, seq: next.seq });
    Commit { events, ..commit }
}

/// The fault with which a run ends that has used up what it may take; `None` where it has not.
async fn over_budget(services: &Services, run: &RunRow) -> Result<Option<Fault>, StoreError> {
    let app = services.apps.version(&run.version, &services.store).await?;
    let crew = app.as_ref().and_then(|app| app.crews.get(&run.crew)).map(|crew| crew.budget).unwrap_or_default();
    let budget = run.budget.as_ref().map_or(crew, |own| tighter(crew, own.0));
    if let Err(fault) = within(budget, run.usage()) {
        return Ok(Some(fault));
    }
    let used = budgets::used(services, run.workspace_id, &run.crew).await?;
    Ok(used.iter().find(|used| used.used >= used.most).map(budgets::Used::fault))
}

/// Whether an event changes the run's row.
fn changes_row(event: &RunEvent) -> bool {
    matches!(event, RunEvent::UsageRecorded { .. } | RunEvent::ProgressReported { .. })
}

/// Passes what a worker may say, and what makes sense.
fn allowed(event: &RunEvent, place: usize) -> Result<(), Fault> {
    use RunEvent::{
        LogWritten, ProgressReported, SteerApplied, TaskFailed, TaskFinished, TaskStarted, TextDelta, TextFinished, TextStarted,
        ToolFailed, ToolFinished, ToolStarted, UsageRecorded,
    };
    match event {
        ProgressReported { fraction, .. } if !(0.0..=1.0).contains(fraction) => {
            Err(Fault::invalid(format!("events[{place}].fraction"), "range", "a fraction is from 0 to 1"))
        }
        UsageRecorded { input_tokens, output_tokens, .. } if *input_tokens.max(output_tokens) > 1_000_000_000_000 => {
            Err(Fault::invalid(format!("events[{place}]"), "range", "no model call takes or gives as many tokens"))
        }
        TaskStarted { .. }
        | TaskFinished { .. }
        | TaskFailed { .. }
        | TextStarted { .. }
        | TextDelta { .. }
        | TextFinished { .. }
        | ToolStarted { .. }
        | ToolFinished { .. }
        | ToolFailed { .. }
        | ProgressReported { .. }
        | UsageRecorded { .. }
        | LogWritten { .. }
        | SteerApplied { .. } => Ok(()),
        other => {
            let message = format!("`{}` is the server's to write", other.type_name());
            Err(Fault::invalid(format!("events[{place}].type"), "forbidden", message))
        }
    }
}

/// Events in appends that are not longer than one may be.
fn appends(run: RunId, events: &[RunEvent]) -> Result<Vec<Append>, Fault> {
    let mut appends = Vec::new();
    let (mut bytes, mut count) = (BytesMut::new(), 0);
    for event in events {
        let event = Bytes::from(encode(event));
        if event.len() > EVENT_BYTES {
            let message = format!("an event has {} bytes; {EVENT_BYTES} are the most: say it in parts", event.len());
            return Err(Fault::new(FaultCode::TooLarge, message));
        }
        if count > 0 && bytes.len() + event.len() > APPEND_BYTES {
            appends.push(Append { run, count, events: bytes.split().freeze(), complete: false });
            count = 0;
        }
        bytes.extend_from_slice(&event);
        count += 1;
    }
    appends.push(Append { run, count, events: bytes.freeze(), complete: false });
    Ok(appends)
}

async fn head(services: &Services, run: RunId) -> Result<Offset, StoreError> {
    Ok(services.store.heads(&[run]).await?.first().map(|(_, stream)| stream.head).unwrap_or_default())
}

fn appended(seq: i64, head: Offset) -> Answer<Appended> {
    Appended { seq, head }.into()
}
