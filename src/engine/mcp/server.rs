//! An MCP server as this node uses it: started when it is needed and again when it has ended, later each time it fails; its tools as it
//! tells them; calls that end in time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use crewline_protocol::fault::{Fault, FaultCode};
use rmcp::{
    RoleClient,
    model::{CallToolRequestParams, ClientRequest, ErrorCode, PaginatedRequestParams, PingRequest, Tool as Told},
    service::{Peer, ServiceError},
};
use serde_json::Value;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};
use tracing::{info, warn};

use super::{
    Offered,
    connection::Connection,
    result::{error_words, told},
    secrets::Secrets,
};
use crate::{
    engine::{
        stage::lock,
        tools::{Entry, ToolSpec},
    },
    settings::McpServer,
};

/// The most tools of a server that are known here, and pages of them that are asked for.
const TOOLS: usize = 256;
const PAGES: usize = 64;
/// The longest name of a tool, and the most of its description and its schema, in bytes: a model is told of them again and again.
const NAME_BYTES: usize = 128;
const DESCRIPTION_BYTES: usize = 4_000;
const SCHEMA_BYTES: usize = 16 << 10;
/// How long a server that has not answered a call may take to show that it is there at all.
const PING: Duration = Duration::from_secs(2);
/// How long a server that failed twice is left alone, and at most however often it has.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Tools by their whole names.
pub(super) type Known = BTreeMap<String, Arc<Entry>>;

/// An MCP server.
pub(super) struct Server {
    name: String,
    settings: McpServer,
    /// Held while it is started: whoever comes meanwhile waits for the same start.
    state: tokio::sync::Mutex<State>,
    /// Its tools as it told them last, also while it is away.
    known: Mutex<Option<Arc<Known>>>,
    calls: Semaphore,
}

#[derive(Default)]
struct State {
    open: Option<Open>,
    /// How often it failed since a call went well.
    failures: u32,
    /// Until when it is left alone, and why.
    again: Option<(Instant, String)>,
    /// How often it was connected to: one connection is not taken for the next.
    connected: u64,
}

struct Open {
    connection: Connection,
    number: u64,
    tools: Arc<Known>,
    /// How often they had changed when they were told.
    changes: u64,
}

/// A connection in use.
pub(super) struct Ready {
    peer: Peer<RoleClient>,
    number: u64,
    secrets: Secrets,
    pub(super) tools: Arc<Known>,
}

