//! A model of a provider, asked over HTTP. Its words come as they are made; dropping the stream closes the connection.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_stream::try_stream;
use crewline_protocol::{
    event::{TextRole, Usage},
    fault::Fault,
    value::encode,
};
use futures::{StreamExt, stream::BoxStream};
use genai::{
    Client, ServiceTarget,
    chat::{
        ChatMessage, ChatOptions, ChatRequest, ChatResponseFormat, ChatStream, ChatStreamEvent, JsonSpec, MessageContent, StreamEnd, Tool,
        ToolCall, ToolResponse,
    },
    resolver::Endpoint,
};
use secrecy::SecretString;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::{priced, retry::Broken, target::Target};
use crate::{
    engine::{
        model::{Chunk, Message, Model, Request},
        tools::ToolSpec,
    },
    settings::{Price, Settings},
};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// A model that is asked over HTTP.
pub(super) struct Provider {
    name: String,
    asked: Arc<Asking>,
}

struct Asking {
    target: Target,
    client: reqwest::Client,
    price: Price,
    /// How long it may say nothing.
    silence: Duration,
    retries: u32,
}

/// The HTTP client of all models.
///
/// # Errors
/// Where the system gives no randomness or no certificates.
pub(super) fn client() -> Result<reqwest::Client, String> {
    // It is installed already where another client was made.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().connect_timeout(CONNECT).redirect(reqwest::redirect::Policy::none());
    client.build().map_err(|error| format!("no HTTP client can be made: {error}"))
}

/// Bytes of calls' parts in one answer, some of which repeat what came before: an answer without end is not kept in memory until its end.
const CALLS_BYTES: usize = 16 << 20;

/// Bytes of text that make about a token, where the provider does not say how many there were.
const BYTES_A_TOKEN: usize = 4;

impl Provider {
    pub(super) fn new(llm: &str, target: Target, settings: &Settings, client: reqwest::Client) -> Self {
        let named = |name: &str| settings.model_prices.get(name).copied();
        let price = named(llm).or_else(|| named(&target.model.model_name)).unwrap_or_default();
        let silence = Duration::from_millis(settings.model_silence_ms);
        Self { name: llm.to_owned(), asked: Arc::new(Asking { target, client, price, silence, retries: settings.model_retries }) }
    }
}

impl Model for Provider {
    fn name(&self) -> &str {
        &self.name
    }

    fn stream(&self, request: Request) -> BoxStream<'static, Result<Chunk, Fault>> {
        let asking = self.asked.clone();
        try_stream! {
            let names = Names::of(&request.tools);
            let key = asking.target.key()?;
            let mut tried = 0;
            loop {
                let (mut said_bytes, mut called_bytes) = (0, 0);
                let failed = match asking.ask(&request, &names, key.as_ref()).await {
                    Err(broken) => broken,
                    Ok(mut answer) => loop {
                        match asking.next(&mut answer, key.as_ref()).await {
                            Ok(Heard::Words(role, text)) => {
                                said_bytes += text.len();
                                yield Chunk::Text(role, text);
                            }
                            Ok(Heard::Nothing) => {}
                            Ok(Heard::Call(bytes)) => {
                                called_bytes += bytes;
                                if called_bytes > CALLS_BYTES {
                                    break Broken::endless(&asking.target.provider);
                                }
                            }
                            Ok(Heard::End(end)) => {
                                let mut made_bytes = said_bytes;
                                for call in end.captured_tool_calls().into_iter().flatten() {
                                    made_bytes += encode(&call.fn_arguments).len();
                                    yield Chunk::Call { tool: names.ours(&call.fn_name), input: arguments(call) };
                                }
                                yield Chunk::Usage(asking.usage(&request, made_bytes, &end));
                                return;
                            }
                            Err(broken) => break broken,
                        }
                    },
                };
                // Words that were heard can't be taken back: whoever asked decides whether the task begins anew.
                let wait = if said_bytes > 0 { None } else { failed.wait(tried, asking.retries, rand::random()) };
                let Some(wait) = wait else { Err(failed.fault)?; return };
                tracing::info!(provider = asking.target.provider, tried, wait_ms = wait.as_millis(), reason = %failed.fault.message, "a model is asked again");
                sleep(wait).await;
                tried += 1;
            }
        }
        .boxed()
    }
}

/// What an answer's stream gives.
enum Heard {
    Words(TextRole, String),
    /// A part of a call, which is told whole at the end.
    Call(usize),
    Nothing,
    End(Box<StreamEnd>),
}

impl Asking {
    async fn ask(&self, request: &Request, names: &Names, key: Option<&SecretString>) -> Result<ChatStream, Broken> {
        let provider = self.target.provider.as_str();
        let options = options(request);
        let (target, own_key) = (self.target.clone(), key.cloned());
        let resolve = move |found: ServiceTarget| -> Result<ServiceTarget, genai::resolver::Error> {
            let default: Endpoint = found.endpoint;
            Ok(target.service(default, own_key.as_ref()))
        };
        let client = Client::builder().with_reqwest(self.client.clone()).with_service_target_resolver_fn(resolve).build();
        let broken = |error: genai::Error| Broken::of(&error, provider, key);
        let client = client.map_err(broken)?;
        let asked = client.exec_chat_stream(self.target.model.clone(), conversation(request, names), Some(&options));
        match timeout(self.silence, asked).await {
            Ok(answer) => Ok(answer.map_err(broken)?.stream),
            Err(_) => Err(Broken::silent(provider, self.silence)),
        }
    }

