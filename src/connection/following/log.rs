//! Following a run: a position in its log. An event stays in the log until its turn, so that a reader who applies slowly costs a
//! cursor and no memory.

use std::{collections::VecDeque, sync::Arc};

use crewline_protocol::{
    fault::Fault,
    follow::SubscribedRun,
    frame::{Body, ServerFrame},
    value::{Offset, RunId, encode},
};

use super::{Purse, ReadWanted, Turn};
use crate::{
    connection::outbox::Outbox,
    hub::{Following, Mailbox},
    store::{Block, StreamHead},
    stream::{TailBlock, Wanted, merge},
};

/// A run that is followed.
pub(in crate::connection) struct Log {
    run: RunId,
    wanted: Wanted,
    /// The last offset that was sent.
    pub(super) position: Offset,
    following: Following,
    /// Blocks that were read from the store because memory did not have them.
    read: VecDeque<Arc<TailBlock>>,
    /// Waits for blocks from the store.
    reading: bool,
}

impl Log {
    pub(in crate::connection) fn new(run: RunId, wanted: Wanted, from: Offset, following: Following) -> Self {
        Self { run, wanted, position: from, following, read: VecDeque::new(), reading: false }
    }

    /// The run.
    pub(super) fn run(&self) -> RunId {
        self.run
    }

    /// Begins; gives the body with which that is answered.
    pub(super) fn begin(&mut self, StreamHead { head, complete }: StreamHead) -> Result<Vec<u8>, Fault> {
        let from = self.position;
        if from > head {
            return Err(Fault::invalid("from", "range", format!("the stream has {head} events, and {from} were said to be applied")));
        }
        self.following.tail.reached(head, complete);
        Ok(encode(&SubscribedRun { from, head, complete }))
    }

    pub(super) fn extend(&mut self, blocks: Vec<Arc<Block>>) {
        self.read.extend(blocks.into_iter().map(TailBlock::new));
        self.reading = false;
    }

    pub(super) fn turn(&mut self, sub: u64, purse: &mut Purse<'_>, outbox: &mut Outbox, mailbox: &Mailbox) -> Turn {
        if self.reading {
            return Turn::Waits;
        }
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
        if purse.is_empty() {
            return Turn::OutOfCredit;
        }
        let Some(next) = next else {
            self.reading = true;
            return Turn::Reads(ReadWanted { sub, run: self.run, after: self.position });
        };
        let block = &next.block;
        let skip = self.position.0 + 1 - block.first.0;
        let merged = if skip == 0 && self.wanted == Wanted::All {
            next.merged().clone()
        } else {
            merge(block, usize::try_from(skip).unwrap_or_default(), &self.wanted)
        };
        let (offset, span) = (block.last().0, block.last().0 - self.position.0);
        purse.pay(outbox.events(&ServerFrame::Events { sub, offset, span, events: Body::own(&merged) }));
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
