//! An MCP server for tests, over its standard input and output or over streamable HTTP: `mcp_server FOLDER stdio|http`. It keeps in the
//! folder what it was asked, and tells there over HTTP where it listens; a file `broken` in it lets it end at once, one `mute` say nothing.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult, PaginatedRequestParams, Resource,
        ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
    transport::{
        stdio,
        streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager},
    },
};
use serde_json::{Map, Value, json};
use tokio::{net::TcpListener, process::Command};

// On one thread, so that a tool that blocks it blocks all.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().expect("a folder"));
    let transport = arguments.next().expect("stdio or http");
    if folder.join("broken").exists() {
        std::process::exit(1);
    }
    keep(&folder, "pids", &std::process::id().to_string());
    eprintln!("it begins, with {}", canary());
    if folder.join("mute").exists() {
        std::future::pending::<()>().await;
    }
    let server = Server { folder: folder.clone(), grown: Arc::default() };
    match transport.as_str() {
        "stdio" => {
            // One that outlives it where nobody ends both.
            let child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().expect("sleep");
            keep(&folder, "pids", &child.id().unwrap_or_default().to_string());
            server.serve(stdio()).await.expect("it begins").waiting().await.expect("it ends");
        }
        "http" => over_http(server, &folder).await,
        other => panic!("there is no transport {other}"),
    }
}

async fn over_http(server: Server, folder: &Path) {
    // Where it listened before, so that whoever knew it finds it again.
    let before = fs::read_to_string(folder.join("address")).unwrap_or_else(|_| "127.0.0.1:0".into());
    let listener = TcpListener::bind(before.trim()).await.expect("a port");
    let service = StreamableHttpService::new(
        move || Ok(server.clone()),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default(),
    );
    fs::write(folder.join("address.new"), listener.local_addr().expect("an address").to_string()).expect("the folder");
    fs::rename(folder.join("address.new"), folder.join("address")).expect("the folder");
    while let Ok((socket, _)) = listener.accept().await {
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

#[derive(Clone)]
struct Server {
    folder: PathBuf,
    /// Whether it has come to have one tool more.
    grown: Arc<AtomicBool>,
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().enable_tool_list_changed().build())
    }

    async fn list_tools(&self, page: Option<PaginatedRequestParams>, _: RequestContext<RoleServer>) -> Result<ListToolsResult, ErrorData> {
        keep(&self.folder, "lists", "tools");
        let mut tools: Vec<Tool> = tools().into_iter().map(|(name, properties)| tool(&name, properties)).collect();
        if self.grown.load(Ordering::Relaxed) {
            tools.push(tool("grown", json!({})));
        }
        // In two pages.
        let second = tools.split_off(3);
        Ok(match page.and_then(|page| page.cursor) {
            None => ListToolsResult { next_cursor: Some("second".into()), ..ListToolsResult::with_all_items(tools) },
            Some(_) => ListToolsResult::with_all_items(second),
        })
    }

    async fn call_tool(&self, call: CallToolRequestParams, context: RequestContext<RoleServer>) -> Result<CallToolResponse, ErrorData> {
        let arguments = Value::Object(call.arguments.unwrap_or_default());
        keep(&self.folder, "calls", &format!("{} {arguments}", call.name));
        let text = |key: &str| arguments[key].as_str().unwrap_or_default().to_owned();
        let say = |text: String| CallToolResult::success(vec![ContentBlock::text(text)]);
        Ok(match &*call.name {
            "add" => {
                CallToolResult::structured(json!({"sum": arguments["a"].as_i64().unwrap_or(0) + arguments["b"].as_i64().unwrap_or(0)}))
            }
            "fail" => CallToolResult::error(vec![ContentBlock::text(text("why"))]),
            "refuse" => return Err(ErrorData::invalid_params(text("why"), None)),
            "big" => say("x".repeat(usize::try_from(arguments["bytes"].as_u64().unwrap_or(0)).unwrap_or(0))),
            "picture" => CallToolResult::success(vec![
                ContentBlock::text("a cat"),
                ContentBlock::image("aGVsbG8=", "image/png"),
                ContentBlock::embedded_text("note:1", "purrs"),
                ContentBlock::resource_link(Resource::new("file:///cat", "cat")),
            ]),
            "hang" => {
                context.ct.cancelled().await;
                keep(&self.folder, "cancelled", "hang");
                say("never read".into())
            }
            // For whoever does not listen to anybody meanwhile, either.
            "freeze" => loop {
                std::thread::park();
            },
            "die" => std::process::exit(1),
            "secrets" => say(format!("{}{}", canary(), header(&context))),
            "environment" => say(std::env::vars_os().map(|(name, _)| format!("{} ", name.to_string_lossy())).collect()),
            "grow" => {
                self.grown.store(true, Ordering::Relaxed);
                context.peer.notify_tool_list_changed().await.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
                say("it has one more".into())
            }
            name => say(format!("{name} {}", text("text"))),
        }
        .into())
    }
}

/// Its tools by name, and what their arguments are.
fn tools() -> BTreeMap<String, Value> {
    let text = |key: &str| json!({key: {"type": "string"}});
    let long = "x".repeat(70);
    let tools = [
        ("say", text("text")),
        ("add", json!({"a": {"type": "integer"}, "b": {"type": "integer"}})),
        ("fail", text("why")),
        ("refuse", text("why")),
        ("big", json!({"bytes": {"type": "integer"}})),
        ("read.file", text("text")),
        ("read_file", text("text")),
        ("picture", json!({})),
        ("hang", json!({})),
        ("freeze", json!({})),
        ("die", json!({})),
        ("secrets", json!({})),
        ("environment", json!({})),
        ("grow", json!({})),
        ("a name with blanks", json!({})),
    ];
    let long = [format!("{long}a"), format!("{long}b")].map(|name| (name, text("text")));
    tools.into_iter().map(|(name, properties)| (name.to_owned(), properties)).chain(long).collect()
}

fn tool(name: &str, properties: Value) -> Tool {
    let mut schema = Map::new();
    schema.insert("type".into(), "object".into());
    schema.insert("properties".into(), properties);
    Tool::new(name.to_owned(), format!("It is called {name}."), schema)
}

fn canary() -> String {
    std::env::var("CANARY").unwrap_or_default()
}

fn header(context: &RequestContext<RoleServer>) -> String {
    let parts = context.extensions.get::<http::request::Parts>();
    let header = parts.and_then(|parts| parts.headers.get("authorization")?.to_str().ok());
    header.unwrap_or_default().to_owned()
}

/// Adds a line to a file.
fn keep(folder: &Path, file: &str, line: &str) {
    let file = OpenOptions::new().create(true).append(true).open(folder.join(file));
    file.and_then(|mut file| writeln!(file, "{line}")).expect("the folder");
}
