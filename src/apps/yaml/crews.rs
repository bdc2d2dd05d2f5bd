//! A crew's three files as they are written: every field that CrewAI knows is known here, so that one that only Python can carry out
//! is told by its name and its place, and one that is misspelt is found.

use std::{fmt, marker::PhantomData};

use crewline_protocol::read::Filter;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

use crate::apps::tree::Tree;

/// Values by their keys, in the order and at the places in which they are written.
pub(in crate::apps) struct Entries<T>(pub(in crate::apps) Vec<(Spanned<String>, T)>);

impl<T> Entries<T> {
    pub(in crate::apps) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.value.as_str())
    }
    pub(in crate::apps) fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(known, _)| known.value == name).map(|(_, value)| value)
    }
}

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for InOrder<T> {
            type Value = Vec<(Spanned<String>, T)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_map(InOrder(PhantomData)).map(Self)
    }
}

/// How often and when a tool's call is put before a person.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::apps) struct ApprovalFields {
    pub(in crate::apps) when: Option<Filter>,
    pub(in crate::apps) roles: Option<Vec<Spanned<String>>>,
    pub(in crate::apps) expires_in_ms: Option<Spanned<u64>>,
    pub(in crate::apps) on_expire: Option<Spanned<String>>,
}

/// What a run may take.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::apps) struct BudgetFields {
    pub(in crate::apps) cost_microusd: Option<Spanned<i64>>,
    pub(in crate::apps) tokens: Option<Spanned<u64>>,
    pub(in crate::apps) duration_ms: Option<Spanned<u64>>,
}

/// Declares a struct of fields that are read, of fields that ask for what happens anyway (everything is told in the run's stream), and
/// of fields that CrewAI knows and only a worker can carry out.
macro_rules! crewai {
    (
        $(#[$doc:meta])*
        $name:ident { $($(#[$meta:meta])* $field:ident: $type:ty,)* }
        passed { $($passed:literal => $ignored:ident,)* }
        worker { $($worker:ident,)* }
    ) => {
        $(#[$doc])*
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(in crate::apps) struct $name {
            $($(#[$meta])* pub(in crate::apps) $field: $type,)*
            $(#[serde(default, rename = $passed)] $ignored: Option<IgnoredAny>,)*
            $(#[serde(default)] $worker: Option<Spanned<Value>>,)*
        }

        impl $name {
            /// Fields that are set and that only a worker can carry out, and where their values stand.
            pub(in crate::apps) fn for_a_worker(&self) -> Vec<(&'static str, Location)> {
                let mut set = Vec::new();
                $(if let Some(value) = self.$worker.as_ref().filter(|value| asks(&value.value)) {
                    set.push((stringify!($worker), value.referenced));
                })*
                set
            }
        }
    };
}

/// A field that is switched off or empty asks for nothing.
fn asks(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(values) => !values.is_empty(),
        Value::Object(values) => !values.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::String(_) => true,
    }
}

/// A task where `crew.yaml` names them in their order: the name of one in `tasks.yaml`, or all of it, as CrewAI's declarative
/// definition has it.
pub(in crate::apps) enum TaskEntry {
    Named(String),
    Written(Box<TaskFields>),
}

impl<'de> Deserialize<'de> for TaskEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrTask;
        impl<'de> Visitor<'de> for NameOrTask {
            type Value = TaskEntry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a task's name, or a task")
            }
            fn visit_str<E>(self, name: &str) -> Result<TaskEntry, E> {
                Ok(TaskEntry::Named(name.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TaskEntry, A::Error> {
                TaskFields::deserialize(MapAccessDeserializer::new(map)).map(Box::new).map(TaskEntry::Written)
            }
        }
        deserializer.deserialize_any(NameOrTask)
    }
}

crewai! {
    /// `crew.yaml`: what CrewAI has in `crew.py`, and what is ours alone.
    CrewFile {
        name: Option<String>,
        title: Option<String>,
        #[serde(default)]
        description: String,
        agents: Option<Entries<AgentFields>>,
        process: Option<Spanned<String>>,
        manager_agent: Option<Spanned<String>>,
        manager_llm: Option<Tree>,
        executor: Option<Spanned<String>>,
        labels: Option<Spanned<Vec<String>>>,
        max_rpm: Option<Spanned<u32>>,
        cache: Option<bool>,
        tasks: Vec<Spanned<TaskEntry>>,
        inputs: Option<Tree>,
        input_schema: Option<Tree>,
        #[serde(default)]
        tools: Entries<Vec<Tree>>,
        #[serde(default)]
        approvals: Entries<Option<ApprovalFields>>,
        #[serde(default)]
        budget: BudgetFields,
        on_busy: Option<Spanned<String>>,
        message_input: Option<Spanned<String>>,
        history_input: Option<Spanned<String>>,
    } passed { "verbose" => _verbose, "stream" => _stream, "tracing" => _tracing, } worker {
        memory, embedder, knowledge, knowledge_sources, planning, planning_llm, function_calling_llm, chat_llm, step_callback,
        task_callback, before_kickoff_callbacks, after_kickoff_callbacks, prompt_file, output_log_file, share_crew, skills,
        tool_failure_policy, trained_agents_file, checkpoint, security_config,
    }
}

crewai! {
    /// An agent of `agents.yaml`.
    AgentFields {
        role: Spanned<String>,
        goal: Spanned<String>,
        backstory: Spanned<String>,
        llm: Option<Tree>,
        tools: Option<Vec<Spanned<String>>>,
        allow_delegation: Option<bool>,
        cache: Option<bool>,
        max_iter: Option<Spanned<u32>>,
        max_tokens: Option<Spanned<u32>>,
        max_retry_limit: Option<u32>,
        max_rpm: Option<Spanned<u32>>,
        max_execution_time: Option<Spanned<u64>>,
        use_system_prompt: Option<Spanned<bool>>,
    } passed { "verbose" => _verbose, "respect_context_window" => _respect_context_window, } worker {
        allow_code_execution, apps, checkpoint, code_execution_mode, config, date_format, embedder, from_repository,
        function_calling_llm, guardrail, guardrail_max_retries, inject_date, knowledge, knowledge_config, knowledge_sources,
        max_reasoning_attempts, mcps, memory, multimodal, planning, planning_config, prompt_template, reasoning, response_template,
        security_config, settings, skills, step_callback, system_template, tool_failure_policy, use_better_compaction,
    }
}

crewai! {
    /// A task of `tasks.yaml`.
    TaskFields {
        name: Option<Spanned<String>>,
        description: Spanned<String>,
        expected_output: Spanned<String>,
        agent: Option<Spanned<String>>,
        context: Option<Vec<Spanned<String>>>,
        tools: Option<Vec<Spanned<String>>>,
        async_execution: Option<Spanned<bool>>,
        human_input: Option<bool>,
        guardrail: Option<Tree>,
        guardrails: Option<Tree>,
        guardrail_max_retries: Option<u32>,
        max_retries: Option<u32>,
        output_json: Option<Tree>,
        output_file: Option<Spanned<String>>,
        markdown: Option<bool>,
    } passed { "verbose" => _verbose, "create_directory" => _create_directory, } worker {
        allow_crewai_trigger_context, callback, callbacks, condition, config, converter_cls, input_files, output_pydantic,
        response_model, security_config, tool_failure_policy, r#type,
    }
}
