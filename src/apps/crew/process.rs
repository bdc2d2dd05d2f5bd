//! Who works on a crew's tasks: each its own agent, or one manager who hands work on.

use serde_saphyr::Spanned;

use super::{Remarks, known};
use crate::apps::{
    tree::{Node, Tree},
    yaml::{AgentFields, CrewFile, Entries},
};

/// What a manager that is made is called where agents are named.
pub const MANAGER: &str = "manager";

/// Who works on a crew's tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Process {
    /// Each task's own agent.
    Sequential,
    /// A manager works on every task, and may hand work on.
    Hierarchical {
        /// Who that is.
        manager: Manager,
    },
}

/// Who manages a hierarchical crew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manager {
    /// An agent of `agents.yaml`, by name.
    Agent(String),
    /// One that is made, called [`MANAGER`], with this model; absent: the one that is used where none is named.
    Model(Option<String>),
}

impl Process {
    /// The manager's name.
    pub fn manager(&self) -> Option<&str> {
        match self {
            Self::Sequential => None,
            Self::Hierarchical { manager: Manager::Agent(name) } => Some(name),
            Self::Hierarchical { manager: Manager::Model(_) } => Some(MANAGER),
        }
    }
}

pub(super) fn read(crew: &CrewFile, agents: &Entries<AgentFields>, remarks: &mut Remarks<'_>) -> Process {
    match crew.process.as_ref().map(|process| (process.value.as_str(), process)) {
        None | Some(("sequential", _)) => {
            let named = [("manager_agent", crew.manager_agent.as_ref().map(|agent| agent.referenced)), ("manager_llm", llm_at(crew))];
            for (field, at) in named.into_iter().filter_map(|(field, at)| Some((field, at?))) {
                remarks.at(at, format_args!("`{field}` is for a hierarchical crew: write `process: hierarchical`, or take it out"));
            }
            Process::Sequential
        }
        Some(("hierarchical", process)) => manager(crew, process, agents, remarks),
        Some((other, process)) => {
            remarks.at(process.referenced, format_args!("process `{other}` is unknown: write `sequential` or `hierarchical`"));
            Process::Sequential
        }
    }
}

fn manager(crew: &CrewFile, process: &Spanned<String>, agents: &Entries<AgentFields>, remarks: &mut Remarks<'_>) -> Process {
    let manager = match (&crew.manager_agent, &crew.manager_llm) {
        (Some(agent), llm) => {
            if agents.get(&agent.value).is_none() {
                let message = format!("`manager_agent` is `{}`, whom agents.yaml does not name: {}", agent.value, known(agents.names()));
                remarks.at(agent.referenced, message);
            }
            if let Some(llm) = llm {
                remarks.at(llm.at, "there are two managers: take out `manager_agent` or `manager_llm`");
            }
            Manager::Agent(agent.value.clone())
        }
        (None, Some(model)) => {
            if agents.get(MANAGER).is_some() {
                let message = format!("the manager that is made is called `{MANAGER}`, as an agent is: write `manager_agent: {MANAGER}`");
                remarks.at(model.at, message);
            }
            Manager::Model(llm(model, remarks).0.filter(|model| model != "default"))
        }
        (None, None) => {
            let message = "a hierarchical crew needs a manager: write `manager_agent`, or `manager_llm` with a model's name or `default`";
            remarks.at(process.referenced, message);
            Manager::Model(None)
        }
    };
    Process::Hierarchical { manager }
}

fn llm_at(crew: &CrewFile) -> Option<serde_saphyr::Location> {
    crew.manager_llm.as_ref().map(|llm| llm.at)
}

/// A model's name, or a map with it and the longest answer in tokens.
pub(super) fn llm(tree: &Tree, remarks: &mut Remarks<'_>) -> (Option<String>, Option<u32>) {
    let text = |tree: &Tree| tree.value().as_str().map(str::to_owned);
    if let Some(name) = text(tree) {
        return (Some(name), None);
    }
    let model = tree.get("model").and_then(text);
    if model.is_none() {
        remarks.at(tree.at, "this is no model: write its name, as `openai/gpt-4o-mini`");
    }
    let mut max_tokens = None;
    if let Node::Map(entries) = &tree.node {
        for (key, value) in entries.iter().filter(|(key, _)| key.value != "model") {
            if key.value == "max_tokens" {
                max_tokens = value.value().as_u64().and_then(|tokens| u32::try_from(tokens).ok()).filter(|tokens| *tokens > 0);
                if max_tokens.is_none() {
                    remarks.at(value.at, "`max_tokens` is a whole number from 1 on");
                }
            } else {
                remarks.needs_worker(key.referenced, format_args!("`{}` of a model is Python's", key.value));
            }
        }
    }
    (model, max_tokens)
}
