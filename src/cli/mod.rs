//! The command line: what it is told, what it does, and with which code it ends.

mod answer;
mod app;
mod call;
mod input;
mod key;
mod remote;
mod run;
mod screen;
mod serve;
mod show;
mod user;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use crewline_client::{CallError, ConnectError, FollowError, Stopped, UrlError};

const EXIT_CODES: &str = "\
Exit codes:
  0    it is done, and where a run was followed: it succeeded
  1    the server answered with a fault, or could not be started
  2    the command line, an input or a file of it is not right
  3    no connection could be made, or the sign-in was refused
  4    the run failed
  5    the run was cancelled
  130  Ctrl-C";

const EXAMPLES: &str = "\
Examples:
  crewline serve                              a server on 127.0.0.1:7410, data in ./crewline-data
  crewline call auth.register - < me.json     a new user: {\"email\": …, \"password\": …, \"name\": …}
  export CREWLINE_EMAIL=ada@example.com       the password is asked for, or in CREWLINE_PASSWORD
  crewline run review --input-file page=article.html --input name=article.html
  crewline follow RUN                         the same run from any terminal, live or after its end
  crewline watch run --sort -created_at       the workspace's runs, kept true in place
  crewline call run.list '{\"limit\": 5}' --json | jq .items[].status";

/// The server between a front end and its crew of AI agents, and a client of it.
#[derive(Parser)]
#[command(name = "crewline", version, max_term_width = 110, after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"), arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a server.
    Serve(serve::Serve),
    /// Start a run of a crew and show it as it happens.
    Run(run::Run),
    /// Show a run: from its start, live, or after its end.
    Follow(run::Follow),
    /// Show rows that stay true: of a noun, or of one of the app's collections.
    Watch(watch::Watch),
    /// Ask for one operation and print its answer.
    Call(call::Call),
    /// Look at an app's folder before it is served.
    #[command(subcommand)]
    App(app::AppCommand),
    /// Write an app's collections and its crews' inputs as TypeScript, to standard output.
    Types(app::Types),
    /// Look after users, on the machine of the server.
    #[command(subcommand)]
    User(user::User),
    /// Look after the keys by which workers sign in, on the machine of the server.
    #[command(subcommand)]
    Key(key::Key),
}

/// Why a command did not do what it was told. Each ends the program with its code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server's answer, or the server itself.
    #[error("{0}")]
    Server(String),
    /// What was typed, or what it names.
    #[error("{0}")]
    Usage(String),
    /// No connection, or no sign-in.
    #[error("{0}")]
    Connection(String),
    /// The run failed; that was shown.
    #[error("")]
    RunFailed,
    /// The run was cancelled; that was shown.
    #[error("")]
    RunCancelled,
    /// Ctrl-C; what goes on without it was said.
    #[error("")]
    Interrupted,
}

impl Failure {
    const fn code(&self) -> u8 {
        match self {
            Self::Server(_) => 1,
            Self::Usage(_) => 2,
            Self::Connection(_) => 3,
            Self::RunFailed => 4,
            Self::RunCancelled => 5,
            Self::Interrupted => 130,
        }
    }
}

impl From<UrlError> for Failure {
    fn from(error: UrlError) -> Self {
        Self::Usage(match error {
            UrlError::Tls(url) => {
                format!("{url}: wss:// is not spoken; connect by ws:// on this machine or through a tunnel, as of ssh -L")
            }
            UrlError::Malformed(_) => error.to_string(),
        })
    }
}
impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self::Connection(error.to_string())
    }
}
impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        Self::Connection(stopped.to_string())
    }
}
impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Stopped(stopped) => stopped.into(),
            CallError::TimedOut { .. } => Self::Connection(error.to_string()),
            CallError::Fault(_) | CallError::TooLarge { .. } | CallError::Unreadable { .. } => Self::Server(error.to_string()),
        }
    }
}
impl From<FollowError> for Failure {
    fn from(error: FollowError) -> Self {
        match error {
            FollowError::Stopped(stopped) => stopped.into(),
            FollowError::Refused(_) | FollowError::Forbidden | FollowError::Deleted | FollowError::Unreadable(_) => {
                Self::Server(error.to_string())
            }
        }
    }
}

/// Does what the command line says.
pub(crate) fn main() -> ExitCode {
    let command = Cli::command().mut_subcommand("serve", |serve| serve.after_long_help(serve::settings_help()));
    let cli = match command.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // To a pipe that nobody reads any more, there is nothing to say.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let done = match cli.command {
        Command::Serve(serve) => on_threads(serve.run()),
        Command::Run(run) => on_one_thread(run.run()),
        Command::Follow(follow) => on_one_thread(follow.run()),
        Command::Watch(watch) => on_one_thread(watch.run()),
        Command::Call(call) => on_one_thread(call.run()),
        Command::App(app) => app.run(),
        Command::Types(types) => types.run(),
        Command::User(user) => on_one_thread(user.run()),
        Command::Key(key) => on_one_thread(key.run()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let text = failure.to_string();
            if !text.is_empty() {
                eprintln!("crewline: {text}");
            }
            ExitCode::from(failure.code())
        }
    }
}

fn on_threads(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    on(tokio::runtime::Builder::new_multi_thread().enable_all().build(), work)
}
fn on_one_thread(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    on(tokio::runtime::Builder::new_current_thread().enable_all().build(), work)
}
fn on(runtime: std::io::Result<tokio::runtime::Runtime>, work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    runtime.map_err(|error| Failure::Server(format!("the operating system gives no threads: {error}")))?.block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed_and_its_help_names_every_setting() {
        Cli::command().debug_assert();
        let help = serve::settings_help();
        for setting in crewline::settings::Settings::described() {
            assert!(help.contains(setting.key), "{} is missing", setting.key);
        }
    }

    #[test]
    fn every_failure_has_the_code_that_the_help_names() {
        let failures = [
            Failure::Server(String::new()),
            Failure::Usage(String::new()),
            Failure::Connection(String::new()),
            Failure::RunFailed,
            Failure::RunCancelled,
            Failure::Interrupted,
        ];
        for failure in failures {
            assert!(EXIT_CODES.contains(&format!("\n  {:<5}", failure.code())), "{failure:?}");
        }
    }
}
