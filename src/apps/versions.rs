//! The versions of an app: the one that is served, and those that runs began with and keep.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crewline_protocol::value::Millis;

use super::{App, Files};
use crate::{
    entity,
    store::{Commit, CommitError, Guard, Json, Store, StoreError},
};

entity! {
    /// One version of an app; it never changes.
    pub struct AppVersion in "app_versions" {
        /// The hash of its files.
        id: String,
        /// The app's name.
        name: String,
        /// When it was first served.
        created_at: Millis,
        /// Its files by their paths.
        files: Json<Files>,
    }
}

/// The app that is served, and the versions that runs began with.
#[derive(Clone)]
pub struct Apps {
    current: Arc<App>,
    /// Versions that a run has asked for, by their hashes: as many as there are versions with unfinished runs.
    older: Arc<Mutex<HashMap<String, Arc<App>>>>,
}

impl Apps {
    /// Serves this app.
    pub fn new(app: App) -> Self {
        Self { current: Arc::new(app), older: Arc::default() }
    }

    /// Serves this app and stores its version, so that runs that begin with it can keep it.
    ///
    /// # Errors
    /// Where the version can't be stored.
    pub async fn serve(app: App, store: &Store, now: Millis) -> Result<Self, StoreError> {
        let version = AppVersion { id: app.version.clone(), name: app.name.clone(), created_at: now, files: Json(app.files.clone()) };
        let commit = Commit::default().guard(Guard::absent::<AppVersion>(version.id.as_str())).put(&version);
        match store.commit(commit).await {
            // There already: it is the same, for its name is its content's hash.
            Ok(_) | Err(CommitError::Guard(_)) => Ok(Self::new(app)),
            Err(CommitError::Store(error)) => Err(error),
            Err(error) => Err(StoreError::Failed(error.to_string())),
        }
    }

    /// The version that new runs begin with.
    pub fn current(&self) -> Arc<App> {
        self.current.clone()
    }

    /// The version with this hash; `None` where there never was one, or where this program can't read it any more.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn version(&self, version: &str, store: &Store) -> Result<Option<Arc<App>>, StoreError> {
        if self.current.version == version {
            return Ok(Some(self.current()));
        }
        if let Some(known) = self.lock().get(version) {
            return Ok(Some(known.clone()));
        }
        let Some(stored) = store.get::<AppVersion>(version).await? else { return Ok(None) };
        let Ok(app) = App::from_files(stored.files.0) else { return Ok(None) };
        let app = Arc::new(app);
        self.lock().insert(version.to_owned(), app.clone());
        Ok(Some(app))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<App>>> {
        self.older.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
