//! `crewline app check` and `crewline types`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use crewline::apps::{App, Problem};

use super::{Failure, screen::print};

#[derive(Subcommand)]
pub(crate) enum AppCommand {
    /// Say what is wrong in an app's folder, with file, line and column.
    Check(Check),
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  crewline app check ./my-app\n\nIt ends with 0 when nothing is wrong, else with 2; no server is needed."
)]
pub(crate) struct Check {
    /// The app's folder.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  crewline types --app ./my-app > src/app.ts\n  crewline types                                the types of KP, which is built in"
)]
pub(crate) struct Types {
    /// An app's folder; without it KP, which is built in.
    #[arg(long, value_name = "FOLDER")]
    app: Option<PathBuf>,
}

impl AppCommand {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match self {
            Self::Check(check) => check.run(),
        }
    }
}

impl Check {
    fn run(&self) -> Result<(), Failure> {
        let app = read(&self.folder)?;
        let counts = [count(app.collections.len(), "collection"), count(app.seed.len(), "seed record"), count(app.crews.len(), "crew")];
        print(&format!("{}: {}; version {}\n", app.name, counts.join(", "), app.version))
    }
}

impl Types {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let app = match &self.app {
            Some(folder) => read(folder)?,
            None => App::built_in(),
        };
        print(&app.typescript())
    }
}

/// Reads an app's folder, or says what is wrong in it.
pub(super) fn read(folder: &Path) -> Result<App, Failure> {
    App::read(folder).map_err(|problems| {
        let lines: String = problems.iter().map(|problem: &Problem| format!("\n  {problem}")).collect();
        Failure::Usage(format!("the app in {} has {}:{lines}", folder.display(), count(problems.len(), "problem")))
    })
}

fn count(number: usize, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}
