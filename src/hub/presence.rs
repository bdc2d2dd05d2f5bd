//! Who is here now: the members of each session's presence on this node. Nothing of it is stored, and of each member there is only
//! the latest state: what changes faster than it can be sent is overwritten.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use bytes::Bytes;
use crewline_protocol::value::{ConnectionId, SessionId};

use super::{Hub, Mailbox};

/// A connection is present in a session until this is dropped.
pub struct Present {
    hub: Hub,
    session: SessionId,
    connection: ConnectionId,
}

/// Whoever has come to a session.
pub(super) struct Here {
    connection: ConnectionId,
    sub: u64,
    mailbox: Arc<Mailbox>,
    /// As others see it; `None`: not let in yet.
    shown: Option<Shown>,
}

/// A member and its state, both encoded once for all who are told.
#[derive(Debug, Clone)]
struct Shown {
    member: Bytes,
    state: Bytes,
}

/// What is to be told of other members, the latest of each, by subscription and connection.
#[derive(Debug, Default)]
pub struct Changes(BTreeMap<(u64, ConnectionId), Change>);

/// What is to be told of one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The member, encoded.
    pub member: Bytes,
    /// Its state, encoded; `None`: it has left.
    pub state: Option<Bytes>,
    /// Whether it was told of before: of who came and went meanwhile there is nothing to tell.
    known: bool,
}

impl Hub {
    /// Comes to a session, and is shown to nobody yet; what is to be told of others is put into the mailbox as `sub`. `None` where
    /// this connection is there already.
    pub fn come(&self, session: SessionId, connection: ConnectionId, mailbox: &Arc<Mailbox>, sub: u64) -> Option<Present> {
        let mut here = self.0.places.entry(session).or_default();
        if here.iter().any(|other| other.connection == connection) {
            return None;
        }
        here.push(Here { connection, sub, mailbox: mailbox.clone(), shown: None });
        drop(here);
        Some(Present { hub: self.clone(), session, connection })
    }

    /// The sessions in which somebody is present on this node.
    pub fn places(&self) -> Vec<SessionId> {
        self.0.places.iter().map(|entry| *entry.key()).collect()
    }

    /// Tells whoever is present in a session that it is gone.
    pub fn session_gone(&self, session: SessionId) {
        if let Some(here) = self.0.places.get(&session) {
            for member in here.iter() {
                member.mailbox.gone(member.sub);
            }
        }
    }
}

impl Present {
    /// Shows the others this member and its state. Who is shown for the first time is told of the others.
    pub fn show(&self, member: &Bytes, state: &Bytes) {
        let Some(mut here) = self.hub.0.places.get_mut(&self.session) else { return };
        let Some(place) = here.iter().position(|other| other.connection == self.connection) else { return };
        let first = here[place].shown.replace(Shown { member: member.clone(), state: state.clone() }).is_none();
        let own = &here[place];
        for other in here.iter().filter(|other| other.connection != self.connection) {
            let Some(shown) = &other.shown else { continue };
            other.mailbox.present(other.sub, self.connection, member, Some(state), first);
            if first {
                own.mailbox.present(own.sub, other.connection, &shown.member, Some(&shown.state), true);
            }
        }
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.hub.0.places.remove_if_mut(&self.session, |_, here| {
            let place = here.iter().position(|other| other.connection == self.connection);
            if let Some(Shown { member, .. }) = place.and_then(|place| here.swap_remove(place).shown) {
                for other in here.iter().filter(|other| other.shown.is_some()) {
                    other.mailbox.present(other.sub, self.connection, &member, None, false);
                }
            }
            here.is_empty()
        });
    }
}

