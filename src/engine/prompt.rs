//! What an agent is told. The words are ours; what goes into them is as CrewAI has it.

use crewline_protocol::{
    fault::{Fault, FaultCode},
    operations::run::Inputs,
};
use serde_json::Value;

use super::{model::Message, work::Duty};
use crate::apps::{Agent, MANAGER, fill};

/// Said where an agent has used up its calls of tools.
pub(super) const MUST_ANSWER: &str = "You can call no more tools. Hand in your answer now, from what you have.";
/// Before the fault of a tool's call.
pub(super) const NO_RESULT: &str = "The tool gave no result.";
/// What is handed in to a coworker.
pub(super) const FOR_A_COWORKER: &str = "The best answer that you can give your coworker with what they have told you.";
/// Between what was handed in by different tasks.
const RULE: &str = "\n\n----------\n\n";

/// What an agent is given beside its task.
#[derive(Clone, Copy)]
pub(super) enum Given<'a> {
    /// What was handed in before it.
    Context(&'a [&'a str]),
    /// Its earlier answer, and why that was not taken.
    Refused { feedback: &'a str, answer: &'a str },
}

/// The manager that is made for a crew that names none.
pub(super) fn manager(llm: Option<String>) -> Agent {
    Agent {
        name: MANAGER.to_owned(),
        role: "Manager of the crew".into(),
        goal: "See to it that the task is done as well as this crew can do it.".into(),
        backstory: "You have led such crews for years. You do little yourself: you know who is good at what, you tell them all that they \
                    need to know, you look at what they hand in, and you ask again where it is not good enough."
            .into(),
        llm,
        max_tokens: None,
        tools: Vec::new(),
        cache: false,
        max_iter: 25,
        max_retry_limit: 2,
        max_rpm: None,
        max_execution_time_s: None,
        allow_delegation: true,
    }
}

/// The first messages of a conversation about a piece of work.
pub(super) fn opening(agent: &Agent, duty: &Duty<'_>, has_tools: bool, inputs: &Inputs, given: Given<'_>) -> Vec<Message> {
    let fill = |text: &str| fill(text.trim(), inputs);
    let mut system =
        format!("You work as: {}\n\n{}\n\nWhat you are after: {}", fill(&agent.role), fill(&agent.backstory), fill(&agent.goal));
    if has_tools {
        system.push_str("\n\nUse your tools for what they can find out; say nothing as a fact that you could have measured and did not.");
    }
    let mut user = format!("Do this:\n{}\n\nHand in:\n{}", duty.description, duty.expected_output);
    match given {
        Given::Context([]) => {}
        Given::Context(context) => {
            user.push_str("\n\nWhat was handed in before you:\n\n");
            user.push_str(&context.join(RULE));
        }
        Given::Refused { feedback, answer } => {
            user.push_str(&format!(
                "\n\nYour earlier answer was not taken: {feedback}\n\nThat answer was:\n\n{answer}\n\nMend what was wrong with it."
            ));
        }
    }
    if duty.markdown {
        user.push_str("\n\nWrite it in Markdown.");
    }
    if let Some(schema) = duty.output_schema {
        user.push_str(&format!("\n\nHand it in as JSON alone that fits this JSON Schema:\n{schema}"));
    }
    user.push_str("\n\nYour last answer is handed in as it stands: whole, with nothing said about it.");
    vec![Message::System(system), Message::User(user)]
}

/// What a person says of an answer.
pub(super) fn review(words: &str) -> String {
    format!("A person has looked at your answer and says:\n{words}\n\nHand it in again, whole, as it is to be now.")
}

/// What a person says while an agent works.
pub(super) fn steer(words: &str) -> String {
    format!("A person who follows your work says:\n{words}")
}

/// Whether an answer keeps to a guardrail.
pub(super) fn judge(guardrail: &str, answer: &str) -> Vec<Message> {
    let system = "You check work against a rule. You say whether it keeps to the rule and, where it does not, exactly what breaks it. You \
                  do not mend it, and you hold it to nothing but the rule.";
    let user = format!(
        "The rule:\n{guardrail}\n\nThe work:\n{answer}\n\nAnswer as JSON: `valid`, whether it keeps to the rule, and `feedback`, what \
         breaks it, or null."
    );
    vec![Message::System(system.to_owned()), Message::User(user)]
}

/// A text as JSON of a schema.
pub(super) fn convert(schema: &Value, text: &str, wrong: &str) -> Vec<Message> {
    let system = "You write what a text says as JSON. You add nothing and leave nothing out that the schema has room for.";
    let user =
        format!("The JSON Schema:\n{schema}\n\nThe text:\n{text}\n\nAs it stands it does not fit: {wrong}\n\nAnswer with the JSON alone.");
    vec![Message::System(system.to_owned()), Message::User(user)]
}

/// A tool's result as the agent reads it.
pub(super) fn result(outcome: &Result<Value, Fault>) -> String {
    match outcome {
        Ok(Value::String(text)) => text.clone(),
        Ok(value) => value.to_string(),
        Err(fault) => format!("{NO_RESULT} {fault}"),
    }
}

/// Instead of the result of a call that was cut off.
pub(super) fn outcome_unknown(tool: &str) -> Fault {
    let message = format!("whether `{tool}` did it is not known: the call was cut off; find out before you call it again");
    Fault::new(FaultCode::Unavailable, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::{App, Crew, Task};

    fn crew() -> Crew {
        App::built_in().crews.remove("review").unwrap()
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
        let task = Task { description: "Look at {name}. ".into(), expected_output: r#"{"a": 1}"#.into(), ..crew().tasks.remove(1) };
        assert_eq!(opening(&agent, &Duty::of(&task, &inputs), false, &inputs, Given::Context(&["one", "two"])), expected);
    }
}
