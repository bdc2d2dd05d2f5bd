//! One attempt at a run: from its lease to its end, or to the moment when someone else must go on.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use crewline_protocol::{
    event::{RunEvent, Usage},
    fault::{Fault, FaultCode},
    operations::run::CancelMode,
    value::RunId,
};
use tokio::sync::watch;
use tracing::{info, warn};

use super::{
    history::{History, TaskHistory},
    log::{self, Written},
    models::Models,
    read,
    task::{Counters, Stage, Stopped, Work, never},
    tools::{ToolContext, Toolbox},
};
use crate::{
    apps::fill,
    context::Services,
    hub::Mailbox,
    leases::{self, Assigned},
    runs::End,
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
    let Services { store, hub, apps, clock, settings, .. } = &*means.services;
    let Assigned { lease, run, head } = assigned;
    let id = run.id;
    let mailbox = Arc::new(Mailbox::default());
    let following = hub.follow(id, &mailbox, 0);
    let history = if run.attempt > 1 { read::history(store, id, head).await? } else { History::default() };
    let (tell, cancel) = watch::channel(run.cancel_mode());
    let usage = Arc::new(Mutex::new(history.usage));
    let app = apps.version(&run.version, store).await?;
    let (log, writer) = log::open(store.clone(), lease, run.clone());

    let stage = app.filter(|app| app.crews.contains_key(&run.crew)).map(|app| Stage {
        app,
        crew: run.crew.clone(),
        models: means.models.clone(),
        tools: means.tools.clone(),
        cx: ToolContext { inputs: Arc::new(run.inputs.0.clone()) },
        clock: clock.clone(),
        answer_bytes: settings.answer_bytes as usize,
        log: log.clone(),
        cancel: cancel.clone(),
        counters: Counters { parts: history.parts.into(), calls: history.calls.into() },
        facts: Mutex::default(),
        usage: usage.clone(),
    });
    let performing = async {
        match &stage {
            Some(stage) => perform(stage, history.tasks).await,
            None => End::Failed(app_is_gone(&run.crew)),
        }
    };
    let writing = writer.run();
    tokio::pin!(writing);
    let cut_off = tokio::select! {
        written = &mut writing => return Ok(written),
        end = performing => CutOff::Ended(end),
        () = now(cancel) => CutOff::Ended(End::Cancelled),
        () = read::tell_cancels(store, &mailbox, &following, id, head, &tell) => CutOff::Left,
        cut = wait_for_cut(cut) => match cut {
            Cut::Lost => return Ok(Written::Lost),
            Cut::Leave | Cut::No => CutOff::Left,
        },
    };
    match cut_off {
        CutOff::Ended(end) => {
            let usage = *usage.lock().unwrap_or_else(PoisonError::into_inner);
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

/// Does the crew's tasks, going on from what the log says has been done.
async fn perform(stage: &Stage, mut done: BTreeMap<String, TaskHistory>) -> End {
    let Some(crew) = stage.app.crews.get(&stage.crew) else { return End::Failed(app_is_gone(&stage.crew)) };
    let mut outputs: Vec<String> = Vec::new();
    for (place, task) in crew.tasks.iter().enumerate() {
        let Some(agent) = task.agent.as_ref().and_then(|agent| crew.agents.get(agent)) else { continue };
        let work = Work { id: format!("task-{}", place + 1), task, agent };
        let begun = done.remove(&work.id);
        let role = fill(agent.role.trim(), &stage.cx.inputs);
        let report = |part: usize, message: String| RunEvent::ProgressReported {
            at: stage.now(),
            fraction: (place + part) as f64 / crew.tasks.len() as f64,
            message,
        };
        if begun.is_none() {
            if stage.go_on().is_err() {
                return End::Cancelled;
            }
            let (id, name, agent_name) = (work.id.clone(), task.name.clone(), agent.name.clone());
            let started = RunEvent::TaskStarted { at: stage.now(), task: id, name, agent: agent_name, parent: None };
            stage.log.put(&[started, report(0, format!("{role} begins {}", task.name))]).await;
        }
        let begun = begun.unwrap_or_default();
        stage.remember(&begun);
        let finished = begun.output.clone();
        let output = match finished {
            Some(output) => output,
            None => match stage.work(&work, &outputs, begun).await {
                Ok(output) => {
                    let finished = RunEvent::TaskFinished { at: stage.now(), task: work.id.clone(), output: output.clone() };
                    let events = [finished, report(1, format!("{role} has finished {}", task.name))];
                    let fraction = (place + 1) as f64 / crew.tasks.len() as f64;
                    stage.log.put_progress(&events, fraction, stage.used(), stage.now()).await;
                    output
                }
                Err(Stopped::Cancelled) => return End::Cancelled,
                Err(Stopped::Failed(fault)) => {
                    stage.log.put(&[RunEvent::TaskFailed { at: stage.now(), task: work.id.clone(), fault: fault.clone() }]).await;
                    return End::Failed(fault);
                }
            },
        };
        stage.facts.lock().unwrap_or_else(PoisonError::into_inner).tasks.insert(task.name.clone(), output.clone().into());
        outputs.push(output);
    }
    End::Succeeded(outputs.pop().unwrap_or_default())
}

impl Stage {
    /// What the tools of finished calls found.
    fn remember(&self, done: &TaskHistory) {
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        for called in done.answers.iter().flat_map(|answer| &answer.calls) {
            if let Some(Ok(output)) = &called.outcome {
                facts.tools.insert(called.tool.clone(), output.clone());
            }
        }
    }

    fn used(&self) -> Usage {
        *self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run that an executor holds, as its node's engine knows it.
pub(super) struct Held {
    pub(super) lease: Option<leases::Lease>,
    pub(super) cut: watch::Sender<Cut>,
}

/// The runs that a node's executors hold.
pub(super) type HeldRuns = Mutex<HashMap<RunId, Held>>;
