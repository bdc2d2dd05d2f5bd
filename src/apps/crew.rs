//! Crews: who works on what, in which order, with which tools; read from CrewAI's two files and ours, and checked against each other.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use serde_saphyr::{Location, Spanned};

use super::{
    Files, Problem, Schema, names,
    yaml::{self, AgentFields, Complaints, CrewFile, TaskFields},
};

/// The tools that agents can be given.
pub const TOOLS: &[&str] = &["content.analyze"];
/// Model calls for a task when `max_iter` is not set, as CrewAI has it.
const MAX_ITER: u32 = 25;

/// Who executes a crew's runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Executor {
    /// The server's own engine.
    Engine,
    /// A worker.
    Worker,
}

/// Agents and the tasks that they do one after another.
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
    /// The JSON Schema of a run's inputs.
    pub input_schema: Value,
    /// The same, ready to be asked.
    pub inputs: Schema,
    /// The names in its texts' placeholders.
    pub placeholders: BTreeSet<String>,
    /// Its agents by name.
    pub agents: BTreeMap<String, Agent>,
    /// Its tasks in their order.
    pub tasks: Vec<Task>,
}

/// Who works on tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// As `agents.yaml` names it.
    pub name: String,
    /// What it is.
    pub role: String,
    /// What it is after.
    pub goal: String,
    /// Where it comes from.
    pub backstory: String,
    /// The model that it asks for.
    pub llm: Option<String>,
    /// The tools that it has unless a task names others.
    pub tools: Vec<String>,
    /// Model calls that may call tools, for one task.
    pub max_iter: u32,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// As `tasks.yaml` names it.
    pub name: String,
    /// What to do.
    pub description: String,
    /// What to hand in.
    pub expected_output: String,
    /// Which agent does it.
    pub agent: String,
    /// Places of the tasks whose outputs it is given; absent: all before it.
    pub context: Option<Vec<usize>>,
    /// The tools that the agent has for it.
    pub tools: Vec<String>,
}

/// Reads every crew there is in the files.
pub(super) fn read_all(files: &Files, problems: &mut Vec<Problem>) -> BTreeMap<String, Crew> {
    let folders: BTreeSet<&str> =
        files.keys().filter_map(|path| path.strip_prefix("crews/")?.split_once('/')).map(|(crew, _)| crew).collect();
    if folders.is_empty() {
        problems.push(Problem::at("crews", 1, 1, "there is no crew: make a folder with crew.yaml, agents.yaml and tasks.yaml"));
    }
    folders.into_iter().filter_map(|name| Some((name.to_owned(), read(files, name, problems)?))).collect()
}

fn read(files: &Files, name: &str, problems: &mut Vec<Problem>) -> Option<Crew> {
    let path = |file: &str| format!("crews/{name}/{file}");
    let (crew_path, agents_path, tasks_path) = (path("crew.yaml"), path("agents.yaml"), path("tasks.yaml"));
    let crew: Option<CrewFile> = yaml::required(files, &crew_path, problems);
    let agents: Option<BTreeMap<String, AgentFields>> = yaml::required(files, &agents_path, problems);
    let tasks: Option<BTreeMap<String, TaskFields>> = yaml::required(files, &tasks_path, problems);
    let (crew, agents, tasks) = (crew?, agents?, tasks?);
    let before = problems.len();

    let mut complaints = Complaints { file: &crew_path, problems };
    let executor = executor(&crew, &mut complaints);
    let grants = grants(&crew, &agents, &mut complaints);
    let (input_schema, inputs, declared) = inputs(&crew, &mut complaints);
    let order = order(&crew, &tasks, &mut complaints);

    let mut complaints = Complaints { file: &agents_path, problems };
    let agents = agents.into_iter().map(|(name, fields)| (name.clone(), agent(name, fields, &grants, &declared, &mut complaints)));
    let agents: BTreeMap<String, Agent> = agents.collect();

    let mut complaints = Complaints { file: &tasks_path, problems };
    let scene = Scene { agents: &agents, grants: &grants, declared: &declared, order: &order };
    for name in tasks.keys().filter(|name| !order.contains(name)) {
        complaints.problems.push(Problem::at(
            &tasks_path,
            1,
            1,
            format!("task `{name}` stands in no order: name it in `tasks` of crew.yaml"),
        ));
    }
    let tasks: Vec<Task> =
        order.iter().enumerate().filter_map(|(place, name)| Some(task(place, name, tasks.get(name)?, &scene, &mut complaints))).collect();
    let texts = agents.values().flat_map(|agent| [&agent.role, &agent.goal, &agent.backstory]);
    let texts = texts.chain(tasks.iter().flat_map(|task| [&task.description, &task.expected_output]));
    let placeholders = texts.flat_map(|text| names(text)).map(str::to_owned).collect();
    (problems.len() == before).then_some(Crew {
        name: name.to_owned(),
        title: crew.title,
        description: crew.description,
        executor,
        input_schema,
        inputs: inputs?,
        placeholders,
        agents,
        tasks,
    })
}

