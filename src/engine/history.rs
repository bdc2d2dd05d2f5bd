//! The log as a checkpoint: what earlier attempts at a run have finished, rebuilt from its events. What was written in one commit is
//! there whole or not at all: a model's answer is the end of its texts, the start of its tool calls, and its figures.

use std::collections::BTreeMap;

use crewline_protocol::{
    event::{RunEvent, TextRole, Usage},
    fault::Fault,
};
use serde_json::Value;

/// What has been done in a run.
#[derive(Debug, Default, PartialEq)]
pub(super) struct History {
    /// Tasks that have begun, by id.
    pub(super) tasks: BTreeMap<String, TaskHistory>,
    /// How many parts have been started.
    pub(super) parts: u64,
    /// How many calls have been started.
    pub(super) calls: u64,
    /// What its models took and cost.
    pub(super) usage: Usage,
    open: BTreeMap<String, OpenPart>,
}

/// What has been done for a task.
#[derive(Debug, Default, PartialEq)]
pub(super) struct TaskHistory {
    /// Its output, when it is finished.
    pub(super) output: Option<String>,
    /// The model's finished answers.
    pub(super) answers: Vec<Answered>,
    /// What belongs to an answer whose figures have not come yet.
    pending: Answered,
}

impl Called {
    /// A call that begins now.
    pub(super) fn new(call: String, tool: String, input: Value) -> Self {
        Self { call, tool, input, outcome: None, void: false }
    }
    /// Whether it was begun by an earlier attempt and never ended.
    pub(super) fn is_void(&self) -> bool {
        self.void
    }
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
    pub(super) call: String,
    pub(super) tool: String,
    pub(super) input: Value,
    pub(super) outcome: Option<Result<Value, Fault>>,
    /// A later attempt began after it without it having ended.
    void: bool,
}

#[derive(Debug, PartialEq)]
struct OpenPart {
    task: String,
    role: TextRole,
    text: String,
}

impl History {
    /// Takes the next event of the log.
    pub(super) fn apply(&mut self, event: RunEvent) {
        match event {
            RunEvent::RunStarted { .. } => self.void_unfinished(),
            RunEvent::TaskStarted { task, .. } => {
                self.tasks.entry(task).or_default();
            }
            RunEvent::TaskFinished { task, output, .. } => self.tasks.entry(task).or_default().output = Some(output),
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
                    self.tasks.entry(task).or_default().pending.text.push_str(&text);
                }
            }
            RunEvent::ToolStarted { call, task, tool, input, .. } => {
                self.calls += 1;
                self.tasks.entry(task).or_default().called(Called::new(call, tool, input));
            }
            RunEvent::ToolFinished { call, output, .. } => self.ended(&call, Ok(output)),
            RunEvent::ToolFailed { call, fault, .. } => self.ended(&call, Err(fault)),
            RunEvent::UsageRecorded { task, input_tokens, output_tokens, cost_microusd, .. } => {
                self.usage += Usage { input_tokens, output_tokens, cost_microusd };
                if let Some(task) = task.and_then(|task| self.tasks.get_mut(&task)) {
                    task.answers.push(std::mem::take(&mut task.pending));
                }
            }
            _ => {}
        }
    }

    fn void_unfinished(&mut self) {
        self.open.clear();
        for task in self.tasks.values_mut() {
            task.pending = Answered::default();
            for call in task.answers.iter_mut().flat_map(|answer| &mut answer.calls) {
                call.void |= call.outcome.is_none();
            }
        }
    }

    fn ended(&mut self, id: &str, outcome: Result<Value, Fault>) {
        let tasks = self.tasks.values_mut();
        let mut calls = tasks.flat_map(|task| task.answers.iter_mut().chain([&mut task.pending])).flat_map(|answer| &mut answer.calls);
        if let Some(call) = calls.find(|call| call.call == id) {
            call.outcome = Some(outcome);
        }
    }
}

