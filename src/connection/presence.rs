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
mod tests {
    use std::time::Duration;

    use crewline_protocol::{
        close::CloseCode,
        frame::ClientFrame,
        opening::PrincipalKind,
        operations::session::Create,
        value::{ConnectionId, MutationKey},
    };
    use serde_json::json;
    use tokio::io::DuplexStream;

    use super::*;
    use crate::{
        settings::Settings,
        testing::{Heard, Peer, Stage, register},
    };

    /// A session of the stage's workspace.
    async fn session(stage: &Stage) -> SessionId {
        let mut peer = stage.signed_in().await;
        let key = stage.node.services.clock.id(MutationKey::new);
        peer.ask(&Create { id: None, title: "Here".into() }, Some(key)).await;
        let Heard::Reply(_, session, _) = peer.hear().await else { panic!("the session is made") };
        session["id"].as_str().unwrap().parse().unwrap()
    }

    /// A connection of the stage's person, and what others see of it.
    async fn someone(stage: &Stage) -> (Peer<DuplexStream>, Member) {
        let mut peer = stage.connect().await;
        let connection_id = peer.hello(Some(&stage.person.access_token)).await.connection_id;
        (peer, member(stage, connection_id))
    }

    fn member(stage: &Stage, connection_id: ConnectionId) -> Member {
        let id = stage.person.principal.id.clone();
        Member { connection_id, principal: MemberPrincipal { kind: PrincipalKind::User, id, name: "Ada".into() } }
    }

    async fn come(peer: &mut Peer<DuplexStream>, sub: u64, session: SessionId) {
        let target = encode(&json!({ "presence": { "session_id": session } }));
        peer.say(&[ClientFrame::Subscribe { sub, target: Body::own(&target), options: None }]).await;
    }

    async fn say(peer: &mut Peer<DuplexStream>, sub: u64, state: &Value) {
        peer.say(&[ClientFrame::Presence { sub, state: Body::own(&encode(state)) }]).await;
    }

    fn here(sub: u64, member: &Member, state: Value) -> Heard {
        Heard::Presence(sub, Box::new(member.clone()), Some(state))
    }

    fn left(sub: u64, member: &Member) -> Heard {
        Heard::Presence(sub, Box::new(member.clone()), None)
    }

    fn ended(sub: u64, why: EndedWhy, fault: Option<Fault>) -> Heard {
        Heard::Ended(sub, Default::default(), Box::new(Ended { why, fault }))
    }

    #[tokio::test(start_paused = true)]
    async fn two_connections_of_one_person_are_two_members_who_see_each_other_and_not_themselves() {
        let stage = Stage::new(Settings::default()).await;
        let session = session(&stage).await;
        let ((mut phone, on_phone), (mut laptop, on_laptop)) = (someone(&stage).await, someone(&stage).await);
        come(&mut phone, 1, session).await;
        assert_eq!(phone.hear().await, Heard::Here(1));
        say(&mut phone, 1, &json!({ "typing": true })).await;
        come(&mut laptop, 7, session).await;
        assert_eq!(laptop.hear().await, Heard::Here(7));
        assert_eq!(laptop.hear().await, here(7, &on_phone, json!({ "typing": true })));
        assert_eq!(phone.hear().await, here(1, &on_laptop, json!({})));
        say(&mut laptop, 7, &json!({ "cursor": [1, 2] })).await;
        assert_eq!(phone.hear().await, here(1, &on_laptop, json!({ "cursor": [1, 2] })));
        say(&mut phone, 1, &Value::Null).await;
        assert_eq!(laptop.hear().await, left(7, &on_phone));
        come(&mut phone, 2, session).await;
        assert_eq!(phone.hear().await, Heard::Here(2));
        assert_eq!(phone.hear().await, here(2, &on_laptop, json!({ "cursor": [1, 2] })));
        assert_eq!(laptop.hear().await, here(7, &on_phone, json!({})));
        phone.say(&[ClientFrame::Unsubscribe { sub: 2 }]).await;
        assert_eq!(laptop.hear().await, left(7, &on_phone));
        come(&mut phone, 3, session).await;
        assert_eq!(laptop.hear().await, here(7, &on_phone, json!({})));
        drop(phone);
        assert_eq!(laptop.hear().await, left(7, &on_phone), "its socket is gone");
    }

