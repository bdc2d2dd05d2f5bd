//! The engine: executes crews' runs, each under a lease and each in a task of its own. The log is the checkpoint: what an attempt has
//! written is never made again by the next.

mod ask;
mod branches;
mod budget;
mod check;
mod content;
mod coworkers;
mod executor;
mod flow;
mod heard;
mod history;
mod last_words;
mod log;
mod mcp;
mod model;
mod models;
mod operations;
mod pace;
mod people;
mod prompt;
mod read;
mod simulated;
mod speak;
mod stage;
mod stopwatch;
mod talk;
mod tool_use;
mod tools;
mod web;
mod work;

pub use budget::{check as within, out_of_time, tighter};
pub use content::{ContentAnalyze, Figures, analyze};
pub use last_words::unread as unread_words;
pub use model::{Chunk, Message, Model, Request, Scene};
pub use models::{Models, usage_of};
pub use operations::{Acting, Operations};
pub use read::events;
pub use simulated::Simulated;
pub use tools::{Effect, Tool, ToolContext, ToolSpec, Toolbox};

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use crewline_protocol::value::{RunId, WorkspaceId};
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::warn;

use crate::{
    context::Services,
    leases::{self, Holder, Lease, Terms},
    store::StoreError,
};
use executor::{Cut, Held, HeldRuns, Means, execute};
use stage::lock;

/// How long runs get to write what they have made when the engine leaves.
const LEAVE: Duration = Duration::from_secs(5);

/// Executes runs on this node.
pub struct Engine {
    node: String,
    means: Arc<Means>,
    held: Arc<HeldRuns>,
    executing: JoinSet<RunId>,
    round: leases::Round,
    leaves: watch::Receiver<bool>,
}

