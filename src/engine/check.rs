//! What an answer is held to: guardrails, which a model judges, and the schema of its output.

use crewline_protocol::{event::RunEvent, fault::FaultCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    history::Past,
    model::Message,
    prompt,
    stage::{Stopped, never},
    talk::Talk,
};
use crate::apps::Schema;

#[derive(Deserialize)]
struct Judgement {
    valid: bool,
    feedback: Option<String>,
}

/// Lets a model judge whether an answer keeps to a guardrail; what is wrong with it comes back.
pub(super) async fn judged(talk: &mut Talk<'_>, guardrail: &str, answer: &str) -> Result<Option<String>, Stopped> {
    let schema = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["valid", "feedback"],
        "properties": {"valid": {"type": "boolean"}, "feedback": {"type": ["string", "null"]}},
    });
    let said = aside(talk, "guardrail", prompt::judge(guardrail, answer), &schema).await?;
    Ok(match json_in(&said).and_then(|said| serde_json::from_value(said).ok()) {
        Some(Judgement { valid: true, .. }) => None,
        Some(Judgement { feedback, .. }) => Some(feedback.filter(|words| !words.trim().is_empty()).unwrap_or_else(|| guardrail.to_owned())),
        None => Some(format!("whether it keeps to this could not be told: {guardrail}")),
    })
}

/// The answer as JSON that fits its schema: as it is, or as a model converts it.
pub(super) async fn fitted(talk: &mut Talk<'_>, schema: &Value, answer: String) -> Result<String, Stopped> {
    let validator = Schema::new(schema).map_err(|error| Stopped::Failed(never(FaultCode::Invalid, error.message)))?;
    let wrong = match fitting(&validator, &answer) {
        Ok(fitting) => return Ok(fitting),
        Err(wrong) => wrong,
    };
    let converted = aside(talk, "convert", prompt::convert(schema, &answer, &wrong), schema).await?;
    fitting(&validator, &converted).map_err(|wrong| {
        let message = format!("the output of `{}` does not fit its `output_json`, and could not be made to: {wrong}", talk.work.name);
        Stopped::Failed(never(FaultCode::Invalid, message))
    })
}

/// The text's JSON, if it fits; else what is wrong.
fn fitting(schema: &Schema, text: &str) -> Result<String, String> {
    let value = json_in(text).ok_or("it is no JSON")?;
    let wrong: Vec<String> =
        schema.wrong(&value, "").into_iter().take(5).map(|fault| format!("{}: {}", fault.path, fault.message)).collect();
    if wrong.is_empty() { Ok(value.to_string()) } else { Err(wrong.join("; ")) }
}

/// The JSON that a text is, or that stands in it between other words.
fn json_in(text: &str) -> Option<Value> {
    let whole = serde_json::from_str(text.trim()).ok();
    whole.or_else(|| {
        let (from, to) = (text.find(['{', '['])?, text.rfind(['}', ']'])?);
        serde_json::from_str(text.get(from..=to)?).ok()
    })
}

/// A question that comes of a piece of work, told as a piece of its own.
async fn aside(talk: &mut Talk<'_>, kind: &str, messages: Vec<Message>, format: &Value) -> Result<String, Stopped> {
    talk.asides += 1;
    let (stage, work) = (talk.stage, talk.work.below(kind, talk.asides, talk.work.agent, kind));
    let past = stage.past_of(&work.id, None);
    if past.is_none() {
        stage.log.put(&[work.started(stage)]).await;
    }
    let Past { outcome, turns, .. } = past.unwrap_or_default();
    if let Some(outcome) = outcome {
        return outcome.map_err(Stopped::Failed);
    }
    let answer = Talk::new(stage, &work, turns).ask(messages, format).await;
    let (at, task) = (stage.now(), work.id.clone());
    match &answer {
        Ok(output) => stage.log.put(&[RunEvent::TaskFinished { at, task, output: output.clone() }]).await,
        Err(Stopped::Failed(fault)) => stage.log.put(&[RunEvent::TaskFailed { at, task, fault: fault.clone() }]).await,
        Err(Stopped::Ended | Stopped::Over(_)) => {}
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_found_between_words() {
        assert_eq!(json_in(" {\"a\": 1}\n"), Some(json!({"a": 1})));
        assert_eq!(json_in("Here it is:\n```json\n{\"a\": [1, {\"b\": 2}]}\n```\nDone."), Some(json!({"a": [1, {"b": 2}]})));
        assert_eq!(json_in("[1, 2]"), Some(json!([1, 2])));
        for text in ["", "words", "{", "} {", "{\"a\": }"] {
            assert_eq!(json_in(text), None, "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_says_why() {
        let schema = Schema::new(&json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}})).unwrap();
        assert_eq!(fitting(&schema, "so: {\"a\": 1}"), Ok("{\"a\":1}".to_owned()));
        assert_eq!(fitting(&schema, "{}"), Err("a: it is required".to_owned()));
        assert_eq!(fitting(&schema, "none"), Err("it is no JSON".to_owned()));
    }
}
