//! A `crewline serve` process: started on data of its own, killed, told to stop, started again on the same data and port.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use crewline_client::{Client, Token};
use sqlx::{Connection, Executor, PgConnection, SqliteConnection};
use tempfile::TempDir;

/// How long anything that must happen may take before the test says that it did not. Nothing waits as long as this when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Where rows are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

/// A server and its data, which outlive its processes.
pub(crate) struct Server {
    data: TempDir,
    database: Option<String>,
    settings: Vec<String>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    port: u16,
    running: Option<Running>,
}

struct Running {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Server {
    /// Starts a server on empty data with settings of the form `key=value`, besides those that let a test's crowd in.
    pub(crate) async fn start(database: Database, settings: &[&str]) -> Self {
        let mut server = Self::new(database, settings).await;
        server.start_again();
        server
    }

    async fn new(database: Database, settings: &[&str]) -> Self {
        let crowd = ["sign_in_rate=1000000", "write_rate=1000000", "unsigned_per_address=1000"];
        let settings = crowd.iter().chain(settings).map(|setting| (*setting).to_owned()).collect();
        let database = match database {
            Database::Sqlite => None,
            Database::Postgres => Some(empty_schema().await),
        };
        let (arguments, environment) = (Vec::new(), Vec::new());
        Self { data: tempfile::tempdir().unwrap(), database, settings, arguments, environment, port: 0, running: None }
    }

    /// The same without settings, but with more arguments and variables of its environment.
    pub(crate) async fn start_with(database: Database, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut server = Self::new(database, &[]).await;
        server.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        server.environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        server.start_again();
        server
    }

    /// Starts it again on the same data and port, and returns when it serves.
    pub(crate) fn start_again(&mut self) {
        let mut command = self.command(self.port);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::<Mutex<String>>::default();
        let (told, tells) = mpsc::channel();
        listen(child.stdout.take().unwrap(), said.clone(), told.clone());
        listen(child.stderr.take().unwrap(), said.clone(), told);
        match tells.recv_timeout(PATIENCE) {
            Ok(address) => self.port = address.port(),
            Err(_) => panic!("the server did not say where it listens, but:\n{}", said.lock().unwrap()),
        }
        self.running = Some(Running { child, said });
    }

    /// The command that starts it on this port; 0: one that is free.
    pub(crate) fn command(&self, port: u16) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crewline"));
        command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data"]).arg(self.data.path());
        command.args(self.database.iter().flat_map(|url| ["--database", url]));
        command.args(self.settings.iter().flat_map(|setting| ["--set", setting]));
        command.args(&self.arguments).envs(self.environment.iter().cloned());
        command.stdin(Stdio::null()).env_remove("CREWLINE_DATABASE").env_remove("CREWLINE_LOG");
        command
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Its data folder.
    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    /// What `crewline key …` says, beside the server.
    pub(crate) fn key(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crewline"));
        command.arg("key").args(arguments).arg("--data").arg(self.data.path());
        command.args(self.database.iter().flat_map(|url| ["--database", url]));
        let done = command.stdin(Stdio::null()).env_remove("CREWLINE_DATABASE").output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    /// A client that has this access token.
    pub(crate) fn client(&self, token: &str) -> Client {
        self.client_builder().auth(Token::new(token)).build().unwrap()
    }

    /// A client that nobody is signed in on.
    pub(crate) fn stranger(&self) -> Client {
        self.client_builder().build().unwrap()
    }

    fn client_builder(&self) -> crewline_client::ClientBuilder {
        Client::builder(format!("ws://{}/ws", self.address())).call_timeout(PATIENCE)
    }

    /// `kill -9`, and gone when this returns.
    pub(crate) fn kill(&mut self) {
        let mut running = self.running.take().unwrap();
        running.child.kill().unwrap();
        running.child.wait().unwrap();
    }

    /// Sends a signal by name: `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let process = self.running.as_ref().unwrap().child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &process]).status().unwrap().success());
    }

    /// Waits until it has ended by itself, and gives its status and what it said.
    pub(crate) async fn ended(&mut self) -> (ExitStatus, String) {
        let Running { mut child, said } = self.running.take().unwrap();
        let process = child.id();
        let ended = tokio::task::spawn_blocking(move || child.wait().unwrap());
        match tokio::time::timeout(PATIENCE, ended).await {
            Ok(status) => (status.unwrap(), said.lock().unwrap().clone()),
            Err(_) => {
                Command::new("kill").args(["-9", &process.to_string()]).status().unwrap();
                panic!("the server did not end; it said:\n{}", said.lock().unwrap());
            }
        }
    }

    /// One number from its database, asked past the server.
    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        match &self.database {
            Some(url) => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
            }
            None => {
                let file = self.data.path().join("crewline.db");
                let mut connection = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
                sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.child.kill();
            let _ = running.child.wait();
            if std::thread::panicking() {
                eprintln!("the server said:\n{}", running.said.lock().unwrap());
            }
        }
    }
}

/// Reads all that a process says, so that it never waits for a reader, and tells the first address in it.
fn listen(from: impl Read + Send + 'static, said: Arc<Mutex<String>>, told: mpsc::Sender<SocketAddr>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if let Some(at) = line.find("127.0.0.1:") {
                let address: String = line[at..].chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
                if let Ok(address) = address.trim_end_matches(['.', ':']).parse() {
                    let _ = told.send(address);
                }
            }
            let mut said = said.lock().unwrap();
            said.push_str(&line);
            said.push('\n');
        }
    });
}

/// The URL of a schema of the test's own in the database that the test script started and throws away.
async fn empty_schema() -> String {
    let url = std::env::var("CREWLINE_TEST_POSTGRES")
        .expect("script/test sets CREWLINE_TEST_POSTGRES; or give the URL of a database that tests may fill");
    let schema = format!("test_{:016x}", rand::random::<u64>());
    let mut connection = PgConnection::connect(&url).await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).await.unwrap();
    connection.close().await.unwrap();
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}options[search_path]={schema}")
}
