//! Lines: what several requests write for one run is written in the order in which the requests came, however many are under way.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crewline_protocol::value::{LeaseId, RunId, WorkerId};
use tokio::sync::{Mutex as InTurn, RwLock};

/// The lines of a node, one a run that is written.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<HashMap<RunId, Arc<Line>>>>);

/// One run's line.
#[derive(Default)]
pub struct Line {
    /// Whose turn it is to hand something to the store, and how far it has got. Requests wait for it in the order in which they came.
    pub turn: InTurn<Option<Position>>,
    /// Held by each that is on its way to be durable. Who must see all of them written takes it for itself.
    pub under_way: Arc<RwLock<()>>,
}

/// How far a run's worker has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Under which lease.
    pub lease: LeaseId,
    /// Whose it is.
    pub worker: WorkerId,
    /// The lease's epoch.
    pub epoch: i64,
    /// The number of the last event that was handed to the store.
    pub seq: i64,
}

impl Lines {
    /// A run's line.
    pub fn of(&self, run: RunId) -> Arc<Line> {
        self.lock().entry(run).or_default().clone()
    }

    /// Nobody writes the run any more: who does again, finds out where it stands.
    pub fn forget(&self, run: RunId) {
        self.lock().remove(&run);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Arc<Line>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
