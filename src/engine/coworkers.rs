//! The two tools by which an agent hands work to others, or asks them.

use crewline_protocol::{
    fault::{Fault, FaultCode},
    operations::run::Inputs,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::tools::ToolSpec;
use crate::apps::{Agent, fill};

/// Hands work to a coworker.
pub(super) const DELEGATE: &str = "coworker.delegate";
/// Asks a coworker.
pub(super) const ASK: &str = "coworker.ask";

/// What is handed over.
pub(super) struct Asked {
    pub(super) words: String,
    pub(super) context: Option<String>,
}

/// Whether a tool is one of the two.
pub(super) fn is_one(tool: &str) -> bool {
    [DELEGATE, ASK].contains(&tool)
}

/// What comes of a call is called in the run's stream.
pub(super) fn kind(tool: &str) -> &'static str {
    if tool == DELEGATE { "delegated" } else { "asked" }
}

/// How a model is told of the two; nothing, where there are no coworkers.
pub(super) fn specs(coworkers: &[&Agent], inputs: &Inputs) -> Vec<ToolSpec> {
    if coworkers.is_empty() {
        return Vec::new();
    }
    let roles: Vec<String> = coworkers.iter().map(|agent| fill(agent.role.trim(), inputs)).collect();
    let roles = roles.join("; ");
    let spec = |name: &str, what: &str, field: &str, description: &str| ToolSpec {
        name: name.to_owned(),
        description: format!("{what} The coworkers are: {roles}. They have read nothing of this: tell them all that they need."),
        input_schema: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["coworker", field],
            "properties": {
                "coworker": {"type": "string", "description": "Who, as they are named above."},
                field: {"type": "string", "description": description},
                "context": {"type": "string", "description": "What they need to know."},
            },
        }),
    };
    vec![
        spec(
            DELEGATE,
            "Hands a piece of work to a coworker and gives what they hand in.",
            "task",
            "What they are to do, and what to hand in.",
        ),
        spec(ASK, "Asks a coworker and gives their answer.", "question", "What you want to know."),
    ]
}

#[derive(Deserialize)]
struct Arguments {
    #[serde(alias = "co_worker")]
    coworker: String,
    #[serde(alias = "question")]
    task: String,
    context: Option<String>,
}

/// What a call hands over, and to whom.
///
/// # Errors
/// What the agent reads instead of a result: arguments that do not fit, or nobody of that name.
pub(super) fn asked<'a>(tool: &str, input: &Value, coworkers: &[&'a Agent], inputs: &Inputs) -> Result<(Asked, &'a Agent), Fault> {
    let field = if tool == DELEGATE { "task" } else { "question" };
    let arguments: Arguments = serde_json::from_value(input.clone()).map_err(|_| {
        Fault::new(FaultCode::Invalid, format!("`{tool}` takes `coworker` and `{field}`, and may take `context`, all of them texts"))
    })?;
    let named = plain(&arguments.coworker);
    let coworker = coworkers.iter().find(|agent| plain(&fill(&agent.role, inputs)) == named);
    let coworker = coworker.or_else(|| coworkers.iter().find(|agent| plain(&agent.name) == named));
    let Some(coworker) = coworker else {
        let known: Vec<String> = coworkers.iter().map(|agent| format!("- {}", fill(agent.role.trim(), inputs))).collect();
        let message = format!("there is no coworker `{}`; there are:\n{}", arguments.coworker, known.join("\n"));
        return Err(Fault::new(FaultCode::NotFound, message));
    };
    let context = arguments.context.filter(|context| !context.trim().is_empty());
    Ok((Asked { words: arguments.task, context }, coworker))
}

/// A name without what models get wrong: case, quotes, and how many blanks there are.
fn plain(name: &str) -> String {
    name.replace(['"', '\''], "").split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::App;

    #[test]
    fn coworkers_are_known_by_their_roles_however_they_are_written() {
        let app = App::built_in();
        let agents: Vec<&Agent> = app.crews["review"].agents.values().collect();
        let who = |name: &str| {
            let input = json!({"coworker": name, "task": "t"});
            asked(DELEGATE, &input, &agents, &Inputs::new()).map(|(_, agent)| agent.name.as_str()).map_err(|fault| fault.message)
        };
        for name in ["Comment writer", " comment \n WRITER", "\"Comment writer\"", "comment_writer"] {
            assert_eq!(who(name), Ok("comment_writer"), "{name}");
        }
        let unknown = who("Chef").unwrap_err();
        assert_eq!(unknown, "there is no coworker `Chef`; there are:\n- Comment writer\n- Content analyst\n- Quality reviewer");
        for input in [json!({}), json!({"coworker": "Comment writer"}), json!({"coworker": 1, "question": "?"}), json!(null)] {
            assert_eq!(asked(ASK, &input, &agents, &Inputs::new()).err().map(|fault| fault.code), Some(FaultCode::Invalid), "{input}");
        }
        let input = json!({"coworker": "comment writer", "question": "Why?", "context": " "});
        let (asked, _) = asked(ASK, &input, &agents, &Inputs::new()).ok().unwrap();
        assert_eq!((asked.words.as_str(), asked.context), ("Why?", None));
    }
}
