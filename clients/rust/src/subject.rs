//! What can be followed, each with its reader: a run, a query, a session's presence.

use crewline_protocol::{
    Fault, RunEvent,
    follow::{Place, Query, SubscribedQuery, SubscribedRun, Target},
    frame::{Body, ClientFrame},
    presence::Member,
    value::{Offset, Revision, RunId},
};
use serde::Deserialize;
use tokio::sync::{mpsc, watch};

use crate::{
    error::FollowError,
    presence::{Here, Present},
    run_stream::Delivery,
    watch::Told,
};

/// Places in a queue beside those for frames: subscribed again, restarted, the end.
pub(crate) const SPARE_PLACES: usize = 64;

/// What is followed, and who reads it.
pub(crate) enum Subject {
    Run {
        run: RunId,
        only: Option<Vec<String>>,
        queue: mpsc::Sender<Delivery>,
    },
    Query {
        query: Query,
        queue: mpsc::Sender<Told>,
    },
    Presence {
        place: Place,
        here: watch::Sender<Here>,
        /// The encoded state to be told to others; absent: none was set.
        state: watch::Receiver<Option<Vec<u8>>>,
        /// Whether the subscription has begun, on this connection: a state that is told before is lost.
        begun: bool,
    },
}

/// A frame was not passed on.
pub(crate) enum Undelivered {
    /// The queue is full, which the server's credit does not allow.
    Full,
    /// It is not what it should be.
    Unreadable(String),
}

impl Subject {
    /// What a subscription asks for.
    pub(crate) fn target(&self) -> Target {
        match self {
            Self::Run { run, only, .. } => Target::Run { run: *run, only: only.clone() },
            Self::Query { query, .. } => Target::Query { query: query.clone() },
            Self::Presence { place, .. } => Target::Presence { presence: *place },
        }
    }
    /// Whether positions and credit mean anything for it.
    pub(crate) const fn has_positions(&self) -> bool {
        !matches!(self, Self::Presence { .. })
    }
    /// Where a reader stands who has nothing; a query's has no position then.
    pub(crate) const fn start(&self) -> Option<i64> {
        match self {
            Self::Run { .. } => Some(0),
            Self::Query { .. } | Self::Presence { .. } => None,
        }
    }
    /// Whether nobody reads it any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        match self {
            Self::Run { queue, .. } => queue.is_closed(),
            Self::Query { queue, .. } => queue.is_closed(),
            Self::Presence { here, .. } => here.is_closed(),
        }
    }
    /// The connection is gone.
    pub(crate) fn disconnected(&mut self) {
        if let Self::Presence { begun, .. } = self {
            *begun = false;
        }
    }
    /// What was read means nothing any more: the server's database is another incarnation.
    pub(crate) fn restarted(&self) {
        if let Self::Run { queue, .. } = self {
            let _ = queue.try_send(Delivery::Restarted);
        }
    }
    /// The subscription has begun.
    pub(crate) fn begun(&mut self, sub: u64, body: Body<'_>, say: impl FnMut(ClientFrame<'_>)) -> Result<(), Fault> {
        match self {
            Self::Run { queue, .. } => {
                let SubscribedRun { from, head, .. } = body.decode()?;
                // Told only while there is room: where the reader has stopped, frames and the end need the places.
                if queue.capacity() > SPARE_PLACES / 2 {
                    let _ = queue.try_send(Delivery::Attached { from, head });
                }
            }
            // The snapshot says so itself, and where none comes nothing has changed.
            Self::Query { .. } => drop(body.decode::<SubscribedQuery>()?),
            Self::Presence { here, begun, .. } => {
                *begun = true;
                // Everyone who is here is told again.
                here.send_modify(|here| here.members.clear());
                self.tell_state(sub, true, say);
            }
        }
        Ok(())
    }
    /// Tells one's own state, where it has changed since it was told last or must be told `again`.
    pub(crate) fn tell_state(&mut self, sub: u64, again: bool, mut say: impl FnMut(ClientFrame<'_>)) {
        let Self::Presence { state, begun: true, .. } = self else { return };
        let due = again || state.has_changed().unwrap_or(false);
        if due && let Some(state) = &*state.borrow_and_update() {
            say(ClientFrame::Presence { sub, state: Body::own(state) });
        }
    }
    /// Passes on the frame that brings the reader to `position`.
    pub(crate) fn events(&self, position: i64, events: Body<'_>, bytes: i64) -> Result<(), Undelivered> {
        match self {
            Self::Run { queue, .. } => {
                let events = read_events(events).map_err(Undelivered::Unreadable)?;
                put(queue, Delivery::Frame { events, position: Offset(position), bytes })
            }
            Self::Query { queue, .. } => {
                let changes = whole(events)?;
                put(queue, Told::Changes { changes, revision: Revision(position), bytes })
            }
            Self::Presence { .. } => Err(Undelivered::Unreadable("presence has no events".into())),
        }
    }
    /// Passes on what a query reads at `revision`.
    pub(crate) fn snapshot(&self, revision: i64, value: Body<'_>, bytes: i64) -> Result<(), Undelivered> {
        match self {
            Self::Query { queue, .. } => put(queue, Told::Snapshot { value: whole(value)?, revision: Revision(revision), bytes }),
            Self::Run { .. } | Self::Presence { .. } => Err(Undelivered::Unreadable("only queries have snapshots".into())),
        }
    }
    /// Another member's state.
    pub(crate) fn present(&self, member: Body<'_>, state: Body<'_>) -> Result<(), Fault> {
        let Self::Presence { here, .. } = self else { return Ok(()) };
        let member: Member = member.decode()?;
        let state: Option<serde_json::Value> = state.decode()?;
        here.send_modify(|here| match state {
            Some(state) => drop(here.members.insert(member.connection_id, Present { member, state })),
            None => drop(here.members.remove(&member.connection_id)),
        });
        Ok(())
    }
    /// Tells the reader the end. One that has gone needs none.
    pub(crate) fn end(self, end: Result<(), FollowError>) {
        match self {
            Self::Run { queue, .. } => drop(queue.try_send(Delivery::End(end))),
            Self::Query { queue, .. } => drop(queue.try_send(Told::End(end.err().unwrap_or(FollowError::Deleted)))),
            Self::Presence { here, .. } => here.send_modify(|here| {
                here.members.clear();
                here.ended = Some(end.err().unwrap_or(FollowError::Deleted));
            }),
        }
    }
}