impl TaskHistory {
    /// A call that began: instead of one that is void, in their order, or of an answer that is not whole yet. There can be no new
    /// answer while a call of the last is open.
    fn called(&mut self, called: Called) {
        let mut calls = self.answers.iter_mut().flat_map(|answer| &mut answer.calls);
        match calls.find(|call| call.void) {
            Some(void) => *void = called,
            None => self.pending.calls.push(called),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crewline_protocol::value::{MicroUsd, Millis};
    use serde_json::json;

    const AT: Millis = Millis(0);

    fn started(attempt: u32) -> RunEvent {
        RunEvent::RunStarted { at: AT, attempt, crew: "c".into(), inputs: Default::default() }
    }
    fn part(part: &str, text: &str) -> [RunEvent; 2] {
        let (task, agent, role) = ("task-1".into(), "a".into(), TextRole::Answer);
        let begin = RunEvent::TextStarted { at: AT, part: part.into(), task, agent, role };
        [begin, RunEvent::TextDelta { at: AT, part: part.into(), text: text.into() }]
    }
    fn part_end(part: &str) -> RunEvent {
        RunEvent::TextFinished { at: AT, part: part.into() }
    }
    fn call(call: &str) -> RunEvent {
        let (task, agent, tool) = ("task-1".into(), "a".into(), "t".into());
        RunEvent::ToolStarted { at: AT, call: call.into(), task, agent, tool, input: json!({"for": call}) }
    }
    fn call_end(call: &str) -> RunEvent {
        RunEvent::ToolFinished { at: AT, call: call.into(), output: json!(call) }
    }
    fn usage() -> RunEvent {
        let (agent, model) = ("a".into(), "m".into());
        RunEvent::UsageRecorded {
            at: AT,
            task: Some("task-1".into()),
            agent,
            model,
            input_tokens: 1,
            output_tokens: 2,
            cost_microusd: MicroUsd(3),
        }
    }
    fn task() -> RunEvent {
        RunEvent::TaskStarted { at: AT, task: "task-1".into(), name: "n".into(), agent: "a".into(), parent: None }
    }
    fn history(events: impl IntoIterator<Item = RunEvent>) -> History {
        let mut history = History::default();
        events.into_iter().for_each(|event| history.apply(event));
        history
    }

    #[test]
    fn finished_answers_and_calls_are_kept_and_the_rest_is_void() {
        let [begin, words] = part("part-1", "Let me see.");
        let [again, more] = part("part-2", "It ");
        let log = [
            started(1),
            task(),
            begin,
            words,
            part_end("part-1"),
            call("call-1"),
            call("call-2"),
            usage(),
            call_end("call-2"),
            again,
            more,
            started(2),
        ];
        let history = history(log);
        let task = &history.tasks["task-1"];
        let called = |call: &str, outcome, void| Called { call: call.into(), tool: "t".into(), input: json!({"for": call}), outcome, void };
        let answer = Answered {
            text: "Let me see.".into(),
            calls: vec![called("call-1", None, true), called("call-2", Some(Ok(json!("call-2"))), false)],
        };
        assert_eq!(task.answers, [answer]);
        assert_eq!(task.pending, Answered::default());
        let usage = Usage { input_tokens: 1, output_tokens: 2, cost_microusd: MicroUsd(3) };
        assert_eq!((history.parts, history.calls, history.usage), (2, 2, usage));
    }

    #[test]
    fn a_call_that_is_made_again_stands_where_the_first_stood() {
        let mut log = vec![
            started(1),
            task(),
            call("call-1"),
            call("call-2"),
            usage(),
            call_end("call-2"),
            started(2),
            call("call-3"),
            started(3),
            call("call-4"),
        ];
        let calls = |log: &[RunEvent]| -> Vec<(String, bool)> {
            let history = history(log.iter().cloned());
            history.tasks["task-1"].answers[0].calls.iter().map(|call| (call.call.clone(), call.outcome.is_some())).collect()
        };
        assert_eq!(calls(&log), [("call-4".to_owned(), false), ("call-2".to_owned(), true)]);
        log.push(call_end("call-4"));
        assert_eq!(calls(&log), [("call-4".to_owned(), true), ("call-2".to_owned(), true)]);
    }
}
