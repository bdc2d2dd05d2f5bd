//! What a new workspace begins with.

use std::sync::Arc;

use crewline_protocol::{
    operation::Role,
    value::{Millis, RecordId, UserId, WorkspaceId},
};

use super::{
    row::{Asking, RecordRow},
    write::single_id,
};
use crate::{
    access::Furnish,
    apps::App,
    clock::Clock,
    store::{Before, Entity, RowChange},
};

/// What puts the app's seed records into a new workspace.
pub fn furnish(app: Arc<App>, clock: Clock) -> Furnish {
    Furnish(Arc::new(move |workspace, owner, at| {
        let rows = seed(&app, &clock, workspace, owner, at);
        rows.iter().map(|row| RowChange::Put { table: RecordRow::TABLE, values: row.to_values(), before: Before::Absent }).collect()
    }))
}

/// The app's seed records for a new workspace, made by its owner. Their states are the app's own choice: no transition leads to them.
fn seed(app: &App, clock: &Clock, workspace: WorkspaceId, owner: UserId, at: Millis) -> Vec<RecordRow> {
    let asking = Asking { user: owner, role: Role::Owner, workspace, at };
    let id = |collection: &str| app.collections.get(collection).and_then(|collection| single_id(collection, &asking));
    let records = app.seed.records(&app.collections, |record| id(&record.collection).unwrap_or_else(|| clock.id(RecordId::new)));
    records
        .into_iter()
        .filter_map(|(record, id, data)| Some(RecordRow::new(app.collections.get(&record.collection)?, id, data, &asking)))
        .collect()
}
