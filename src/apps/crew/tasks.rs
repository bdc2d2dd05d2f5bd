//! Tasks, as `tasks.yaml` has them, in the order that `crew.yaml` gives them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use super::{Agent, Grant, Process, Remarks, grants::Grants, known};
use crate::apps::{
    Schema,
    tree::{Node, Tree},
    yaml::{Entries, TaskEntry, TaskFields},
};

/// How often a task runs again because of a guardrail when `guardrail_max_retries` is not set, as CrewAI has it.
const GUARDRAIL_MAX_RETRIES: u32 = 3;

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// As `tasks.yaml` names it.
    pub name: String,
    /// What people call it, where that is something else.
    pub title: Option<String>,
    /// What to do.
    pub description: String,
    /// What to hand in.
    pub expected_output: String,
    /// Which agent does it; in a hierarchical crew, to whom the manager may hand it: absent, to everyone.
    pub agent: Option<String>,
    /// Places of the tasks whose outputs it is given; absent: all before it.
    pub context: Option<Vec<usize>>,
    /// The tools that whoever does it has for it.
    pub tools: Vec<Grant>,
    /// Whether the next task begins while this one is done.
    pub async_execution: bool,
    /// Whether a person looks at its answer.
    pub human_input: bool,
    /// What a model holds its answer to, each in words.
    pub guardrails: Vec<String>,
    /// How often it runs again because of each of them.
    pub guardrail_max_retries: u32,
    /// The JSON Schema that its answer must fit.
    pub output_schema: Option<Value>,
    /// The file that the run keeps its output as; its placeholders are filled.
    pub output_file: Option<String>,
    /// Whether its answer is to be Markdown.
    pub markdown: bool,
}

impl Task {
    /// The texts in which placeholders are filled.
    pub(super) fn texts(&self) -> impl Iterator<Item = &String> {
        [&self.description, &self.expected_output].into_iter().chain(&self.output_file)
    }
}

/// The tasks as `crew.yaml` has them: their names in their order, and those that are written out there.
pub(super) fn listed(entries: Vec<Spanned<TaskEntry>>) -> (Vec<Spanned<String>>, Entries<TaskFields>) {
    let (mut names, mut written) = (Vec::new(), Vec::new());
    for (place, Spanned { value: entry, referenced, defined }) in entries.into_iter().enumerate() {
        let at = |value: String| Spanned { value, referenced, defined };
        match entry {
            TaskEntry::Named(name) => names.push(at(name)),
            TaskEntry::Written(fields) => {
                let name = fields.name.as_ref().map_or_else(|| format!("task-{}", place + 1), |name| name.value.clone());
                names.push(at(name.clone()));
                written.push((at(name), *fields));
            }
        }
    }
    (names, Entries(written))
}

/// The tasks' names in their order.
pub(super) fn order(listed: &[Spanned<String>], tasks: &Entries<TaskFields>, remarks: &mut Remarks<'_>) -> Vec<String> {
    let mut order: Vec<String> = Vec::new();
    for name in listed {
        if tasks.get(&name.value).is_none() {
            remarks.at(name.referenced, format_args!("there is no task `{}` in tasks.yaml: {}", name.value, known(tasks.names())));
        } else if order.contains(&name.value) {
            remarks.at(name.referenced, format_args!("task `{}` stands twice", name.value));
        } else {
            order.push(name.value.clone());
        }
    }
    if listed.is_empty() {
        remarks.at(Location::UNKNOWN, "`tasks` is empty: name the tasks in their order");
    }
    order
}

/// What tasks are checked against.
pub(super) struct Scene<'a> {
    pub(super) agents: &'a BTreeMap<String, Agent>,
    pub(super) process: &'a Process,
    pub(super) grants: &'a Grants,
    pub(super) declared: &'a BTreeSet<String>,
    pub(super) order: &'a [String],
    pub(super) fields: &'a Entries<TaskFields>,
}

