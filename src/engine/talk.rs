//! A conversation: model calls and tool calls in turn, until the model has answered.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Mutex,
    time::Duration,
};

use crewline_protocol::{
    event::{LogLevel, RunEvent},
    fault::{Fault, FaultCode},
    value::ApprovalId,
};
use serde_json::{Map, Value};

use super::{
    coworkers,
    history::{Answered, Turn, failed_fields},
    model::Message,
    prompt,
    stage::{Stage, Stopped, lock, never},
    tools::ToolSpec,
    work::Work,
};

/// A conversation about a piece of work.
pub(super) struct Talk<'a> {
    pub(super) stage: &'a Stage,
    pub(super) work: &'a Work<'a>,
    /// What earlier attempts have finished of it.
    past: VecDeque<Turn>,
    /// How many answers there were.
    pub(super) answers: usize,
    /// How many judgements and conversions came of it.
    pub(super) asides: usize,
    /// The latest results of its tools, by name.
    pub(super) found: Map<String, Value>,
    /// Parts and calls that have begun and not ended.
    pub(super) open_parts: Vec<String>,
    /// The tool that the last answer called although none was offered.
    pub(super) in_vain: Option<String>,
    pub(super) open_calls: Mutex<BTreeSet<String>>,
}

impl<'a> Talk<'a> {
    pub(super) fn new(stage: &'a Stage, work: &'a Work<'a>, past: VecDeque<Turn>) -> Self {
        Self {
            stage,
            work,
            past,
            answers: 0,
            asides: 0,
            found: Map::new(),
            open_parts: Vec::new(),
            in_vain: None,
            open_calls: Mutex::default(),
        }
    }

    /// From where a conversation stands to an answer, within the agent's time.
    pub(super) async fn execute(&mut self, messages: &mut Vec<Message>, format: Option<&Value>) -> Result<String, Stopped> {
        let Work { name, agent, time, .. } = self.work;
        let Some(seconds) = agent.max_execution_time_s else { return self.until_taken(messages, format).await };
        match time.within(Duration::from_secs(seconds), self.until_taken(messages, format)).await {
            Some(done) => done,
            None => {
                let message = format!("`{name}` was not done within {seconds} s, the `max_execution_time` of agent `{}`", agent.name);
                Err(self.failed(never(FaultCode::Timeout, message)).await)
            }
        }
    }

    /// One question, one answer, without tools.
    pub(super) async fn ask(&mut self, messages: Vec<Message>, format: &Value) -> Result<String, Stopped> {
        if self.past.is_empty() {
            self.stage.may_ask(self.work).await?;
        }
        Ok(self.next(messages, Vec::new(), Some(format)).await?.text)
    }

    /// To an answer that a person has taken, where one looks at it.
    async fn until_taken(&mut self, messages: &mut Vec<Message>, format: Option<&Value>) -> Result<String, Stopped> {
        loop {
            let answer = self.until_answered(messages, format).await?;
            if !self.work.reviewed {
                return Ok(answer);
            }
            let Some(words) = self.reviewed(&answer).await? else { return Ok(answer) };
            messages.push(Message::Assistant { text: answer, calls: Vec::new() });
            messages.push(Message::User(prompt::review(&words)));
        }
    }

    async fn until_answered(&mut self, messages: &mut Vec<Message>, format: Option<&Value>) -> Result<String, Stopped> {
        for made in 0.. {
            self.read_steers(messages).await?;
            // What an earlier attempt was answered is not asked again, and needs no tools that are offered.
            let specs = if self.went_on() { Vec::new() } else { self.specs().await? };
            // When the limit is reached there is one more call, without tools, that must answer.
            let last = made >= self.work.agent.max_iter;
            if last && !specs.is_empty() {
                messages.push(Message::User(prompt::MUST_ANSWER.to_owned()));
            }
            let tools = if last { Vec::new() } else { specs };
            let answer = self.next(messages.clone(), tools, format).await?;
            if answer.calls.is_empty() {
                return self.not_empty(answer.text);
            }
            let calls = self.use_tools(answer.calls).await?;
            let named = calls.iter().map(|called| (called.call.clone(), called.tool.clone(), called.input.clone()));
            messages.push(Message::Assistant { text: answer.text, calls: named.collect() });
            messages.extend(calls.into_iter().map(|called| {
                let result = called.outcome.as_ref().map(prompt::result).unwrap_or_default();
                let result = self.note(&called).into_iter().chain([result]).collect::<Vec<_>>().join("\n");
                Message::Tool { call: called.call, result }
            }));
        }
        unreachable!("the last call has no tools, so that its answer calls none")
    }