impl Server {
    pub(super) fn new(name: &str, settings: &McpServer) -> Self {
        let calls = Semaphore::new(settings.calls);
        Self { name: name.to_owned(), settings: settings.clone(), state: Default::default(), known: Mutex::default(), calls }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its tools as it told them last.
    pub(super) fn known(&self) -> Option<Arc<Known>> {
        lock(&self.known).clone()
    }

    /// The server, connected to, with its tools as they are now.
    ///
    /// # Errors
    /// `unavailable`: why it can't be used, and when it is tried again.
    pub(super) async fn ready(self: &Arc<Self>) -> Result<Ready, Fault> {
        let mut state = self.state.lock().await;
        if state.open.as_ref().is_some_and(|open| open.connection.has_ended()) {
            self.failed(&mut state, "has ended");
        }
        if state.open.is_none() {
            if let Some((at, why)) = state.again.as_ref().filter(|(at, _)| *at > Instant::now()) {
                let seconds = (*at - Instant::now()).as_secs() + 1;
                return Err(self.away(&format!("{why}; it is tried again in {seconds} s")));
            }
            match self.in_time(self.open(state.connected + 1)).await {
                Ok(open) => {
                    info!(server = self.name, tools = open.tools.len(), "an MCP server is there");
                    state.connected += 1;
                    state.open = Some(open);
                }
                Err(why) => {
                    self.failed(&mut state, &why);
                    return Err(self.away(&why));
                }
            }
        } else if let Some(open) = state.open.as_mut().filter(|open| open.connection.changes() != open.changes) {
            let changes = open.connection.changes();
            match self.in_time(self.list(&open.connection)).await {
                Ok(tools) => (open.tools, open.changes) = (tools, changes),
                Err(why) => {
                    self.failed(&mut state, &why);
                    return Err(self.away(&why));
                }
            }
        }
        let open = state.open.as_ref().ok_or_else(|| self.away("is not there"))?;
        *lock(&self.known) = Some(open.tools.clone());
        Ok(Ready { peer: open.connection.peer(), number: open.number, secrets: open.connection.secrets.clone(), tools: open.tools.clone() })
    }

    /// Calls a tool, by the server's own name for it. Dropping this cancels the call, and tells the server so.
    ///
    /// # Errors
    /// What the agent reads: what the server says is wrong, or why there is no answer.
    pub(super) async fn call(self: &Arc<Self>, tool: &str, input: Value) -> Result<Value, Fault> {
        let within = Duration::from_millis(self.settings.call_ms);
        let Ok(permit) = timeout(within, self.calls.acquire()).await else {
            return Err(self.away(&format!("is busy: more calls wait than the {} at once that `calls` allows", self.settings.calls)));
        };
        let ready = self.ready().await?;
        let arguments = if let Value::Object(arguments) = input { arguments } else { serde_json::Map::new() };
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let called = timeout(within, ready.peer.call_tool(params)).await;
        drop(permit);
        let lost = |how: &str| {
            let unknown = "whether it was done is not known: find out before it is called again";
            self.away(&format!("{how} while `{tool}` was called; {unknown}"))
        };
        match called {
            Ok(Ok(result)) => {
                // Where it is being started meanwhile, another call will say that it does well.
                if let Ok(mut state) = self.state.try_lock() {
                    state.failures = 0;
                }
                told(result, self.settings.result_bytes, &ready.secrets).map_err(|words| {
                    Fault::new(FaultCode::Unavailable, format!("`{tool}` of the MCP server `{}` failed: {words}", self.name))
                })
            }
            Ok(Err(ServiceError::McpError(error))) => {
                let code = if error.code == ErrorCode::INVALID_PARAMS { FaultCode::Invalid } else { FaultCode::Unavailable };
                let words = error_words(&error.message, &ready.secrets);
                Err(Fault::new(code, format!("the MCP server `{}` refused to do `{tool}`: {words}", self.name)))
            }
            Ok(Err(error)) if error.is_authorization_required() => Err(self.away("asks for other credentials than its `headers` have")),
            Ok(Err(ServiceError::UnexpectedResponse | ServiceError::Cancelled { .. })) => {
                Err(self.away(&format!("answered `{tool}` with something that is no result")))
            }
            Ok(Err(_)) => {
                self.gone(ready.number, "broke off").await;
                Err(lost("broke off"))
            }
            Err(_) => {
                if !self.answers(&ready.peer).await {
                    self.gone(ready.number, "answers nothing any more").await;
                }
                Err(lost(&format!("did not answer within {} ms", within.as_millis())))
            }
        }
    }

    /// Ends its connection in order.
    pub(super) async fn close(&self) {
        let open = self.state.lock().await.open.take();
        if let Some(open) = open {
            open.connection.close().await;
        }
    }

    async fn open(self: &Arc<Self>, number: u64) -> Result<Open, String> {
        let connection = Connection::open(&self.name, &self.settings.at).await?;
        let changes = connection.changes();
        let tools = self.list(&connection).await?;
        Ok(Open { connection, number, tools, changes })
    }

    /// Asks for all tools. Those that can't be told to a model are left out.
    async fn list(self: &Arc<Self>, connection: &Connection) -> Result<Arc<Known>, String> {
        let peer = connection.peer();
        let (mut known, mut cursor, mut left_out) = (Known::new(), None, 0);
        for _ in 0..PAGES {
            let page = peer.list_tools(Some(PaginatedRequestParams::default().with_cursor(cursor))).await;
            let page = page.map_err(|error| match error {
                ServiceError::McpError(error) => format!("does not tell its tools: {}", error_words(&error.message, &connection.secrets)),
                _ => "broke off before it had told its tools".into(),
            })?;
            for tool in page.tools {
                match self.offered(tool, &connection.secrets) {
                    Some(entry) if known.len() < TOOLS => drop(known.insert(entry.spec.name.clone(), Arc::new(entry))),
                    _ => left_out += 1,
                }
            }
            cursor = page.next_cursor;
            if cursor.is_none() || known.len() >= TOOLS {
                break;
            }
        }
        if left_out > 0 {
            warn!(
                server = self.name,
                left_out, "tools of an MCP server are left out: there are too many, or what they are told by is too long"
            );
        }
        Ok(Arc::new(known))
    }

    fn offered(self: &Arc<Self>, tool: Told, secrets: &Secrets) -> Option<Entry> {
        let name = tool.name.into_owned();
        let input_schema = secrets.cover_all(Value::Object(Arc::unwrap_or_clone(tool.input_schema)));
        let sayable = !name.is_empty() && name.len() <= NAME_BYTES && !name.chars().any(|c| c.is_control() || c.is_whitespace());
        if !sayable || input_schema.to_string().len() > SCHEMA_BYTES {
            return None;
        }
        let description = secrets.cover(tool.description.or(tool.title.map(Into::into)).unwrap_or_default().trim());
        let description = description[..description.floor_char_boundary(DESCRIPTION_BYTES)].to_owned();
        let spec = ToolSpec { name: format!("mcp.{}.{name}", self.name), description, input_schema };
        Some(Entry::new(Arc::new(Offered { server: Arc::downgrade(self), name, spec })))
    }

    async fn in_time<T>(&self, begun: impl Future<Output = Result<T, String>>) -> Result<T, String> {
        let within = Duration::from_millis(self.settings.start_ms);
        timeout(within, begun).await.unwrap_or_else(|_| Err(format!("was not there within {} ms", within.as_millis())))
    }

    async fn answers(&self, peer: &Peer<RoleClient>) -> bool {
        let ping = peer.send_request(ClientRequest::PingRequest(PingRequest::default()));
        matches!(timeout(PING, ping).await, Ok(Ok(_) | Err(ServiceError::McpError(_))))
    }

    /// Lets a connection go that is of no use any more, unless there is another already.
    async fn gone(&self, number: u64, why: &str) {
        let mut state = self.state.lock().await;
        if state.open.as_ref().is_some_and(|open| open.number == number) {
            self.failed(&mut state, why);
        }
    }

    /// What has failed once is tried again at once, what fails again and again later each time.
    fn failed(&self, state: &mut State, why: &str) {
        warn!(server = self.name, failures = state.failures + 1, "an MCP server {why}");
        state.open = None;
        let wait = state.failures.checked_sub(1).map_or(Duration::ZERO, |more| AGAIN.0 * 2_u32.saturating_pow(more));
        state.again = Some((Instant::now() + wait.min(AGAIN.1), why.to_owned()));
        state.failures += 1;
    }

    fn away(&self, how: &str) -> Fault {
        Fault::new(FaultCode::Unavailable, format!("the MCP server `{}` {how}", self.name))
    }
}