    #[tokio::test(start_paused = true)]
    async fn a_state_is_a_map_of_at_most_a_kibibyte() {
        let stage = Stage::new(Settings::default()).await;
        let session = session(&stage).await;
        let ((mut ada, _), (mut other, on_other)) = (someone(&stage).await, someone(&stage).await);
        come(&mut ada, 1, session).await;
        assert_eq!(ada.hear().await, Heard::Here(1));
        // A map of one, its key, and a text with its length in three bytes.
        let state = |bytes: usize| json!({ "at": "x".repeat(bytes - 1 - 3 - 3) });
        for (sub, wrong, code) in
            [(1, state(STATE_BYTES + 1), FaultCode::TooLarge), (2, json!("typing"), FaultCode::Invalid), (3, json!([]), FaultCode::Invalid)]
        {
            come(&mut other, sub, session).await;
            assert_eq!(other.hear().await, Heard::Here(sub));
            assert!(matches!(other.hear().await, Heard::Presence(..)));
            assert_eq!(ada.hear().await, here(1, &on_other, json!({})));
            say(&mut other, sub, &wrong).await;
            let Heard::Ended(of, _, ended) = other.hear().await else { panic!("{wrong}") };
            assert_eq!((of, ended.why, ended.fault.map(|fault| fault.code)), (sub, EndedWhy::Refused, Some(code)));
            assert_eq!(ada.hear().await, left(1, &on_other));
        }
        come(&mut other, 4, session).await;
        assert_eq!(ada.hear().await, here(1, &on_other, json!({})));
        say(&mut other, 4, &state(STATE_BYTES)).await;
        assert_eq!(ada.hear().await, here(1, &on_other, state(STATE_BYTES)));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_present_twice_or_in_what_they_may_not_see() {
        let stage = Stage::new(Settings::default()).await;
        let session = session(&stage).await;
        let mut ada = stage.signed_in().await;
        come(&mut ada, 1, session).await;
        assert_eq!(ada.hear().await, Heard::Here(1));
        come(&mut ada, 2, session).await;
        assert_eq!(ada.hear().await, ended(2, EndedWhy::Refused, Some(here_already())));

        let eve = register(&stage.node, "eve@example.com").await;
        let mut peer = stage.connect().await;
        peer.hello(Some(&eve.access_token)).await;
        let absent = stage.node.services.clock.id(SessionId::new);
        for (sub, session) in [(1, session), (2, absent)] {
            come(&mut peer, sub, session).await;
            assert_eq!(peer.hear().await, ended(sub, EndedWhy::Refused, Some(Fault::not_found())));
        }
        say(&mut peer, 1, &json!({})).await;
        peer.say(&[ClientFrame::Ping(Body::own(&[1]))]).await;
        assert_eq!(peer.hear().await, Heard::Pong(vec![1]), "a state for what was refused is ignored");
        ada.say(&[ClientFrame::Ping(Body::own(&[1]))]).await;
        assert_eq!(ada.hear().await, Heard::Pong(vec![1]), "she was shown nobody");
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_slowly_is_told_the_latest_and_not_all() {
        let stage = Stage::new(Settings { heartbeat_ms: 300_000, stalled_ms: 600_000, ..Settings::default() }).await;
        let session = session(&stage).await;
        let ((mut slow, _), (mut fast, on_fast)) = (someone(&stage).await, someone(&stage).await);
        come(&mut slow, 1, session).await;
        assert_eq!(slow.hear().await, Heard::Here(1));
        come(&mut fast, 1, session).await;
        assert_eq!(fast.hear().await, Heard::Here(1));
        let states = 2_000;
        for number in 0..states {
            say(&mut fast, 1, &json!({ "at": number, "fill": "x".repeat(900) })).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let (mut heard, mut last) = (0, json!({}));
        while last["at"] != json!(states - 1) {
            let Heard::Presence(1, member, Some(state)) = slow.hear().await else { panic!() };
            assert_eq!(*member, on_fast);
            assert!(state["at"].as_i64() >= last["at"].as_i64());
            (heard, last) = (heard + 1, state);
        }
        assert!(heard < states / 4, "{heard} of {states}");
    }

    #[tokio::test(start_paused = true)]
    async fn presence_ends_with_its_session_and_counts_among_the_subscriptions() {
        let stage = Stage::new(Settings { subscriptions: 1, ..Settings::default() }).await;
        let (first, second) = (session(&stage).await, session(&stage).await);
        let mut ada = stage.signed_in().await;
        come(&mut ada, 1, first).await;
        assert_eq!(ada.hear().await, Heard::Here(1));
        come(&mut ada, 2, second).await;
        let Heard::Ended(2, _, refused) = ada.hear().await else { panic!() };
        assert_eq!(refused.fault.map(|fault| fault.code), Some(FaultCode::TooMany));
        stage.node.services.hub.session_gone(first);
        assert_eq!(ada.hear().await, ended(1, EndedWhy::Deleted, None));
        come(&mut ada, 3, second).await;
        assert_eq!(ada.hear().await, Heard::Here(3));
        stage.node.services.hub.drain(Duration::from_millis(10));
        assert_eq!(ada.hear_end().await.1, Some(CloseCode::Shutdown));
        assert_eq!(stage.node.services.hub.places(), []);
    }
}
