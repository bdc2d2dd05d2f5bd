//! Subscriptions of one connection: positions, credit, and turns. What is followed stays where it is until its turn, so that a
//! reader who applies slowly costs a position and no memory.

mod log;
mod query;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use crewline_protocol::{
    fault::Fault,
    follow::{CONNECTION_CREDIT_CAP_BYTES, CREDIT_CAP_BYTES, Ended, EndedWhy, Input, SubscribedQuery},
    frame::{Body, ServerFrame},
    value::{Offset, RunId, encode},
};

pub(super) use self::{log::Log, query::Query};
use super::outbox::Outbox;
use crate::{
    hub::Mailbox,
    query::{Plan, Watching},
    store::{Block, StreamHead},
};

/// A grant that breaks the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadGrant;

/// Every subscription of a connection.
pub(super) struct Subscriptions {
    open: HashMap<u64, Subscription>,
    /// Whose turn it is to be sent something; queries go before runs.
    queries: VecDeque<u64>,
    runs: VecDeque<u64>,
    /// How many more bytes of events the connection may be sent.
    credit: i64,
}

struct Subscription {
    followed: Followed,
    credit: i64,
    /// Whether it was answered.
    begun: bool,
    in_turn: bool,
}

/// What a subscription follows.
pub(super) enum Followed {
    /// A run's log.
    Log(Log),
    /// A live query.
    Query(Query),
}

/// What is wanted of the store for a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReadWanted {
    /// For which subscription.
    pub(super) sub: u64,
    /// Whose log.
    pub(super) run: RunId,
    /// The events after this one.
    pub(super) after: Offset,
}

/// The credit that a turn is paid from.
struct Purse<'a> {
    own: &'a mut i64,
    connection: &'a mut i64,
}

enum Turn {
    Sent,
    Waits,
    OutOfCredit,
    Reads(ReadWanted),
    Complete,
    Ended(EndedWhy),
    /// It came into doubt whether the client may have it.
    Doubted,
}

impl Purse<'_> {
    fn is_empty(&self) -> bool {
        *self.own <= 0 || *self.connection <= 0
    }
    fn pay(&mut self, bytes: usize) {
        let cost = i64::try_from(bytes).unwrap_or(i64::MAX);
        *self.own -= cost;
        *self.connection -= cost;
    }
}

