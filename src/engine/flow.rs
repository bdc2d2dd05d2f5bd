//! The crew's process: which task is done when, by whom, and what it is given.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use crewline_protocol::{event::RunEvent, value::ArtifactId};

use super::{
    stage::{Stage, Stopped, lock},
    stopwatch::Stopwatch,
    work::{Duty, Work},
};
use crate::{
    apps::{Agent, Task, fill},
    artifacts::ArtifactRow,
    runs::End,
    store::{Commit, RowChange},
};

/// Does the crew's tasks, going on from what the log says has been done.
pub(super) async fn perform(stage: &Stage) -> End {
    if let Some(fault) = stage.tools.missing(stage.crew()) {
        return End::Failed(fault);
    }
    let flow = Flow { stage, finished: AtomicUsize::new(0) };
    match flow.tasks().await {
        Ok(output) => End::Succeeded(output),
        Err(Stopped::Ended) => End::Cancelled,
        Err(Stopped::Failed(fault) | Stopped::Over(fault)) => End::Failed(fault),
    }
}

struct Flow<'a> {
    stage: &'a Stage,
    /// How many tasks are done.
    finished: AtomicUsize,
}

impl Flow<'_> {
    /// The output of the last task that has any text.
    async fn tasks(&self) -> Result<String, Stopped> {
        let tasks = &self.stage.crew().tasks;
        let mut outputs: Vec<String> = Vec::new();
        let mut last_in_line = None;
        while let Some(task) = tasks.get(outputs.len()) {
            if !task.async_execution {
                let output = self.task(outputs.len(), task, context(task, &outputs)).await?;
                last_in_line = Some(outputs.len());
                outputs.push(output);
                continue;
            }
            // Those that stand together are done side by side, and all are awaited before the next.
            let beside = tasks[outputs.len()..].iter().take_while(|task| task.async_execution).enumerate();
            let beside = beside.map(|(place, task)| {
                let seen: Vec<&str> = match &task.context {
                    Some(_) => context(task, &outputs),
                    None => last_in_line.and_then(|last: usize| outputs.get(last)).map(String::as_str).into_iter().collect(),
                };
                self.beside(outputs.len() + place, task, seen)
            });
            let done = self.stage.branches.side_by_side(beside.collect::<Vec<_>>()).await;
            outputs.extend(first_fault(done)?);
        }
        Ok(outputs.into_iter().rev().find(|output| !output.trim().is_empty()).unwrap_or_default())
    }

    /// A task beside others, which need not go on when it fails.
    async fn beside(&self, place: usize, task: &Task, context: Vec<&str>) -> Result<String, Stopped> {
        let done = self.task(place, task, context).await;
        if done.is_err() {
            self.stage.ending.send_replace(true);
        }
        done
    }

    async fn task(&self, place: usize, task: &Task, context: Vec<&str>) -> Result<String, Stopped> {
        let stage = self.stage;
        let own = || task.agent.as_ref().and_then(|agent| stage.crew().agents.get(agent));
        // The app was checked when it was read.
        let Some(agent) = stage.managing().or_else(own) else { return Ok(String::new()) };
        let work = Work {
            id: format!("task-{}", place + 1),
            name: task.title.clone().unwrap_or_else(|| task.name.clone()),
            agent,
            grants: &task.tools,
            coworkers: coworkers(stage, agent, task),
            reviewed: task.human_input,
            parent: None,
            scene: task.name.clone(),
            time: Stopwatch::new(),
        };
        let role = fill(agent.role.trim(), &stage.cx.inputs);
        let past = stage.past_of(&work.id, Some(agent));
        if past.is_none() {
            stage.go_on(None).await?;
            let begins = self.report(self.finished.load(Ordering::Relaxed), format!("{role} begins {}", work.name));
            stage.log.put(&[work.started(stage), begins]).await;
        }
        let past = past.unwrap_or_default();
        let output = match past.outcome {
            Some(outcome) => {
                self.finished.fetch_add(1, Ordering::Relaxed);
                outcome.map_err(Stopped::Failed)?
            }
            None => {
                let output = match stage.work(&work, &Duty::of(task, &stage.cx.inputs), &context, past.turns).await {
                    Err(Stopped::Failed(fault)) => {
                        stage.log.put(&[RunEvent::TaskFailed { at: stage.now(), task: work.id.clone(), fault: fault.clone() }]).await;
                        return Err(Stopped::Failed(fault));
                    }
                    done => done?,
                };
                let done = self.finished.fetch_add(1, Ordering::Relaxed) + 1;
                let finished = RunEvent::TaskFinished { at: stage.now(), task: work.id.clone(), output: output.clone() };
                let (made, rows) = artifact(stage, task, &output);
                let mut events: Vec<RunEvent> = made.into_iter().chain([finished]).collect();
                events.push(self.report(done, format!("{role} has finished {}", work.name)));
                stage.log.put_progress(&events, self.fraction(done), stage.taken(), stage.now(), rows).await;
                output
            }
        };
        lock(&stage.facts).tasks.insert(task.name.clone(), output.clone().into());
        Ok(output)
    }

    fn report(&self, done: usize, message: String) -> RunEvent {
        RunEvent::ProgressReported { at: self.stage.now(), fraction: self.fraction(done), message }
    }

    fn fraction(&self, done: usize) -> f64 {
        done as f64 / self.stage.crew().tasks.len() as f64
    }
}

/// What keeps an output as a file of the run, where the task says so.
fn artifact(stage: &Stage, task: &Task, output: &str) -> (Option<RunEvent>, Vec<RowChange>) {
    let Some(name) = &task.output_file else { return (None, Vec::new()) };
    let (id, at) = (stage.clock.id(ArtifactId::new), stage.now());
    let row = ArtifactRow::made(&stage.run, fill(name, &stage.cx.inputs), None, Bytes::copy_from_slice(output.as_bytes()), id, at);
    let made = RunEvent::ArtifactCreated { at, artifact: Box::new(row.artifact()) };
    (Some(made), Commit::default().insert(&row).rows)
}

/// The outputs that a task is given: those that it names, or all before it.
fn context<'a>(task: &Task, outputs: &'a [String]) -> Vec<&'a str> {
    match &task.context {
        Some(places) => places.iter().filter_map(|place| outputs.get(*place)).map(String::as_str).collect(),
        None => outputs.iter().map(String::as_str).collect(),
    }
}

/// To whom an agent may hand work on a task: a manager to the task's own agent, or to all where it has none; another to all others.
fn coworkers<'a>(stage: &'a Stage, agent: &Agent, task: &Task) -> Vec<&'a Agent> {
    let others = || stage.crew().agents.values().filter(|other| other.name != agent.name).collect();
    match (stage.managing(), &task.agent) {
        (Some(_), Some(own)) => stage.crew().agents.get(own).into_iter().collect(),
        (Some(_), None) => others(),
        (None, _) if agent.allow_delegation => others(),
        (None, _) => Vec::new(),
    }
}

/// All outputs, or why there are not all: a fault comes before an end that it has brought about.
fn first_fault(done: Vec<Result<String, Stopped>>) -> Result<Vec<String>, Stopped> {
    let (mut outputs, mut stopped) = (Vec::new(), None);
    for one in done {
        match (one, &stopped) {
            (Ok(output), _) => outputs.push(output),
            (Err(Stopped::Ended), Some(_)) => {}
            (Err(why), None | Some(Stopped::Ended)) => stopped = Some(why),
            (Err(_), Some(_)) => {}
        }
    }
    stopped.map_or(Ok(outputs), Err)
}

#[cfg(test)]
mod tests;
