//! Crews that a workspace imported: laid over the app that is served, they make the app that the workspace sees.

use std::collections::HashMap;

use crewline_protocol::value::{CrewId, Millis, Revision, UserId, WorkspaceId};

use super::{App, Files, Problem};
use crate::{
    entity,
    store::{Json, Select, Store, StoreError},
};

entity! {
    /// A crew that a workspace imported.
    pub struct CrewRow in "crews" {
        /// Its id.
        id: CrewId,
        /// Where it is.
        workspace_id: WorkspaceId,
        /// The workspace's revision at its last change.
        revision: Revision,
        /// When it was imported.
        created_at: Millis,
        /// When it was last changed.
        updated_at: Millis,
        /// Its name.
        name: String,
        /// Its files by their names.
        files: Json<Files>,
        /// Who imported it, or changed it last.
        imported_by: UserId,
    }
}

impl CrewRow {
    /// What was imported, by workspace.
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

    /// What a workspace imported.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn of(store: &Store, workspace: WorkspaceId) -> Result<Vec<Self>, StoreError> {
        store.select(&Select::by("workspace_id", workspace)).await
    }
}

/// The app with these crews in it.
///
/// # Errors
/// Everything that is wrong in them.
pub fn overlaid<'a>(app: &App, crews: impl IntoIterator<Item = (&'a str, &'a Files)>) -> Result<App, Vec<Problem>> {
    let mut files = app.files.clone();
    for (name, own) in crews {
        files.extend(own.iter().map(|(file, text)| (format!("crews/{name}/{file}"), text.clone())));
    }
    App::from_files(files)
}

/// The same, without those that do not go with the app as it is now, each of which is told.
pub(super) fn overlaid_where_sound(app: &App, crews: &[CrewRow]) -> Option<App> {
    let all = |crews: &[&CrewRow]| overlaid(app, crews.iter().map(|crew| (crew.name.as_str(), &crew.files.0)));
    let left_out = |crew: &CrewRow, why: &dyn std::fmt::Display| {
        let CrewRow { workspace_id: workspace, name: crew, .. } = crew;
        tracing::warn!(%workspace, crew, %why, "an imported crew does not go with the app that is served, and is left out until it does");
    };
    let (taken, crews): (Vec<&CrewRow>, Vec<&CrewRow>) = crews.iter().partition(|crew| app.crews.contains_key(&crew.name));
    taken.into_iter().for_each(|crew| left_out(crew, &"the app has a crew of this name"));
    all(&crews).ok().or_else(|| {
        let goes = |crew: &&CrewRow| match all(&[*crew]) {
            Ok(_) => true,
            Err(problems) => {
                left_out(crew, &problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
                false
            }
        };
        let sound: Vec<&CrewRow> = crews.into_iter().filter(goes).collect();
        all(&sound).ok()
    })
}