    async fn next(&self, answer: &mut ChatStream, key: Option<&SecretString>) -> Result<Heard, Broken> {
        let provider = self.target.provider.as_str();
        match timeout(self.silence, answer.next()).await {
            Err(_) => Err(Broken::silent(provider, self.silence)),
            Ok(None) => Err(Broken::cut(provider)),
            Ok(Some(Err(error))) => Err(Broken::of(&error, provider, key)),
            Ok(Some(Ok(event))) => Ok(match event {
                ChatStreamEvent::Chunk(chunk) => Heard::Words(TextRole::Answer, chunk.content),
                ChatStreamEvent::ReasoningChunk(chunk) => Heard::Words(TextRole::Thought, chunk.content),
                ChatStreamEvent::End(end) => Heard::End(Box::new(end)),
                ChatStreamEvent::ToolCallChunk(chunk) => Heard::Call(chunk.tool_call.fn_arguments.as_str().map_or(0, str::len)),
                ChatStreamEvent::Start | ChatStreamEvent::ThoughtSignatureChunk(_) | ChatStreamEvent::Heartbeat => Heard::Nothing,
            }),
        }
    }

    /// What a call took. A provider that does not say is taken to have used what the text is about: a budget bounds it, too.
    fn usage(&self, request: &Request, made_bytes: usize, end: &StreamEnd) -> Usage {
        let count = |tokens: Option<i32>| tokens.and_then(|tokens| u64::try_from(tokens).ok()).unwrap_or(0);
        let told = end.captured_usage.as_ref().map(|usage| (count(usage.prompt_tokens), count(usage.completion_tokens)));
        let about = |bytes: usize| bytes.div_ceil(BYTES_A_TOKEN) as u64;
        let (input, output) = told.filter(|told| *told != (0, 0)).unwrap_or_else(|| (about(bytes(request)), about(made_bytes)));
        priced(input, output, self.price)
    }
}

/// Bytes of what a model is asked.
fn bytes(request: &Request) -> usize {
    let messages = request.messages.iter().map(|message| match message {
        Message::System(text) | Message::User(text) | Message::Tool { result: text, .. } => text.len(),
        Message::Assistant { text, calls } => {
            text.len() + calls.iter().map(|(_, tool, input)| tool.len() + encode(input).len()).sum::<usize>()
        }
    });
    let tools = request.tools.iter().map(|tool| tool.name.len() + tool.description.len() + encode(&tool.input_schema).len());
    messages.sum::<usize>() + tools.sum::<usize>()
}

fn options(request: &Request) -> ChatOptions {
    let options = ChatOptions::default().with_capture_usage(true).with_capture_tool_calls(true).with_capture_content(true);
    let options = match request.max_tokens {
        Some(tokens) => options.with_max_tokens(tokens),
        None => options,
    };
    match &request.response_format {
        Some(schema) => options.with_response_format(ChatResponseFormat::JsonSpec(JsonSpec::new("answer", schema.clone()))),
        None => options,
    }
}

fn conversation(request: &Request, names: &Names) -> ChatRequest {
    let mut asked = HashMap::new();
    let messages = request.messages.iter().map(|message| match message {
        Message::System(text) => ChatMessage::system(text.clone()),
        Message::User(text) => ChatMessage::user(text.clone()),
        Message::Assistant { text, calls } => {
            let mut content = MessageContent::default();
            if !text.is_empty() {
                content.push(text.clone());
            }
            for (id, tool, input) in calls {
                let fn_name = names.theirs(tool);
                asked.insert(id.clone(), fn_name.clone());
                content.push(ToolCall { call_id: id.clone(), fn_name, fn_arguments: input.clone(), thought_signatures: None });
            }
            ChatMessage::assistant(content)
        }
        Message::Tool { call, result } => {
            let response = ToolResponse { call_id: call.clone(), fn_name: asked.get(call).cloned(), content: result.clone() };
            ChatMessage::tool(MessageContent::from_tool_responses(vec![response]))
        }
    });
    let request_messages: Vec<ChatMessage> = messages.collect();
    let tools = request
        .tools
        .iter()
        .map(|tool| Tool::new(names.theirs(&tool.name)).with_description(tool.description.clone()).with_schema(tool.input_schema.clone()));
    let conversation = ChatRequest::from_messages(request_messages);
    if request.tools.is_empty() { conversation } else { conversation.with_tools(tools.collect::<Vec<_>>()) }
}

/// What a model calls a tool with: an object, also where it is none, so that the tool's own schema says what is wrong.
fn arguments(call: &ToolCall) -> Value {
    match &call.fn_arguments {
        Value::Null => Value::Object(serde_json::Map::new()),
        Value::String(text) if text.trim().is_empty() => Value::Object(serde_json::Map::new()),
        other => other.clone(),
    }
}

/// Tools under names that every provider takes: letters, digits, `_` and `-`, at most 64.
struct Names(Vec<(String, String)>);

impl Names {
    fn of(tools: &[ToolSpec]) -> Self {
        let mut names: Vec<(String, String)> = Vec::new();
        for tool in tools {
            let plain = plain(&tool.name);
            let mut theirs = plain.clone();
            let mut number = 2;
            while names.iter().any(|(_, taken)| *taken == theirs) {
                theirs = format!("{}_{number}", &plain[..plain.len().min(60)]);
                number += 1;
            }
            names.push((tool.name.clone(), theirs));
        }
        Self(names)
    }
    fn theirs(&self, ours: &str) -> String {
        self.0.iter().find(|(name, _)| name == ours).map_or_else(|| plain(ours), |(_, theirs)| theirs.clone())
    }
    /// One that was not offered is passed on as it came: the agent is told that there is no such tool.
    fn ours(&self, theirs: &str) -> String {
        self.0.iter().find(|(_, name)| name == theirs).map_or_else(|| theirs.to_owned(), |(ours, _)| ours.clone())
    }
}

fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).take(64).collect()
}
