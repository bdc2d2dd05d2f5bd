//! One attempt at a run, as its pieces of work see it: what they share, and when they must stop.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crewline_protocol::{
    event::{RunEvent, Usage},
    fault::{Fault, FaultCode, Retry},
    operations::run::Budget,
    value::{ApprovalId, Millis},
};
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tracing::warn;

use super::{
    branches::Branches,
    budget,
    history::{History, Past},
    log::Log,
    models::Models,
    pace::Pace,
    people::People,
    tools::{Effect, ToolContext, Toolbox},
    work::Work,
};
use crate::{
    apps::{Agent, App, Crew, Manager, Process},
    budgets,
    clock::Clock,
    context::Services,
    runs::{RunRow, Taken},
};

/// One attempt at a run.
pub(super) struct Stage {
    pub(super) app: Arc<App>,
    /// The crew's name, which the app knows.
    pub(super) crew: String,
    /// The manager that is made, where the crew names none.
    pub(super) manager: Option<Agent>,
    pub(super) models: Arc<Models>,
    pub(super) tools: Toolbox,
    pub(super) cx: ToolContext,
    pub(super) clock: Clock,
    pub(super) services: Arc<Services>,
    pub(super) answer_bytes: usize,
    pub(super) budget: Budget,
    pub(super) log: Log,
    /// The run's row as it was when the attempt began, without its inputs.
    pub(super) run: RunRow,
    pub(super) people: Arc<People>,
    /// Questions that branches wait for.
    pub(super) questions: Mutex<BTreeSet<ApprovalId>>,
    pub(super) branches: Branches,
    pub(super) counters: Counters,
    pub(super) facts: Mutex<Facts>,
    pub(super) spent: Arc<Mutex<Spent>>,
    pub(super) paces: Paces,
    /// What tools that only compute have given, by the tool and its arguments.
    pub(super) cache: Mutex<BTreeMap<(String, String), Value>>,
    /// What earlier attempts have done, until it is gone through again.
    pub(super) past: Mutex<BTreeMap<String, Past>>,
    /// Set when the run ends whatever else is going on in it.
    pub(super) ending: watch::Sender<bool>,
}

/// How many parts and calls the run has had, over all attempts: their ids go on from there.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) parts: AtomicU64,
    pub(super) calls: AtomicU64,
}

/// What the run has found so far: its tools' latest results and its tasks' outputs, by name.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) tools: Map<String, Value>,
    pub(super) tasks: Map<String, Value>,
}

/// What the run's models took and cost over all attempts, how long it was executed, and which budgets were told to run out.
pub(super) struct Spent {
    pub(super) usage: Usage,
    /// In earlier attempts.
    pub(super) executed_ms: i64,
    /// This attempt.
    pub(super) since: Millis,
    pub(super) warned: BTreeSet<String>,
}

impl Spent {
    pub(super) fn taken(&self, now: Millis) -> Taken {
        Taken { usage: self.usage, executed_ms: self.executed_ms + now.since(self.since).max(0) }
    }
}

/// How often models may be called.
pub(super) struct Paces {
    crew: Option<Pace>,
    agents: BTreeMap<String, Pace>,
}

/// Why a piece of work has no output.
#[derive(Debug)]
pub(super) enum Stopped {
    /// It failed.
    Failed(Fault),
    /// Someone asked for the run's end, or it ends because of something else in it.
    Ended,
    /// The run is over whatever else goes on in it: a budget is used up, or a question was not answered in time.
    Over(Fault),
}

impl Paces {
    /// Those of a crew, after the calls that were made in the last minute.
    pub(super) fn new(crew: &Crew, manager: Option<&Agent>, history: &History, now: Millis) -> Self {
        let ago = |at: Millis| std::time::Duration::from_millis(u64::try_from(now.since(at)).unwrap_or(0));
        let pace = |most: u32, agent: Option<&str>| {
            let made = history.asked.iter().filter(|(by, _)| agent.is_none_or(|agent| agent == by));
            Pace::new(most, made.map(|(_, at)| ago(*at)))
        };
        let agents = crew.agents.values().chain(manager);
        let agents = agents.filter_map(|agent| Some((agent.name.clone(), pace(agent.max_rpm?, Some(&agent.name)))));
        Self { agents: agents.collect(), crew: crew.max_rpm.map(|most| pace(most, None)) }
    }

    async fn turn(&self, agent: &str) {
        if let Some(pace) = self.agents.get(agent) {
            pace.turn().await;
        }
        if let Some(pace) = &self.crew {
            pace.turn().await;
        }
    }
}

impl Stage {
    pub(super) fn crew(&self) -> &Crew {
        &self.app.crews[&self.crew]
    }

    /// Who works on every task, in a hierarchical crew.
    pub(super) fn managing(&self) -> Option<&Agent> {
        match &self.crew().process {
            Process::Sequential => None,
            Process::Hierarchical { manager: Manager::Agent(name) } => self.crew().agents.get(name),
            Process::Hierarchical { manager: Manager::Model(_) } => self.manager.as_ref(),
        }
    }

