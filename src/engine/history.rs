//! The log as a checkpoint: what earlier attempts at a run have finished, rebuilt from its events. What was written in one commit is
//! there whole or not at all: a model's answer is the end of its texts, the start of its tool calls, and its figures.
//!
//! The engine goes the same way again with it: wherever it would ask a model, it takes the next turn from here, as long as there is one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crewline_protocol::{
    event::{RunEvent, TextRole, Usage},
    fault::Fault,
    operations::{
        approval::{self, Approval},
        run::Inputs,
    },
    value::{ApprovalId, Millis},
};
use serde_json::Value;

use super::{budget, people::Said};

/// The field of a line in the log that says which piece of work has failed and is begun anew, and that of the fault.
const FAILED: [&str; 2] = ["task", "failed"];
/// How far back it matters when models were called.
const MINUTE_MS: i64 = 60_000;

/// What has been done in a run.
#[derive(Debug, Default, PartialEq)]
pub(super) struct History {
    /// Pieces of work that have begun, by id.
    pub(super) works: BTreeMap<String, Past>,
    /// How many parts have been started.
    pub(super) parts: u64,
    /// How many calls have been started.
    pub(super) calls: u64,
    /// What its models took and cost.
    pub(super) usage: Usage,
    /// When which agents had answers from models, in the minute before the last of them.
    pub(super) asked: VecDeque<(String, Millis)>,
    /// For how long it was executed, in milliseconds.
    pub(super) executed_ms: i64,
    /// What people have said to it.
    pub(super) said: Said,
    /// Of which budgets it was told that they run out.
    pub(super) warned: BTreeSet<String>,
    open: BTreeMap<String, OpenPart>,
    /// Since when it is being executed, and until when that is known.
    executing: Option<(Millis, Millis)>,
}

/// What has been done of a piece of work.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Past {
    /// How it ended, when it has.
    pub(super) outcome: Option<Result<String, Fault>>,
    /// What happened in it, in that order.
    pub(super) turns: VecDeque<Turn>,
    /// What belongs to an answer whose figures have not come yet.
    pending: Answered,
}

/// Something that happened in a conversation.
#[derive(Debug, PartialEq)]
pub(super) enum Turn {
    /// The model has answered.
    Answered(Answered),
    /// The execution failed here.
    Failed(Fault),
    /// The agent has read these words.
    Steered(String),
    /// A person was asked about the answer.
    Reviewed(ApprovalId),
}

/// A model's answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Answered {
    pub(super) text: String,
    pub(super) calls: Vec<Called>,
}

/// A tool call, and how it ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Called {
    /// Its id in this attempt.
    pub(super) call: String,
    /// The id by which it was first begun: what makes it happen once.
    pub(super) first: String,
    pub(super) tool: String,
    pub(super) input: Value,
    /// When it was first begun.
    pub(super) begun_at: Millis,
    pub(super) outcome: Option<Result<Value, Fault>>,
    /// The question whether it may be made.
    pub(super) asked: Option<ApprovalId>,
    /// A later attempt began after it without it having ended.
    void: bool,
    /// An earlier attempt may have made it.
    unsure: bool,
}

impl Called {
    /// A call that begins now.
    pub(super) fn new(call: String, tool: String, input: Value, begun_at: Millis) -> Self {
        Self { first: call.clone(), call, tool, input, begun_at, outcome: None, asked: None, void: false, unsure: false }
    }
    /// Whether it was begun by an earlier attempt and never ended.
    pub(super) fn is_void(&self) -> bool {
        self.void
    }
    /// The same call made again, under an id of its own.
    pub(super) fn again(&mut self, call: String) {
        self.call = call;
        self.void = false;
    }
    /// Whether an earlier attempt may have made it, and what came of it is not known.
    pub(super) fn is_unsure(&self) -> bool {
        self.unsure
    }
}

#[derive(Debug, PartialEq)]
struct OpenPart {
    task: String,
    role: TextRole,
    text: String,
}

/// What a line in the log says beside its words where a piece of work has failed and may begin anew.
pub(super) fn failed_fields(task: &str, fault: &Fault) -> Inputs {
    let fault = serde_json::to_value(fault).unwrap_or_default();
    FAILED.map(str::to_owned).into_iter().zip([task.into(), fault]).collect()
}

