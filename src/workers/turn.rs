//! A worker's turn at one of its runs: what it writes is written in the order in which it came, and only while the run is its own.

use crewline_protocol::{
    fault::{Fault, Reason},
    value::RunId,
};
use serde_json::json;

use crate::{
    context::{Answer, Context, Failure},
    leases::{Assignment, Written, lease_lost},
    lines::Position,
    runs::RunRow,
    store::{Select, Store, StoreError},
};

/// Does something with a run that the worker holds, when all that it appended before is written.
///
/// # Errors
/// `lease_lost`, and what is done may fail by.
pub(super) async fn in_turn<O>(
    cx: &Context,
    run: RunId,
    epoch: i64,
    act: impl AsyncFnOnce(&RunRow, &Assignment, Position) -> Result<Answer<O>, Failure>,
) -> Result<Answer<O>, Failure> {
    let line = cx.services.lines.of(run);
    let mut turn = line.turn.lock().await;
    let _all_written = line.under_way.write().await;
    let at = position(cx, &mut turn, run, epoch).await?;
    let done = async {
        let (row, hold) = held(&cx.services.store, run, at).await?;
        act(&row, &hold, at).await
    };
    let done = done.await;
    if !matches!(done, Err(Failure::Fault(_))) {
        // It has changed, or it is not known how far: whoever comes next finds out.
        *turn = None;
    }
    done
}

/// Where a run stands that the worker on this connection holds. `known` is what is known of it, in whose turn this is asked.
///
/// # Errors
/// `lease_lost` where somebody else holds it, or under another lease, or nobody.
pub(super) async fn position(cx: &Context, known: &mut Option<Position>, run: RunId, epoch: i64) -> Result<Position, Failure> {
    let worker = cx.identity()?.worker.ok_or_else(lease_lost)?;
    // Epochs only grow. What is under way is ahead of what is stored, so that what is known of the same hold is not read again.
    if known.is_none_or(|known| known.epoch < epoch) {
        *known = stored(&cx.services.store, run).await?;
    }
    let held = known.filter(|position| position.epoch == epoch && position.worker == worker);
    if held.is_none() && known.is_none() {
        cx.services.lines.forget(run);
    }
    held.ok_or_else(|| lease_lost().into())
}

/// The same, as the store has it.
pub(super) async fn stored(store: &Store, run: RunId) -> Result<Option<Position>, StoreError> {
    let Some(hold) = hold_of(store, run).await? else { return Ok(None) };
    let written = store.get::<Written>(hold.id).await?;
    Ok(written.map(|written| Position { lease: hold.id, worker: hold.worker_id, epoch: hold.epoch, seq: written.seq }))
}

/// A worker's hold on a run.
pub(super) async fn hold_of(store: &Store, run: RunId) -> Result<Option<Assignment>, StoreError> {
    Ok(store.select::<Assignment>(&Select::by("run_id", run).limit(1)).await?.pop())
}

/// A run with its worker's hold on it.
///
/// # Errors
/// `lease_lost` where it is another's by now.
pub(super) async fn held(store: &Store, run: RunId, position: Position) -> Result<(RunRow, Assignment), Failure> {
    let (row, hold) = (store.get::<RunRow>(run).await?, hold_of(store, run).await?);
    let held = row.zip(hold).filter(|(_, hold)| hold.id == position.lease);
    Ok(held.ok_or_else(lease_lost)?)
}

/// Events are missing before these.
pub(super) fn hole(stored: i64) -> Fault {
    let message = format!("events are missing: {stored} is the last that is stored, send those after it");
    Fault { current: Some(json!({ "seq": stored })), ..Fault::conflict(Reason::Sequence, message) }
}