impl Subscriptions {
    /// None yet, with this credit for all of them together.
    pub(super) fn new(credit: i64) -> Self {
        Self { open: HashMap::new(), queries: VecDeque::new(), runs: VecDeque::new(), credit }
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Adds one that is not answered yet.
    pub(super) fn add(&mut self, sub: u64, followed: Followed, credit: i64) {
        self.open.insert(sub, Subscription { followed, credit, begun: false, in_turn: false });
    }

    /// Answers a run's: it begins where its stream stands, or it is refused.
    pub(super) fn begin_log(&mut self, sub: u64, head: Result<StreamHead, Fault>, outbox: &mut Outbox) {
        let Some(Followed::Log(log)) = self.followed(sub) else { return };
        let body = head.and_then(|head| log.begin(head));
        self.begin(sub, body, outbox);
    }

    /// Answers a query's: it begins, or it is refused.
    pub(super) fn begin_query(&mut self, sub: u64, subscribed: Result<SubscribedQuery, Fault>, outbox: &mut Outbox) {
        let Some(Followed::Query(query)) = self.followed(sub) else { return };
        let body = subscribed.map(|subscribed| query.begin(subscribed));
        self.begin(sub, body, outbox);
    }

    fn begin(&mut self, sub: u64, body: Result<Vec<u8>, Fault>, outbox: &mut Outbox) {
        match body {
            Ok(body) => {
                outbox.control(&ServerFrame::Subscribed { sub, body: Body::own(&body) });
                if let Some(subscription) = self.open.get_mut(&sub) {
                    subscription.begun = true;
                }
                self.take_turn(sub);
            }
            Err(fault) => {
                self.open.remove(&sub);
                refuse(sub, fault, outbox);
            }
        }
    }

    fn followed(&mut self, sub: u64) -> Option<&mut Followed> {
        self.open.get_mut(&sub).map(|subscription| &mut subscription.followed)
    }

    /// Ends one, because the client does not want it any more.
    pub(super) fn remove(&mut self, sub: u64) {
        self.open.remove(&sub);
    }

    /// Ends all, because the server says so.
    pub(super) fn end_all(&mut self, why: EndedWhy, outbox: &mut Outbox) {
        for (sub, subscription) in self.open.drain() {
            end(sub, subscription.followed.position(), why, outbox);
        }
        self.queries.clear();
        self.runs.clear();
    }

    /// Ends those of a run.
    pub(super) fn end_run(&mut self, run: RunId, why: EndedWhy, outbox: &mut Outbox) {
        let of_run = |followed: &Followed| matches!(followed, Followed::Log(log) if log.run() == run);
        let subs: Vec<u64> = self.open.iter().filter(|(_, one)| of_run(&one.followed)).map(|(sub, _)| *sub).collect();
        for sub in subs {
            self.end(sub, why, outbox);
        }
    }

    /// The live queries that have begun.
    pub(super) fn asked(&self) -> Vec<u64> {
        let begun = self.open.iter().filter(|(_, one)| one.begun && matches!(one.followed, Followed::Query(_)));
        begun.map(|(sub, _)| *sub).collect()
    }

    /// What a live query's principal may see of it by now: the same, another part, or nothing.
    pub(super) fn ask_again(
        &mut self,
        sub: u64,
        plan: impl FnOnce(&str, &Input) -> Result<Arc<Plan>, Fault>,
        follow: impl FnOnce(Arc<Plan>) -> Watching,
        outbox: &mut Outbox,
    ) {
        let Some(Followed::Query(query)) = self.followed(sub) else { return };
        match plan(&query.operation, &query.input) {
            Ok(plan) if query.follows(&plan) => {}
            Ok(plan) => {
                query.follow(follow(plan));
                self.grown(sub);
            }
            Err(_) => {
                let position = query.position();
                self.open.remove(&sub);
                end(sub, position, EndedWhy::Forbidden, outbox);
            }
        }
    }

    /// What one follows has grown.
    pub(super) fn grown(&mut self, sub: u64) {
        if self.open.get(&sub).is_some_and(|subscription| subscription.begun) {
            self.take_turn(sub);
        }
    }

    /// Blocks have come from the store, or could not be read: then the subscription ends and the client asks again.
    pub(super) fn read(&mut self, sub: u64, blocks: Result<Vec<Arc<Block>>, Fault>, outbox: &mut Outbox) {
        let Some(Followed::Log(log)) = self.followed(sub) else { return };
        match blocks {
            Ok(blocks) => {
                log.extend(blocks);
                self.take_turn(sub);
            }
            Err(_) => {
                let position = log.position.0;
                self.open.remove(&sub);
                end(sub, position, EndedWhy::Server, outbox);
            }
        }
    }

    /// The client grants more bytes.
    ///
    /// # Errors
    /// For a grant below 1.
    pub(super) fn grant(&mut self, sub: u64, bytes: i64) -> Result<(), BadGrant> {
        if bytes < 1 {
            return Err(BadGrant);
        }
        if sub == 0 {
            self.credit = self.credit.saturating_add(bytes).min(CONNECTION_CREDIT_CAP_BYTES);
        } else if let Some(subscription) = self.open.get_mut(&sub) {
            subscription.credit = subscription.credit.saturating_add(bytes).min(CREDIT_CAP_BYTES);
            self.grown(sub);
        }
        Ok(())
    }

    /// Turns what is followed into frames, one a turn, as far as credit and the outbox go; says what must be read for more.
    pub(super) fn send(&mut self, outbox: &mut Outbox, reads: &mut Vec<ReadWanted>, mailbox: &Mailbox) {
        let mut held_up = Vec::new();
        while outbox.has_room_for_events() {
            let Some(sub) = self.queries.pop_front().or_else(|| self.runs.pop_front()) else { break };
            let Some(subscription) = self.open.get_mut(&sub) else { continue };
            subscription.in_turn = false;
            match subscription.turn(sub, &mut self.credit, outbox, mailbox) {
                Turn::Sent => self.take_turn(sub),
                Turn::Waits => {}
                Turn::Doubted => {
                    held_up.push(sub);
                    break;
                }
                // Its own grant brings a subscription its turn again; the connection's is for all that it holds up.
                Turn::OutOfCredit if subscription.credit <= 0 => {}
                Turn::OutOfCredit => held_up.push(sub),
                Turn::Reads(wanted) => reads.push(wanted),
                Turn::Complete => self.end(sub, EndedWhy::Complete, outbox),
                Turn::Ended(why) => self.end(sub, why, outbox),
            }
        }
        for sub in held_up {
            self.take_turn(sub);
        }
    }

    fn end(&mut self, sub: u64, why: EndedWhy, outbox: &mut Outbox) {
        if let Some(subscription) = self.open.remove(&sub) {
            end(sub, subscription.followed.position(), why, outbox);
        }
    }

    fn take_turn(&mut self, sub: u64) {
        if let Some(subscription) = self.open.get_mut(&sub)
            && !subscription.in_turn
        {
            subscription.in_turn = true;
            match subscription.followed {
                Followed::Query(_) => self.queries.push_back(sub),
                Followed::Log(_) => self.runs.push_back(sub),
            }
        }
    }
}

impl Subscription {
    fn turn(&mut self, sub: u64, connection: &mut i64, outbox: &mut Outbox, mailbox: &Mailbox) -> Turn {
        let mut purse = Purse { own: &mut self.credit, connection };
        match &mut self.followed {
            Followed::Log(log) => log.turn(sub, &mut purse, outbox, mailbox),
            Followed::Query(query) => query.turn(sub, &mut purse, outbox, mailbox),
        }
    }
}

impl Followed {
    /// The last offset, or revision, that was sent.
    fn position(&self) -> i64 {
        match self {
            Self::Log(log) => log.position.0,
            Self::Query(query) => query.position(),
        }
    }
}

/// Answers a subscribe that is refused.
pub(super) fn refuse(sub: u64, fault: Fault, outbox: &mut Outbox) {
    let body = encode(&Ended { why: EndedWhy::Refused, fault: Some(fault) });
    outbox.control(&ServerFrame::Ended { sub, offset: 0, body: Body::own(&body) });
}

/// An end comes after the events before it, so it goes with them.
fn end(sub: u64, position: i64, why: EndedWhy, outbox: &mut Outbox) {
    let body = encode(&Ended { why, fault: None });
    outbox.events(&ServerFrame::Ended { sub, offset: position, body: Body::own(&body) });
}
