//! A server that speaks OpenAI's API as a script says: what it is asked is kept, and each request gets the next reply.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

/// What one request gets.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// These words, piece by piece, and figures.
    Say(Vec<&'static str>),
    /// These words, and no figures.
    SayUncounted(&'static str),
    /// Calls of tools, by name and JSON text.
    Call(Vec<(&'static str, &'static str)>),
    /// This status, with these headers and this body.
    Status(u16, Vec<(&'static str, &'static str)>, String),
    /// Some words, and then the connection ends.
    CutAfter(&'static str),
    /// An event that is no JSON.
    Malformed,
    /// Words without end, each after so long.
    Ramble(Duration),
    /// Nothing, and the connection stays.
    Silence,
}

/// The server; it ends when this is dropped.
pub(crate) struct OpenAi {
    /// Where it is, as the setting `model_urls` takes it.
    pub(crate) url: String,
    kept: Arc<Kept>,
    task: AbortHandle,
}

#[derive(Default)]
struct Kept {
    script: Mutex<VecDeque<Reply>>,
    asked: Mutex<Vec<Asked>>,
    left: tokio::sync::Notify,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) authorization: Option<String>,
    pub(crate) body: Value,
}

impl OpenAi {
    /// Starts one that gives these replies in turn, the last of them for ever.
    pub(crate) async fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let kept = Arc::new(Kept { script: Mutex::new(script.into_iter().collect()), ..Kept::default() });
        let serving = kept.clone();
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let kept = serving.clone();
                tokio::spawn(async move {
                    let _ = serve(socket, &kept).await;
                    kept.left.notify_one();
                });
            }
        });
        Self { url, kept, task: task.abort_handle() }
    }
    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.kept.asked.lock().unwrap().clone()
    }
    /// Waits until a connection has ended, by the end of its reply or because the client left.
    pub(crate) async fn left(&self) {
        self.kept.left.notified().await;
    }
}

impl Drop for OpenAi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut socket: TcpStream, kept: &Kept) -> std::io::Result<()> {
    let Some(asked) = read(&mut socket).await? else { return Ok(()) };
    kept.asked.lock().unwrap().push(asked);
    let reply = {
        let mut script = kept.script.lock().unwrap();
        if script.len() > 1 { script.pop_front() } else { script.front().cloned() }
    };
    let Some(reply) = reply else { return Ok(()) };
    if let Reply::Status(status, headers, body) = &reply {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!(
            "HTTP/1.1 {status} no\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{headers}connection: close\r\n\r\n",
            body.len()
        );
        socket.write_all(head.as_bytes()).await?;
        return socket.write_all(body.as_bytes()).await;
    }
    if matches!(reply, Reply::Silence) {
        // Until the client leaves.
        let mut rest = Vec::new();
        socket.read_to_end(&mut rest).await?;
        return Ok(());
    }
    socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n").await?;
    match reply {
        Reply::Say(words) => {
            for word in words {
                event(&mut socket, &delta(&json!({"content": word}), None)).await?;
            }
            event(&mut socket, &delta(&json!({}), Some("stop"))).await?;
        }
        Reply::Call(calls) => {
            for (index, (name, arguments)) in calls.into_iter().enumerate() {
                let (first, rest) = arguments.split_at(arguments.len() / 2);
                let begun = json!({"tool_calls": [{"index": index, "id": format!("theirs-{index}"), "type": "function", "function": {"name": name, "arguments": first}}]});
                event(&mut socket, &delta(&begun, None)).await?;
                event(&mut socket, &delta(&json!({"tool_calls": [{"index": index, "function": {"arguments": rest}}]}), None)).await?;
            }
            event(&mut socket, &delta(&json!({}), Some("tool_calls"))).await?;
        }
        Reply::SayUncounted(words) => {
            event(&mut socket, &delta(&json!({"content": words}), None)).await?;
            event(&mut socket, &delta(&json!({}), Some("stop"))).await?;
            chunk(&mut socket, "data: [DONE]\n\n").await?;
            return socket.write_all(b"0\r\n\r\n").await;
        }
        Reply::CutAfter(word) => {
            event(&mut socket, &delta(&json!({"content": word}), None)).await?;
            return Ok(());
        }
        Reply::Malformed => return chunk(&mut socket, "data: {\"choices\": [\n\n").await,
        Reply::Ramble(pause) => loop {
            event(&mut socket, &delta(&json!({"content": "and "}), None)).await?;
            tokio::time::sleep(pause).await;
        },
        Reply::Status(..) | Reply::Silence => {}
    }
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 1_000, "completion_tokens": 200, "total_tokens": 1_200}});
    event(&mut socket, &usage).await?;
    chunk(&mut socket, "data: [DONE]\n\n").await?;
    socket.write_all(b"0\r\n\r\n").await
}

fn delta(delta: &Value, finish_reason: Option<&str>) -> Value {
    json!({"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})
}

async fn event(socket: &mut TcpStream, event: &Value) -> std::io::Result<()> {
    chunk(socket, &format!("data: {event}\n\n")).await
}

async fn chunk(socket: &mut TcpStream, text: &str) -> std::io::Result<()> {
    socket.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await
}

/// Reads a request; `None` where the client left before it was whole.
async fn read(socket: &mut TcpStream) -> std::io::Result<Option<Asked>> {
    let mut bytes = Vec::new();
    loop {
        if socket.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let header = |name: &str| {
            let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
            line.split_once(':').map(|(_, value)| value.trim().to_owned())
        };
        let length: usize = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        if bytes.len() >= end + 4 + length {
            let body = serde_json::from_slice(&bytes[end + 4..end + 4 + length]).unwrap_or(Value::Null);
            return Ok(Some(Asked { authorization: header("authorization"), body }));
        }
    }
}
