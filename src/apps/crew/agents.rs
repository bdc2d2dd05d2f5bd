//! Agents, as `agents.yaml` has them.

use std::collections::BTreeSet;

use super::{Grant, Process, Remarks, grants::Grants, process};
use crate::apps::yaml::AgentFields;

/// Model calls for a task when `max_iter` is not set, as CrewAI has it.
const MAX_ITER: u32 = 25;
/// How often a task whose execution failed is tried again when `max_retry_limit` is not set, as CrewAI has it.
const MAX_RETRY_LIMIT: u32 = 2;

/// Who works on tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct Agent {
    /// As `agents.yaml` names it.
    pub name: String,
    /// What it is.
    pub role: String,
    /// What it is after.
    pub goal: String,
    /// Where it comes from.
    pub backstory: String,
    /// The model that it asks for; absent: the one that is used where none is named.
    pub llm: Option<String>,
    /// The longest answer of its model, in tokens.
    pub max_tokens: Option<u32>,
    /// The tools that it has unless a task names others.
    pub tools: Vec<Grant>,
    /// Whether a tool that only computes may give again what it gave the same arguments in the same run.
    pub cache: bool,
    /// Model calls that may call tools, for one task.
    pub max_iter: u32,
    /// How often a task whose execution failed is tried again.
    pub max_retry_limit: u32,
    /// Its model calls in a minute; absent: any number.
    pub max_rpm: Option<u32>,
    /// How long it may work on one task, in seconds; absent: any time.
    pub max_execution_time_s: Option<u64>,
    /// Whether it may hand work to the crew's other agents and ask them.
    pub allow_delegation: bool,
}

/// What an agent's fields are read with.
pub(super) struct CrewWide<'a> {
    pub(super) process: &'a Process,
    pub(super) grants: &'a Grants,
    pub(super) declared: &'a BTreeSet<String>,
    pub(super) cache: bool,
}

pub(super) fn read(name: &str, fields: AgentFields, crew: &CrewWide<'_>, remarks: &mut Remarks<'_>) -> Agent {
    remarks.for_a_worker(fields.for_a_worker(), &format!("agent `{name}`"));
    if let Some(alone) = fields.use_system_prompt.as_ref().filter(|wanted| !wanted.value) {
        remarks.needs_worker(alone.referenced, format_args!("`use_system_prompt: false` of agent `{name}` is Python's"));
    }
    for text in [&fields.role, &fields.goal, &fields.backstory] {
        remarks.undeclared(text, crew.declared);
    }
    for (field, text) in [("role", &fields.role), ("goal", &fields.goal)] {
        if text.value.trim().is_empty() {
            remarks.at(text.referenced, format_args!("agent `{name}` has no {field}: write `{field}`"));
        }
    }
    let manages = crew.process.manager() == Some(name);
    let tools = match &fields.tools {
        Some(tools) if manages && !tools.is_empty() => {
            remarks.at(tools[0].referenced, format_args!("agent `{name}` is the manager, who has no tools: give them to the others"));
            Vec::new()
        }
        Some(tools) => crew.grants.named(name, tools, remarks),
        None if manages => Vec::new(),
        None => crew.grants.of(name).to_vec(),
    };
    let (llm, max_tokens) = fields.llm.as_ref().map(|llm| process::llm(llm, remarks)).unwrap_or_default();
    Agent {
        name: name.to_owned(),
        max_tokens: remarks.at_least_1("max_tokens", fields.max_tokens.as_ref()).or(max_tokens),
        max_iter: remarks.at_least_1("max_iter", fields.max_iter.as_ref()).unwrap_or(MAX_ITER),
        max_rpm: remarks.at_least_1("max_rpm", fields.max_rpm.as_ref()),
        max_execution_time_s: remarks.at_least_1("max_execution_time", fields.max_execution_time.as_ref()),
        role: fields.role.value,
        goal: fields.goal.value,
        backstory: fields.backstory.value,
        llm,
        tools,
        cache: fields.cache.unwrap_or(crew.cache),
        max_retry_limit: fields.max_retry_limit.unwrap_or(MAX_RETRY_LIMIT),
        allow_delegation: fields.allow_delegation.unwrap_or(false),
    }
}
