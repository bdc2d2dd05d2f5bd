use std::{fs, sync::Arc, time::Duration};

use crewline_protocol::{
    event::TextRole,
    fault::{Fault, FaultCode},
    value::MicroUsd,
};
use futures::StreamExt;
use serde_json::{Value, json};

use super::*;
use crate::{
    apps::App,
    engine::{Chunk, Message, Request, Scene, ToolSpec},
    testing::openai::{OpenAi, Reply},
};

const KEY: &str = "sk-canary-0123456789";

fn settings(server: &OpenAi, retries: &str) -> Settings {
    let folder = tempfile::tempdir().unwrap().keep();
    let key = folder.join("key");
    fs::write(&key, format!("{KEY}\n")).unwrap();
    let flags = [
        "model=openai/gpt-4o-mini".to_owned(),
        format!("model_urls=openai={},local={}", server.url, server.url),
        format!("model_key_files=openai={}", key.display()),
        "model_prices=gpt-4o-mini=150000/600000".to_owned(),
        "model_silence_ms=400".to_owned(),
        format!("model_retries={retries}"),
    ];
    Settings::load(None, std::iter::empty(), &flags).unwrap()
}

fn request(messages: Vec<Message>, tools: Vec<ToolSpec>) -> Request {
    let scene = Scene { app: Arc::new(App::built_in()), crew: "review".into(), task: "t".into(), call: 0, facts: Value::Null };
    Request { messages, tools, response_format: None, max_tokens: None, scene }
}

fn asked() -> Request {
    request(vec![Message::System("You are.".into()), Message::User("Do.".into())], Vec::new())
}

fn tool(name: &str) -> ToolSpec {
    ToolSpec {
        name: name.into(),
        description: "Measures.".into(),
        input_schema: json!({"type": "object", "properties": {"text": {"type": "string"}}}),
    }
}

async fn answer(settings: &Settings, llm: Option<&str>, request: Request) -> Vec<Result<Chunk, Fault>> {
    Models::new(settings).unwrap().model(llm).unwrap().stream(request).collect().await
}

fn said(chunks: &[Result<Chunk, Fault>]) -> String {
    let words = chunks.iter().filter_map(|chunk| match chunk {
        Ok(Chunk::Text(TextRole::Answer, text)) => Some(text.as_str()),
        _ => None,
    });
    words.collect()
}