pub(super) fn read_all(scene: &Scene<'_>, remarks: &mut Remarks<'_>) -> Vec<Task> {
    for (name, _) in scene.fields.0.iter().filter(|(name, _)| !scene.order.contains(&name.value)) {
        remarks.at(name.referenced, format_args!("task `{}` stands in no order: name it in `tasks` of crew.yaml", name.value));
    }
    let in_order = scene.order.iter().filter_map(|name| scene.fields.0.iter().find(|(known, _)| known.value == *name));
    let in_order: Vec<(&Spanned<String>, &TaskFields)> = in_order.map(|(name, fields)| (name, fields)).collect();
    let tasks = in_order.iter().enumerate().map(|(place, (name, fields))| read(place, name, fields, scene, remarks)).collect();
    let last: Vec<_> = in_order.iter().rev().map_while(|(_, fields)| asynchronous(fields)).collect();
    if let [_, .., first] = &last[..] {
        remarks.at(*first, format_args!("the crew ends with {} asynchronous tasks: one is the most", last.len()));
    }
    tasks
}

/// Where it says that a task is asynchronous.
fn asynchronous(fields: &TaskFields) -> Option<Location> {
    fields.async_execution.as_ref().filter(|asynchronous| asynchronous.value).map(|asynchronous| asynchronous.referenced)
}

fn read(place: usize, name: &Spanned<String>, fields: &TaskFields, scene: &Scene<'_>, remarks: &mut Remarks<'_>) -> Task {
    let (at, name) = (name.referenced, name.value.as_str());
    remarks.for_a_worker(fields.for_a_worker(), &format!("task `{name}`"));
    for text in [&fields.description, &fields.expected_output].into_iter().chain(&fields.output_file) {
        remarks.undeclared(text, scene.declared);
    }
    let agent = agent(at, name, fields, scene, remarks);
    // Whoever does the task: the manager of a hierarchical crew does all of them.
    let doer = scene.process.manager().or(agent);
    let tools = match (&fields.tools, doer) {
        (Some(tools), Some(doer)) => scene.grants.named(doer, tools, remarks),
        (_, doer) => doer.and_then(|doer| scene.agents.get(doer)).map(|agent| agent.tools.clone()).unwrap_or_default(),
    };
    let retries = fields.max_retries.or(fields.guardrail_max_retries);
    Task {
        name: name.to_owned(),
        title: fields.name.as_ref().map(|title| title.value.clone()),
        description: fields.description.value.clone(),
        expected_output: fields.expected_output.value.clone(),
        agent: agent.map(str::to_owned),
        context: fields.context.as_ref().map(|context| context_of(place, name, context, scene, remarks)),
        tools,
        async_execution: asynchronous(fields).is_some(),
        human_input: fields.human_input.unwrap_or(false),
        guardrails: guardrails(name, fields, remarks),
        guardrail_max_retries: retries.unwrap_or(GUARDRAIL_MAX_RETRIES),
        output_schema: fields.output_json.as_ref().and_then(|schema| output_schema(name, schema, remarks)),
        output_file: fields.output_file.as_ref().map(|file| output_file(file, remarks)),
        markdown: fields.markdown.unwrap_or(false),
    }
}

fn agent<'a>(at: Location, name: &str, fields: &'a TaskFields, scene: &Scene<'_>, remarks: &mut Remarks<'_>) -> Option<&'a str> {
    let Some(agent) = &fields.agent else {
        if *scene.process == Process::Sequential {
            remarks.at(at, format_args!("task `{name}` is given to nobody: write `agent`"));
        }
        return None;
    };
    if scene.process.manager() == Some(&agent.value) {
        remarks.at(
            agent.referenced,
            format_args!("task `{name}` is given to the manager, who has every task: name who is to do it, or nobody"),
        );
    } else if !scene.agents.contains_key(&agent.value) {
        let known = known(scene.agents.keys());
        let message = format!("task `{name}` is given to agent `{}`, whom agents.yaml does not name: {known}", agent.value);
        remarks.at(agent.referenced, message);
    }
    Some(&agent.value)
}