fn put<T>(queue: &mpsc::Sender<T>, delivery: T) -> Result<(), Undelivered> {
    match queue.try_send(delivery) {
        Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
        Err(mpsc::error::TrySendError::Full(_)) => Err(Undelivered::Full),
    }
}

/// A body's bytes, which its reader decodes: it alone knows of which type.
fn whole(body: Body<'_>) -> Result<Vec<u8>, Undelivered> {
    match body.flaw() {
        None => Ok(body.bytes().to_vec()),
        Some(flaw) => Err(Undelivered::Unreadable(flaw.rule.message().to_owned())),
    }
}

/// An event, or one of a type that this version does not know.
#[derive(Deserialize)]
#[serde(untagged)]
enum Lenient {
    Known(Box<RunEvent>),
    Other { r#type: String },
}

/// Reads a frame's events; those of unknown types, which a newer server may send, are left out.
fn read_events(body: Body<'_>) -> Result<Vec<RunEvent>, String> {
    let strict = match body.decode::<Vec<RunEvent>>() {
        Ok(events) => return Ok(events),
        Err(fault) => fault,
    };
    let lenient: Vec<Lenient> = body.decode().map_err(|_| strict.to_string())?;
    let mut events = Vec::with_capacity(lenient.len());
    for event in lenient {
        match event {
            Lenient::Known(event) => events.push(*event),
            Lenient::Other { r#type } if RunEvent::TYPES.contains(&r#type.as_str()) => return Err(strict.to_string()),
            Lenient::Other { .. } => {}
        }
    }
    Ok(events)
}
