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

use crewline_protocol::{
    operations::{
        crew::Executor,
        run::{Budget, Inputs, OnBusy},
    },
    value::MicroUsd,
};
use serde_json::{Value, json};
use serde_saphyr::{Location, Spanned};

use super::{
    BroughtCrew, Collection, Files, Problem, Schema, names,
    yaml::{self, AgentFields, Complaints, CrewFile, Entries, TaskFields},
};
use grants::Grants;

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
    /// What a worker must have that executes them.
    pub labels: Vec<String>,
    /// Who works on its tasks.
    pub process: Process,
    /// Model calls in a minute, over all its agents; absent: any number.
    pub max_rpm: Option<u32>,
    /// What a run may take.
    pub budget: Budget,
    /// What becomes of a run that is started in a session while another goes on there.
    pub on_busy: OnBusy,
    /// The input that takes what people say to it in a session.
    pub message_input: Option<String>,
    /// The input that takes what was said there before.
    pub history_input: Option<String>,
    /// Which tools' calls are put before a person, by the tools' names; see [`Crew::approval`].
    pub approvals: BTreeMap<String, ApprovalRule>,
    /// The JSON Schema of a run's inputs.
    pub input_schema: Value,
    /// What a run is given that is not given something else.
    pub default_inputs: Inputs,
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

impl Crew {
    /// A crew that a worker brought: what is in it only the worker knows. `None` where its inputs' schema is none.
    pub(super) fn brought(brought: &BroughtCrew) -> Option<Self> {
        let input_schema = brought.schema();
        Some(Self {
            name: brought.name.clone(),
            title: brought.name.clone(),
            description: brought.description.clone(),
            executor: Executor::Worker,
            labels: Vec::new(),
            process: Process::Sequential,
            max_rpm: None,
            budget: Budget::default(),
            on_busy: OnBusy::default(),
            message_input: None,
            history_input: None,
            approvals: BTreeMap::new(),
            inputs: Schema::new(&input_schema).ok()?,
            input_schema,
            default_inputs: Inputs::new(),
            placeholders: BTreeSet::new(),
            agents: BTreeMap::new(),
            tasks: Vec::new(),
            needs_worker: Vec::new(),
        })
    }

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
    let mut crew: CrewFile = yaml::required_strictly(files, &crew_path, problems)?;
    let (listed, written) = tasks::listed(std::mem::take(&mut crew.tasks));
    // CrewAI's declarative definition has all of it in one file.
    let (agents, agents_path) = match crew.agents.take() {
        Some(agents) => (Some(agents), crew_path.clone()),
        None => (yaml::required(files, &agents_path, problems), agents_path),
    };
    let (tasks, tasks_path) = match written.0.is_empty() {
        false => (Some(written), crew_path.clone()),
        true => (yaml::required(files, &tasks_path, problems), tasks_path),
    };
    let (agents, tasks): (Entries<AgentFields>, Entries<TaskFields>) = (agents?, tasks?);
    let (before, mut needs_worker) = (problems.len(), Vec::new());

    let mut remarks = Remarks::new(&crew_path, problems, &mut needs_worker);
    let executor = executor(&crew, &mut remarks);
    let labels = labels(&crew, executor, &mut remarks);
    remarks.for_a_worker(crew.for_a_worker(), "the crew");
    let process = process::read(&crew, &agents, &mut remarks);
    let grants = Grants::read(&crew, &process, &agents, collections, &mut remarks);
    let (input_schema, inputs, mut declared) = inputs(&crew, &mut remarks);
    let default_inputs = default_inputs(&crew, inputs.as_ref(), &mut remarks);
    declared.extend(default_inputs.keys().cloned());
    if crew.input_schema.is_none() && (agents_path == crew_path || tasks_path == crew_path) {
        // A definition declares no inputs: what its texts name it is given.
        let texts = agents.0.iter().flat_map(|(_, agent)| [&agent.role, &agent.goal, &agent.backstory]);
        let texts = texts
            .chain(tasks.0.iter().flat_map(|(_, task)| [&task.description, &task.expected_output].into_iter().chain(&task.output_file)));
        declared.extend(texts.flat_map(|text| names(&text.value)).map(str::to_owned));
    }
    let order = tasks::order(&listed, &tasks, &mut remarks);
    let (budget, on_busy) = (budget(&crew, &mut remarks), on_busy(&crew, &mut remarks));
    let max_rpm = remarks.at_least_1("max_rpm", crew.max_rpm.as_ref());
    let message_input = remarks.an_input("message_input", crew.message_input.as_ref(), &declared);
    let history_input = remarks.an_input("history_input", crew.history_input.as_ref(), &declared);
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
        title: crew.title.or(crew.name).unwrap_or_else(|| name.to_owned()),
        description: crew.description,
        executor,
        labels,
        process,
        max_rpm,
        budget,
        on_busy,
        message_input,
        history_input,
        approvals,
        input_schema,
        default_inputs,
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

fn labels(crew: &CrewFile, executor: Executor, remarks: &mut Remarks<'_>) -> Vec<String> {
    let Some(labels) = &crew.labels else { return Vec::new() };
    if executor == Executor::Engine {
        remarks.at(labels.referenced, "`labels` are what a worker must have: write `executor: worker`, or leave them out");
    }
    labels.value.clone()
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

/// What a run is given that names no others: values that the schema takes, whatever else it asks for.
fn default_inputs(crew: &CrewFile, schema: Option<&Schema>, remarks: &mut Remarks<'_>) -> Inputs {
    let Some(tree) = &crew.inputs else { return Inputs::new() };
    let given = tree.value();
    for (fault, pointer) in schema.into_iter().flat_map(|schema| schema.faults(&given, "inputs")) {
        let of_a_default = !pointer.is_empty() && given.pointer(&pointer).is_some();
        if of_a_default {
            remarks.at(tree.pointed(&pointer), format_args!("`{}` does not fit `input_schema`: {}", fault.path, fault.message));
        }
    }
    match given {
        Value::Null => Inputs::new(),
        Value::Object(inputs) => inputs,
        _ => {
            remarks.at(tree.at, "`inputs` is a map of names and values");
            Inputs::new()
        }
    }
}

fn budget(crew: &CrewFile, remarks: &mut Remarks<'_>) -> Budget {
    let fields = &crew.budget;
    let cost_microusd = fields.cost_microusd.as_ref().map(|cost| {
        if cost.value < 1 {
            remarks.at(cost.referenced, "`cost_microusd` is 1 or more");
        }
        MicroUsd(cost.value)
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

    /// An input that another field names.
    fn an_input(&mut self, field: &str, input: Option<&Spanned<String>>, declared: &BTreeSet<String>) -> Option<String> {
        let input = input?;
        if !declared.contains(&input.value) {
            let message = format!("`{field}` is `{}`, which `input_schema` does not declare: {}", input.value, known(declared.iter()));
            self.at(input.referenced, message);
        }
        Some(input.value.clone())
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