/// The places of the tasks whose outputs a task is given.
fn context_of(place: usize, name: &str, context: &[Spanned<String>], scene: &Scene<'_>, remarks: &mut Remarks<'_>) -> Vec<usize> {
    let fields_at = |place: usize| scene.order.get(place).and_then(|name| scene.fields.get(name));
    let is_async = |place: usize| fields_at(place).and_then(asynchronous).is_some();
    let mut places = Vec::new();
    for wanted in context {
        let (named, at) = (wanted.value.as_str(), wanted.referenced);
        match scene.order.iter().position(|other| other == named) {
            // Those that run beside it have no output yet.
            Some(found) if found < place && is_async(place) && (found..place).all(is_async) => remarks.at(
                at,
                format_args!("the context of task `{name}` names `{named}`, which is done beside it: both are asynchronous, and nothing stands between them"),
            ),
            Some(found) if found < place => places.push(found),
            Some(_) if depends(named, name, scene, &mut BTreeSet::new()) => {
                remarks.at(at, format_args!("the context of task `{name}` names `{named}`, whose own leads back to `{name}`: take one of them out"));
            }
            Some(_) => remarks.at(at, format_args!("the context of task `{name}` names `{named}`, which does not come before it")),
            None => remarks.at(at, format_args!("the context of task `{name}` names `{named}`, which is no task")),
        }
    }
    places
}

/// Whether one task is another, or its context leads there.
fn depends<'a>(one: &'a str, on: &str, scene: &'a Scene<'_>, seen: &mut BTreeSet<&'a str>) -> bool {
    let context = scene.fields.get(one).and_then(|fields| fields.context.as_ref());
    one == on || (seen.insert(one) && context.into_iter().flatten().any(|next| depends(&next.value, on, scene, seen)))
}

fn guardrails(name: &str, fields: &TaskFields, remarks: &mut Remarks<'_>) -> Vec<String> {
    let listed = fields.guardrails.iter().flat_map(|guardrails| match &guardrails.node {
        Node::List(guardrails) => guardrails.iter().collect(),
        Node::Scalar(_) | Node::Map(_) => vec![guardrails],
    });
    // CrewAI takes the one alone where there is no list.
    let guardrails: Vec<&Tree> = listed.collect();
    let guardrails = if guardrails.is_empty() { fields.guardrail.iter().collect() } else { guardrails };
    let mut words = Vec::new();
    for guardrail in guardrails {
        match &guardrail.node {
            Node::Scalar(Value::String(text)) if !text.trim().is_empty() => words.push(text.clone()),
            Node::Scalar(Value::Null) => {}
            Node::Scalar(_) | Node::List(_) | Node::Map(_) => {
                remarks.needs_worker(guardrail.at, format_args!("a guardrail of task `{name}` that is no text is Python's"));
            }
        }
    }
    words
}

fn output_schema(name: &str, tree: &Tree, remarks: &mut Remarks<'_>) -> Option<Value> {
    match &tree.node {
        Node::Scalar(Value::Null) => None,
        Node::Map(_) => {
            let schema = tree.value();
            if let Err(error) = Schema::new(&schema) {
                remarks
                    .at(tree.pointed(&error.pointer), format_args!("`output_json` of task `{name}` is no JSON Schema: {}", error.message));
            }
            Some(schema)
        }
        Node::Scalar(_) | Node::List(_) => {
            remarks.needs_worker(tree.at, format_args!("`output_json` of task `{name}` names a Python class: write a JSON Schema instead"));
            None
        }
    }
}

/// A file's name, which never leads anywhere: it is kept by the run, not on a disk.
fn output_file(file: &Spanned<String>, remarks: &mut Remarks<'_>) -> String {
    let name = file.value.trim();
    if name.is_empty() || name.split('/').any(|part| part == "..") || name.contains(['~', '$', '|', '<', '>', '&', ';', '\\']) {
        remarks.at(file.referenced, format_args!("`output_file` can't be `{name}`: write a name as `report.md`"));
    }
    name.trim_start_matches('/').to_owned()
}
