//! The versions of an app: the one that is served, and those that runs began with and keep.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crewline_protocol::value::{Millis, WorkspaceId};
use tokio::sync::watch;

use super::{App, BroughtCrew, Crew, CrewRow, Files, imported};
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
    /// What workspaces see that have crews of their own.
    own: Arc<Mutex<HashMap<WorkspaceId, Own>>>,
}

/// What a workspace sees that has crews of its own.
#[derive(Clone)]
struct Own {
    app: Arc<App>,
    crews: Arc<[CrewRow]>,
    brought: Arc<[BroughtCrew]>,
}

/// What a workspace's crews are made of, beside the app.
type Rows = (Vec<CrewRow>, Vec<BroughtCrew>);

impl Apps {
    /// Serves this app.
    pub fn new(app: App) -> Self {
        Self { current: watch::Sender::new(Arc::new(app)), older: Arc::default(), own: Arc::default() }
    }

    /// Serves this app and stores its version, so that runs that begin with it can keep it.
    ///
    /// # Errors
    /// Where the version can't be stored.
    pub async fn serve(app: App, store: &Store, now: Millis) -> Result<Self, StoreError> {
        let apps = Self::new(stored(app, store, now).await?);
        apps.lay_over(all_rows(store).await?, store, now).await?;
        Ok(apps)
    }

    /// Serves another version from now on. Runs keep theirs.
    ///
    /// # Errors
    /// Where the version can't be stored; the one before is served on.
    pub async fn serve_instead(&self, app: App, store: &Store, now: Millis) -> Result<(), StoreError> {
        let app = Arc::new(stored(app, store, now).await?);
        self.current.send_replace(app);
        self.lay_over(all_rows(store).await?, store, now).await
    }

    /// Looks again at what a workspace imported, and what workers brought into it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn look_again(&self, workspace: WorkspaceId, store: &Store, now: Millis) -> Result<(), StoreError> {
        let rows = (CrewRow::of(store, workspace).await?, BroughtCrew::of(store, workspace).await?);
        self.lay_over([(workspace, rows)].into(), store, now).await
    }

    /// Makes what these workspaces see of what they imported and workers brought, and keeps it as a version that runs can begin with.
    async fn lay_over(&self, workspaces: HashMap<WorkspaceId, Rows>, store: &Store, now: Millis) -> Result<(), StoreError> {
        let served = self.current();
        for (workspace, (crews, brought)) in workspaces {
            let none = crews.is_empty() && brought.is_empty();
            let own = if none { None } else { imported::overlaid_where_sound(&served, &crews) };
            let Some(mut own) = own else {
                locked(&self.own).remove(&workspace);
                continue;
            };
            own.first_served_at = served.first_served_at;
            // What is written down in files comes before what a worker says.
            for crew in brought.iter().filter_map(Crew::brought) {
                own.crews.entry(crew.name.clone()).or_insert(crew);
            }
            if store.get::<AppVersion>(own.version.as_str()).await?.is_none() {
                keep(&own, now, None, store).await?;
            }
            locked(&self.own).insert(workspace, Own { app: Arc::new(own), crews: crews.into(), brought: brought.into() });
        }
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

    /// The same with what the workspace imported.
    pub fn of(&self, workspace: WorkspaceId) -> Arc<App> {
        locked(&self.own).get(&workspace).map_or_else(|| self.current(), |own| own.app.clone())
    }

    /// What the workspace imported.
    pub fn imported(&self, workspace: WorkspaceId) -> Arc<[CrewRow]> {
        locked(&self.own).get(&workspace).map_or_else(|| [].into(), |own| own.crews.clone())
    }

    /// What workers brought into the workspace.
    pub fn brought(&self, workspace: WorkspaceId) -> Arc<[BroughtCrew]> {
        locked(&self.own).get(&workspace).map_or_else(|| [].into(), |own| own.brought.clone())
    }

    /// The version that is served, for who must know when another takes its place.
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
        if let Some(known) = locked(&self.older).get(version) {
            return Ok(Some(known.clone()));
        }
        let Some(stored) = store.get::<AppVersion>(version).await? else { return Ok(None) };
        let Ok(app) = App::from_files(stored.files.0) else { return Ok(None) };
        let app = Arc::new(app);
        locked(&self.older).insert(version.to_owned(), app.clone());
        Ok(Some(app))
    }
}

async fn all_rows(store: &Store) -> Result<HashMap<WorkspaceId, Rows>, StoreError> {
    let mut rows: HashMap<WorkspaceId, Rows> =
        CrewRow::all(store).await?.into_iter().map(|(workspace, crews)| (workspace, (crews, Vec::new()))).collect();
    for (workspace, brought) in BroughtCrew::all(store).await? {
        rows.entry(workspace).or_default().1 = brought;
    }
    Ok(rows)
}

fn locked<K, V>(apps: &Mutex<HashMap<K, V>>) -> MutexGuard<'_, HashMap<K, V>> {
    apps.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stores that the version is served now; it knows then when it first was.
async fn stored(mut app: App, store: &Store, now: Millis) -> Result<App, StoreError> {
    let known = store.get::<AppVersion>(app.version.as_str()).await?;
    app.first_served_at = known.map_or(now, |known| known.created_at);
    keep(&app, app.first_served_at, Some(now), store).await?;
    Ok(app)
}

/// Keeps a version. Whoever else stores it at the same time stores the same, for its name is its content's hash.
async fn keep(app: &App, created_at: Millis, served_at: Option<Millis>, store: &Store) -> Result<(), StoreError> {
    let (id, name, files) = (app.version.clone(), app.name.clone(), Json(app.files.clone()));
    match store.commit(Commit::default().put(&AppVersion { id, name, created_at, files, served_at })).await {
        Ok(_) => Ok(()),
        Err(CommitError::Store(error)) => Err(error),
        Err(error) => Err(StoreError::Failed(error.to_string())),
    }
}
