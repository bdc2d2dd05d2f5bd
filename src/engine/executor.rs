//! One attempt at a run: from its lease to its end, or to the moment when someone else must go on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use crewline_protocol::{
    event::WaitingFor,
    fault::{Fault, FaultCode},
    operations::run::CancelMode,
    value::{RunId, WorkspaceId},
};
use tokio::{
    sync::watch,
    task::yield_now,
    time::{Instant, sleep_until},
};
use tracing::{info, warn};

use super::{
    branches::Branches,
    budget,
    flow::perform,
    history::History,
    last_words,
    log::{self, Written},
    models::Models,
    people::People,
    prompt,
    read::{self, Listener},
    stage::{Counters, Paces, Spent, Stage, lock, never},
    tools::{ToolContext, Toolbox},
};
use crate::{
    approvals::ApprovalRow,
    apps::{App, Manager, Process},
    context::Services,
    endings,
    leases::{self, Assigned},
    runs::{End, RunRow},
    store::{Json, StoreError},
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
pub(super) async fn execute(means: &Means, assigned: Box<Assigned>, mut cut: watch::Receiver<Cut>) {
    let run = assigned.run.id;
    let lease = assigned.lease.clone();
    match attempt(means, assigned, &mut cut).await {
        Ok(Written::Finished) => info!(%run, "a run has finished"),
        Ok(Written::Parked) => info!(%run, "a run waits for people"),
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

async fn attempt(means: &Means, assigned: Box<Assigned>, cut: &mut watch::Receiver<Cut>) -> Result<Written, StoreError> {
    let Services { store, hub, apps, .. } = &*means.services;
    let Assigned { lease, run, head } = *assigned;
    let mut listener = Listener::new(store, hub, run.id);
    // What is soon over is boxed here, as are the two that go on side by side: an attempt's future would hold room for all of it until
    // the run ends, and twice for what is moved into its place.
    let mut history = Box::pin(read::history(store, run.id, head)).await?;
    // Before the log told it, the row did.
    history.said.cancel = run.cancel_mode().or(history.said.cancel);
    let people = Arc::new(People::new(std::mem::take(&mut history.said)));
    let warned = std::mem::take(&mut history.warned);
    let spent = Spent { usage: history.usage, executed_ms: history.executed_ms, since: means.services.clock.now(), warned };
    let spent = Arc::new(Mutex::new(spent));
    let app = apps.version(&run.version, store).await?.filter(|app| app.crews.contains_key(&run.crew));
    let (log, writer) = log::open(store.clone(), lease, run.clone());
    let mut writing = Box::pin(writer.run());

    let executed_ms = history.executed_ms;
    let shared = Shared { log: log.clone(), people: people.clone(), spent: spent.clone() };
    let stage = app.map(|app| stage(means, app, &run, history, shared));
    let mut performing = Box::pin(async {
        match &stage {
            Some(stage) => perform(stage).await,
            None => End::Failed(app_is_gone(&run.crew)),
        }
    });
    let out_of_time = optional(stage.as_ref().map(|stage| out_of_time(stage, executed_ms)));
    let end = {
        tokio::pin!(out_of_time);
        loop {
            tokio::select! {
                biased;
                written = &mut writing => return Ok(written),
                // What is heard comes before what is done about it, and that before the question whether there is anything to do.
                () = listener.listen(head, &people) => {}
                end = &mut performing => break Some(end),
                () = people.until(|said| said.cancel == Some(CancelMode::Now)) => break Some(End::Cancelled),
                fault = &mut out_of_time => break Some(End::Failed(fault)),
                cut = wait_for_cut(cut) => match cut {
                    Cut::Lost => return Ok(Written::Lost),
                    Cut::Leave | Cut::No => break None,
                },
                () = optional(stage.as_ref().map(|stage| stage.branches.all_wait())) => {
                    // Nothing else goes on meanwhile: a branch that heard its answer now would work on a run that is put away.
                    if let Some(stage) = stage.as_ref().filter(|stage| stage.waits_for_people()) {
                        tokio::select! {
                            written = &mut writing => return Ok(written),
                            _refused = Box::pin(park(stage)) => {}
                        }
                        listener.catch_up(&people).await;
                    } else {
                        yield_now().await;
                    }
                }
            }
        }
    };
    drop(performing);
    if let Some(end) = end {
        tokio::select! {
            written = &mut writing => return Ok(written),
            failed = Box::pin(finish(&means.services, &log, &run, end, (&mut listener, &people, &spent))) => failed?,
        }
    }
    drop((log, stage));
    Ok(writing.await)
}

/// Puts the run away until somebody answers, or resumes it.
async fn park(stage: &Stage) -> bool {
    let r#for = if stage.people.look(|said| said.paused) { WaitingFor::Pause } else { WaitingFor::Approval };
    let unanswered = lock(&stage.questions).iter().map(|question| ApprovalRow::unanswered(*question)).collect();
    stage.log.park(r#for, stage.taken(), stage.now(), unanswered).await
}

/// Ends the run, with all that was said to it until then.
async fn finish(
    services: &Services,
    log: &log::Log,
    run: &RunRow,
    end: End,
    heard: (&mut Listener<'_>, &People, &Mutex<Spent>),
) -> Result<(), StoreError> {
    let (listener, people, spent) = heard;
    loop {
        let now = services.clock.now();
        let taken = lock(spent).taken(now);
        let ended = run.progressed(run.progress, taken, now).finished(end.clone(), now);
        let commit = last_words::kept(services, run, people).await;
        let (commit, events) = endings::with(&services.store, &services.clock, &ended, commit).await?;
        if log.finish(&events, end.clone(), taken, now, commit).await {
            // The writer tells that it has finished.
            std::future::pending::<()>().await;
        }
        listener.catch_up(people).await;
    }
}

/// What an attempt's stage shares with the rest of it.
struct Shared {
    log: log::Log,
    people: Arc<People>,
    spent: Arc<Mutex<Spent>>,
}

fn stage(means: &Means, app: Arc<App>, run: &RunRow, history: History, shared: Shared) -> Box<Stage> {
    let Services { clock, settings, .. } = &*means.services;
    let crew = &app.crews[&run.crew];
    let manager = match &crew.process {
        Process::Hierarchical { manager: Manager::Model(llm) } => Some(prompt::manager(llm.clone())),
        Process::Hierarchical { manager: Manager::Agent(_) } | Process::Sequential => None,
    };
    let paces = Paces::new(crew, manager.as_ref(), &history, clock.now());
    Box::new(Stage {
        budget: run.budget.as_ref().map_or(crew.budget, |own| budget::tighter(crew.budget, own.0)),
        crew: run.crew.clone(),
        manager,
        paces,
        app,
        models: means.models.clone(),
        tools: means.tools.clone(),
        cx: ToolContext::of(run),
        clock: clock.clone(),
        services: means.services.clone(),
        answer_bytes: settings.answer_bytes as usize,
        log: shared.log,
        run: RunRow { inputs: Json::default(), ..run.clone() },
        people: shared.people,
        questions: Mutex::default(),
        branches: Branches::new(),
        counters: Counters { parts: history.parts.into(), calls: history.calls.into() },
        facts: Mutex::default(),
        spent: shared.spent,
        cache: Mutex::default(),
        past: Mutex::new(history.works),
        ending: watch::Sender::new(false),
    })
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

/// What comes of this, where there is anything.
async fn optional<F: Future>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
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
    pub(super) workspace: WorkspaceId,
    pub(super) lease: Option<leases::Lease>,
    pub(super) cut: watch::Sender<Cut>,
}

/// The runs that a node's executors hold.
pub(super) type HeldRuns = Mutex<HashMap<RunId, Held>>;

#[cfg(test)]
mod tests;
