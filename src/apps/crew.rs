//! Crews: who works on what, in which order, with which tools; read from CrewAI's two files and ours, and checked against each other.

mod agents;
mod approvals;
mod grants;
mod process;
mod tasks;

pub use agents::Agent;
pub use approvals::ApprovalRule;
pub use grants::{Grant, TOOLS, is_tool};
pub use process::{MANAGER, Manager, Process};
pub use tasks::Task;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};

use crewline_protocol::operations::run::OnBusy;
use serde_json::{Value, json};
use serde_saphyr::{Location, Spanned};

use super::{
    Collection, Files, Problem, Schema, names,
    yaml::{self, AgentFields, Complaints, CrewFile, Entries, TaskFields},
};
use grants::Grants;

/// Who executes a crew's runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Executor {
    /// The server's own engine.
    Engine,
    /// A worker.
    Worker,
}

/// Agents and their tasks.
#[derive(Debug)]
pub struct Crew {
    /// Its name: that of its folder.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// What it does.
    pub description: String,
    /// Who executes its runs.
    pub executor: Executor,
    /// Who works on its tasks.
    pub process: Process,
    /// Model calls in a minute, over all its agents; absent: any number.
    pub max_rpm: Option<u32>,
    /// What a run may take.
    pub budget: Budget,
    /// What becomes of a run that is started in a session while another goes on there.
    pub on_busy: OnBusy,
    /// Which tools' calls are put before a person, by the tools' names; see [`Crew::approval`].
    pub approvals: BTreeMap<String, ApprovalRule>,
    /// The JSON Schema of a run's inputs.
    pub input_schema: Value,
    /// The same, ready to be asked.
    pub inputs: Schema,
    /// The names in its texts' placeholders.
    pub placeholders: BTreeSet<String>,
    /// Its agents by name, the manager among them where it is one of `agents.yaml`.
    pub agents: BTreeMap<String, Agent>,
    /// Its tasks in their order.
    pub tasks: Vec<Task>,
    /// What only a worker can carry out; empty for a crew that the engine executes.
    pub needs_worker: Vec<Problem>,
}

/// What a run may take; what is absent is not bounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// What its models may cost, in micro-US-dollars.
    pub cost_microusd: Option<i64>,
    /// Tokens that may go into its models and come out, together.
    pub tokens: Option<u64>,
    /// How long it may be executed, in milliseconds: what it waits for people does not count.
    pub duration_ms: Option<u64>,
}

impl Crew {
    /// The rule by which calls of a tool are put before a person: its own, or that of the MCP server that it is of.
    pub fn approval(&self, tool: &str) -> Option<&ApprovalRule> {
        let server = || tool.strip_prefix("mcp.").and_then(|rest| rest.split_once('.')).map(|(server, _)| format!("mcp.{server}"));
        self.approvals.get(tool).or_else(|| self.approvals.get(&server()?))
    }
}

/// Reads every crew there is in the files.
pub(super) fn read_all(files: &Files, collections: &BTreeMap<String, Collection>, problems: &mut Vec<Problem>) -> BTreeMap<String, Crew> {
    let folders: BTreeSet<&str> =
        files.keys().filter_map(|path| path.strip_prefix("crews/")?.split_once('/')).map(|(crew, _)| crew).collect();
    if folders.is_empty() {
        problems.push(Problem::at("crews", 1, 1, "there is no crew: make a folder with crew.yaml, agents.yaml and tasks.yaml"));
    }
    folders.into_iter().filter_map(|name| Some((name.to_owned(), read(files, name, collections, problems)?))).collect()
}

fn read(files: &Files, name: &str, collections: &BTreeMap<String, Collection>, problems: &mut Vec<Problem>) -> Option<Crew> {
    let path = |file: &str| format!("crews/{name}/{file}");
    let (crew_path, agents_path, tasks_path) = (path("crew.yaml"), path("agents.yaml"), path("tasks.yaml"));
    let crew: Option<CrewFile> = yaml::required(files, &crew_path, problems);
    let agents: Option<Entries<AgentFields>> = yaml::required(files, &agents_path, problems);
    let tasks: Option<Entries<TaskFields>> = yaml::required(files, &tasks_path, problems);
    let (crew, agents, tasks) = (crew?, agents?, tasks?);
    let (before, mut needs_worker) = (problems.len(), Vec::new());

    let mut remarks = Remarks::new(&crew_path, problems, &mut needs_worker);
    let executor = executor(&crew, &mut remarks);
    remarks.for_a_worker(crew.for_a_worker(), "the crew");
    let process = process::read(&crew, &agents, &mut remarks);
    let grants = Grants::read(&crew, &process, &agents, collections, &mut remarks);
    let (input_schema, inputs, declared) = inputs(&crew, &mut remarks);
    let order = tasks::order(&crew, &tasks, &mut remarks);
    let (budget, on_busy) = (budget(&crew, &mut remarks), on_busy(&crew, &mut remarks));
    let max_rpm = remarks.at_least_1("max_rpm", crew.max_rpm.as_ref());
    let approvals = approvals::read(crew.approvals, &grants, &mut remarks);

    let mut remarks = Remarks::new(&agents_path, problems, &mut needs_worker);
    let crew_wide = agents::CrewWide { process: &process, grants: &grants, declared: &declared, cache: crew.cache.unwrap_or(false) };
    let agents =
        agents.0.into_iter().map(|(name, fields)| (name.value.clone(), agents::read(&name.value, fields, &crew_wide, &mut remarks)));
    let agents: BTreeMap<String, Agent> = agents.collect();

    let mut remarks = Remarks::new(&tasks_path, problems, &mut needs_worker);
    let scene = tasks::Scene { agents: &agents, process: &process, grants: &grants, declared: &declared, order: &order, fields: &tasks };
    let tasks = tasks::read_all(&scene, &mut remarks);

    if executor == Executor::Engine {
        problems.append(&mut needs_worker);
    }
    problems[before..].sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    let texts = agents.values().flat_map(|agent| [&agent.role, &agent.goal, &agent.backstory]);
    let texts = texts.chain(tasks.iter().flat_map(Task::texts));
    let placeholders = texts.flat_map(|text| names(text)).map(str::to_owned).collect();
    (problems.len() == before).then_some(Crew {
        name: name.to_owned(),
        title: crew.title,
        description: crew.description,
        executor,
        process,
        max_rpm,
        budget,
        on_busy,
        approvals,
        input_schema,
        inputs: inputs?,
        placeholders,
        agents,
        tasks,
        needs_worker,
    })
}

