//! An agent at work on one task: model calls and tool calls in turn, until the model has answered.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use crewline_protocol::{
    event::{RunEvent, TextRole, Usage},
    fault::{Fault, FaultCode, Retry},
    operations::run::CancelMode,
    value::Millis,
};
use futures::{StreamExt, future::join_all};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tokio::sync::watch;

use super::{
    history::{Answered, Called, TaskHistory},
    log::Log,
    model::{Chunk, Message, Request, Scene},
    models::Models,
    prompt,
    tools::{ToolContext, Toolbox},
};
use crate::{
    apps::{Agent, App, Task},
    clock::Clock,
};

/// One attempt at a run, as its tasks see it.
pub(super) struct Stage {
    pub(super) app: Arc<App>,
    pub(super) crew: String,
    pub(super) models: Arc<Models>,
    pub(super) tools: Toolbox,
    pub(super) cx: ToolContext,
    pub(super) clock: Clock,
    pub(super) answer_bytes: usize,
    pub(super) log: Log,
    pub(super) cancel: watch::Receiver<Option<CancelMode>>,
    pub(super) counters: Counters,
    pub(super) facts: Mutex<Facts>,
    pub(super) usage: Arc<Mutex<Usage>>,
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

/// Why a task has no output.
pub(super) enum Stopped {
    /// It failed.
    Failed(Fault),
    /// Someone asked for the run's end.
    Cancelled,
}

/// A task, its agent, and its id in this run.
pub(super) struct Work<'a> {
    pub(super) id: String,
    pub(super) task: &'a Task,
    pub(super) agent: &'a Agent,
}

impl Stage {
    /// Does a task, going on from what earlier attempts have finished of it.
    pub(super) async fn work(&self, work: &Work<'_>, outputs: &[String], done: TaskHistory) -> Result<String, Stopped> {
        let mut messages = prompt::opening(work.agent, work.task, &self.cx.inputs, &prompt::context(work.task, outputs));
        let mut answers = done.answers.into_iter();
        let mut calls_made = 0;
        loop {
            // When the limit is reached there is one more call, without tools, that must answer.
            let may_call = calls_made < work.agent.max_iter as usize;
            let answer = match answers.next() {
                Some(answer) => answer,
                None => {
                    self.go_on()?;
                    self.speak(work, messages.clone(), calls_made, may_call).await.map_err(Stopped::Failed)?
                }
            };
            calls_made += 1;
            if answer.calls.is_empty() {
                if answer.text.trim().is_empty() {
                    let message = format!("the model answered task `{}` with nothing", work.task.name);
                    return Err(Stopped::Failed(never(FaultCode::Internal, message)));
                }
                return Ok(answer.text);
            }
            let calls = self.use_tools(work, answer.calls).await?;
            let named = |called: &Called| (called.call.clone(), called.tool.clone(), called.input.clone());
            messages.push(Message::Assistant { text: answer.text, calls: calls.iter().map(named).collect() });
            for Called { call, outcome, .. } in calls {
                let result = outcome.as_ref().map(prompt::result).unwrap_or_default();
                messages.push(Message::Tool { call, result });
            }
        }
    }