    /// What earlier attempts have done of a piece of work; `None` where it has not begun.
    pub(super) fn past_of(&self, work: &str, agent: Option<&Agent>) -> Option<Past> {
        let past = lock(&self.past).remove(work)?;
        let mut facts = lock(&self.facts);
        for called in past.answers().flat_map(|answer| &answer.calls) {
            if let Some(Ok(output)) = &called.outcome {
                facts.tools.insert(called.tool.clone(), output.clone());
                if let Some(agent) = agent {
                    self.keep(agent, &called.tool, &called.input, output);
                }
            }
        }
        drop(facts);
        Some(past)
    }

    /// Stops here where someone asked for the run's end, and waits where someone asked it to pause.
    pub(super) async fn go_on(&self, work: Option<&Work<'_>>) -> Result<(), Stopped> {
        if self.people.look(|said| said.cancel.is_some()) || *self.ending.borrow() {
            return Err(Stopped::Ended);
        }
        if self.people.look(|said| said.paused) {
            self.wait(work, self.people.until(|said| !said.paused)).await?;
        }
        Ok(())
    }

    /// Waits until a model may be called for a piece of work.
    pub(super) async fn may_ask(&self, work: &Work<'_>) -> Result<(), Stopped> {
        self.go_on(Some(work)).await?;
        tokio::select! {
            () = self.paces.turn(&work.agent.name) => {}
            () = self.told_to_end() => {}
        }
        self.go_on(Some(work)).await?;
        let usage = lock(&self.spent).usage;
        budget::check(self.budget, usage).map_err(|fault| self.over(fault))?;
        self.check_shared_budgets().await
    }

    /// Whether what this run and others may take together is not used up. Where that can't be read now it is not in the way.
    async fn check_shared_budgets(&self) -> Result<(), Stopped> {
        let used = match budgets::used(&self.services, self.run.workspace_id, &self.run.crew).await {
            Ok(used) => used,
            Err(error) => {
                warn!(run = %self.run.id, %error, "budgets can't be read; the next model call looks again");
                return Ok(());
            }
        };
        let warnings = budget::shared_warnings(&used, self.now());
        let warnings: Vec<RunEvent> = {
            let mut spent = lock(&self.spent);
            warnings.into_iter().filter(|(name, _)| spent.warned.insert(name.clone())).map(|(_, warning)| warning).collect()
        };
        if !warnings.is_empty() {
            self.log.put(&warnings).await;
        }
        match used.iter().find(|used| used.used >= used.most) {
            Some(used) => Err(self.over(used.fault())),
            None => Ok(()),
        }
    }

    /// Ends the run, whatever else goes on in it.
    pub(super) fn over(&self, fault: Fault) -> Stopped {
        self.ending.send_replace(true);
        Stopped::Over(fault)
    }

    /// Comes to its end when the run is to end, however gracefully.
    pub(super) async fn told_to_end(&self) {
        tokio::select! {
            () = self.people.until(|said| said.cancel.is_some()) => {}
            () = self.ends() => {}
        }
    }

    /// Comes to its end when the run ends whatever else is going on in it.
    pub(super) async fn ends(&self) {
        // The sender is here.
        let _ = self.ending.subscribe().wait_for(|ending| *ending).await;
    }

    /// Counts what a model call took; what is to be told of budgets comes back.
    pub(super) fn spend(&self, usage: Usage) -> Vec<RunEvent> {
        let mut spent = lock(&self.spent);
        spent.usage += usage;
        let warnings = budget::warnings(self.budget, spent.usage, self.now());
        warnings.into_iter().filter(|(name, _)| spent.warned.insert((*name).to_owned())).map(|(_, warning)| warning).collect()
    }

    pub(super) fn taken(&self) -> Taken {
        lock(&self.spent).taken(self.now())
    }

    /// Keeps what a tool has given, where the agent wants it and making the call again would give the same.
    pub(super) fn keep(&self, agent: &Agent, tool: &str, input: &Value, output: &Value) {
        if !agent.cache || self.tools.effect(tool) != Effect::Computes {
            return;
        }
        lock(&self.cache).insert((tool.to_owned(), input.to_string()), output.clone());
    }

    /// What a tool has given these arguments before, where the agent wants it.
    pub(super) fn kept(&self, agent: &Agent, tool: &str, input: &Value) -> Option<Value> {
        if !agent.cache {
            return None;
        }
        lock(&self.cache).get(&(tool.to_owned(), input.to_string())).cloned()
    }

    /// What the run has found, as one piece of work sees it: what its own tools gave comes before what others' did.
    pub(super) fn facts(&self, own: &Map<String, Value>) -> Value {
        let facts = lock(&self.facts);
        let mut tools = facts.tools.clone();
        tools.extend(own.clone());
        json!({"inputs": *self.cx.inputs, "tools": tools, "tasks": facts.tasks})
    }

    pub(super) fn next_part(&self) -> String {
        format!("part-{}", self.counters.parts.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(super) fn next_call(&self) -> String {
        format!("call-{}", self.counters.calls.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(super) fn now(&self) -> Millis {
        self.clock.now()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A fault after which the same would fail again.
pub(super) fn never(code: FaultCode, message: String) -> Fault {
    Fault { retry: Retry::Never, ..Fault::new(code, message) }
}