    /// Words that people gave the run: whoever asks a model next reads them.
    async fn read_steers(&mut self, messages: &mut Vec<Message>) -> Result<(), Stopped> {
        while let Some(Turn::Steered(words)) = self.past.pop_front_if(|turn| matches!(turn, Turn::Steered(_))) {
            messages.push(Message::User(prompt::steer(&words)));
        }
        if !self.past.is_empty() {
            return Ok(());
        }
        // Whoever was asked to pause may get words before it goes on.
        self.stage.may_ask(self.work).await?;
        let steers = self.stage.people.take_steers();
        let (at, task) = (self.stage.now(), &self.work.id);
        let applied = steers.iter().map(|steer| RunEvent::SteerApplied { at, steer_id: steer.id, task: task.clone() });
        let applied: Vec<RunEvent> = applied.collect();
        if !applied.is_empty() {
            self.stage.log.put(&applied).await;
        }
        messages.extend(steers.into_iter().map(|steer| Message::User(prompt::steer(&steer.text))));
        Ok(())
    }

    /// The question about the last answer that an earlier attempt has asked.
    pub(super) fn past_review(&mut self) -> Option<ApprovalId> {
        match self.past.pop_front_if(|turn| matches!(turn, Turn::Reviewed(_))) {
            Some(Turn::Reviewed(id)) => Some(id),
            _ => None,
        }
    }

    fn not_empty(&self, answer: String) -> Result<String, Stopped> {
        if answer.trim().is_empty() {
            let mut message = format!("the model answered task `{}` with nothing", self.work.name);
            if let Some(tool) = &self.in_vain {
                message.push_str(&format!(" but a call of `{tool}`, and agent `{}` was offered no tools: grant it under `tools` of crew.yaml, or take it out of what the agent is told", self.work.agent.name));
            }
            return Err(Stopped::Failed(never(FaultCode::Internal, message)));
        }
        Ok(answer)
    }

    /// The tools that the agent has here, as they are now: MCP servers may come to have others.
    async fn specs(&mut self) -> Result<Vec<ToolSpec>, Stopped> {
        match self.stage.tools.specs(self.work.grants).await {
            Ok(specs) => Ok(specs.into_iter().chain(coworkers::specs(&self.work.coworkers, &self.stage.cx.inputs)).collect()),
            Err(fault) => Err(self.failed(fault).await),
        }
    }

    /// The next answer: of an earlier attempt, or of the model.
    async fn next(&mut self, messages: Vec<Message>, tools: Vec<ToolSpec>, format: Option<&Value>) -> Result<Answered, Stopped> {
        let answer = match self.past.pop_front() {
            Some(Turn::Answered(answer)) => answer,
            Some(Turn::Failed(fault)) => return Err(Stopped::Failed(fault)),
            // Both are taken where they belong.
            Some(Turn::Steered(_) | Turn::Reviewed(_)) | None => match self.speak(messages, tools, format).await {
                Err(Stopped::Failed(fault)) => return Err(self.failed(fault).await),
                spoken => spoken?,
            },
        };
        self.answers += 1;
        Ok(answer)
    }

    /// Whether an earlier attempt has gone on after the tool calls of the last answer.
    pub(super) fn went_on(&self) -> bool {
        !self.past.is_empty()
    }

    /// Ends what has begun, and writes down that the execution failed: the next attempt goes on after it.
    async fn failed(&mut self, fault: Fault) -> Stopped {
        let at = self.stage.now();
        let parts = std::mem::take(&mut self.open_parts).into_iter().map(|part| RunEvent::TextFinished { at, part });
        let calls = std::mem::take(&mut *lock(&self.open_calls)).into_iter();
        let calls = calls.map(|call| RunEvent::ToolFailed { at, call, fault: fault.clone() });
        let mut events: Vec<RunEvent> = parts.chain(calls).collect();
        let message = format!("{} failed at `{}`: {}", self.work.agent.name, self.work.name, fault.message);
        let fields = Some(failed_fields(&self.work.id, &fault));
        events.push(RunEvent::LogWritten { at, level: LogLevel::Warn, message, fields });
        self.stage.log.put(&events).await;
        Stopped::Failed(fault)
    }
}