impl History {
    /// Takes the next event of the log.
    pub(super) fn apply(&mut self, event: RunEvent) {
        let at = event.at();
        if !matches!(event, RunEvent::SteerApplied { .. }) {
            self.said.hear(&event);
        }
        if let Some((_, until)) = &mut self.executing {
            *until = at;
        }
        match event {
            RunEvent::RunStarted { .. } => {
                self.executed();
                self.executing = Some((at, at));
                self.void_unfinished();
            }
            RunEvent::RunResumed { .. } => self.executing = Some((at, at)),
            RunEvent::RunWaiting { .. } => self.executed(),
            RunEvent::TaskStarted { task, .. } => {
                self.works.entry(task).or_default();
            }
            RunEvent::TaskFinished { task, output, .. } => self.works.entry(task).or_default().outcome = Some(Ok(output)),
            RunEvent::TaskFailed { task, fault, .. } => self.works.entry(task).or_default().outcome = Some(Err(fault)),
            RunEvent::TextStarted { part, task, role, .. } => {
                self.parts += 1;
                self.open.insert(part, OpenPart { task, role, text: String::new() });
            }
            RunEvent::TextDelta { part, text, .. } => {
                if let Some(open) = self.open.get_mut(&part) {
                    open.text.push_str(&text);
                }
            }
            RunEvent::TextFinished { part, .. } => {
                if let Some(OpenPart { task, role: TextRole::Answer, text }) = self.open.remove(&part) {
                    self.works.entry(task).or_default().pending.text.push_str(&text);
                }
            }
            RunEvent::ToolStarted { call, task, tool, input, .. } => {
                self.calls += 1;
                self.works.entry(task).or_default().called(Called::new(call, tool, input, at));
            }
            RunEvent::ToolFinished { call, output, .. } => self.ended(&call, Ok(output)),
            RunEvent::ToolFailed { call, fault, .. } => self.ended(&call, Err(fault)),
            RunEvent::UsageRecorded { task, agent, input_tokens, output_tokens, cost_microusd, .. } => {
                self.usage += Usage { input_tokens, output_tokens, cost_microusd };
                self.asked.push_back((agent, at));
                while self.asked.front().is_some_and(|(_, first)| at.since(*first) >= MINUTE_MS) {
                    self.asked.pop_front();
                }
                if let Some(work) = task.and_then(|task| self.works.get_mut(&task)) {
                    let answer = std::mem::take(&mut work.pending);
                    work.turns.push_back(Turn::Answered(answer));
                }
            }
            RunEvent::LogWritten { fields: Some(fields), .. } => self.line(&fields),
            RunEvent::ApprovalRequested { approval, .. } => self.asked(&approval),
            RunEvent::SteerApplied { steer_id, task, .. } => {
                let steer = self.said.steers.iter().find(|steer| steer.id == steer_id);
                if let Some((steer, work)) = steer.zip(self.works.get_mut(&task)) {
                    work.turns.push_back(Turn::Steered(steer.text.clone()));
                }
                self.said.steers.retain(|steer| steer.id != steer_id);
            }
            _ => {}
        }
    }

    /// A question belongs to the call that waits for its answer, or comes after the answer that it is about.
    fn asked(&mut self, approval: &Approval) {
        match &approval.call {
            Some(id) => {
                if let Some(call) = self.works.values_mut().find_map(|work| work.calls().find(|call| call.call == *id)) {
                    call.asked = Some(approval.id);
                }
            }
            None => {
                if let Some(work) = approval.task.as_ref().and_then(|task| self.works.get_mut(task)) {
                    work.turns.push_back(Turn::Reviewed(approval.id));
                }
            }
        }
    }

    /// A line that the engine wrote for itself, too.
    fn line(&mut self, fields: &Inputs) {
        let [task, failed] = FAILED.map(|name| fields.get(name));
        if let Some((work, fault)) = task.and_then(Value::as_str).and_then(|task| self.works.get_mut(task)).zip(failed)
            && let Ok(fault) = serde_json::from_value(fault.clone())
        {
            work.pending = Answered::default();
            work.turns.push_back(Turn::Failed(fault));
        }
        if let Some(budget) = fields.get(budget::FIELD).and_then(Value::as_str) {
            self.warned.insert(budget.to_owned());
        }
    }

    fn executed(&mut self) {
        if let Some((from, until)) = self.executing.take() {
            self.executed_ms += until.since(from);
        }
    }

    fn void_unfinished(&mut self) {
        self.open.clear();
        for work in self.works.values_mut() {
            work.pending = Answered::default();
            for call in work.calls().filter(|call| call.outcome.is_none()) {
                // One that waited for its answer, or was refused, was not made.
                let approval = call.asked.and_then(|asked| self.said.approvals.get(&asked));
                call.unsure |= approval.is_none_or(|approval| approval.status == approval::Status::Approved);
                call.void = true;
            }
        }
    }

    fn ended(&mut self, id: &str, outcome: Result<Value, Fault>) {
        let call = self.works.values_mut().find_map(|work| work.calls().find(|call| call.call == id));
        if let Some(call) = call {
            call.outcome = Some(outcome);
        }
    }
}

impl Past {
    /// A call that began: instead of one that is void, in their order, or of an answer that is not whole yet. There can be no new
    /// answer while a call of the last is open.
    fn called(&mut self, called: Called) {
        let void = self.calls().find(|call| call.void);
        if let Some(void) = void {
            return void.again(called.call);
        }
        self.pending.calls.push(called);
    }

    /// The finished answers.
    pub(super) fn answers(&self) -> impl Iterator<Item = &Answered> {
        self.turns.iter().filter_map(|turn| match turn {
            Turn::Answered(answer) => Some(answer),
            Turn::Failed(_) | Turn::Steered(_) | Turn::Reviewed(_) => None,
        })
    }

    fn calls(&mut self) -> impl Iterator<Item = &mut Called> {
        let answers = self.turns.iter_mut().filter_map(|turn| match turn {
            Turn::Answered(answer) => Some(answer),
            Turn::Failed(_) | Turn::Steered(_) | Turn::Reviewed(_) => None,
        });
        answers.chain([&mut self.pending]).flat_map(|answer| &mut answer.calls)
    }
}

#[cfg(test)]
mod tests;