/// The engine stops when this is dropped, as at a crash; [`EngineHandle::stop`] lets it leave in order.
pub struct EngineHandle {
    leave: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Engine {
    /// Starts executing runs with the settings' models and every tool, as the node with this id.
    ///
    /// # Errors
    /// See [`Models::new`].
    pub fn start(services: Arc<Services>, node: String, operations: &Arc<dyn Operations>) -> Result<EngineHandle, String> {
        let models = Models::new(&services.settings)?;
        let tools = Toolbox::standard(operations, &services.settings);
        Ok(Self::start_with(services, node, models, tools))
    }

    /// Starts executing runs with these models and these tools.
    pub fn start_with(services: Arc<Services>, node: String, models: Models, tools: Toolbox) -> EngineHandle {
        let (leave, leaves) = watch::channel(false);
        let means = Arc::new(Means { services, models: Arc::new(models), tools });
        let engine = Self { node, means, held: Arc::default(), executing: JoinSet::new(), round: leases::Round::default(), leaves };
        EngineHandle { leave, task: Mutex::new(Some(tokio::spawn(engine.run()))) }
    }

    async fn run(mut self) {
        let means = self.means.clone();
        let (hub, settings) = (&means.services.hub, &means.services.settings);
        let mut sweep = interval(Duration::from_millis(settings.sweep_ms));
        let mut renew = interval(Duration::from_millis(settings.lease_ms) / 3);
        for rounds in [&mut sweep, &mut renew] {
            rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let mut leaves = self.leaves.clone();
        loop {
            tokio::select! {
                () = left(&mut leaves) => break,
                _ = renew.tick() => self.renew().await,
                _ = sweep.tick() => self.look_for_runs().await,
                () = hub.runs_queued() => self.look_for_runs().await,
                Some(done) = self.executing.join_next() => {
                    // A place is free again, and others may have waited for it.
                    let full = self.executing.len() + 1 >= settings.engine_runs.min(settings.workspace_runs) as usize;
                    if done.is_ok() && full {
                        self.look_for_runs().await;
                    }
                }
            }
        }
        for held in self.held().values() {
            held.cut.send_replace(Cut::Leave);
        }
        let all_left = async { while self.executing.join_next().await.is_some() {} };
        if timeout(LEAVE, all_left).await.is_err() {
            warn!("some runs could not write what they had made in time; their next attempts make it again");
        }
        self.means.tools.close().await;
    }

    /// Begins to execute runs that nobody does, as far as there is room.
    async fn look_for_runs(&mut self) {
        let free = (self.means.services.settings.engine_runs as usize).saturating_sub(self.executing.len());
        if free == 0 {
            return;
        }
        match self.waiting(free).await {
            Ok(runs) => {
                let runs: Vec<_> = runs.into_iter().filter(|(run, _)| !self.held().contains_key(run)).take(free).collect();
                runs.into_iter().for_each(|(run, workspace)| self.begin(run, workspace));
            }
            Err(error) => warn!(%error, "runs that wait can't be read; the next round tries again"),
        }
    }

    /// Runs that nobody executes, the next first: those that were begun already, then those that wait.
    async fn waiting(&mut self, free: usize) -> Result<Vec<(RunId, WorkspaceId)>, StoreError> {
        let Services { store, clock, settings, .. } = &*self.means.services;
        let held: HashMap<RunId, WorkspaceId> = self.held().iter().map(|(run, held)| (*run, held.workspace)).collect();
        // Those that are executed are among this node's own.
        let before = leases::held_before(store, &self.node, clock.now(), free + held.len()).await?;
        let queued = leases::queued(store, &mut self.round, &held, free, settings.workspace_runs as usize).await?;
        Ok(before.into_iter().map(|lease| (lease.run_id, lease.workspace_id)).chain(queued).collect())
    }

    fn begin(&mut self, run: RunId, workspace: WorkspaceId) {
        let (cut, cuts) = watch::channel(Cut::No);
        if self.held().contains_key(&run) {
            return;
        }
        self.held().insert(run, Held { workspace, lease: None, cut });
        let (means, node, holding) = (self.means.clone(), self.node.clone(), Holding { held: self.held.clone(), run });
        self.executing.spawn(async move {
            begin_and_execute(&means, &node, &holding, cuts).await;
            drop(holding);
            // A run that was put away may have been queued again while it was still among the held.
            means.services.hub.run_queued();
            run
        });
    }

    /// Renews every lease; who has lost one stops at once.
    async fn renew(&self) {
        let Services { store, clock, settings, .. } = &*self.means.services;
        let leases: Vec<Lease> = self.held().values().filter_map(|held| held.lease.clone()).collect();
        match leases::renew(store, leases, clock.now().plus(lease_ms(settings.lease_ms))).await {
            Ok(lost) => {
                let held = self.held();
                for run in lost {
                    if let Some(held) = held.get(&run) {
                        held.cut.send_replace(Cut::Lost);
                    }
                }
            }
            Err(error) => warn!(%error, "leases can't be renewed; the next round tries again"),
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<RunId, Held>> {
        lock(&self.held)
    }
}

impl EngineHandle {
    /// Takes nothing new, lets every run write what it has made, and gives the runs back: whoever starts next goes on with them.
    pub async fn stop(&self) {
        self.leave.send_replace(true);
        let task = lock(&self.task).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            warn!(%error, "the engine did not leave in order");
        }
    }
}

impl Drop for EngineHandle {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.task).take() {
            task.abort();
        }
    }
}

/// Waits until the engine is to leave, or until nobody could say so any more.
async fn left(leaves: &mut watch::Receiver<bool>) {
    let _ = leaves.wait_for(|leaves| *leaves).await;
}

/// A run is among the held ones until this is dropped.
struct Holding {
    held: Arc<HeldRuns>,
    run: RunId,
}

impl Drop for Holding {
    fn drop(&mut self) {
        lock(&self.held).remove(&self.run);
    }
}

async fn begin_and_execute(means: &Means, node: &str, holding: &Holding, cuts: watch::Receiver<Cut>) {
    let Services { store, clock, settings, .. } = &*means.services;
    let terms = Terms { lease_ms: lease_ms(settings.lease_ms), max_attempts: settings.max_attempts };
    let assigned = match Box::pin(leases::assign(store, clock, holding.run, Holder::Node(node), terms)).await {
        Ok(Some(assigned)) => Box::new(assigned),
        Ok(None) => return,
        Err(error) => {
            warn!(run = %holding.run, %error, "a run can't be begun; the next round tries again");
            return;
        }
    };
    if let Some(held) = lock(&holding.held).get_mut(&holding.run) {
        held.lease = Some(assigned.lease.clone());
    }
    execute(means, assigned, cuts).await;
}

fn lease_ms(setting: u64) -> i64 {
    i64::try_from(setting).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
