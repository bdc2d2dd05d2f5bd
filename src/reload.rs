//! An app that changes while it is served: its folder is looked at, and a version that is sound, and that the stored records fit, takes
//! the place of the one before. Any other is told in the log, and the one before is served on.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use tokio::time::MissedTickBehavior;
use tracing::{error, info, warn};

use crate::{
    apps::{App, Apps, Problem},
    clock::Clock,
    context::Services,
    records::{self, Broken},
    store::{Store, StoreError},
};

/// Why a version is not served.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Stored records would not fit it.
    #[error("the app would break what is stored: {0}; change the schema, or the records, then try again")]
    Breaks(List),
    /// The database could not be asked, or would not store it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a version would break, one collection after another.
#[derive(Debug, PartialEq)]
pub struct List(pub Vec<Broken>);

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let broken: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&broken.join("; "))
    }
}

/// Begins to serve an app, where the stored records fit it.
///
/// # Errors
/// See [`Refused`].
pub async fn begin(app: App, store: &Store, clock: &Clock) -> Result<Apps, Refused> {
    let before = Apps::served_last(store).await?;
    prepare(&app, before.as_deref(), store).await?;
    Ok(Apps::serve(app, store, clock.now()).await?)
}

/// Serves another version in the place of the one that is served, where the stored records fit it.
///
/// # Errors
/// See [`Refused`]; the one before is served on.
pub async fn take(app: App, services: &Services) -> Result<(), Refused> {
    let Services { apps, store, clock, hub, .. } = services;
    let before = apps.current();
    prepare(&app, Some(&before), store).await?;
    apps.serve_instead(app, store, clock.now()).await?;
    hub.ask_again();
    Ok(())
}

/// Takes what changes in the folder, until it is dropped.
pub async fn reload_forever(folder: PathBuf, services: Arc<Services>) {
    let mut looks = tokio::time::interval(Duration::from_millis(services.settings.app_poll_ms));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watched = Watched::new(services.apps.current().version.clone());
    loop {
        looks.tick().await;
        let folder = folder.clone();
        let Ok(found) = tokio::task::spawn_blocking(move || App::read(&folder)).await else { continue };
        match watched.changed(found) {
            None => {}
            Some(Err(problems)) => tell(&problems),
            Some(Ok(app)) => {
                let version = app.version.clone();
                match take(*app, &services).await {
                    Ok(()) => info!(version, "the app changed: it is served as it is now"),
                    Err(Refused::Store(error)) => {
                        warn!(version, %error, "the app changed, and the database is away: it is tried again");
                        watched.forget();
                    }
                    Err(refused) => error!(version, %refused, "the app changed, and is served as it was before"),
                }
            }
        }
    }
}

fn tell(problems: &[Problem]) {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    error!(problems = lines.join("; "), "the app's folder has problems: it is served as it was before");
}

/// What was found in a folder, look by look.
struct Watched {
    /// As it was when it was last told.
    told: Found,
    /// As the last look found it.
    seen: Found,
}

/// What tells one look from another: the hash of the files, or the problems.
type Found = Result<String, Vec<Problem>>;

impl Watched {
    fn new(version: String) -> Self {
        Self { told: Ok(version.clone()), seen: Ok(version) }
    }

    /// What is new, once two looks found the same.
    fn changed(&mut self, found: Result<App, Vec<Problem>>) -> Option<Result<Box<App>, Vec<Problem>>> {
        let now = found.as_ref().map(|app| app.version.clone()).map_err(Clone::clone);
        let settled = now == self.seen;
        self.seen = now.clone();
        if !settled || now == self.told {
            return None;
        }
        self.told = now;
        Some(found.map(Box::new))
    }

    /// What was told last is told again.
    fn forget(&mut self) {
        self.told = Err(Vec::new());
    }
}

/// Passes an app that the stored records fit, and makes its indexes.
async fn prepare(app: &App, before: Option<&App>, store: &Store) -> Result<(), Refused> {
    let broken = records::broken_by(app, before, store).await?;
    if !broken.is_empty() {
        return Err(Refused::Breaks(List(broken)));
    }
    store.index(&records::indexes(app)).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
