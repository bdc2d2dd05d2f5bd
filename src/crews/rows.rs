//! Crews and their agents as the wire has them: rows that nobody stores, made of the app as a workspace sees it.

use crewline_protocol::{
    operations::{
        agent::{self, Agent as AgentWire},
        crew::{self, Crew as Wire, Process as WireProcess, Task},
    },
    value::{AgentId, CrewId, Millis, Revision, UserId, encode},
};
use ring::digest::{SHA256, digest};
use serde_json::Value;

use crate::{
    apps::{App, BroughtCrew, Crew, CrewRow, Process},
    entity,
    query::Noun,
    store::{self, Entity, Json, Predicate},
};

entity! {
    /// A crew as reads see it. Nobody stores it.
    struct CrewSeen in "crews_seen" {
        id: CrewId,
        revision: Revision,
        created_at: Millis,
        updated_at: Millis,
        name: String,
        title: String,
        description: String,
        process: String,
        executor: String,
        placeholders: Json<Vec<String>>,
        agents: Json<Vec<String>>,
        takes_messages: bool,
        version: String,
        imported_by: Option<UserId>,
        whole: Json<Wire>,
    }
}

entity! {
    /// An agent as reads see it. Nobody stores it.
    struct AgentSeen in "agents_seen" {
        id: AgentId,
        revision: Revision,
        created_at: Millis,
        updated_at: Millis,
        crew: String,
        name: String,
        role: String,
        goal: String,
        model: Option<String>,
        tools: Json<Vec<String>>,
        whole: Json<AgentWire>,
    }
}

/// The crews of an app as a noun, whose rows come with it.
pub fn crews_noun(app: &App, imported: &[CrewRow], brought: &[BroughtCrew]) -> Noun {
    let rows = app.crews.values().map(|crew| {
        let brought = brought.iter().find(|row| row.name == crew.name && is_brought(app, crew));
        let wire = match brought {
            Some(row) => brought_wire(app, crew, row),
            None => wire(app, crew, imported.iter().find(|row| row.name == crew.name)),
        };
        let name = |value: Value| value.as_str().unwrap_or_default().to_owned();
        let seen = CrewSeen {
            id: wire.id,
            revision: wire.revision,
            created_at: wire.created_at,
            updated_at: wire.updated_at,
            name: wire.name.clone(),
            title: wire.title.clone(),
            description: wire.description.clone(),
            process: name(serde_json::json!(wire.process)),
            executor: name(serde_json::json!(wire.executor)),
            placeholders: Json(wire.placeholders.clone()),
            agents: Json(wire.agents.clone()),
            takes_messages: wire.takes_messages,
            version: wire.version.clone(),
            imported_by: wire.imported_by,
            whole: Json(wire),
        };
        store::Row::new(CrewSeen::TABLE, seen.to_values())
    });
    Noun {
        rows: Some(rows.collect()),
        // Another version's rows are other rows, and so are those after workers brought others.
        topic: format!("{}/{}/{}", CrewSeen::TABLE.name, app.version, brought.iter().map(|row| row.revision.0).max().unwrap_or_default()),
        ..Noun::of(&crew::NOUN, |row: CrewSeen| encode(&row.whole.0))
    }
    .visible(|_| Predicate::default())
}

/// The agents of an app's crews as a noun, whose rows come with it.
pub fn agents_noun(app: &App, imported: &[CrewRow]) -> Noun {
    let rows = app.crews.values().flat_map(|crew| {
        let of = wire(app, crew, imported.iter().find(|row| row.name == crew.name));
        crew.agents.values().map(move |agent| {
            let wire = AgentWire {
                id: AgentId::new(Millis(0), hashed(app, &format!("{}/{}", crew.name, agent.name))),
                revision: of.revision,
                created_at: of.created_at,
                updated_at: of.updated_at,
                crew: crew.name.clone(),
                name: agent.name.clone(),
                role: agent.role.trim().to_owned(),
                goal: agent.goal.trim().to_owned(),
                model: agent.llm.clone(),
                tools: agent.tools.iter().map(|grant| grant.tool.clone()).collect(),
            };
            let seen = AgentSeen {
                id: wire.id,
                revision: wire.revision,
                created_at: wire.created_at,
                updated_at: wire.updated_at,
                crew: wire.crew.clone(),
                name: wire.name.clone(),
                role: wire.role.clone(),
                goal: wire.goal.clone(),
                model: wire.model.clone(),
                tools: Json(wire.tools.clone()),
                whole: Json(wire),
            };
            store::Row::new(AgentSeen::TABLE, seen.to_values())
        })
    });
    Noun {
        rows: Some(rows.collect()),
        topic: format!("{}/{}", AgentSeen::TABLE.name, app.version),
        ..Noun::of(&agent::NOUN, |row: AgentSeen| encode(&row.whole.0))
    }
    .visible(|_| Predicate::default())
}

/// A crew as the wire has it: the app's own, or one that was imported.
pub(super) fn wire(app: &App, crew: &Crew, imported: Option<&CrewRow>) -> Wire {
    let input_schema = match &crew.input_schema {
        Value::Object(schema) => schema.clone(),
        _ => serde_json::Map::new(),
    };
    Wire {
        id: imported.map_or_else(|| crew_id(app, &crew.name), |row| row.id),
        revision: imported.map_or(Revision(0), |row| row.revision),
        created_at: imported.map_or(app.first_served_at, |row| row.created_at),
        updated_at: imported.map_or(app.first_served_at, |row| row.updated_at),
        name: crew.name.clone(),
        title: crew.title.clone(),
        description: crew.description.clone(),
        process: match crew.process {
            Process::Sequential => WireProcess::Sequential,
            Process::Hierarchical { .. } => WireProcess::Hierarchical,
        },
        executor: crew.executor,
        input_schema,
        placeholders: crew.placeholders.iter().cloned().collect(),
        agents: crew.agents.keys().cloned().collect(),
        tasks: crew
            .tasks
            .iter()
            .map(|task| Task { name: task.name.clone(), agent: task.agent.clone(), description: task.description.trim().to_owned() })
            .collect(),
        takes_messages: crew.message_input.is_some(),
        version: app.version.clone(),
        imported_by: imported.map(|row| row.imported_by),
    }
}

/// Whether no file says what is in it.
fn is_brought(app: &App, crew: &Crew) -> bool {
    !app.files.contains_key(&format!("crews/{}/crew.yaml", crew.name))
}

/// A crew that a worker brought.
fn brought_wire(app: &App, crew: &Crew, row: &BroughtCrew) -> Wire {
    let BroughtCrew { id, revision, created_at, updated_at, ref version, .. } = *row;
    Wire { id, revision, created_at, updated_at, version: version.clone(), ..wire(app, crew, None) }
}

/// The same in every version of the app, so that who follows a crew follows it through them.
pub(super) fn crew_id(app: &App, name: &str) -> CrewId {
    CrewId::new(Millis(0), hashed(app, name))
}

fn hashed(app: &App, name: &str) -> [u8; 10] {
    let hash = digest(&SHA256, format!("{}/{name}", app.name).as_bytes());
    std::array::from_fn(|place| hash.as_ref()[place])
}
