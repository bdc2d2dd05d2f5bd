//! A connection to an MCP server: over HTTP, or to a program that is started for it and ended with it.

use std::{
    collections::{BTreeMap, HashMap},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use reqwest::{StatusCode, redirect::Policy};
use rmcp::{
    ClientHandler, RoleClient, ServiceExt,
    model::{ClientCapabilities, ClientConfig, Implementation},
    service::{ClientInitializeError, NotificationContext, Peer, RunningService},
    transport::{StreamableHttpClientTransport, async_rw::AsyncRwTransport, streamable_http_client::StreamableHttpClientTransportConfig},
};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStderr, Command},
    sync::watch,
    task::AbortHandle,
    time::timeout,
};
use tracing::debug;

use super::{result::error_words, secrets::Secrets};
use crate::{
    engine::web,
    settings::{McpPlace, McpValue},
};

/// The longest message that a server may send, in bytes.
const MESSAGE_BYTES: usize = 4 << 20;
/// The most of a line that a program writes to its standard error, in bytes: what is logged of it, and what is read at once.
const LINE_BYTES: (usize, u64) = (1_000, 16 << 10);
/// How long a program may take to end when it is asked to, and when it is told to.
const ENDING: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(1)];
/// What a program finds in its environment besides what the settings give it: this server's own holds secrets of others.
pub(super) const INHERITED: [&str; 10] = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// A connection. Dropping it kills its program with all that it has started.
pub(super) struct Connection {
    service: RunningService<RoleClient, Listener>,
    changes: Arc<AtomicU64>,
    program: Option<Program>,
    pub(super) secrets: Secrets,
}

impl Connection {
    /// Connects to a server.
    ///
    /// # Errors
    /// What went wrong, as the rest of a sentence about the server.
    pub(super) async fn open(name: &str, at: &McpPlace) -> Result<Self, String> {
        let (mut secrets, changes) = (Secrets::default(), Arc::<AtomicU64>::default());
        let listener = Listener { changes: changes.clone() };
        let (service, program) = match at {
            McpPlace::Program { command, folder, env } => {
                let env = read(env, &mut secrets)?;
                let mut child = start(command, folder.as_deref(), env).map_err(|error| format!("can't be started: {error}"))?;
                let piped = child.stdout.take().zip(child.stdin.take());
                let stderr = child.stderr.take();
                let mut program = Program::watch(child);
                let (stdout, stdin) = piped.ok_or("can't be started: its output is no pipe")?;
                program.logs = stderr.map(|stderr| tokio::spawn(log_lines(name.to_owned(), stderr, secrets.clone())).abort_handle());
                let transport = AsyncRwTransport::new_client(stdout, stdin).with_max_line_length(MESSAGE_BYTES);
                (listener.serve(transport).await, Some(program))
            }
            McpPlace::Service { url, headers } => {
                let headers = read(headers, &mut secrets)?.into_iter().map(header).collect::<Result<HashMap<_, _>, String>>()?;
                let config = StreamableHttpClientTransportConfig::with_uri(url.as_str())
                    .custom_headers(headers)
                    .max_sse_event_size(MESSAGE_BYTES)
                    .max_json_response_size(MESSAGE_BYTES)
                    .max_error_response_size(1_000);
                // A connection that is used again may wait for an acknowledgement that comes late.
                let client = web::client().redirect(within_its_origin()).pool_max_idle_per_host(0).build();
                let client = client.map_err(|_| "can't be asked: no HTTP client can be made")?;
                (listener.serve(StreamableHttpClientTransport::with_client(client, config)).await, None)
            }
        };
        // What the library says of an error may hold the URL and what the server sent.
        let service = service.map_err(|error| refused(&error, program.is_some(), &secrets))?;
        Ok(Self { service, changes, program, secrets })
    }

    pub(super) fn peer(&self) -> Peer<RoleClient> {
        self.service.peer().clone()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.service.is_closed() || self.service.peer().is_transport_closed() || self.program.as_ref().is_some_and(Program::has_ended)
    }

    /// How often the server has said that its tools are others now.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Ends it as the protocol has it: the program's input is closed, then it is asked to end, then it is killed.
    pub(super) async fn close(mut self) {
        let _ = timeout(ENDING[0], self.service.close()).await;
        if let Some(program) = &mut self.program {
            program.end().await;
        }
    }
}

