//! What must be true of a run's stream, however often the server died under it.

use std::collections::{BTreeMap, BTreeSet};

use crewline_protocol::{RunEvent, event::Usage, operations::run::Status, value::Millis};

/// What a run came to: what must be the same whether or not it was interrupted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) status: Status,
    pub(crate) output: Option<String>,
    pub(crate) usage: Usage,
    /// The texts that models finished, in their order.
    pub(crate) texts: Vec<String>,
    /// The results of tools, in their order.
    pub(crate) tools: Vec<serde_json::Value>,
}

/// Reads a whole stream as the wire has it: a later attempt voids what the one before left unfinished.
pub(crate) fn outcome(events: &[RunEvent]) -> Outcome {
    let (mut open, mut texts, mut tools) = (BTreeMap::<&str, String>::new(), Vec::new(), Vec::new());
    for event in events {
        match event {
            RunEvent::RunStarted { .. } => open.clear(),
            RunEvent::TextStarted { part, .. } => assert!(open.insert(part, String::new()).is_none(), "{part} began twice"),
            RunEvent::TextDelta { part, text, .. } => open.get_mut(part.as_str()).expect("words of a part that is not open").push_str(text),
            RunEvent::TextFinished { part, .. } => texts.push(open.remove(part.as_str()).expect("the end of a part that is not open")),
            RunEvent::ToolFinished { output, .. } => tools.push(output.clone()),
            RunEvent::RunFinished { status, output, usage, .. } => {
                assert_eq!(events.last(), Some(event), "something came after the end");
                return Outcome { status: *status, output: output.clone(), usage: *usage, texts, tools };
            }
            _ => {}
        }
    }
    panic!("the run has not ended");
}

/// How often the run was begun, each time with the next number.
pub(crate) fn attempts(events: &[RunEvent]) -> usize {
    let numbers: Vec<u32> = events
        .iter()
        .filter_map(|event| match event {
            RunEvent::RunStarted { attempt, .. } => Some(*attempt),
            _ => None,
        })
        .collect();
    assert!(numbers.iter().copied().eq((1..).take(numbers.len())), "attempts were {numbers:?}");
    numbers.len()
}

/// No part, call or task id was used twice, over all attempts.
pub(crate) fn ids_are_unique(events: &[RunEvent]) {
    let mut ids = BTreeSet::new();
    for event in events {
        let id = match event {
            RunEvent::TextStarted { part, .. } => ("part", part),
            RunEvent::ToolStarted { call, .. } => ("call", call),
            _ => continue,
        };
        assert!(ids.insert(id), "{id:?} was used twice");
    }
}

/// The same events as any other reader sees them: adjacent words of a part as one, and progress, of which a slow reader gets only
/// the latest, left out.
pub(crate) fn comparable(events: &[RunEvent]) -> Vec<RunEvent> {
    let mut comparable: Vec<RunEvent> = Vec::new();
    for event in events {
        match (event, comparable.last_mut()) {
            (RunEvent::ProgressReported { .. }, _) => {}
            (RunEvent::TextDelta { part, text, .. }, Some(RunEvent::TextDelta { part: last, text: words, .. })) if part == last => {
                words.push_str(text);
            }
            (RunEvent::TextDelta { part, text, .. }, _) => {
                comparable.push(RunEvent::TextDelta { at: Millis(0), part: part.clone(), text: text.clone() });
            }
            (event, _) => comparable.push(event.clone()),
        }
    }
    comparable
}
