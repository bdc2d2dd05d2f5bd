//! Apps: folders of data that make a workspace KP's, or yours. A folder is read as a version that never changes.

mod brought;
mod collection;
mod crew;
mod folder;
mod imported;
mod placeholders;
mod schema;
mod seed;
mod simulation;
mod tree;
mod typescript;
mod versions;
mod yaml;

pub use brought::BroughtCrew;
pub use collection::{Allowed, Collection, IndexField, Move, ROW_FIELDS, Rights, Singleton, Transitions};
pub use crew::{Agent, ApprovalRule, Crew, Grant, MANAGER, Manager, Process, TOOLS, Task, is_tool};
pub use imported::{CrewRow, overlaid};
pub use placeholders::{fill, names};
pub use schema::{NoSchema, Schema};
pub use seed::{Seed, SeedRecord};
pub use simulation::{Said, SaidCall, Simulation};
pub use versions::{AppVersion, Apps};

use std::{collections::BTreeMap, path::Path};

use crewline_protocol::{fault::Fault, value::Millis};

/// The files of an app by their paths from its folder.
pub type Files = BTreeMap<String, String>;

/// What is wrong in an app's folder: where, and what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct Problem {
    /// The file, from the app's folder.
    pub file: String,
    /// From 1.
    pub line: u64,
    /// From 1.
    pub column: u64,
    /// What is wrong and what to change.
    pub message: String,
}

/// One version of an app.
#[derive(Debug)]
pub struct App {
    /// Its name: lower-case letters, digits and `-`.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// The hash of its files, which names the version.
    pub version: String,
    /// When this version was first served; set by who serves it.
    pub first_served_at: Millis,
    /// Its collections by name.
    pub collections: BTreeMap<String, Collection>,
    /// What a new workspace begins with.
    pub seed: Seed,
    /// Its crews by name.
    pub crews: BTreeMap<String, Crew>,
    /// What the simulated model answers.
    pub simulation: Simulation,
    /// What it was read from.
    pub files: Files,
}

impl App {
    /// Reads and checks an app's folder.
    ///
    /// # Errors
    /// Everything that is wrong in it.
    pub fn read(folder: &Path) -> Result<Self, Vec<Problem>> {
        Self::from_files(folder::read(folder)?)
    }

    /// Checks an app's files.
    ///
    /// # Errors
    /// Everything that is wrong in them.
    pub fn from_files(files: Files) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let head: Option<yaml::AppFile> = yaml::required(&files, "app.yaml", &mut problems);
        let collections = collection::read_all(&files, &mut problems);
        // Records are held to their collections: where one of those is wrong, what is said of the records may only follow from that.
        let sound = !problems.iter().any(|problem: &Problem| problem.file.starts_with("collections/"));
        let seed = if sound { seed::read(&files, &collections, &mut problems) } else { Seed::default() };
        let crews = crew::read_all(&files, &collections, &mut problems);
        let simulation = simulation::read(&files, &crews, &mut problems);
        match head {
            Some(head) if problems.is_empty() => Ok(Self {
                name: head.name.value,
                title: head.title,
                description: head.description,
                version: folder::version(&files),
                first_served_at: Millis(0),
                collections,
                seed,
                crews,
                simulation,
                files,
            }),
            _ => Err(problems),
        }
    }

    /// The crew with this name.
    ///
    /// # Errors
    /// `invalid`, with the names that there are.
    pub fn crew(&self, name: &str) -> Result<&Crew, Fault> {
        self.crews.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.crews.keys().map(String::as_str).collect();
            Fault::invalid("crew", "unknown", format!("there is no crew `{name}`; there are: {}", known.join(", ")))
        })
    }

    /// KP, which is built into the program.
    pub fn built_in() -> Self {
        let files = folder::BUILT_IN.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        match Self::from_files(files) {
            Ok(app) => app,
            Err(problems) => unreachable!("the app that is built in was checked by a test: {problems:?}"),
        }
    }
}

impl Problem {
    fn at(file: &str, line: u64, column: u64, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: line.max(1), column: column.max(1), message: message.into() }
    }
}

#[cfg(test)]
mod tests;
