//! Crews: those of the app, and those that the workspace imported beside them.

use std::collections::BTreeMap;

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    operation::{Access, Kind, Operation, Rate},
    operations::{auth::Done, reads::reads},
    value::{CrewId, Millis, Revision, UserId},
};

/// A crew's files by their names: `crew.yaml`, `agents.yaml`, `tasks.yaml`; or `crew.yaml` alone, with the agents and tasks in it, as
/// CrewAI's declarative definition has them.
pub type Files = BTreeMap<String, String>;

/// The names that a crew's files may have.
pub const FILES: [&str; 3] = ["crew.yaml", "agents.yaml", "tasks.yaml"];
/// The most bytes that a crew's files may have together.
pub const FILES_BYTES: usize = 192 << 10;

/// Who works on a crew's tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "CrewProcess")]
#[ts(rename = "CrewProcess")]
pub enum Process {
    /// Each task's own agent.
    Sequential,
    /// A manager, who may hand work on.
    Hierarchical,
}

/// Who executes a crew's runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "CrewExecutor")]
#[ts(rename = "CrewExecutor")]
pub enum Executor {
    /// The server's own engine.
    Engine,
    /// A worker.
    Worker,
}

impl Executor {
    /// As it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Worker => "worker",
        }
    }
    /// The one with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Engine, Self::Worker].into_iter().find(|executor| executor.as_str() == name)
    }
}

/// A task of a crew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[schemars(rename = "CrewTask")]
#[ts(rename = "CrewTask")]
pub struct Task {
    /// As the crew names it.
    pub name: String,
    /// Who does it; absent: whom the manager gives it to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub agent: Option<String>,
    /// What to do, with placeholders.
    pub description: String,
}

/// Agents and their tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Crew {
    /// Its id.
    pub id: CrewId,
    /// The workspace's revision at its last change; 0 for one of the app.
    pub revision: Revision,
    /// When the app, or the workspace, first had it.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
    /// What operations call it.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// What it does.
    pub description: String,
    /// Who works on its tasks.
    pub process: Process,
    /// Who executes its runs.
    pub executor: Executor,
    /// The JSON Schema of a run's inputs.
    #[ts(type = "Record<string, unknown>")]
    pub input_schema: serde_json::Map<String, serde_json::Value>,
    /// Every input that its texts name.
    pub placeholders: Vec<String>,
    /// Its agents' names.
    pub agents: Vec<String>,
    /// Its tasks in their order.
    pub tasks: Vec<Task>,
    /// Whether it answers what people say in a session.
    pub takes_messages: bool,
    /// The version of the app with it, which runs that begin now keep.
    pub version: String,
    /// Who imported it, or changed it last; absent: it is the app's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub imported_by: Option<UserId>,
}

reads! {
    "crew": Crew by CrewId, for Viewer as "CrewGet", "CrewList", "CrewAggregate";
    title "title";
    fields [
        Field::text("name"),
        Field::text("title"),
        Field::text("description").unsorted(),
        Field::text("process"),
        Field::text("executor"),
        Field::other("input_schema"),
        Field::list("placeholders"),
        Field::list("agents"),
        Field::other("tasks"),
        Field::boolean("takes_messages"),
        Field::text("version"),
        Field::reference("imported_by", "member").optional(),
    ]
}

/// Imports a crew into the workspace, as CrewAI's files have it. What is wrong in them, and what only Python could carry out, is
/// `invalid`, with the file, the line and the column. A name that a crew has already: `conflict`, `taken`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CrewImport")]
#[ts(rename = "CrewImport")]
pub struct Import {
    /// An id of the client's own; absent: the server makes one.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub id: Option<CrewId>,
    /// What operations are to call it: lower-case letters, digits, `-` and `_`.
    #[garde(custom(a_name))]
    pub name: String,
    /// Its files by their names.
    #[garde(custom(sound_files))]
    pub files: Files,
}

/// Changes an imported crew: all its files at once. Runs that go on keep those that they began with.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CrewUpdate")]
#[ts(rename = "CrewUpdate")]
pub struct Update {
    /// Which one.
    #[garde(skip)]
    pub id: CrewId,
    /// The row's revision as the client has it: another one is a `conflict`; absent: whatever it is.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub revision: Option<Revision>,
    /// Its files by their names.
    #[garde(custom(sound_files))]
    pub files: Files,
}

/// Deletes an imported crew. Runs that go on are not touched.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CrewDelete")]
#[ts(rename = "CrewDelete")]
pub struct Delete {
    /// Which one.
    #[garde(skip)]
    pub id: CrewId,
    /// The row's revision as the client has it: another one is a `conflict`; absent: whatever it is.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub revision: Option<Revision>,
}

/// Reads a crew's files as they were written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CrewExport")]
#[ts(rename = "CrewExport")]
pub struct Export {
    /// Which one.
    #[garde(skip)]
    pub id: CrewId,
}

/// A crew's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[schemars(rename = "CrewExported")]
#[ts(rename = "CrewExported")]
pub struct Exported {
    /// What operations call it.
    pub name: String,
    /// Its files by their names.
    pub files: Files,
}

impl Operation for Import {
    const NAME: &'static str = "crew.import";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Admin;
    const RATE: Rate = Rate::Write;
    type Output = Crew;
}
impl Operation for Update {
    const NAME: &'static str = "crew.update";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Admin;
    const RATE: Rate = Rate::Write;
    type Output = Crew;
}
impl Operation for Delete {
    const NAME: &'static str = "crew.delete";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Admin;
    const RATE: Rate = Rate::Write;
    type Output = Done;
}
impl Operation for Export {
    const NAME: &'static str = "crew.export";
    const KIND: Kind = Kind::Read;
    const ACCESS: Access = Access::Admin;
    const RATE: Rate = Rate::Read;
    type Output = Exported;
}

pub(super) fn a_name(name: &str, (): &()) -> garde::Result {
    let sound = (1..=60).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_'));
    if sound { Ok(()) } else { Err(garde::Error::new("begins with a lower-case letter, and has those, digits, `-` and `_`, 60 at most")) }
}

fn sound_files(files: &Files, (): &()) -> garde::Result {
    if let Some(other) = files.keys().find(|name| !FILES.contains(&name.as_str())) {
        return Err(garde::Error::new(format!("has `{other}`; a crew's files are {}", FILES.join(", "))));
    }
    let bytes: usize = files.values().map(String::len).sum();
    if bytes > FILES_BYTES { Err(garde::Error::new(format!("has {bytes} bytes; {FILES_BYTES} are the most"))) } else { Ok(()) }
}