    /// Lets a model answer. Its texts' ends, its calls' starts and its figures are written together: they make the answer whole.
    async fn speak(&self, work: &Work<'_>, messages: Vec<Message>, call: usize, may_call: bool) -> Result<Answered, Fault> {
        let tools = if may_call { self.tools.specs(&work.task.tools) } else { Vec::new() };
        let scene = Scene { app: self.app.clone(), crew: self.crew.clone(), task: work.task.name.clone(), call, facts: self.facts() };
        let model = self.models.model(work.agent.llm.as_deref())?;
        let mut chunks = model.stream(Request { messages, tools, response_format: None, scene });
        let mut answer = Answered::default();
        let mut parts: Vec<(String, TextRole)> = Vec::new();
        let (mut bytes, mut usage) = (0, Usage::default());
        while let Some(chunk) = chunks.next().await {
            match chunk? {
                Chunk::Text(role, text) => {
                    bytes += text.len();
                    if bytes > self.answer_bytes {
                        let message = format!("an answer for task `{}` is longer than {} bytes", work.task.name, self.answer_bytes);
                        return Err(never(FaultCode::TooLarge, message));
                    }
                    let mut events = Vec::with_capacity(2);
                    if parts.last().is_none_or(|(_, last)| *last != role) {
                        let part = format!("part-{}", self.counters.parts.fetch_add(1, Ordering::Relaxed) + 1);
                        let (task, agent) = (work.id.clone(), work.agent.name.clone());
                        events.push(RunEvent::TextStarted { at: self.now(), part: part.clone(), task, agent, role });
                        parts.push((part, role));
                    }
                    if role == TextRole::Answer {
                        answer.text.push_str(&text);
                    }
                    if let Some((part, _)) = parts.last() {
                        events.push(RunEvent::TextDelta { at: self.now(), part: part.clone(), text });
                    }
                    self.log.put(&events).await;
                }
                // A model that calls tools although it was given none is taken at its words alone.
                Chunk::Call { tool, input } if may_call => answer.calls.push(self.called(tool, input)),
                Chunk::Call { .. } => {}
                Chunk::Usage(used) => usage += used,
            }
        }
        let mut events: Vec<RunEvent> = parts.into_iter().map(|(part, _)| RunEvent::TextFinished { at: self.now(), part }).collect();
        events.extend(answer.calls.iter().map(|called| self.started(work, called)));
        events.push(RunEvent::UsageRecorded {
            at: self.now(),
            task: Some(work.id.clone()),
            agent: work.agent.name.clone(),
            model: model.name().to_owned(),
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            cost_microusd: usage.cost_microusd,
        });
        self.log.put(&events).await;
        *self.usage.lock().unwrap_or_else(PoisonError::into_inner) += usage;
        Ok(answer)
    }

    /// Makes those of the calls that have not ended, side by side; the results stay in the calls' order.
    async fn use_tools(&self, work: &Work<'_>, mut calls: Vec<Called>) -> Result<Vec<Called>, Stopped> {
        // Calls of an earlier attempt that never ended are void: they are made again, under ids of their own.
        let mut again = Vec::new();
        for called in calls.iter_mut().filter(|called| called.is_void()) {
            *called = self.called(std::mem::take(&mut called.tool), called.input.take());
            again.push(self.started(work, called));
        }
        if !again.is_empty() {
            self.go_on()?;
            self.log.put(&again).await;
        }
        let made = calls.into_iter().map(|mut called| async move {
            if called.outcome.is_none() {
                let outcome = self.tools.call(&self.cx, &called.tool, &work.task.tools, called.input.clone()).await;
                let (at, call) = (self.now(), called.call.clone());
                let event = match &outcome {
                    Ok(output) => RunEvent::ToolFinished { at, call, output: output.clone() },
                    Err(fault) => RunEvent::ToolFailed { at, call, fault: fault.clone() },
                };
                self.log.put(&[event]).await;
                called.outcome = Some(outcome);
            }
            called
        });
        let calls = join_all(made).await;
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        for called in &calls {
            if let Some(Ok(output)) = &called.outcome {
                facts.tools.insert(called.tool.clone(), output.clone());
            }
        }
        Ok(calls)
    }

    /// Stops here where someone asked for the run's end.
    pub(super) fn go_on(&self) -> Result<(), Stopped> {
        if self.cancel.borrow().is_some() { Err(Stopped::Cancelled) } else { Ok(()) }
    }

    fn called(&self, tool: String, input: Value) -> Called {
        Called::new(format!("call-{}", self.counters.calls.fetch_add(1, Ordering::Relaxed) + 1), tool, input)
    }

    fn started(&self, work: &Work<'_>, called: &Called) -> RunEvent {
        RunEvent::ToolStarted {
            at: self.now(),
            call: called.call.clone(),
            task: work.id.clone(),
            agent: work.agent.name.clone(),
            tool: called.tool.clone(),
            input: called.input.clone(),
        }
    }

    fn facts(&self) -> Value {
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        json!({"inputs": *self.cx.inputs, "tools": facts.tools, "tasks": facts.tasks})
    }

    pub(super) fn now(&self) -> Millis {
        self.clock.now()
    }
}

/// A fault after which the same would fail again.
pub(super) fn never(code: FaultCode, message: String) -> Fault {
    Fault { retry: Retry::Never, ..Fault::new(code, message) }
}
