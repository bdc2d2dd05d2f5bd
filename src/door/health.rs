//! Whether the server is well, for whoever watches it: answered from memory, so that asking often costs nothing.

use std::time::Duration;

use http::StatusCode;
use serde::Serialize;
use tokio::{sync::watch, time::MissedTickBehavior};
use warp::reply::Response;

use super::json;
use crate::{access::Workspace, store::Store};

/// How often the database is asked, and how long it may take.
const PERIOD: Duration = Duration::from_secs(1);

/// What is known of the server's health.
#[derive(Clone)]
pub(super) struct Health {
    pub(super) database: watch::Receiver<bool>,
    pub(super) draining: watch::Receiver<bool>,
}

/// The answer's body. `status` is `ok`, `draining` or `unavailable`.
#[derive(Serialize)]
struct Body {
    status: &'static str,
    version: &'static str,
    database: bool,
}

impl Health {
    /// 200, or 503 while the server drains or its database is away.
    pub(super) fn ready(&self) -> Response {
        let (database, draining) = (*self.database.borrow(), *self.draining.borrow());
        let (code, status) = match (draining, database) {
            (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            (false, true) => (StatusCode::OK, "ok"),
        };
        json(code, &Body { status, version: env!("CARGO_PKG_VERSION"), database })
    }

    /// 200 as long as the process answers at all: restarting it would help in nothing else.
    pub(super) fn live(&self) -> Response {
        let database = *self.database.borrow();
        json(StatusCode::OK, &Body { status: "ok", version: env!("CARGO_PKG_VERSION"), database })
    }
}

/// Asks the database again and again whether it is there, until this is dropped.
pub(super) async fn watch_database(store: Store, database: watch::Sender<bool>) {
    let mut rounds = tokio::time::interval(PERIOD);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        // Any read shows it; no workspace has this id.
        let read = tokio::time::timeout(PERIOD, store.get::<Workspace>("")).await;
        let there = matches!(read, Ok(Ok(_)));
        database.send_if_modified(|known| {
            let changed = *known != there;
            if changed {
                tracing::warn!(there, "the database is there, or not any more");
            }
            *known = there;
            changed
        });
    }
}
