use super::*;
use crewline_protocol::value::MicroUsd;
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
    let task = &history.works["task-1"];
    let called = |call: &str, outcome, void| {
        let new = Called::new(call.into(), "t".into(), json!({"for": call}), AT);
        Called { outcome, void, unsure: void, ..new }
    };
    let answer = Answered {
        text: "Let me see.".into(),
        calls: vec![called("call-1", None, true), called("call-2", Some(Ok(json!("call-2"))), false)],
    };
    assert_eq!(task.turns, [Turn::Answered(answer)]);
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
        history.works["task-1"].answers().next().unwrap().calls.iter().map(|call| (call.call.clone(), call.outcome.is_some())).collect()
    };
    assert_eq!(calls(&log), [("call-4".to_owned(), false), ("call-2".to_owned(), true)]);
    log.push(call_end("call-4"));
    assert_eq!(calls(&log), [("call-4".to_owned(), true), ("call-2".to_owned(), true)]);
}
