//! The YAML files as they are written, and where in them each value stands.

mod crews;

pub(super) use crews::{AgentFields, ApprovalFields, CrewFile, Entries, TaskEntry, TaskFields};

use std::{collections::BTreeMap, fmt::Display};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use super::{Files, Problem};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AppFile {
    pub(super) name: Spanned<String>,
    pub(super) title: String,
    #[serde(default)]
    pub(super) description: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CollectionFile {
    pub(super) title: String,
    #[serde(default)]
    pub(super) description: String,
    pub(super) title_field: Option<Spanned<String>>,
    pub(super) schema: Value,
    #[serde(default)]
    pub(super) indexes: Vec<Spanned<IndexFields>>,
    pub(super) access: Option<AccessFields>,
    pub(super) transitions: Option<TransitionFields>,
    #[serde(default)]
    pub(super) references: BTreeMap<String, Spanned<String>>,
    pub(super) singleton: Option<Spanned<String>>,
}

/// An index: a field's name, or several; `-` before a name puts its largest values first.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum IndexFields {
    One(String),
    Several(Vec<String>),
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccessFields {
    pub(super) read: Option<Vec<Spanned<String>>>,
    pub(super) create: Option<Vec<Spanned<String>>>,
    pub(super) update: Option<Vec<Spanned<String>>>,
    pub(super) delete: Option<Vec<Spanned<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TransitionFields {
    pub(super) field: Spanned<String>,
    #[serde(default)]
    pub(super) initial: Vec<Spanned<String>>,
    pub(super) moves: Vec<MoveFields>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MoveFields {
    pub(super) from: Spanned<String>,
    pub(super) to: Spanned<String>,
    pub(super) roles: Option<Vec<Spanned<String>>>,
}

/// Reads a file that must be there, as [`parse`] does.
pub(super) fn required<T: DeserializeOwned>(files: &Files, file: &str, problems: &mut Vec<Problem>) -> Option<T> {
    parse(file, there(files, file, problems)?, problems)
}

/// Reads a file that must be there, as [`parse_strictly`] does.
pub(super) fn required_strictly<T: DeserializeOwned>(files: &Files, file: &str, problems: &mut Vec<Problem>) -> Option<T> {
    parse_strictly(file, there(files, file, problems)?, problems)
}

fn there<'a>(files: &'a Files, file: &str, problems: &mut Vec<Problem>) -> Option<&'a str> {
    let text = files.get(file);
    if text.is_none() {
        problems.push(Problem::at(file, 1, 1, "the file is missing"));
    }
    text.map(String::as_str)
}

/// Reads a file's text.
pub(super) fn parse<T: DeserializeOwned>(file: &str, text: &str, problems: &mut Vec<Problem>) -> Option<T> {
    read(file, serde_saphyr::from_str(text), problems)
}

/// Reads a file's text in which `no`, `on` and `y` are texts: CrewAI's files are YAML 1.1, these are as JSON has it.
pub(super) fn parse_strictly<T: DeserializeOwned>(file: &str, text: &str, problems: &mut Vec<Problem>) -> Option<T> {
    let options = serde_saphyr::options! { strict_booleans: true };
    read(file, serde_saphyr::from_str_with_options(text, options), problems)
}

fn read<T>(file: &str, read: Result<T, serde_saphyr::Error>, problems: &mut Vec<Problem>) -> Option<T> {
    match read {
        Ok(read) => Some(read),
        Err(error) => {
            let error = error.without_snippet();
            let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
            let message = error.to_string();
            let message = message.lines().next().unwrap_or_default().trim_start_matches("error: ");
            problems.push(Problem::at(file, line, column, message));
            None
        }
    }
}

/// Problems of one file, told where a value stands.
pub(super) struct Complaints<'a> {
    pub(super) file: &'a str,
    pub(super) problems: &'a mut Vec<Problem>,
}

impl Complaints<'_> {
    pub(super) fn at(&mut self, location: Location, message: impl Display) {
        self.problems.push(Problem::at(self.file, location.line(), location.column(), message.to_string()));
    }
}
