//! A server whose agents have tools of MCP servers, a program that it starts and a service: the secrets that it gives them are kept
//! nowhere, and when it ends nothing of that program is left.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crewline_protocol::{
    operations::run::{Start, Status},
    value::Offset,
};
use tokio::sync::watch;

use crate::{
    checks::outcome,
    people::{register, view},
    server::{Database, PATIENCE, Server},
};

const SECRET: &str = "canary-0123456789";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_with_tools_is_given_its_secret_which_nobody_else_sees_and_ends_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let (app, config) = (app(folder.path()), folder.path().join("crewline.toml"));
    let service = Service::start().await;
    let secret = "{env = 'MCP_SECRET'";
    let program = format!("[mcp.t]\ncommand = [{:?}, {:?}, 'stdio']\nenv = {{CANARY = {secret}}}}}\n", program(), folder.path());
    let header = format!("headers = {{Authorization = {secret}, prefix = 'Bearer '}}}}\n");
    let asked = format!("[mcp.h]\nurl = 'http://{}/'\n{header}", service.address());
    fs::write(&config, format!("simulated_tokens_per_s = 1000\n{program}{asked}")).unwrap();
    let arguments = ["--app", app.to_str().unwrap(), "--config", config.to_str().unwrap(), "--log", "trace"];
    let mut server = Server::start_with(Database::Sqlite, &arguments, &[("MCP_SECRET", SECRET), ("OTHER_SECRET", SECRET)]).await;

    let owner = server.client(&register(&server).await.access_token);
    let start = Start { crew: "desk".into(), ..Start::default() };
    let run = owner.call(start).await.unwrap();
    let seen = view(owner.clone(), run.id, watch::channel(Offset(0)).0).await;
    let outcome = outcome(&seen.events);
    assert_eq!((outcome.status, outcome.output.as_deref()), (Status::Succeeded, Some("They said: [secret] and Bearer [secret]")));
    let names = format!("{:?}", seen.events);
    assert!(names.contains("CANARY ") && !names.contains("MCP_SECRET") && !names.contains("OTHER_SECRET"), "{names}");
    assert!(!names.contains(SECRET));
    let processes: Vec<PathBuf> =
        fs::read_to_string(folder.path().join("pids")).unwrap().lines().map(|pid| Path::new("/proc").join(pid)).collect();
    assert!(processes.len() == 2 && processes.iter().all(|process| lives(process)));

    server.signal("TERM");
    let (status, said) = server.ended().await;
    assert!(status.success());
    // Who is killed takes a moment to be gone.
    let gone = async {
        while processes.iter().any(|process| lives(process)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("what it started is left behind");
    assert!(said.contains("an MCP server writes") && said.contains("it begins, with [secret]"), "{said}");
    assert!(!said.contains(SECRET), "{said}");
    for file in fs::read_dir(server.data()).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()));
    }
}

/// A crew of one, that calls two tools.
fn app(folder: &Path) -> PathBuf {
    let app = folder.join("app");
    let files = [
        ("app.yaml", "name: desk\ntitle: Desk\n"),
        ("crews/desk/crew.yaml", "title: Desk\ntasks: [ask]\ntools: {asker: [mcp.t, mcp.h]}\n"),
        ("crews/desk/agents.yaml", "asker: {role: Asker, goal: g, backstory: b}\n"),
        ("crews/desk/tasks.yaml", "ask: {description: d, expected_output: e, agent: asker}\n"),
        (
            "simulation.yaml",
            "price: {input_microusd: 1, output_microusd: 1}\ncrews:\n  desk:\n    ask:\n      - say: 'I ask. '\n        calls: [{tool: mcp.t.secrets, input: {}}, {tool: mcp.h.secrets, input: {}}, {tool: mcp.t.environment, input: {}}]\n      \
             - say: 'They said: {{ tools[\"mcp.t.secrets\"] }} and {{ tools[\"mcp.h.secrets\"] }}'\n",
        ),
    ];
    for (path, text) in files {
        fs::create_dir_all(app.join(path).parent().unwrap()).unwrap();
        fs::write(app.join(path), text).unwrap();
    }
    app
}

/// The example beside the server's own program.
fn program() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_crewline")).with_file_name("examples").join("mcp_server");
    assert!(program.exists(), "the tests' MCP server is missing: cargo build --example mcp_server");
    program
}

/// An MCP server that is asked over HTTP.
struct Service {
    folder: tempfile::TempDir,
    child: Child,
}

impl Service {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(program());
        let child = command.arg(folder.path()).arg("http").stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let service = Self { folder, child };
        while service.address().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        service
    }

    fn address(&self) -> String {
        fs::read_to_string(self.folder.path().join("address")).unwrap_or_default()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a process is there; one that has ended may wait for somebody who asks how.
fn lives(process: &Path) -> bool {
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|state| !state.is_empty() && !state.starts_with('Z'))
}
