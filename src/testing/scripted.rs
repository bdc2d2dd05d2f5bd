//! A model whose answers are written down beforehand, and which tells what it was asked: which calls there were, in which order, with
//! which tools, and what of the others' work each saw.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use crewline_protocol::{
    event::{TextRole, Usage},
    fault::{Fault, FaultCode},
    value::MicroUsd,
};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use serde_json::Value;

use crate::{
    engine::{Chunk, Effect, Engine, EngineHandle, Message, Model, Models, Request, Tool, ToolContext, ToolSpec, Toolbox},
    testing::crews::Node,
};

/// An answer that is written down.
#[derive(Clone, Default)]
pub(crate) struct Said {
    text: String,
    calls: Vec<(String, Value)>,
    after: Duration,
}

/// Words.
pub(crate) fn say(text: &str) -> Said {
    Said { text: text.to_owned(), ..Said::default() }
}

/// A call of a tool.
pub(crate) fn call(tool: &str, input: Value) -> Said {
    Said::default().call(tool, input)
}

impl Said {
    /// The same with one more call.
    pub(crate) fn call(mut self, tool: &str, input: Value) -> Self {
        self.calls.push((tool.to_owned(), input));
        self
    }
    /// The same, after so many seconds.
    pub(crate) fn after(self, seconds: u64) -> Self {
        Self { after: Duration::from_secs(seconds), ..self }
    }
}

/// A call of the model, as it saw it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The task, or what came of it.
    pub(crate) about: String,
    pub(crate) tools: Vec<String>,
    pub(crate) messages: Vec<Message>,
    pub(crate) response_format: Option<Value>,
}

impl Asked {
    /// Its messages' words, one after another.
    pub(crate) fn words(&self) -> String {
        let words = self.messages.iter().map(|message| match message {
            Message::System(text) | Message::User(text) | Message::Assistant { text, .. } | Message::Tool { result: text, .. } => {
                text.as_str()
            }
        });
        words.collect::<Vec<_>>().join("\n")
    }
}

/// The model: for each task (and what came of it) an answer for each call in turn; the last stands for all after it.
#[derive(Clone, Default)]
pub(crate) struct Scripted(Arc<Inner>);

type Judge = fn(&str) -> bool;

#[derive(Default)]
struct Inner {
    answers: Mutex<BTreeMap<String, Vec<Said>>>,
    /// Calls that fail before the next that does not.
    faults: Mutex<BTreeMap<String, VecDeque<Fault>>>,
    asked: Mutex<Vec<Asked>>,
    judge: Mutex<Option<Judge>>,
}

impl Scripted {
    pub(crate) fn new<const N: usize>(answers: [(&str, Vec<Said>); N]) -> Self {
        let answers = answers.into_iter().map(|(about, said)| (about.to_owned(), said)).collect();
        Self(Arc::new(Inner { answers: Mutex::new(answers), ..Inner::default() }))
    }

    /// The next call about this fails.
    pub(crate) fn fails(&self, about: &str, fault: Fault) {
        self.0.faults.lock().unwrap().entry(about.to_owned()).or_default().push_back(fault);
    }

    /// Guardrails are judged by the words in which it is asked.
    pub(crate) fn judges(&self, judge: Judge) {
        *self.0.judge.lock().unwrap() = Some(judge);
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.0.asked.lock().unwrap().clone()
    }

    /// The shape of what it was asked: `about [tools] sees: …`, with which of these words are in the messages, in their order there.
    pub(crate) fn shape(&self, words: &[&str]) -> Vec<String> {
        let line = |asked: &Asked| {
            let text = asked.words();
            let mut seen: Vec<(usize, &str)> = words.iter().filter_map(|word| Some((text.find(word)?, *word))).collect();
            seen.sort_unstable();
            let seen: Vec<&str> = seen.into_iter().map(|(_, word)| word).collect();
            let form = if asked.response_format.is_some() { " as JSON" } else { "" };
            format!("{} [{}] sees: {}{form}", asked.about, asked.tools.join(", "), seen.join(" "))
        };
        self.asked().iter().map(line).collect()
    }

