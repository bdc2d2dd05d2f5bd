//! The YAML files as they are written: every field that CrewAI knows is known here, so that one that can't be carried out is refused
//! by its name, and one that is misspelt is found.

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
pub(super) struct CrewFile {
    pub(super) title: String,
    #[serde(default)]
    pub(super) description: String,
    pub(super) process: Option<Spanned<String>>,
    pub(super) executor: Option<Spanned<String>>,
    pub(super) tasks: Vec<Spanned<String>>,
    pub(super) input_schema: Option<Spanned<Value>>,
    #[serde(default)]
    pub(super) tools: BTreeMap<String, Vec<Spanned<String>>>,
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

/// Declares a struct of fields that are read, of fields that ask for what happens anyway (everything is told in the run's stream), and
/// of fields that CrewAI knows and this engine refuses.
macro_rules! crewai {
    ($name:ident { $($field:ident: $type:ty,)* } passed { $($passed:literal => $ignored:ident,)* } refused { $($refused:ident,)* }) => {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            $(pub(super) $field: $type,)*
            $(#[serde(default, rename = $passed)] $ignored: Option<bool>,)*
            $(#[serde(default)] $refused: Option<Spanned<Value>>,)*
        }

        impl $name {
            /// Fields that are set and can't be carried out, and where they stand.
            pub(super) fn refused(&self) -> Vec<(&'static str, Location)> {
                let mut refused = Vec::new();
                // A field that is switched off asks for nothing.
                $(if let Some(set) = self.$refused.as_ref().filter(|set| !matches!(set.value, Value::Null | Value::Bool(false))) {
                    refused.push((stringify!($refused), set.referenced));
                })*
                refused
            }
        }
    };
}

crewai! {
    AgentFields {
        role: Spanned<String>,
        goal: Spanned<String>,
        backstory: Spanned<String>,
        llm: Option<String>,
        tools: Option<Vec<Spanned<String>>>,
        max_iter: Option<Spanned<u32>>,
    } passed { "verbose" => _verbose, } refused {
        allow_delegation, allow_code_execution, cache, code_execution_mode, embedder, function_calling_llm, guardrail,
        guardrail_max_retries, inject_date, date_format, knowledge, knowledge_sources, max_execution_time, max_retry_limit, max_rpm,
        max_reasoning_attempts, memory, multimodal, prompt_template, reasoning, respect_context_window, response_template, step_callback,
        system_template, use_system_prompt, mcps, apps,
    }
}

crewai! {
    TaskFields {
        description: Spanned<String>,
        expected_output: Spanned<String>,
        agent: Spanned<String>,
        context: Option<Vec<Spanned<String>>>,
        tools: Option<Vec<Spanned<String>>>,
    } passed { "verbose" => _verbose, } refused {
        async_execution, human_input, guardrail, guardrails, guardrail_max_retries, callback, converter_cls, create_directory,
        markdown, max_retries, name, output_file, output_json, output_pydantic, response_model, input_files,
    }
}

/// Reads a file that must be there.
pub(super) fn required<T: DeserializeOwned>(files: &Files, file: &str, problems: &mut Vec<Problem>) -> Option<T> {
    let Some(text) = files.get(file) else {
        problems.push(Problem::at(file, 1, 1, "the file is missing"));
        return None;
    };
    parse(file, text, problems)
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
