//! The simulated model: deterministic, offline, at a settable rate. Its words are the app's templates over what the run was given and
//! what its tools really found.

use std::time::Duration;

use crewline_protocol::{
    event::{TextRole, Usage},
    fault::{Fault, FaultCode, Retry},
    value::MicroUsd,
};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::{
    model::{Chunk, Message, Model, Request},
    prompt,
};
use crate::apps::{Said, Simulation};

/// Timers tick in milliseconds: tokens that are due sooner are said at once, many a tick where the rate is high.
const TICK: Duration = Duration::from_millis(1);

/// The model that answers where none is configured.
pub struct Simulated {
    /// How fast it speaks.
    pub tokens_per_s: f64,
}

impl Model for Simulated {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn stream(&self, mut request: Request) -> BoxStream<'static, Result<Chunk, Fault>> {
        if let Value::Object(facts) = &mut request.scene.facts {
            facts.insert("calls".to_owned(), calls(&request.messages));
        }
        let scene = &request.scene;
        let simulation = &scene.app.simulation;
        let may_call = !request.tools.is_empty();
        let said = match simulation.answer(&scene.crew, &scene.task, scene.call, may_call, request.response_format.as_ref(), &scene.facts) {
            Ok(said) => said,
            Err(error) => {
                let fault =
                    Fault { retry: Retry::Never, ..Fault::new(FaultCode::Internal, format!("the simulated model has no answer: {error}")) };
                return stream::iter([Err(fault)]).boxed();
            }
        };
        let usage = usage(simulation, &request, &said);
        let calls = said.calls.into_iter().map(|call| Chunk::Call { tool: call.tool, input: call.input });
        let last: Vec<Result<Chunk, Fault>> = calls.chain([Chunk::Usage(usage)]).map(Ok).collect();
        words(said.text.into_boxed_str(), self.tokens_per_s).chain(stream::iter(last)).boxed()
    }
}

/// What the conversation has called so far, in its order: each call's tool and input, and its output or, where it gave none, its fault.
fn calls(messages: &[Message]) -> Value {
    let results = |wanted: &str| {
        messages.iter().find_map(|message| match message {
            Message::Tool { call, result } if call == wanted => Some(result.as_str()),
            _ => None,
        })
    };
    let asked = messages.iter().filter_map(|message| if let Message::Assistant { calls, .. } = message { Some(calls) } else { None });
    let told = asked.flatten().map(|(id, tool, input)| {
        let result = results(id).unwrap_or_default();
        let fault = result.strip_prefix(prompt::NO_RESULT);
        // Where a person said something of the call, that stands before what it gave.
        let told = |json: &str| serde_json::from_str(json).ok().filter(|value: &Value| value.is_object() || value.is_array());
        let output = || told(result).or_else(|| told(result.lines().last()?)).unwrap_or_else(|| result.into());
        json!({"tool": tool, "input": input, "output": fault.is_none().then(output), "fault": fault.map(str::trim)})
    });
    told.collect()
}

/// A text, token by token, each when it is due.
fn words(text: Box<str>, tokens_per_s: f64) -> BoxStream<'static, Result<Chunk, Fault>> {
    let begun = Instant::now();
    stream::unfold((text, 0, 0), move |(text, said, place)| async move {
        let token = tokens(&text[said..]).next()?.to_owned();
        let due = begun + Duration::from_secs_f64(f64::from(place + 1) / tokens_per_s);
        if due > Instant::now() + TICK {
            sleep_until(due).await;
        }
        let said = said + token.len();
        Some((Ok(Chunk::Text(TextRole::Answer, token)), (text, said, place + 1)))
    })
    .boxed()
}

/// A text cut into words with the blank after them: about what a model calls a token.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(char::is_whitespace)
}

fn usage(simulation: &Simulation, request: &Request, said: &Said) -> Usage {
    let count = |text: &str| tokens(text).count() as u64;
    let input_tokens = request.messages.iter().map(|message| match message {
        Message::System(text) | Message::User(text) | Message::Tool { result: text, .. } => count(text),
        Message::Assistant { text, calls } => count(text) + calls.iter().map(|call| count(&call.2.to_string())).sum::<u64>(),
    });
    let input_tokens: u64 = input_tokens.sum();
    let output_tokens = count(&said.text) + said.calls.iter().map(|call| count(&call.input.to_string())).sum::<u64>();
    let cost = (input_tokens * simulation.input_microusd + output_tokens * simulation.output_microusd).div_ceil(1_000_000);
    Usage { input_tokens, output_tokens, cost_microusd: MicroUsd(i64::try_from(cost).unwrap_or(i64::MAX)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_s_calls_are_told_with_what_they_gave() {
        let call = |id: &str, tool: &str| (id.to_owned(), tool.to_owned(), json!({"n": id}));
        let result = |call: &str, result: &str| Message::Tool { call: call.to_owned(), result: result.to_owned() };
        let messages = [
            Message::User("Do it.".into()),
            Message::Assistant { text: "I begin.".into(), calls: vec![call("1", "a"), call("2", "b")] },
            result("1", "A person says: Well.\n{\"id\":7}"),
            result("2", "The tool gave no result. forbidden: a person did not allow this call"),
            Message::Assistant { text: String::new(), calls: vec![call("3", "a")] },
            result("3", "Two lines\nof words"),
        ];
        let expected = json!([
            {"tool": "a", "input": {"n": "1"}, "output": {"id": 7}, "fault": null},
            {"tool": "b", "input": {"n": "2"}, "output": null, "fault": "forbidden: a person did not allow this call"},
            {"tool": "a", "input": {"n": "3"}, "output": "Two lines\nof words", "fault": null},
        ]);
        assert_eq!(calls(&messages), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn words_come_at_the_rate_and_none_is_lost() {
        for rate in [2.0, 60.0, 5_000.0, 1_000_000.0] {
            let (text, begun) = ("one two  three\nfour ".repeat(50), Instant::now());
            let said: Vec<_> = words(text.as_str().into(), rate).map(Result::unwrap).collect().await;
            let whole: String = said.iter().map(|chunk| if let Chunk::Text(_, text) = chunk { text.as_str() } else { "" }).collect();
            assert_eq!(whole, text);
            let expected = Duration::from_secs_f64(said.len() as f64 / rate);
            let took = begun.elapsed();
            assert!(took + 3 * TICK >= expected && took <= expected + 3 * TICK, "{rate}: {took:?} for {expected:?}");
        }
    }
}
