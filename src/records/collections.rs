//! Collections as the wire has them: rows that nobody stores, made of the app that is served.

use std::collections::BTreeMap;

use crewline_protocol::{
    operation::Role,
    operations::collection::{
        self, Collection as Row, Move as RowMove, Rights as RowRights, Singleton as RowSingleton, Transitions as RowTransitions, Who,
    },
    read::Sort,
    value::{CollectionId, Millis, Revision, encode},
};
use ring::digest::{SHA256, digest};
use serde_json::Value;

use crate::{
    apps::{Allowed, App, Collection, Singleton},
    entity,
    query::Noun,
    store::{self, Entity, Json, Predicate},
};

entity! {
    /// A collection as reads see it. Nobody stores it.
    struct CollectionRow in "collections" {
        /// Its id.
        id: CollectionId,
        /// No workspace's: it changes with the app alone.
        revision: Revision,
        /// When this version of the app was first served.
        created_at: Millis,
        /// The same.
        updated_at: Millis,
        /// Its name.
        name: String,
        /// What people call it.
        title: String,
        /// What its records are.
        description: String,
        /// The field that people know a record by.
        title_field: Option<String>,
        /// Of what there is one record.
        singleton: Option<String>,
        /// All of it.
        whole: Json<Row>,
    }
}

/// The collections of an app as a noun, whose rows come with it.
pub fn collections_noun(app: &App) -> Noun {
    let rows = collections(app).into_iter().map(|row| {
        let stored = CollectionRow {
            id: row.id,
            revision: row.revision,
            created_at: row.created_at,
            updated_at: row.updated_at,
            name: row.name.clone(),
            title: row.title.clone(),
            description: row.description.clone(),
            title_field: row.title_field.clone(),
            singleton: app.collections.get(&row.name).and_then(|collection| Some(collection.singleton?.as_str().to_owned())),
            whole: Json(row),
        };
        store::Row::new(CollectionRow::TABLE, stored.to_values())
    });
    Noun {
        rows: Some(rows.collect()),
        // Another version's rows are other rows.
        topic: format!("{}/{}", CollectionRow::TABLE.name, app.version),
        ..Noun::of(&collection::NOUN, |row: CollectionRow| encode(&row.whole.0))
    }
    .visible(|_| Predicate::default())
}

/// The collections of an app, by name. They change with the app alone, so that no revision of a workspace is theirs.
pub fn collections(app: &App) -> Vec<Row> {
    app.collections.values().map(|collection| row(app, collection)).collect()
}

fn row(app: &App, collection: &Collection) -> Row {
    let schema = match &collection.schema {
        Value::Object(schema) => schema.clone(),
        _ => serde_json::Map::new(),
    };
    let sort = |index: &Vec<crate::apps::IndexField>| {
        index.iter().map(|part| Sort { field: part.field.clone(), descending: part.descending }).collect()
    };
    let rights = &collection.rights;
    Row {
        id: id(app, &collection.name),
        revision: Revision(0),
        created_at: app.first_served_at,
        updated_at: app.first_served_at,
        name: collection.name.clone(),
        title: collection.title.clone(),
        description: collection.description.clone(),
        title_field: collection.title_field.clone(),
        schema,
        indexes: collection.indexes.iter().map(sort).collect(),
        access: RowRights { read: who(rights.read), create: who(rights.create), update: who(rights.update), delete: who(rights.delete) },
        references: collection.references.clone().into_iter().collect::<BTreeMap<_, _>>(),
        transitions: collection.transitions.as_ref().map(|transitions| RowTransitions {
            field: transitions.field.clone(),
            initial: transitions.initial.clone(),
            moves: transitions
                .moves
                .iter()
                .map(|step| RowMove { from: step.from.clone(), to: step.to.clone(), roles: step.roles.map(who) })
                .collect(),
        }),
        singleton: collection.singleton.map(|singleton| match singleton {
            Singleton::User => RowSingleton::User,
            Singleton::Workspace => RowSingleton::Workspace,
        }),
    }
}

fn who(allowed: Allowed) -> Vec<Who> {
    let role = match allowed.from {
        Some(Role::Viewer) => Some(Who::Viewer),
        Some(Role::Member) => Some(Who::Member),
        Some(Role::Admin) => Some(Who::Admin),
        Some(Role::Owner) => Some(Who::Owner),
        Some(Role::Worker | Role::Agent) | None => None,
    };
    role.into_iter().chain(allowed.own.then_some(Who::Own)).collect()
}

/// The same in every version of the app, so that who follows a collection follows it through them.
fn id(app: &App, name: &str) -> CollectionId {
    let hash = digest(&SHA256, format!("{}/{name}", app.name).as_bytes());
    CollectionId::new(Millis(0), std::array::from_fn(|place| hash.as_ref()[place]))
}
