//! Crews that workers brought: a name, what it does and what it is given. Only the worker knows what is in them.

use std::collections::HashMap;

use crewline_protocol::{
    operations::run::Inputs,
    value::{CrewId, Millis, Revision, WorkspaceId},
};
use serde_json::{Value, json};

use crate::{
    entity,
    store::{Json, Select, Store, StoreError},
};

entity! {
    /// A crew that a worker brought. It stays when the worker goes: runs of it wait for one that serves it.
    pub struct BroughtCrew in "brought_crews" {
        /// Its id.
        id: CrewId,
        /// Where it is.
        workspace_id: WorkspaceId,
        /// The workspace's revision at its last change.
        revision: Revision,
        /// When it was first brought.
        created_at: Millis,
        /// When it was last brought otherwise.
        updated_at: Millis,
        /// Its name.
        name: String,
        /// Which version of it, as the worker says.
        version: String,
        /// What it does.
        description: String,
        /// The JSON Schema of a run's inputs.
        input_schema: Json<Inputs>,
    }
}

impl BroughtCrew {
    /// The JSON Schema of a run's inputs: an object, whatever else.
    pub fn schema(&self) -> Value {
        let mut schema = self.input_schema.0.clone();
        schema.entry("type").or_insert_with(|| json!("object"));
        Value::Object(schema)
    }

    /// Those that were brought, by workspace.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn all(store: &Store) -> Result<HashMap<WorkspaceId, Vec<Self>>, StoreError> {
        let mut workspaces: HashMap<WorkspaceId, Vec<Self>> = HashMap::new();
        for row in store.select::<Self>(&Select::default()).await? {
            workspaces.entry(row.workspace_id).or_default().push(row);
        }
        Ok(workspaces)
    }

    /// Those that were brought into a workspace.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn of(store: &Store, workspace: WorkspaceId) -> Result<Vec<Self>, StoreError> {
        store.select(&Select::by("workspace_id", workspace)).await
    }
}
