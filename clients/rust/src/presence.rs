//! Presence: who is in a session now, and what they do there.

use std::{collections::BTreeMap, sync::Arc};

use crewline_protocol::{
    presence::Member,
    value::{ConnectionId, encode},
};
use serde_json::Value;
use tokio::sync::{Notify, watch};

use crate::error::{FollowError, Stopped};

/// One's own place in a session's presence, and the others'. Dropping it leaves.
pub struct Presence {
    here: watch::Receiver<Here>,
    state: watch::Sender<Option<Vec<u8>>>,
    wake: Arc<Notify>,
}

/// Another connection that is here.
#[derive(Debug, Clone, PartialEq)]
pub struct Present {
    /// Which, and whose.
    pub member: Member,
    /// What it does: `typing`, `viewing`, `cursor`, or what a front end has agreed on.
    pub state: Value,
}

/// Who is here, as the driver keeps it.
#[derive(Debug, Default)]
pub(crate) struct Here {
    pub(crate) members: BTreeMap<ConnectionId, Present>,
    pub(crate) ended: Option<FollowError>,
}

impl Presence {
    pub(crate) fn new(here: watch::Receiver<Here>, state: watch::Sender<Option<Vec<u8>>>, wake: Arc<Notify>) -> Self {
        Self { here, state, wake }
    }
    /// Says what one does here: an object of at most 1 KiB. What was said before and is not sent yet is overwritten, and what was
    /// said last is said again on the next connection.
    pub fn set(&self, state: &Value) {
        self.state.send_replace(Some(encode(state)));
        self.wake.notify_one();
    }
    /// The others who are here now, by connection; none while there is no connection to the server yet.
    pub fn members(&self) -> BTreeMap<ConnectionId, Present> {
        self.here.borrow().members.clone()
    }
    /// Waits until something of the others has changed, and gives them all.
    ///
    /// # Errors
    /// Why nobody's presence is told here any longer.
    pub async fn changed(&mut self) -> Result<BTreeMap<ConnectionId, Present>, FollowError> {
        let changed = self.here.changed().await;
        let here = self.here.borrow_and_update();
        match (&here.ended, changed) {
            (Some(error), _) => Err(error.clone()),
            (None, Ok(())) => Ok(here.members.clone()),
            (None, Err(_)) => Err(FollowError::Stopped(Stopped { code: None, fault: None })),
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}