impl Changes {
    /// Puts one in over an older one of the same member; `first`: the reader has not been told of it before.
    pub(super) fn put(&mut self, sub: u64, connection: ConnectionId, member: &Bytes, state: Option<&Bytes>, first: bool) {
        let change = |known| Change { member: member.clone(), state: state.cloned(), known };
        match self.0.entry((sub, connection)) {
            Entry::Vacant(entry) => {
                entry.insert(change(!first));
            }
            Entry::Occupied(entry) if state.is_none() && !entry.get().known => {
                entry.remove();
            }
            Entry::Occupied(mut entry) => {
                let known = entry.get().known;
                entry.insert(change(known));
            }
        }
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes one out, with its subscription.
    pub fn pop(&mut self) -> Option<(u64, Change)> {
        self.0.pop_first().map(|((sub, _), change)| (sub, change))
    }
}

#[cfg(test)]
mod tests {
    use crewline_protocol::value::Millis;

    use super::*;

    const NOW: Millis = Millis(1_700_000_000_000);

    fn bytes(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    /// Somebody at the session, whose name is their member and subscription.
    struct Someone {
        present: Present,
        mailbox: Arc<Mailbox>,
        member: Bytes,
    }

    impl Someone {
        fn come(hub: &Hub, number: u8) -> Self {
            let mailbox = Arc::<Mailbox>::default();
            let present = hub.come(session(), ConnectionId::new(NOW, [number; 10]), &mailbox, number.into()).unwrap();
            Self { present, mailbox, member: bytes(&format!("m{number}")) }
        }
        fn show(&self, state: &str) {
            self.present.show(&self.member, &bytes(state));
        }
        /// What is to be told, as `member state`, a `-` for who has left.
        fn told(&self) -> Vec<String> {
            let mut changes = self.mailbox.take_presence();
            let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
            let told = |(_, change): (u64, Change)| format!("{} {}", text(change.member), change.state.map_or("-".into(), text));
            std::iter::from_fn(|| changes.pop()).map(told).collect()
        }
    }

    fn session() -> SessionId {
        SessionId::new(NOW, [9; 10])
    }

    #[test]
    fn who_comes_is_told_of_the_others_and_they_of_it_and_nobody_of_themself() {
        let hub = Hub::new(0);
        let (ada, ben) = (Someone::come(&hub, 1), Someone::come(&hub, 2));
        ada.show("{}");
        assert_eq!((ada.told(), ben.told()), (vec![], vec![]), "who is not let in yet is neither shown nor told");
        ben.show("{}");
        assert_eq!((ada.told(), ben.told()), (vec!["m2 {}".to_owned()], vec!["m1 {}".to_owned()]));
        ben.show("typing");
        assert_eq!((ada.told(), ben.told()), (vec!["m2 typing".to_owned()], vec![]));
        drop(ben);
        assert_eq!(ada.told(), ["m2 -"]);
        drop(ada);
        assert_eq!(hub.places(), []);
    }

    #[test]
    fn of_each_member_only_the_latest_is_told() {
        let hub = Hub::new(0);
        let (ada, ben) = (Someone::come(&hub, 1), Someone::come(&hub, 2));
        ada.show("{}");
        ben.show("{}");
        for state in 0..1_000 {
            ben.show(&state.to_string());
        }
        assert_eq!(ada.told(), ["m2 999"]);
        for number in 3..100 {
            Someone::come(&hub, number).show("{}");
        }
        assert_eq!(ada.told(), Vec::<String>::new(), "they came and went meanwhile");
        ben.show("x");
        drop(ben);
        let again = Someone::come(&hub, 2);
        again.show("back");
        assert_eq!(ada.told(), ["m2 back"]);
    }

    #[test]
    fn a_connection_is_in_a_session_once() {
        let hub = Hub::new(0);
        let ada = Someone::come(&hub, 1);
        assert!(hub.come(session(), ConnectionId::new(NOW, [1; 10]), &ada.mailbox, 2).is_none());
        drop(ada);
        assert!(hub.come(session(), ConnectionId::new(NOW, [1; 10]), &Arc::default(), 2).is_some());
    }

    #[test]
    fn a_session_that_is_gone_is_told_to_whoever_is_in_it() {
        let hub = Hub::new(0);
        let (ada, ben) = (Someone::come(&hub, 1), Someone::come(&hub, 2));
        ada.show("{}");
        hub.session_gone(session());
        assert_eq!((ada.mailbox.take().gone, ben.mailbox.take().gone), (vec![1], vec![2]));
    }
}
