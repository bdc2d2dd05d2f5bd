//! `content.analyze`: figures of a page that anyone can check.

mod figures;
mod page;
mod words;

use crewline_protocol::fault::{Fault, FaultCode};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::tools::{Tool, ToolContext, ToolSpec};

/// Whether a page is nested deeper than can be read.
pub(super) fn is_too_deep(text: &str) -> bool {
    page::is_too_deep(text)
}

/// A page as it is read: what it says of itself, and its text with a line between blocks and its headings marked.
pub(super) struct Read {
    pub(super) title: Option<String>,
    pub(super) description: Option<String>,
    pub(super) text: String,
}

/// Reads a page of HTML.
pub(super) fn read(text: &str) -> Read {
    let page = page::read(text);
    let block = |block: &page::Block| match block.heading {
        Some(level) => format!("{} {}", "#".repeat(usize::from(level)), block.text),
        None => block.text.clone(),
    };
    let blocks: Vec<String> = page.blocks.iter().map(block).collect();
    Read { title: page.title, description: page.meta_description, text: blocks.join("\n\n") }
}

pub use figures::{Figures, analyze};

/// Measures a page: words, readability, headings, links, images, keywords, search basics.
pub struct ContentAnalyze;

impl Tool for ContentAnalyze {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "content.analyze".into(),
            description:
                "Measures a page of HTML, Markdown or plain text: words, sentences, readability, headings, links, images, keywords, \
                          title and description. Give it the text, or the name of the run's input that holds it."
                    .into(),
            input_schema: json!({
                "type": "object",
                "additionalProperties": false,
                "oneOf": [{"required": ["text"]}, {"required": ["input"]}],
                "properties": {
                    "text": {"type": "string", "minLength": 1, "maxLength": 65_536},
                    "input": {"type": "string", "minLength": 1, "maxLength": 100}
                }
            }),
        }
    }

    fn call(&self, cx: &ToolContext, input: Value) -> BoxFuture<'static, Result<Value, Fault>> {
        let text = match (&input["text"], &input["input"]) {
            (Value::String(text), _) => Ok(text.clone()),
            (_, Value::String(name)) => match cx.inputs.get(name) {
                Some(Value::String(text)) => Ok(text.clone()),
                _ => Err(Fault::invalid("input", "unknown", format!("the run has no input `{name}` that is text"))),
            },
            _ => Err(Fault::invalid("", "required", "give `text` or `input`")),
        };
        let url = cx.inputs.get("url").and_then(Value::as_str).map(str::to_owned);
        Box::pin(async move {
            let text = text?;
            if page::is_too_deep(&text) {
                return Err(Fault::new(FaultCode::TooLarge, "the page's elements are nested deeper than can be measured"));
            }
            // A page of 200 KiB takes milliseconds: too long for a thread on which others wait.
            let figures = tokio::task::spawn_blocking(move || analyze(&text, url.as_deref())).await;
            let figures = figures.map_err(|_| Fault::new(FaultCode::Internal, "the page could not be measured"))?;
            serde_json::to_value(figures).map_err(|_| Fault::new(FaultCode::Internal, "the figures could not be written"))
        })
    }
}