    /// An engine on this node that asks it.
    pub(crate) fn engine(&self, node: &Node, tools: impl IntoIterator<Item = Arc<dyn Tool>>) -> EngineHandle {
        let tools = Toolbox::of(tools).with_mcp(&node.services.settings);
        Engine::start_with(node.services.clone(), "n".into(), Models::only(Arc::new(self.clone())), tools)
    }
}

impl Model for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    fn stream(&self, request: Request) -> BoxStream<'static, Result<Chunk, Fault>> {
        let Request { messages, tools, response_format, scene, .. } = request;
        let tools = tools.into_iter().map(|tool| tool.name).collect();
        let asked = Asked { about: scene.task.clone(), tools, messages, response_format };
        let judged = self.0.judge.lock().unwrap().filter(|_| scene.task.ends_with("/guardrail")).map(|judge| judge(&asked.words()));
        self.0.asked.lock().unwrap().push(asked);
        if let Some(fault) = self.0.faults.lock().unwrap().get_mut(&scene.task).and_then(VecDeque::pop_front) {
            return stream::iter([Ok(Chunk::Text(TextRole::Answer, "Well, ".into())), Err(fault)]).boxed();
        }
        let answers = self.0.answers.lock().unwrap();
        let judged = judged.map(|valid| say(&serde_json::json!({"valid": valid, "feedback": "NOT YET"}).to_string()));
        let written = answers.get(&scene.task).and_then(|said| said.get(scene.call).or(said.last())).cloned();
        let Some(said) = judged.or(written) else {
            let message = format!("nothing is written down for `{}`", scene.task);
            return stream::iter([Err(Fault::new(FaultCode::Internal, message))]).boxed();
        };
        let words = said.text.split_inclusive(' ').map(|word| Chunk::Text(TextRole::Answer, word.to_owned()));
        let calls = said.calls.into_iter().map(|(tool, input)| Chunk::Call { tool, input });
        let usage = Chunk::Usage(Usage { input_tokens: 10, output_tokens: 5, cost_microusd: MicroUsd(100) });
        let chunks: Vec<Chunk> = words.chain(calls).chain([usage]).collect();
        let (mut first, after) = (true, said.after);
        stream::iter(chunks)
            .then(move |chunk| {
                // A moment between words, in which other branches come to speak.
                let wait = if std::mem::take(&mut first) { after } else { Duration::ZERO } + Duration::from_millis(1);
                async move {
                    tokio::time::sleep(wait).await;
                    Ok(chunk)
                }
            })
            .boxed()
    }
}

/// A tool that tells how often and with what it was called, and gives back its argument `say`; `fail` makes it fail.
#[derive(Clone)]
pub(crate) struct Echo {
    name: &'static str,
    effect: Effect,
    takes: Duration,
    called: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Echo {
    pub(crate) fn new(name: &'static str, effect: Effect) -> Self {
        Self { name, effect, takes: Duration::from_millis(5), called: Arc::default() }
    }
    /// The same, but it takes so many seconds.
    pub(crate) fn takes(self, seconds: u64) -> Self {
        Self { takes: Duration::from_secs(seconds), ..self }
    }
    /// The arguments that it was called with.
    pub(crate) fn called(&self) -> Vec<Value> {
        self.called.lock().unwrap().iter().map(|(_, input)| input.clone()).collect()
    }
    /// The calls by the ids that make each happen once.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.called.lock().unwrap().iter().map(|(call, _)| call.clone()).collect()
    }
    pub(crate) fn tool(&self) -> Arc<dyn Tool> {
        Arc::new(self.clone())
    }
}

impl Tool for Echo {
    fn effect(&self) -> Effect {
        self.effect
    }
    fn spec(&self) -> ToolSpec {
        let input_schema = serde_json::json!({"type": "object"});
        ToolSpec { name: self.name.to_owned(), description: "Says it again.".to_owned(), input_schema }
    }
    fn call(&self, cx: &ToolContext, input: Value) -> futures::future::BoxFuture<'static, Result<Value, Fault>> {
        self.called.lock().unwrap().push((cx.call.clone(), input.clone()));
        let takes = self.takes;
        Box::pin(async move {
            tokio::time::sleep(takes).await;
            match input.get("fail").and_then(Value::as_str) {
                Some(why) => Err(Fault::new(FaultCode::Unavailable, why.to_owned())),
                None => Ok(input.get("say").cloned().unwrap_or(Value::Null)),
            }
        })
    }
}