/// What hears of the server.
struct Listener {
    changes: Arc<AtomicU64>,
}

impl ClientHandler for Listener {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(ClientCapabilities::default(), Implementation::new("crewline", env!("CARGO_PKG_VERSION")))
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }
}

fn read(values: &BTreeMap<String, McpValue>, secrets: &mut Secrets) -> Result<Vec<(String, String)>, String> {
    let mut read = |(name, value): (&String, &McpValue)| {
        let value = secrets.read(value).map_err(|why| format!("lacks its `{name}`: {why}"))?;
        Ok((name.clone(), value))
    };
    values.iter().map(&mut read).collect()
}

fn header((name, value): (String, String)) -> Result<(HeaderName, HeaderValue), String> {
    let header = name.parse::<HeaderName>().ok().zip(value.parse::<HeaderValue>().ok());
    let (header, mut value) = header.ok_or_else(|| format!("can't be asked with a header `{name}` that is no text in a line"))?;
    value.set_sensitive(true);
    Ok((header, value))
}

/// The operator has named this place and no other: whatever is sent elsewhere would carry its headers there. Other redirects than these
/// two would lose the message.
fn within_its_origin() -> Policy {
    Policy::custom(|attempt| {
        let same = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
        let whole = matches!(attempt.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
        if same && whole && attempt.previous().len() <= 5 { attempt.follow() } else { attempt.stop() }
    })
}

fn refused(error: &ClientInitializeError, is_program: bool, secrets: &Secrets) -> String {
    match error {
        _ if error.is_authorization_required() => "asks for other credentials than its `headers` have".into(),
        ClientInitializeError::JsonRpcError(error) => format!("does not want to begin: {}", error_words(&error.message, secrets)),
        // One that is gone may show when it is written to.
        ClientInitializeError::TransportError { .. } if is_program => "ended before it had answered".into(),
        ClientInitializeError::ConnectionClosed(_) => "ended before it had answered".into(),
        ClientInitializeError::TransportError { .. } => "can't be reached, or answers nothing that is MCP".into(),
        _ => "does not speak a version of MCP that is known here".into(),
    }
}

fn start(command: &[String], folder: Option<&str>, env: Vec<(String, String)>) -> std::io::Result<Child> {
    let (program, arguments) = command.split_first().ok_or_else(|| std::io::Error::other("there is no command"))?;
    let inherited = INHERITED.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(inherited).envs(env);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Programs are often started by others, such as `npx`: all of them are ended together.
    command.process_group(0).kill_on_drop(true);
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    command.spawn()
}

/// A program that was started, and those that it has started.
struct Program {
    group: Option<Pid>,
    ended: watch::Receiver<bool>,
    logs: Option<AbortHandle>,
}

impl Program {
    /// Watches over a program: when it ends, what it leaves behind is killed, so that nobody waits for what holds its output open.
    fn watch(mut child: Child) -> Self {
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let (told, ended) = watch::channel(false);
        tokio::spawn(async move {
            let _ = child.wait().await;
            kill(group, Signal::KILL);
            told.send_replace(true);
        });
        Self { group, ended, logs: None }
    }

    fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    async fn end(&mut self) {
        for (signal, within) in [Signal::TERM, Signal::KILL].into_iter().zip(ENDING) {
            if timeout(within, self.ended.wait_for(|ended| *ended)).await.is_ok() {
                return;
            }
            kill(self.group, signal);
        }
        let _ = timeout(ENDING[1], self.ended.wait_for(|ended| *ended)).await;
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !self.has_ended() {
            kill(self.group, Signal::KILL);
        }
        // Something that got away from the group may hold it open.
        self.logs.iter().for_each(AbortHandle::abort);
    }
}

fn kill(group: Option<Pid>, signal: Signal) {
    // Nobody may be left in it.
    let _ = group.map(|group| kill_process_group(group, signal));
}

/// Logs what a program writes to its standard error, for whoever looks for what is wrong with it.
async fn log_lines(server: String, stderr: ChildStderr, secrets: Secrets) {
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut stderr).take(LINE_BYTES.1).read_until(b'\n', &mut line).await {
            Ok(read) if read > 0 => {}
            _ => return,
        }
        let text = secrets.cover(String::from_utf8_lossy(&line).trim_end());
        debug!(%server, line = %&text[..text.floor_char_boundary(LINE_BYTES.0)], "an MCP server writes");
    }
}