#[tokio::test]
async fn words_come_as_they_are_made_and_figures_at_the_end() {
    let server = OpenAi::start([Reply::Say(vec!["Good ", "day", "."])]).await;
    let chunks = answer(&settings(&server, "0"), None, asked()).await;
    assert_eq!(said(&chunks), "Good day.");
    let usage = Usage { input_tokens: 1_000, output_tokens: 200, cost_microusd: MicroUsd(270) };
    assert_eq!(chunks.last(), Some(&Ok(Chunk::Usage(usage))));
    assert_eq!(chunks.len(), 4);
    let asked = &server.asked()[0];
    assert_eq!(asked.authorization.as_deref(), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!((&asked.body["model"], &asked.body["stream"]), (&json!("gpt-4o-mini"), &json!(true)));
    assert_eq!(asked.body["messages"], json!([{"role": "system", "content": "You are."}, {"role": "user", "content": "Do."}]));
    assert_eq!(asked.body.get("tools"), None);
}

#[tokio::test]
async fn a_model_that_gives_no_figures_is_taken_to_have_used_a_token_for_four_bytes() {
    let server = OpenAi::start([Reply::SayUncounted("Good day.")]).await;
    let chunks = answer(&settings(&server, "0"), None, request(vec![Message::User("Say good day, now.".into())], Vec::new())).await;
    let Some(Ok(Chunk::Usage(usage))) = chunks.last() else { panic!("{chunks:?}") };
    assert_eq!((usage.input_tokens, usage.output_tokens), (5, 3));
}

#[tokio::test]
async fn tools_are_offered_under_names_that_providers_take_and_called_by_ours() {
    let server =
        OpenAi::start([Reply::Call(vec![("content_analyze", r#"{"text": "a"}"#), ("unknown", "{"), ("content_analyze_2", "")])]).await;
    let history = vec![
        Message::User("Do.".into()),
        Message::Assistant { text: "Let me see.".into(), calls: vec![("call-1".into(), "content.analyze".into(), json!({"text": "x"}))] },
        Message::Tool { call: "call-1".into(), result: "it is".into() },
    ];
    let mut asking = request(history, vec![tool("content.analyze"), tool("content-analyze"), tool("content_analyze")]);
    asking.response_format =
        Some(json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": false}));
    let chunks = answer(&settings(&server, "0"), Some("openai/gpt-4o"), asking).await;
    let calls: Vec<Chunk> = chunks.into_iter().map(Result::unwrap).filter(|chunk| matches!(chunk, Chunk::Call { .. })).collect();
    let call = |tool: &str, input| Chunk::Call { tool: tool.into(), input };
    assert_eq!(calls, [call("content.analyze", json!({"text": "a"})), call("unknown", json!("{")), call("content_analyze", json!({}))]);
    let body = &server.asked()[0].body;
    let names: Vec<&str> = body["tools"].as_array().unwrap().iter().map(|tool| tool["function"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["content_analyze", "content-analyze", "content_analyze_2"]);
    assert_eq!(body["messages"][1]["tool_calls"][0]["function"]["name"], "content_analyze");
    assert_eq!(body["messages"][2]["tool_call_id"], "call-1");
    assert_eq!(body["response_format"]["json_schema"]["schema"]["required"], json!(["a"]));
}

#[tokio::test]
async fn who_is_busy_or_broken_is_asked_again_and_who_refuses_is_not() {
    let busy = |status| Reply::Status(status, vec![("retry-after", "0")], json!({"error": {"message": "slow down"}}).to_string());
    let server = OpenAi::start([busy(429), busy(500), Reply::Malformed, Reply::Silence, Reply::Say(vec!["At last."])]).await;
    let chunks = answer(&settings(&server, "4"), None, asked()).await;
    assert_eq!((said(&chunks).as_str(), server.asked().len()), ("At last.", 5));

    let server = OpenAi::start([busy(503)]).await;
    let chunks = answer(&settings(&server, "1"), None, asked()).await;
    let fault = chunks[0].clone().unwrap_err();
    assert_eq!((fault.code, server.asked().len()), (FaultCode::Unavailable, 2));
    assert!(fault.message.contains("`openai` does not answer now (503"), "{fault:?}");
    assert!(fault.message.ends_with(": slow down"), "{fault:?}");

    for (status, says) in [(401, "refused the key"), (404, "does not know this model"), (400, "too many tokens")] {
        let body = json!({"error": {"message": format!("too many tokens for {KEY}")}}).to_string();
        let server = OpenAi::start([Reply::Status(status, vec![], body)]).await;
        let fault = answer(&settings(&server, "3"), None, asked()).await[0].clone().unwrap_err();
        assert_eq!((fault.code, server.asked().len()), (FaultCode::Invalid, 1), "{status}");
        assert!(fault.message.contains(says) && !fault.message.contains("canary"), "{status}: {fault:?}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_after_words_is_told_and_not_begun_again() {
    let server = OpenAi::start([Reply::CutAfter("Once upon"), Reply::Say(vec!["never asked"])]).await;
    let chunks = answer(&settings(&server, "4"), None, asked()).await;
    assert_eq!(said(&chunks), "Once upon");
    assert_eq!((chunks.last().unwrap().as_ref().unwrap_err().code, server.asked().len()), (FaultCode::Unavailable, 1));
}

#[tokio::test]
async fn whoever_stops_listening_closes_the_connection() {
    let server = OpenAi::start([Reply::Ramble(Duration::from_millis(5))]).await;
    let mut stream = Models::new(&settings(&server, "0")).unwrap().model(None).unwrap().stream(asked());
    assert!(matches!(stream.next().await, Some(Ok(Chunk::Text(..)))));
    drop(stream);
    server.left().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_and_a_key_that_is_not_there_are_named() {
    let server = OpenAi::start([Reply::Silence]).await;
    let mut settings = settings(&server, "0");
    settings.set("model_urls", "openai=http://127.0.0.1:9/v1").unwrap();
    let fault = answer(&settings, None, asked()).await[0].clone().unwrap_err();
    assert_eq!((fault.code, &*fault.message), (FaultCode::Unavailable, "`openai` can't be reached"));
    settings.set("model_key_files", "anthropic=/nowhere/key").unwrap();
    let fault = answer(&settings, Some("claude-sonnet-4"), asked()).await[0].clone().unwrap_err();
    assert!(fault.message.starts_with("there is no key for `anthropic`: /nowhere/key can't be read"), "{fault:?}");
}

#[test]
fn names_lead_to_providers() {
    for (llm, provider, name) in [
        ("openai/gpt-4o-mini", "openai", "gpt-4o-mini"),
        ("gpt-4o", "openai", "gpt-4o"),
        ("claude-sonnet-4", "anthropic", "claude-sonnet-4"),
        ("Gemini/gemini-2.5-pro", "gemini", "gemini-2.5-pro"),
        ("local/meta-llama/Llama-3", "local", "meta-llama/Llama-3"),
    ] {
        assert_eq!(Asked::parse(llm), Asked { provider: provider.into(), name: name.into() }, "{llm}");
    }
    let mut settings = Settings::default();
    let target = |llm: &str, settings: &Settings| Target::of(&Asked::parse(llm), settings);
    assert!(target("local/x", &settings).unwrap_err().message.contains("there is no provider `local`"));
    settings.set("model_urls", "local=http://127.0.0.1:8000/v1").unwrap();
    assert!(target("local/x", &settings).is_ok());
}

#[tokio::test]
async fn the_simulated_model_answers_whatever_is_asked_for_until_the_settings_name_another() {
    let models = Models::new(&Settings::default()).unwrap();
    for llm in [None, Some("openai/gpt-4o"), Some("nobody/knows")] {
        assert_eq!(models.model(llm).unwrap().name(), "simulated");
    }
}