fn executor(crew: &CrewFile, complaints: &mut Complaints<'_>) -> Executor {
    if let Some(process) = crew.process.as_ref().filter(|process| process.value != "sequential") {
        complaints.at(process.referenced, format_args!("process `{}` is not supported: write `sequential`", process.value));
    }
    match crew.executor.as_ref().map(|executor| (executor.value.as_str(), executor.referenced)) {
        None | Some(("engine", _)) => Executor::Engine,
        Some(("worker", _)) => Executor::Worker,
        Some((other, at)) => {
            complaints.at(at, format_args!("executor `{other}` is unknown: write `engine` or `worker`"));
            Executor::Engine
        }
    }
}

/// Which tools each agent may use.
fn grants(crew: &CrewFile, agents: &BTreeMap<String, AgentFields>, complaints: &mut Complaints<'_>) -> BTreeMap<String, Vec<String>> {
    let mut grants = BTreeMap::new();
    for (agent, tools) in &crew.tools {
        if !agents.contains_key(agent) {
            let message = format!("`tools` names agent `{agent}`, whom agents.yaml does not: {}", known(agents.keys()));
            complaints.problems.push(Problem::at(complaints.file, 1, 1, message));
        }
        for tool in tools.iter().filter(|tool| !TOOLS.contains(&tool.value.as_str())) {
            complaints.at(tool.referenced, format_args!("there is no tool `{}`: {}", tool.value, known(TOOLS.iter())));
        }
        grants.insert(agent.clone(), tools.iter().map(|tool| tool.value.clone()).collect());
    }
    grants
}

/// The inputs' schema, its validator, and the names that it declares.
fn inputs(crew: &CrewFile, complaints: &mut Complaints<'_>) -> (Value, Option<Schema>, BTreeSet<String>) {
    let at = crew.input_schema.as_ref().map(|schema| schema.referenced);
    let schema = crew.input_schema.as_ref().map_or_else(|| json!({"type": "object"}), |schema| schema.value.clone());
    let declared = schema["properties"].as_object().map(|properties| properties.keys().cloned().collect()).unwrap_or_default();
    let validator = match Schema::new(&schema) {
        Ok(validator) => Some(validator),
        Err(error) => {
            complaints.at(at.unwrap_or(Location::UNKNOWN), format_args!("`input_schema` is no JSON Schema: {}", error.message));
            None
        }
    };
    (schema, validator, declared)
}

fn order(crew: &CrewFile, tasks: &BTreeMap<String, TaskFields>, complaints: &mut Complaints<'_>) -> Vec<String> {
    let mut order: Vec<String> = Vec::new();
    for name in &crew.tasks {
        if !tasks.contains_key(&name.value) {
            complaints.at(name.referenced, format_args!("there is no task `{}` in tasks.yaml: {}", name.value, known(tasks.keys())));
        } else if order.contains(&name.value) {
            complaints.at(name.referenced, format_args!("task `{}` stands twice", name.value));
        } else {
            order.push(name.value.clone());
        }
    }
    if crew.tasks.is_empty() {
        complaints.problems.push(Problem::at(complaints.file, 1, 1, "`tasks` is empty: name the tasks in their order"));
    }
    order
}

