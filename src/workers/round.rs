//! Assigning runs to workers, round by round: what silent workers held is taken from them, and whoever has room is given what waits.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use crewline_protocol::{
    event::{RunEvent, WaitingFor},
    operations::{crew::Executor, worker::State},
    value::{LeaseId, Millis, RunId, WorkerId, WorkspaceId},
};
use futures::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{info, warn};

use super::{
    end::end_by_server,
    row::WorkerRow,
    turn::{hold_of, stored},
};
use crate::{
    apps::App,
    context::Services,
    engine::{out_of_time, tighter},
    entity,
    leases::{self, Assignment, Holder, Lease, Place, Terms, Waiting},
    runs::{End, RunRow},
    store::{Commit, CommitError, Condition, Select, StoreError, Stored},
};

/// How many of a kind one round looks at.
const MOST: usize = 500;
/// How many runs are assigned side by side.
const AT_ONCE: usize = 32;
/// How many workspaces one round looks at; the next begins behind them.
const WORKSPACES: usize = 200;

entity! {
    /// As much of a hold as tells which place it takes.
    struct Taken in "assignments" {
        id: LeaseId,
        worker_id: WorkerId,
        slot: i64,
    }
}

/// Assigns runs until it is dropped.
pub async fn assign_forever(services: Arc<Services>) {
    let settings = &services.settings;
    let mut rounds = interval(Duration::from_millis(settings.sweep_ms.min(settings.lease_ms / 3).max(1)));
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut after = None;
    // Nobody could be heard before this node was there: who comes back in time has lost nothing by that.
    let heard = Instant::now() + Duration::from_millis(settings.lease_ms);
    if let Err(error) = nobody_is_here(&services).await {
        warn!(%error, "workers of before can't be told to be offline; runs may be given to some that are gone");
    }
    loop {
        let swept = tokio::select! {
            _ = rounds.tick() => if Instant::now() < heard { Ok(()) } else { sweep(&services).await },
            () = services.hub.assigns() => offline(&services).await,
        };
        let assigned = match swept {
            Ok(()) => assign(&services, &mut after).await,
            Err(error) => Err(error),
        };
        if let Err(error) = assigned {
            warn!(%error, "runs can't be assigned to workers; the next round tries again");
        }
    }
}

/// Takes all workers for gone until they say something, as they do every third of a lease: this node has heard none yet.
async fn nobody_is_here(services: &Services) -> Result<(), StoreError> {
    for row in services.store.select::<WorkerRow>(&here()).await? {
        leaves(services, &row).await?;
    }
    Ok(())
}

/// Workers that are not offline.
fn here() -> Select {
    Select::default().and(Condition::In("state", [State::Online, State::Draining].map(|state| state.to_value()).to_vec()))
}

/// Gives no more to workers whose connections have ended, until they are back. What they hold they keep meanwhile.
async fn offline(services: &Services) -> Result<(), StoreError> {
    for worker in services.hub.workers_left() {
        let Some(row) = services.store.get::<WorkerRow>(worker).await?.filter(|row| row.state != State::Offline) else { continue };
        leaves(services, &row).await?;
    }
    Ok(())
}

async fn leaves(services: &Services, row: &WorkerRow) -> Result<(), StoreError> {
    let offline = WorkerRow { state: State::Offline, updated_at: services.clock.now(), ..row.clone() };
    unless_changed(services.store.commit(Commit::in_workspace(row.workspace_id).replace(row, &offline)).await)
}

/// One whole round. Several nodes may play it at once: the first does what there is to do.
///
/// # Errors
/// See [`StoreError`].
pub async fn round(services: &Services) -> Result<(), StoreError> {
    offline(services).await?;
    sweep(services).await?;
    assign(services, &mut None).await
}

