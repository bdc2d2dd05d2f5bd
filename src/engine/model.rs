//! What a model is to the engine: a conversation goes in, words and tool calls come out as they are made.

use std::sync::Arc;

use crewline_protocol::{
    event::{TextRole, Usage},
    fault::Fault,
};
use futures::stream::BoxStream;
use serde_json::Value;

use super::tools::ToolSpec;
use crate::apps::App;

/// A language model.
pub trait Model: Send + Sync + 'static {
    /// Its name, as `usage.recorded` has it.
    fn name(&self) -> &str;
    /// Answers a conversation. Dropping the stream ends the call.
    fn stream(&self, request: Request) -> BoxStream<'static, Result<Chunk, Fault>>;
}

/// A call of a model.
#[derive(Debug, Clone)]
pub struct Request {
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// The tools that it may call.
    pub tools: Vec<ToolSpec>,
    /// The JSON Schema of the answer; absent: words.
    pub response_format: Option<Value>,
    /// The longest answer, in tokens; absent: the model's own.
    pub max_tokens: Option<u32>,
    /// What the call is about; a model that reads its messages needs none of it.
    pub scene: Scene,
}

/// What a call is about, by name: the simulated model makes its answers of it.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The app's version.
    pub app: Arc<App>,
    /// The crew.
    pub crew: String,
    /// The task; for what came of it, after `/`: who does it, `guardrail`, or `convert`.
    pub task: String,
    /// Which model call for it it is, from 0.
    pub call: usize,
    /// The run's `inputs`, its `tools`' latest results and its `tasks`' outputs, each by name.
    pub facts: Value,
}

/// A message of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// Who the agent is.
    System(String),
    /// What it is to do.
    User(String),
    /// What it said and which tools it called.
    Assistant {
        /// Its words.
        text: String,
        /// Its calls: id, tool, arguments.
        calls: Vec<(String, String, Value)>,
    },
    /// What a tool gave.
    Tool {
        /// The call's id.
        call: String,
        /// The result, as the agent reads it.
        result: String,
    },
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Chunk {
    /// Words.
    Text(TextRole, String),
    /// A tool call.
    Call {
        /// Which tool.
        tool: String,
        /// With which arguments.
        input: Value,
    },
    /// What the call took and cost; the last piece.
    Usage(Usage),
}