fn agent(
    name: String,
    fields: AgentFields,
    grants: &BTreeMap<String, Vec<String>>,
    declared: &BTreeSet<String>,
    complaints: &mut Complaints<'_>,
) -> Agent {
    refuse(fields.refused(), &format!("agent `{name}`"), complaints);
    for text in [&fields.role, &fields.goal, &fields.backstory] {
        undeclared(text, declared, complaints);
    }
    let granted = grants.get(&name).cloned().unwrap_or_default();
    let tools = fields.tools.map_or(granted, |tools| allowed(&name, &tools, grants, complaints));
    let max_iter = fields.max_iter.map_or(MAX_ITER, |max_iter| {
        if max_iter.value == 0 {
            complaints.at(max_iter.referenced, "`max_iter` is 1 or more");
        }
        max_iter.value
    });
    Agent { name, role: fields.role.value, goal: fields.goal.value, backstory: fields.backstory.value, llm: fields.llm, tools, max_iter }
}

/// What a task is checked against.
struct Scene<'a> {
    agents: &'a BTreeMap<String, Agent>,
    grants: &'a BTreeMap<String, Vec<String>>,
    declared: &'a BTreeSet<String>,
    order: &'a [String],
}

fn task(place: usize, name: &str, fields: &TaskFields, scene: &Scene<'_>, complaints: &mut Complaints<'_>) -> Task {
    refuse(fields.refused(), &format!("task `{name}`"), complaints);
    for text in [&fields.description, &fields.expected_output] {
        undeclared(text, scene.declared, complaints);
    }
    let agent = &fields.agent;
    let own = scene.agents.get(&agent.value);
    if own.is_none() {
        let known = known(scene.agents.keys());
        complaints.at(
            agent.referenced,
            format_args!("task `{name}` is given to agent `{}`, whom agents.yaml does not name: {known}", agent.value),
        );
    }
    let context = fields.context.as_ref().map(|context| {
        let places = context.iter().filter_map(|wanted| match scene.order.iter().position(|other| *other == wanted.value) {
            Some(found) if found < place => Some(found),
            Some(_) => {
                let message = format!("the context of task `{name}` names `{}`, which does not come before it", wanted.value);
                complaints.at(wanted.referenced, message);
                None
            }
            None => {
                complaints.at(wanted.referenced, format_args!("the context of task `{name}` names `{}`, which is no task", wanted.value));
                None
            }
        });
        places.collect()
    });
    let tools = match &fields.tools {
        Some(tools) => allowed(&agent.value, tools, scene.grants, complaints),
        None => own.map(|agent| agent.tools.clone()).unwrap_or_default(),
    };
    Task {
        name: name.to_owned(),
        description: fields.description.value.clone(),
        expected_output: fields.expected_output.value.clone(),
        agent: agent.value.clone(),
        context,
        tools,
    }
}

/// The tools by name; those that the crew does not grant are complained of.
fn allowed(agent: &str, tools: &[Spanned<String>], grants: &BTreeMap<String, Vec<String>>, complaints: &mut Complaints<'_>) -> Vec<String> {
    for tool in tools {
        if !TOOLS.contains(&tool.value.as_str()) {
            complaints.at(tool.referenced, format_args!("there is no tool `{}`: {}", tool.value, known(TOOLS.iter())));
        } else if !grants.get(agent).is_some_and(|granted| granted.contains(&tool.value)) {
            let tool_name = &tool.value;
            complaints.at(tool.referenced, format_args!("agent `{agent}` may not use `{tool_name}`: grant it under `tools` of crew.yaml"));
        }
    }
    tools.iter().map(|tool| tool.value.clone()).collect()
}

fn refuse(refused: Vec<(&'static str, Location)>, of: &str, complaints: &mut Complaints<'_>) {
    for (field, at) in refused {
        complaints.at(at, format_args!("`{field}` of {of} is not supported by this engine: take it out, or let a worker execute the crew"));
    }
}

fn undeclared(text: &Spanned<String>, declared: &BTreeSet<String>, complaints: &mut Complaints<'_>) {
    for name in names(&text.value).filter(|name| !declared.contains(*name)) {
        complaints
            .at(text.referenced, format_args!("the placeholder `{{{name}}}` is not declared: name it under `input_schema` of crew.yaml"));
    }
}

/// The names there are, for who named another.
pub(super) fn known(names: impl Iterator<Item = impl AsRef<str>>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{}`", name.as_ref())).collect();
    if names.is_empty() { "there are none".into() } else { format!("there are {}", names.join(", ")) }
}