fn executor(crew: &CrewFile, remarks: &mut Remarks<'_>) -> Executor {
    match crew.executor.as_ref().map(|executor| (executor.value.as_str(), executor.referenced)) {
        None | Some(("engine", _)) => Executor::Engine,
        Some(("worker", _)) => Executor::Worker,
        Some((other, at)) => {
            remarks.at(at, format_args!("executor `{other}` is unknown: write `engine` or `worker`"));
            Executor::Engine
        }
    }
}

/// The inputs' schema, its validator, and the names that it declares.
fn inputs(crew: &CrewFile, remarks: &mut Remarks<'_>) -> (Value, Option<Schema>, BTreeSet<String>) {
    let schema = crew.input_schema.as_ref().map_or_else(|| json!({"type": "object"}), super::tree::Tree::value);
    let declared = schema["properties"].as_object().map(|properties| properties.keys().cloned().collect()).unwrap_or_default();
    let validator = Schema::new(&schema).map_err(|error| {
        let at = crew.input_schema.as_ref().map_or(Location::UNKNOWN, |schema| schema.pointed(&error.pointer));
        remarks.at(at, format_args!("`input_schema` is no JSON Schema: {}", error.message));
    });
    (schema, validator.ok(), declared)
}

fn budget(crew: &CrewFile, remarks: &mut Remarks<'_>) -> Budget {
    let fields = &crew.budget;
    let cost_microusd = fields.cost_microusd.as_ref().map(|cost| {
        if cost.value < 1 {
            remarks.at(cost.referenced, "`cost_microusd` is 1 or more");
        }
        cost.value
    });
    let tokens = remarks.at_least_1("tokens", fields.tokens.as_ref());
    Budget { cost_microusd, tokens, duration_ms: remarks.at_least_1("duration_ms", fields.duration_ms.as_ref()) }
}

fn on_busy(crew: &CrewFile, remarks: &mut Remarks<'_>) -> OnBusy {
    let Some(on_busy) = &crew.on_busy else { return OnBusy::default() };
    match on_busy.value.as_str() {
        "reject" => OnBusy::Reject,
        "queue" => OnBusy::Queue,
        "steer" => OnBusy::Steer,
        other => {
            remarks.at(on_busy.referenced, format_args!("`on_busy` can't be `{other}`: write `reject`, `queue` or `steer`"));
            OnBusy::default()
        }
    }
}

/// What there is to say about one file of a crew: what is wrong, and what only a worker can carry out.
struct Remarks<'a> {
    wrong: Complaints<'a>,
    for_a_worker: &'a mut Vec<Problem>,
}

impl<'a> Remarks<'a> {
    fn new(file: &'a str, problems: &'a mut Vec<Problem>, for_a_worker: &'a mut Vec<Problem>) -> Self {
        Self { wrong: Complaints { file, problems }, for_a_worker }
    }

    /// Something is wrong, whoever executes the crew.
    fn at(&mut self, location: Location, message: impl Display) {
        self.wrong.at(location, message);
    }

    /// Something is nothing for the engine.
    fn needs_worker(&mut self, location: Location, what: impl Display) {
        let message = format!("needs a worker: {what}; take it out, or write `executor: worker` in crew.yaml");
        Complaints { file: self.wrong.file, problems: self.for_a_worker }.at(location, message);
    }

    fn for_a_worker(&mut self, fields: Vec<(&'static str, Location)>, of: &str) {
        for (field, at) in fields {
            self.needs_worker(at, format_args!("`{field}` of {of} is Python's"));
        }
    }

    fn at_least_1<N: Copy + PartialEq + From<u8>>(&mut self, field: &str, number: Option<&Spanned<N>>) -> Option<N> {
        let number = number?;
        if number.value == N::from(0) {
            self.at(number.referenced, format_args!("`{field}` is 1 or more"));
        }
        Some(number.value)
    }

    fn undeclared(&mut self, text: &Spanned<String>, declared: &BTreeSet<String>) {
        for name in names(&text.value).filter(|name| !declared.contains(*name)) {
            self.at(
                text.referenced,
                format_args!("the placeholder `{{{name}}}` is not declared: name it under `input_schema` of crew.yaml"),
            );
        }
    }
}

/// The names there are, for who named another.
pub(super) fn known(names: impl Iterator<Item = impl AsRef<str>>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{}`", name.as_ref())).collect();
    if names.is_empty() { "there are none".into() } else { format!("there are {}", names.join(", ")) }
}

#[cfg(test)]
mod tests;