/// Takes runs from workers that said nothing for too long, and ends those whose time is used up.
async fn sweep(services: &Services) -> Result<(), StoreError> {
    let Services { store, clock, settings, .. } = services;
    let now = clock.now();
    let expired: Vec<Lease> = store.select(&Select::default().and(Condition::Less("expires_at", now.to_value())).limit(MOST)).await?;
    for lease in expired {
        // An engine's is taken over by an engine.
        let Some(hold) = hold_of(store, lease.run_id).await? else { continue };
        if leases::lose(store, clock, &hold, settings.max_attempts, Some(now)).await? {
            info!(run = %hold.run_id, worker = %hold.worker_id, epoch = hold.epoch, "a worker was silent for too long: its run is queued again");
            services.lines.forget(hold.run_id);
            services.hub.run_queued();
        }
    }
    let silent = now.plus(-i64::try_from(settings.lease_ms).unwrap_or(i64::MAX));
    let gone = here().and(Condition::Less("last_seen_at", silent.to_value())).limit(MOST);
    for row in store.select::<WorkerRow>(&gone).await? {
        leaves(services, &row).await?;
    }
    let late = Select::default().and(Condition::Less("ends_at", now.to_value())).limit(MOST);
    for hold in store.select::<Assignment>(&late).await? {
        end_late(services, &hold).await?;
    }
    Ok(())
}

/// Ends a run that has been executed for as long as it may be.
async fn end_late(services: &Services, hold: &Assignment) -> Result<(), StoreError> {
    let line = services.lines.of(hold.run_id);
    let mut turn = line.turn.lock().await;
    let _all_written = line.under_way.write().await;
    let Some(at) = stored(&services.store, hold.run_id).await?.filter(|at| at.lease == hold.id) else { return Ok(()) };
    let most = hold.ends_at.map_or(0, |ends_at| ends_at.since(hold.created_at) + hold.executed_ms);
    let fault = out_of_time(u64::try_from(most).unwrap_or_default());
    end_by_server(services, hold, at.seq, End::Failed(fault)).await?;
    *turn = None;
    Ok(())
}

/// Gives runs that wait to workers that have room.
async fn assign(services: &Services, after: &mut Option<WorkspaceId>) -> Result<(), StoreError> {
    let Services { store, .. } = services;
    let workers: Vec<WorkerRow> = store.select(&here()).await?;
    let mut taken: HashMap<WorkerId, BTreeSet<i64>> = HashMap::new();
    if !workers.is_empty() {
        for place in store.select::<Taken>(&Select::default()).await? {
            taken.entry(place.worker_id).or_default().insert(place.slot);
        }
    }
    for _ in 0..WORKSPACES {
        let Some(workspace) = leases::waiting_workspace(store, Executor::Worker, *after).await? else {
            // The next round begins at the first.
            *after = None;
            break;
        };
        *after = Some(workspace);
        let own: Vec<WorkerRow> = workers.iter().filter(|worker| worker.workspace_id == workspace).cloned().collect();
        assign_in(services, workspace, &own, &mut taken).await?;
    }
    for worker in &workers {
        count(services, worker, taken.get(&worker.id).map_or(0, BTreeSet::len)).await?;
    }
    Ok(())
}

async fn assign_in(
    services: &Services,
    workspace: WorkspaceId,
    workers: &[WorkerRow],
    taken: &mut HashMap<WorkerId, BTreeSet<i64>>,
) -> Result<(), StoreError> {
    let Services { store, apps, .. } = services;
    let app = apps.of(workspace);
    let crews: BTreeSet<String> = workers.iter().flat_map(|worker| worker.crews.0.iter().cloned()).collect();
    let crews: Vec<String> = crews.into_iter().collect();
    for run in leases::unserved(store, workspace, &crews, MOST).await? {
        tell_unserved(services, run.run).await?;
    }
    let free: usize = workers.iter().map(|worker| free_places(worker, taken)).sum();
    if crews.is_empty() {
        return Ok(());
    }
    // Some wait for a worker with more labels: those behind them need not.
    let waiting = leases::for_workers(store, workspace, &crews, free + MOST).await?;
    let mut given = Vec::new();
    for Waiting { run, crew, told } in waiting {
        let labels = app.crews.get(&crew).map(|crew| crew.labels.as_slice()).unwrap_or_default();
        let serving: Vec<&WorkerRow> = workers.iter().filter(|worker| worker.serves(&crew, labels)).collect();
        if serving.is_empty() && !told {
            tell_unserved(services, run).await?;
        }
        let most_free = serving.into_iter().max_by_key(|worker| free_places(worker, taken));
        let Some(worker) = most_free.filter(|worker| free_places(worker, taken) > 0) else { continue };
        let places = taken.entry(worker.id).or_default();
        let Some(slot) = (0..i64::from(worker.capacity)).find(|slot| !places.contains(slot)) else { continue };
        places.insert(slot);
        given.push((run, Place { worker: worker.id, slot, duration_ms: None }));
    }
    for batch in given.chunks(AT_ONCE) {
        let assigned = join_all(batch.iter().map(|(run, place)| give(services, &app, *run, *place))).await;
        for (place, assigned) in batch.iter().map(|(_, place)| place).zip(assigned) {
            if !assigned? && let Some(places) = taken.get_mut(&place.worker) {
                places.remove(&place.slot);
            }
        }
    }
    Ok(())
}

