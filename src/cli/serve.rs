//! `crewline serve`

use std::{fmt::Write, io::IsTerminal, net::SocketAddr, path::PathBuf};

use clap::Args;
use crewline::{
    server::{Options, Server, Signals},
    settings::Settings,
};
use tracing_subscriber::EnvFilter;

use super::{Failure, screen::print};

/// The data folder, unless told otherwise.
pub(super) const DATA: &str = "crewline-data";

const EXAMPLES: &str = "\
Examples:
  crewline serve                                          on 127.0.0.1:7410, SQLite in ./crewline-data, the KP app
  crewline serve --listen 0.0.0.0:7410 --set origins=https://app.example.com
  crewline serve --database postgres://crewline@db/crewline --app ./my-app --config crewline.toml --log-json
  crewline serve --listen 127.0.0.1:0                     on a free port; the first line on standard output names it

When it listens it prints one line, `listening on ws://ADDRESS/ws`. Ctrl-C or SIGTERM lets connections finish; a second
one ends it at once. It ends with 1 when it can't start, whatever the reason, and says it in a sentence.

`crewline serve --help` lists every setting.";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Serve {
    /// The address to listen on; port 0 is one that is free.
    #[arg(long, default_value = "127.0.0.1:7410", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The folder of the signing key and, without --database, of the SQLite file; made when it is missing.
    #[arg(long, default_value = DATA, value_name = "FOLDER")]
    data: PathBuf,
    /// A PostgreSQL database, as postgres://user@host/name; without it SQLite in the data folder.
    #[arg(long, env = "CREWLINE_DATABASE", hide_env_values = true, value_name = "URL")]
    database: Option<String>,
    /// An app's folder; without it KP, which is built in.
    #[arg(long, value_name = "FOLDER")]
    app: Option<PathBuf>,
    /// A TOML file of settings, a `key = value` a line, and of MCP servers, a section `[mcp.NAME]` each.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A setting; goes before the environment's CREWLINE_<KEY>, and that before the file's. May be given more than once.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// What is logged on standard error, as `info`, `debug` or `crewline=debug,warn`.
    #[arg(long, env = "CREWLINE_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
    /// Log one JSON object a line.
    #[arg(long)]
    log_json: bool,
}

impl Serve {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        self.log()?;
        let settings = Settings::load(self.config.as_deref(), std::env::vars(), &self.set);
        let settings = settings.map_err(|error| Failure::Server(error.to_string()))?;
        let Self { listen, data, database, app, .. } = self;
        let options = Options { listen, data, database, app, settings };
        // Whoever finds that it listens may tell it to stop at once.
        let mut signals = Signals::listen().map_err(|error| Failure::Server(format!("signals can't be waited for: {error}")))?;
        let server = tokio::select! {
            started = Server::start(options) => started.map_err(|error| Failure::Server(error.to_string()))?,
            () = signals.next() => return Ok(()),
        };
        print(&format!("listening on ws://{}/ws\n", server.address()))?;
        server.run_until(signals).await;
        Ok(())
    }
    fn log(&self) -> Result<(), Failure> {
        let mut filter = EnvFilter::try_new(&self.log).map_err(|error| Failure::Usage(format!("`--log {}`: {error}", self.log)))?;
        // What these libraries log may hold whole answers of providers, who repeat keys in them, and of MCP servers.
        for quiet in ["genai=off", "rmcp=off"] {
            filter = filter.add_directive(quiet.parse().map_err(|error| Failure::Usage(format!("`{quiet}`: {error}")))?);
        }
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        if self.log_json {
            log.json().init();
        } else {
            let coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            log.with_ansi(coloured).init();
        }
        Ok(())
    }
}

/// Every setting, as the long help shows it.
pub(super) fn settings_help() -> String {
    let mut help = format!("{EXAMPLES}\n\nSettings, by --set KEY=VALUE, CREWLINE_<KEY> in the environment, or the file of --config:\n");
    for setting in Settings::described() {
        let default = if setting.default.is_empty() { "none".into() } else { setting.default };
        // A text that can't be written to is no text.
        let _ = write!(help, "\n  {} = {default}    {}\n      {}\n", setting.key, setting.bounds, setting.reason);
    }
    help
}
