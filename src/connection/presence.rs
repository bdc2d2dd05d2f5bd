//! Presence of one connection: where it is a member, what it says of itself there, and what it is told of the others.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use crewline_protocol::{
    fault::{Fault, FaultCode, Reason},
    follow::{Ended, EndedWhy},
    frame::{Body, ServerFrame},
    presence::{Member, MemberPrincipal, STATE_BYTES},
    value::{SessionId, encode},
};
use futures::FutureExt;
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Connection, Done, Node, Place, following::refuse, outbox::Outbox};
use crate::hub::{Changes, Present};

/// An empty map: the state of who has not said any, and the body of a subscription that has nothing to say.
const EMPTY: &[u8] = &[0x80];
/// A state that is `nil` leaves.
const NIL: &[u8] = &[0xc0];

/// Every presence of a connection.
#[derive(Default)]
pub(super) struct Presences {
    open: BTreeMap<u64, Presence>,
    /// Those that the others are to be shown anew: once for all that came in one message.
    changed: BTreeSet<u64>,
    /// What is being told of others.
    told: Changes,
}

struct Presence {
    present: Present,
    state: Bytes,
    /// Whether the session was found and the subscription answered.
    let_in: bool,
}

impl Presences {
    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Ends one, because the client does not want it any more.
    pub(super) fn remove(&mut self, sub: u64) {
        self.open.remove(&sub);
    }

    /// Ends all, because the server says so.
    pub(super) fn end_all(&mut self, why: EndedWhy, outbox: &mut Outbox) {
        for (sub, _) in std::mem::take(&mut self.open) {
            end(sub, why, outbox);
        }
    }

    /// The principal goes by another name: the others are shown it.
    pub(super) fn renamed(&mut self) {
        self.changed.extend(self.open.keys());
    }

    /// The session of this one is deleted.
    pub(super) fn gone(&mut self, sub: u64, outbox: &mut Outbox) {
        if self.open.remove(&sub).is_some() {
            end(sub, EndedWhy::Deleted, outbox);
        }
    }

    /// Answers one: its session is there, or it is refused.
    pub(super) fn begin(&mut self, sub: u64, found: Result<(), Fault>, outbox: &mut Outbox) {
        let Some(presence) = self.open.get_mut(&sub) else { return };
        match found {
            Ok(()) => {
                outbox.control(&ServerFrame::Subscribed { sub, body: Body::own(EMPTY) });
                presence.let_in = true;
                self.changed.insert(sub);
            }
            Err(fault) => self.refuse(sub, fault, outbox),
        }
    }

    /// The client says what it does there.
    pub(super) fn set(&mut self, sub: u64, state: Body<'_>, outbox: &mut Outbox) {
        let Some(presence) = self.open.get_mut(&sub) else { return };
        if state.bytes() == NIL {
            return self.remove(sub);
        }
        match check(state) {
            Ok(()) => {
                presence.state = Bytes::copy_from_slice(state.bytes());
                self.changed.insert(sub);
            }
            Err(fault) => self.refuse(sub, fault, outbox),
        }
    }

    fn refuse(&mut self, sub: u64, fault: Fault, outbox: &mut Outbox) {
        self.remove(sub);
        refuse(sub, fault, outbox);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send, P: Place> Connection<S, P> {
    /// Begins to be present in a session.
    pub(super) fn come(&mut self, sub: u64, session: SessionId) -> Result<(), Fault> {
        let Node { services, router } = &self.node;
        let found = router.visit(services, self.identity.as_ref(), session)?;
        // There before the session is looked for, so that its end can't fall between.
        let present = services.hub.come(session, self.id, &self.mailbox, sub).ok_or_else(here_already)?;
        self.presences.open.insert(sub, Presence { present, state: Bytes::from_static(EMPTY), let_in: false });
        self.requests.push(async move { Done::Came(sub, found.await) }.boxed());
        Ok(())
    }

    /// Shows the others what changed here, and tells the client what changed there, as far as the outbox goes.
    pub(super) fn send_presence(&mut self) {
        let Some(identity) = &self.identity else { return };
        let Presences { open, changed, .. } = &mut self.presences;
        if !changed.is_empty() {
            let principal = &identity.principal;
            let principal = MemberPrincipal { kind: principal.kind, id: principal.id.clone(), name: principal.name.clone() };
            let member = Bytes::from(encode(&Member { connection_id: self.id, principal }));
            let shown = changed.iter().filter_map(|sub| open.get(sub)).filter(|presence| presence.let_in);
            shown.for_each(|presence| presence.present.show(&member, &presence.state));
            changed.clear();
        }
        if self.in_doubt() {
            return;
        }
        let Presences { open, told, .. } = &mut self.presences;
        while !open.is_empty() && self.outbox.has_room_for_presence() {
            if told.is_empty() {
                *told = self.mailbox.take_presence();
                // Asked after it was taken: what is said of anyone later is put in after the doubt.
                if self.mailbox.doubted() {
                    return;
                }
            }
            let Some((sub, change)) = told.pop() else { break };
            if open.contains_key(&sub) {
                let state = Body::own(change.state.as_deref().unwrap_or(NIL));
                self.outbox.control(&ServerFrame::Presence { sub, member: Body::own(&change.member), state });
            }
        }
    }
}

fn check(state: Body<'_>) -> Result<(), Fault> {
    if state.bytes().len() > STATE_BYTES {
        let message = format!("a state has at most {STATE_BYTES} bytes when encoded, and this one {}", state.bytes().len());
        return Err(Fault::new(FaultCode::TooLarge, message));
    }
    state.decode::<Map<String, Value>>().map(drop)
}

fn here_already() -> Fault {
    Fault::conflict(Reason::Taken, "this connection is present in this session already: go on with that subscription")
}

fn end(sub: u64, why: EndedWhy, outbox: &mut Outbox) {
    let body = encode(&Ended { why, fault: None });
    outbox.control(&ServerFrame::Ended { sub, offset: 0, body: Body::own(&body) });
}

#[cfg(test)]
mod tests;
