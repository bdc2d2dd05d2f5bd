//! The versions of an app: the one that is served, and those that runs began with and keep.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crewline_protocol::value::Millis;
use tokio::sync::watch;

use super::{App, Files};
use crate::{
    entity,
    store::{Commit, CommitError, Condition, Direction, Json, Select, Store, StoreError, Value},
};

entity! {
    /// One version of an app; but for when it was served it never changes.
    pub struct AppVersion in "app_versions" {
        /// The hash of its files.
        id: String,
        /// The app's name.
        name: String,
        /// When it was first served.
        created_at: Millis,
        /// Its files by their paths.
        files: Json<Files>,
        /// When it was last begun to be served.
        served_at: Option<Millis>,
    }
}

/// The app that is served, and the versions that runs began with.
#[derive(Clone)]
pub struct Apps {
    current: watch::Sender<Arc<App>>,
    /// Versions that a run has asked for, by their hashes: as many as there are versions with unfinished runs.
    older: Arc<Mutex<HashMap<String, Arc<App>>>>,
}

impl Apps {
    /// Serves this app.
    pub fn new(app: App) -> Self {
        Self { current: watch::Sender::new(Arc::new(app)), older: Arc::default() }
    }

    /// Serves this app and stores its version, so that runs that begin with it can keep it.
    ///
    /// # Errors
    /// Where the version can't be stored.
    pub async fn serve(app: App, store: &Store, now: Millis) -> Result<Self, StoreError> {
        Ok(Self::new(stored(app, store, now).await?))
    }

    /// Serves another version from now on. Runs keep theirs.
    ///
    /// # Errors
    /// Where the version can't be stored; the one before is served on.
    pub async fn serve_instead(&self, app: App, store: &Store, now: Millis) -> Result<(), StoreError> {
        let app = Arc::new(stored(app, store, now).await?);
        self.current.send_replace(app);
        Ok(())
    }

    /// The version that was served last on this database; `None` where none was, or where this program can't read it any more.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn served_last(store: &Store) -> Result<Option<Arc<App>>, StoreError> {
        // One that never was has nothing to be greater than.
        let served = Condition::Greater("served_at", Value::Integer(i64::MIN));
        let latest = Select::default().and(served).order_by("served_at", Direction::Descending).limit(1);
        let version = store.select::<AppVersion>(&latest).await?.pop();
        Ok(version.and_then(|version| App::from_files(version.files.0).ok()).map(Arc::new))
    }

    /// The version that new runs begin with.
    pub fn current(&self) -> Arc<App> {
        self.current.borrow().clone()
    }

    /// The same, for who must know when another takes its place.
    pub fn changes(&self) -> watch::Receiver<Arc<App>> {
        self.current.subscribe()
    }

    /// The version with this hash; `None` where there never was one, or where this program can't read it any more.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn version(&self, version: &str, store: &Store) -> Result<Option<Arc<App>>, StoreError> {
        let current = self.current();
        if current.version == version {
            return Ok(Some(current));
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

/// Stores that the version is served now; it knows then when it first was.
async fn stored(mut app: App, store: &Store, now: Millis) -> Result<App, StoreError> {
    let known = store.get::<AppVersion>(app.version.as_str()).await?;
    app.first_served_at = known.map_or(now, |known| known.created_at);
    let version = AppVersion {
        id: app.version.clone(),
        name: app.name.clone(),
        created_at: app.first_served_at,
        files: Json(app.files.clone()),
        served_at: Some(now),
    };
    // Whoever else stores it at the same time stores the same, for its name is its content's hash.
    match store.commit(Commit::default().put(&version)).await {
        Ok(_) => Ok(app),
        Err(CommitError::Store(error)) => Err(error),
        Err(error) => Err(StoreError::Failed(error.to_string())),
    }
}
