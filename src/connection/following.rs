//! Subscriptions of one connection: positions, credit, and turns. An event stays in the log until its turn, so that a reader who
//! applies slowly costs a cursor and no memory.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use crewline_protocol::{
    fault::Fault,
    follow::{CONNECTION_CREDIT_CAP_BYTES, CREDIT_CAP_BYTES, Ended, EndedWhy, SubscribedRun},
    frame::{Body, ServerFrame},
    value::{Offset, RunId, encode},
};

use super::outbox::Outbox;
use crate::{
    hub::{Following, Mailbox},
    store::{Block, StreamHead},
    stream::{TailBlock, Wanted, merge},
};

/// A grant that breaks the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadGrant;

/// Every subscription of a connection.
pub(super) struct Subscriptions {
    open: HashMap<u64, Subscription>,
    /// Whose turn it is to be sent events.
    turns: VecDeque<u64>,
    /// How many more bytes of events the connection may be sent.
    credit: i64,
}

struct Subscription {
    run: RunId,
    wanted: Wanted,
    /// The last offset that was sent.
    position: Offset,
    credit: i64,
    following: Following,
    /// Blocks that were read from the store because memory did not have them.
    read: VecDeque<Arc<TailBlock>>,
    state: State,
    in_turn: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not answered yet.
    Opening,
    /// Sends what there is.
    Open,
    /// Waits for blocks from the store.
    Reading,
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

enum Turn {
    Sent,
    Waits,
    OutOfCredit,
    Reads(ReadWanted),
    Complete,
    /// It came into doubt whether the client may have it.
    Doubted,
}

impl Subscriptions {
    /// None yet, with this credit for all of them together.
    pub(super) fn new(credit: i64) -> Self {
        Self { open: HashMap::new(), turns: VecDeque::new(), credit }
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Adds one that is not answered yet.
    pub(super) fn add(&mut self, sub: u64, run: RunId, wanted: Wanted, from: Offset, credit: i64, following: Following) {
        let subscription =
            Subscription { run, wanted, position: from, credit, following, read: VecDeque::new(), state: State::Opening, in_turn: false };
        self.open.insert(sub, subscription);
    }

    /// Answers one: it begins, or it is refused.
    pub(super) fn begin(&mut self, sub: u64, head: Result<StreamHead, Fault>, outbox: &mut Outbox) {
        let Some(subscription) = self.open.get_mut(&sub) else { return };
        let from = subscription.position;
        let head = head.and_then(|head| {
            if from > head.head {
                let message = format!("the stream has {} events, and {from} were said to be applied", head.head);
                return Err(Fault::invalid("from", "range", message));
            }
            Ok(head)
        });
        match head {
            Ok(head) => {
                subscription.following.tail.reached(head.head, head.complete);
                let body = encode(&SubscribedRun { from, head: head.head, complete: head.complete });
                outbox.control(&ServerFrame::Subscribed { sub, body: Body::own(&body) });
                subscription.state = State::Open;
                self.take_turn(sub);
            }
            Err(fault) => {
                self.open.remove(&sub);
                refuse(sub, fault, outbox);
            }
        }
    }

    /// Ends one, because the client does not want it any more.
    pub(super) fn remove(&mut self, sub: u64) {
        self.open.remove(&sub);
    }

    /// Ends all, because the server says so.
    pub(super) fn end_all(&mut self, why: EndedWhy, outbox: &mut Outbox) {
        for (sub, subscription) in self.open.drain() {
            end(sub, subscription.position, why, outbox);
        }
        self.turns.clear();
    }

    /// A stream has grown.
    pub(super) fn grown(&mut self, sub: u64) {
        if self.open.get(&sub).is_some_and(|subscription| subscription.state == State::Open) {
            self.take_turn(sub);
        }
    }

    /// Blocks have come from the store, or could not be read: then the subscription ends and the client asks again.
    pub(super) fn read(&mut self, sub: u64, blocks: Result<Vec<Arc<Block>>, Fault>, outbox: &mut Outbox) {
        let Some(subscription) = self.open.get_mut(&sub) else { return };
        match blocks {
            Ok(blocks) => {
                subscription.read.extend(blocks.into_iter().map(TailBlock::new));
                subscription.state = State::Open;
                self.take_turn(sub);
            }
            Err(_) => {
                let position = subscription.position;
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
            if subscription.state == State::Open {
                self.take_turn(sub);
            }
        }
        Ok(())
    }

    /// Turns the logs' events into frames, a block a turn, as far as credit and the outbox go; says what must be read for more.
    pub(super) fn send(&mut self, outbox: &mut Outbox, reads: &mut Vec<ReadWanted>, mailbox: &Mailbox) {
        let mut held_up = VecDeque::new();
        while outbox.has_room_for_events() {
            let Some(sub) = self.turns.pop_front() else { break };
            let Some(subscription) = self.open.get_mut(&sub) else { continue };
            subscription.in_turn = false;
            match subscription.turn(sub, &mut self.credit, outbox, mailbox) {
                Turn::Sent => self.take_turn(sub),
                Turn::Waits => {}
                // Its own grant brings a subscription its turn again; the connection's is for all that it holds up.
                Turn::OutOfCredit if subscription.credit <= 0 => {}
                Turn::OutOfCredit => {
                    subscription.in_turn = true;
                    held_up.push_back(sub);
                }
                Turn::Doubted => {
                    subscription.in_turn = true;
                    self.turns.push_front(sub);
                    break;
                }
                Turn::Reads(wanted) => {
                    subscription.state = State::Reading;
                    reads.push(wanted);
                }
                Turn::Complete => {
                    let position = subscription.position;
                    self.open.remove(&sub);
                    end(sub, position, EndedWhy::Complete, outbox);
                }
            }
        }
        self.turns.append(&mut held_up);
    }

    fn take_turn(&mut self, sub: u64) {
        if let Some(subscription) = self.open.get_mut(&sub)
            && !subscription.in_turn
        {
            subscription.in_turn = true;
            self.turns.push_back(sub);
        }
    }
}

impl Subscription {
    fn turn(&mut self, sub: u64, connection_credit: &mut i64, outbox: &mut Outbox, mailbox: &Mailbox) -> Turn {
        let next = self.next_block();
        let (head, complete) = self.following.tail.head();
        // Asked after the log: what was written after the right was taken away is told after the doubt.
        if mailbox.doubted() {
            return Turn::Doubted;
        }
        // Only events cost credit: an end is told also to who has none left.
        if next.is_none() && self.position >= head {
            return if complete { Turn::Complete } else { Turn::Waits };
        }
        if self.credit <= 0 || *connection_credit <= 0 {
            return Turn::OutOfCredit;
        }
        let Some(next) = next else { return Turn::Reads(ReadWanted { sub, run: self.run, after: self.position }) };
        let block = &next.block;
        let skip = self.position.0 + 1 - block.first.0;
        let merged = if skip == 0 && self.wanted == Wanted::All {
            next.merged().clone()
        } else {
            merge(block, usize::try_from(skip).unwrap_or_default(), &self.wanted)
        };
        let (offset, span) = (block.last().0, block.last().0 - self.position.0);
        let cost = outbox.events(&ServerFrame::Events { sub, offset, span, events: Body::own(&merged) });
        let cost = i64::try_from(cost).unwrap_or(i64::MAX);
        self.credit -= cost;
        *connection_credit -= cost;
        self.position = Offset(offset);
        Turn::Sent
    }

    fn next_block(&mut self) -> Option<Arc<TailBlock>> {
        while let Some(block) = self.read.front() {
            if block.block.last() > self.position {
                break;
            }
            self.read.pop_front();
        }
        let holds_next = |block: &&Arc<TailBlock>| block.block.first.0 <= self.position.0 + 1;
        self.read.front().filter(holds_next).cloned().or_else(|| self.following.tail.next(self.position))
    }
}

/// Answers a subscribe that is refused.
pub(super) fn refuse(sub: u64, fault: Fault, outbox: &mut Outbox) {
    let body = encode(&Ended { why: EndedWhy::Refused, fault: Some(fault) });
    outbox.control(&ServerFrame::Ended { sub, offset: 0, body: Body::own(&body) });
}

/// An end comes after the events before it, so it goes with them.
fn end(sub: u64, position: Offset, why: EndedWhy, outbox: &mut Outbox) {
    let body = encode(&Ended { why, fault: None });
    outbox.events(&ServerFrame::Ended { sub, offset: position.0, body: Body::own(&body) });
}