/// Gives a run to a worker, at one of its places. Gives whether it has it.
async fn give(services: &Services, app: &App, run: RunId, place: Place) -> Result<bool, StoreError> {
    let Services { store, clock, settings, .. } = services;
    let terms = Terms { lease_ms: i64::try_from(settings.lease_ms).unwrap_or(i64::MAX), max_attempts: settings.max_attempts };
    let place = Place { duration_ms: duration(services, app, run).await?, ..place };
    Ok(leases::assign(store, clock, run, Holder::Worker(place), terms).await?.is_some())
}

/// How many more runs a worker takes.
fn free_places(worker: &WorkerRow, taken: &HashMap<WorkerId, BTreeSet<i64>>) -> usize {
    if worker.state != State::Online {
        return 0;
    }
    let used = taken.get(&worker.id).map_or(0, |places| places.range(..i64::from(worker.capacity)).count());
    (worker.capacity as usize).saturating_sub(used)
}

/// How long a run may be executed in all.
async fn duration(services: &Services, app: &App, run: RunId) -> Result<Option<i64>, StoreError> {
    let Some(run) = services.store.get::<RunRow>(run).await? else { return Ok(None) };
    let kept = if run.version == app.version { None } else { services.apps.version(&run.version, &services.store).await? };
    let crew = kept.as_deref().unwrap_or(app).crews.get(&run.crew).map(|crew| crew.budget).unwrap_or_default();
    let budget = run.budget.as_ref().map_or(crew, |own| tighter(crew, own.0));
    Ok(budget.duration_ms.map(|most| i64::try_from(most).unwrap_or(i64::MAX)))
}

/// Says in a run's log and row that no worker serves its crew.
async fn tell_unserved(services: &Services, run: RunId) -> Result<(), StoreError> {
    let Some(run) = services.store.get::<RunRow>(run).await? else { return Ok(()) };
    let is_waiting = run.status == crewline_protocol::operations::run::Status::Queued && run.waiting_for.is_none();
    if !is_waiting {
        return Ok(());
    }
    let now: Millis = services.clock.now();
    let event = RunEvent::RunWaiting { at: now, r#for: WaitingFor::Worker };
    let commit = Commit::in_workspace(run.workspace_id).replace(&run, &run.unserved(now)).append(run.id, &[event]);
    unless_changed(services.store.commit(commit).await)
}

/// Notes how many runs a worker holds, where that has changed.
async fn count(services: &Services, worker: &WorkerRow, held: usize) -> Result<(), StoreError> {
    let held = u32::try_from(held).unwrap_or(u32::MAX);
    if worker.held == held {
        return Ok(());
    }
    let after = WorkerRow { held, updated_at: services.clock.now(), ..worker.clone() };
    unless_changed(services.store.commit(Commit::in_workspace(worker.workspace_id).replace(worker, &after)).await)
}

/// What has changed meanwhile is looked at again in the next round.
fn unless_changed<T>(done: Result<T, CommitError>) -> Result<(), StoreError> {
    match done {
        Ok(_) | Err(CommitError::Guard(_)) => Ok(()),
        Err(CommitError::Store(error)) => Err(error),
        Err(error) => Err(StoreError::Failed(error.to_string())),
    }
}
