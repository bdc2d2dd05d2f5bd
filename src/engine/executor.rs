//! One attempt at a run: from its lease to its end, or to the moment when someone else must go on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use crewline_protocol::{
    fault::{Fault, FaultCode},
    operations::run::CancelMode,
    value::RunId,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tracing::{info, warn};

use super::{
    branches::Branches,
    budget,
    flow::perform,
    history::History,
    log::{self, Written},
    models::Models,
    prompt, read,
    stage::{Counters, Paces, Spent, Stage, lock, never},
    tools::{ToolContext, Toolbox},
};
use crate::{
    apps::{App, Manager, Process},
    context::Services,
    hub::Mailbox,
    leases::{self, Assigned},
    runs::{End, RunRow},
    store::StoreError,
};

/// What all executors of a node share.
pub(super) struct Means {
    pub(super) services: Arc<Services>,
    pub(super) models: Arc<Models>,
    pub(super) tools: Toolbox,
}

/// What cuts an attempt off from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Nothing does.
    No,
    /// The engine leaves: what is done is written, and the run is given back.
    Leave,
    /// The lease is lost: nothing more can be written.
    Lost,
}

/// Executes an assigned run until it has finished or is cut off.
pub(super) async fn execute(means: &Means, assigned: Assigned, mut cut: watch::Receiver<Cut>) {
    let run = assigned.run.id;
    let lease = assigned.lease.clone();
    match attempt(means, assigned, &mut cut).await {
        Ok(Written::Finished) => info!(%run, "a run has finished"),
        Ok(Written::Lost) => warn!(%run, epoch = lease.epoch, "a lease is lost: someone else goes on with the run"),
        Ok(Written::Left) => {
            info!(%run, "a run is given back");
            if let Err(error) = leases::release(&means.services.store, &lease).await {
                warn!(%run, %error, "a run can't be given back; its lease ends by itself");
            }
        }
        Ok(Written::Failed(error)) | Err(error) => warn!(%run, %error, "a run can't be written; the next attempt goes on from its log"),
    }
}

async fn attempt(means: &Means, assigned: Assigned, cut: &mut watch::Receiver<Cut>) -> Result<Written, StoreError> {
    let Services { store, hub, apps, clock, .. } = &*means.services;
    let Assigned { lease, run, head } = assigned;
    let id = run.id;
    let mailbox = Arc::new(Mailbox::default());
    let following = hub.follow(id, &mailbox, 0);
    let history = if run.attempt > 1 { read::history(store, id, head).await? } else { History::default() };
    let (tell, cancel) = watch::channel(run.cancel_mode());
    let app = apps.version(&run.version, store).await?;
    let (log, writer) = log::open(store.clone(), lease, run.clone());
    let spent = Arc::new(Mutex::new(Spent { usage: history.usage, warned: history.warned.clone() }));

    let app = app.filter(|app| app.crews.contains_key(&run.crew));
    let stage = app.map(|app| stage(means, app, &run, history, Shared { log: log.clone(), cancel: cancel.clone(), spent: spent.clone() }));
    let performing = async {
        match &stage {
            Some((stage, _)) => perform(stage).await,
            None => End::Failed(app_is_gone(&run.crew)),
        }
    };
    let out_of_time = async {
        match &stage {
            Some((stage, executed_ms)) => out_of_time(stage, *executed_ms).await,
            None => std::future::pending().await,
        }
    };
    let writing = writer.run();
    tokio::pin!(writing);
    let cut_off = tokio::select! {
        written = &mut writing => return Ok(written),
        end = performing => CutOff::Ended(end),
        () = now(cancel) => CutOff::Ended(End::Cancelled),
        fault = out_of_time => CutOff::Ended(End::Failed(fault)),
        () = read::tell_cancels(store, &mailbox, &following, id, head, &tell) => CutOff::Left,
        cut = wait_for_cut(cut) => match cut {
            Cut::Lost => return Ok(Written::Lost),
            Cut::Leave | Cut::No => CutOff::Left,
        },
    };
    match cut_off {
        CutOff::Ended(end) => {
            let usage = lock(&spent).usage;
            let finishing = log.finish(end, usage, clock.now());
            tokio::select! {
                written = &mut writing => return Ok(written),
                () = finishing => {}
            }
        }
        CutOff::Left => {}
    }
    drop((log, stage));
    Ok(writing.await)
}

/// What an attempt's stage shares with the rest of it.
struct Shared {
    log: log::Log,
    cancel: watch::Receiver<Option<CancelMode>>,
    spent: Arc<Mutex<Spent>>,
}

/// The stage of an attempt, and for how long earlier ones were executed, in milliseconds.
fn stage(means: &Means, app: Arc<App>, run: &RunRow, history: History, shared: Shared) -> (Stage, i64) {
    let Services { clock, settings, .. } = &*means.services;
    let crew = &app.crews[&run.crew];
    let manager = match &crew.process {
        Process::Hierarchical { manager: Manager::Model(llm) } => Some(prompt::manager(llm.clone())),
        Process::Hierarchical { manager: Manager::Agent(_) } | Process::Sequential => None,
    };
    let paces = Paces::new(crew, manager.as_ref(), &history, clock.now());
    let executed_ms = history.executed_ms;
    let stage = Stage {
        budget: crew.budget,
        crew: run.crew.clone(),
        manager,
        paces,
        app,
        models: means.models.clone(),
        tools: means.tools.clone(),
        cx: ToolContext::of(run),
        clock: clock.clone(),
        answer_bytes: settings.answer_bytes as usize,
        log: shared.log,
        cancel: shared.cancel,
        branches: Branches::new(),
        counters: Counters { parts: history.parts.into(), calls: history.calls.into() },
        facts: Mutex::default(),
        spent: shared.spent,
        cache: Mutex::default(),
        past: Mutex::new(history.works),
        ending: watch::Sender::new(false),
    };
    (stage, executed_ms)
}

/// Tells when the run's time runs out, and comes to its end when it has.
async fn out_of_time(stage: &Stage, executed_ms: i64) -> Fault {
    let Some((low, out)) = budget::time_left(stage.budget, executed_ms) else { return std::future::pending().await };
    let begun = Instant::now();
    let most = stage.budget.duration_ms.unwrap_or_default();
    sleep_until(begun + low).await;
    if lock(&stage.spent).warned.insert("duration_ms".to_owned()) {
        stage.log.put(&[budget::warning("duration_ms", most - most / 5, most, stage.now())]).await;
    }
    sleep_until(begun + out).await;
    budget::out_of_time(most)
}

enum CutOff {
    Ended(End),
    Left,
}

/// Waits until someone asks for the run's end now.
async fn now(mut cancel: watch::Receiver<Option<CancelMode>>) {
    if cancel.wait_for(|mode| *mode == Some(CancelMode::Now)).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn wait_for_cut(cut: &mut watch::Receiver<Cut>) -> Cut {
    match cut.wait_for(|cut| *cut != Cut::No).await {
        Ok(cut) => *cut,
        // Whoever could cut it off is gone: so is the engine.
        Err(_) => Cut::Leave,
    }
}

fn app_is_gone(crew: &str) -> Fault {
    let message = format!("the version of the app that this run of `{crew}` began with can't be read any more: start it again");
    never(FaultCode::Internal, message)
}

/// A run that an executor holds, as its node's engine knows it.
pub(super) struct Held {
    pub(super) lease: Option<leases::Lease>,
    pub(super) cut: watch::Sender<Cut>,
}

/// The runs that a node's executors hold.
pub(super) type HeldRuns = Mutex<HashMap<RunId, Held>>;

#[cfg(test)]
mod tests;
