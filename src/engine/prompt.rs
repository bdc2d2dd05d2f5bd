//! What an agent is told. The words are ours; what goes into them is as CrewAI has it.

use crewline_protocol::{fault::Fault, operations::run::Inputs};
use serde_json::Value;

use super::model::Message;
use crate::apps::{Agent, Task, fill};

/// The first messages of a conversation about a task.
pub(super) fn opening(agent: &Agent, task: &Task, inputs: &Inputs, context: &[&str]) -> Vec<Message> {
    let fill = |text: &str| fill(text.trim(), inputs);
    let mut system =
        format!("You work as: {}\n\n{}\n\nWhat you are after: {}", fill(&agent.role), fill(&agent.backstory), fill(&agent.goal));
    if !task.tools.is_empty() {
        system.push_str("\n\nUse your tools for what they can find out; say nothing as a fact that you could have measured and did not.");
    }
    let mut user = format!("Do this:\n{}\n\nHand in:\n{}", fill(&task.description), fill(&task.expected_output));
    if !context.is_empty() {
        user.push_str("\n\nWhat was handed in before you:\n\n");
        user.push_str(&context.join("\n\n----------\n\n"));
    }
    user.push_str("\n\nYour last answer is handed in as it stands: whole, with nothing said about it.");
    vec![Message::System(system), Message::User(user)]
}

/// The outputs that a task is given: those that it names, or all before it.
pub(super) fn context<'a>(task: &Task, outputs: &'a [String]) -> Vec<&'a str> {
    match &task.context {
        Some(places) => places.iter().filter_map(|place| outputs.get(*place)).map(String::as_str).collect(),
        None => outputs.iter().map(String::as_str).collect(),
    }
}

/// A tool's result as the agent reads it.
pub(super) fn result(outcome: &Result<Value, Fault>) -> String {
    match outcome {
        Ok(Value::String(text)) => text.clone(),
        Ok(value) => value.to_string(),
        Err(fault) => format!("The tool gave no result. {fault}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::{App, Crew};

    fn crew() -> Crew {
        App::built_in().crews.remove("review").unwrap()
    }

    fn task(context: Option<Vec<usize>>) -> Task {
        let (description, expected_output) = ("Look at {name}. ".into(), r#"{"a": 1}"#.into());
        Task { description, expected_output, context, ..crew().tasks.remove(1) }
    }

    #[test]
    fn context_is_all_before_or_what_is_named_in_its_order() {
        let outputs = ["one".to_owned(), "two".to_owned(), "three".to_owned()];
        assert_eq!(context(&task(None), &outputs), ["one", "two", "three"]);
        assert_eq!(context(&task(Some(vec![])), &outputs), Vec::<&str>::new());
        assert_eq!(context(&task(Some(vec![2, 0])), &outputs), ["three", "one"]);
    }

    #[test]
    fn placeholders_are_filled_and_json_is_left_alone() {
        let agent = Agent {
            role: "Reader of {name}".into(),
            goal: "g".into(),
            backstory: "b\n".into(),
            ..crew().agents.remove("comment_writer").unwrap()
        };
        let mut inputs = Inputs::new();
        inputs.insert("name".into(), "the page".into());
        let expected = [
            Message::System("You work as: Reader of the page\n\nb\n\nWhat you are after: g".into()),
            Message::User(
                "Do this:\nLook at the page.\n\nHand in:\n{\"a\": 1}\n\nWhat was handed in before you:\n\none\n\n----------\n\ntwo\n\n\
                 Your last answer is handed in as it stands: whole, with nothing said about it."
                    .into(),
            ),
        ];
        assert_eq!(opening(&agent, &task(None), &inputs, &["one", "two"]), expected);
    }
}
