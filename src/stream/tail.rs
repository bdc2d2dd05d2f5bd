//! The last blocks of a followed run's log, encoded once for all who follow it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use bytes::Bytes;
use crewline_protocol::value::Offset;
use tokio::time::{Duration, Instant};

use super::page::{Wanted, merge};
use crate::store::Block;

/// How long a block stays in memory once later ones come: a reader who lags more reads the store, and a thousand runs that talk slowly
/// do not each keep all that they said.
const KEPT: Duration = Duration::from_secs(3);

/// A block, and the one encoding that every follower who takes it whole is sent.
#[derive(Debug)]
pub struct TailBlock {
    /// The block.
    pub block: Arc<Block>,
    merged: OnceLock<Bytes>,
}

impl TailBlock {
    /// Wraps a block.
    pub fn new(block: Arc<Block>) -> Arc<Self> {
        Arc::new(Self { block, merged: OnceLock::new() })
    }
    /// All its events as a MessagePack array, merged; made once.
    pub fn merged(&self) -> &Bytes {
        self.merged.get_or_init(|| merge(&self.block, 0, &Wanted::All))
    }
}

/// The end of a log, contiguous, bounded in bytes and time.
#[derive(Debug, Default)]
pub struct Tail {
    blocks: Mutex<Blocks>,
}

#[derive(Debug, Default)]
struct Blocks {
    queue: VecDeque<(Instant, Arc<TailBlock>)>,
    bytes: usize,
    head: Offset,
    complete: bool,
}

impl Tail {
    /// Takes a block that was just written; the oldest give way beyond `limit_bytes`, or after a few seconds. A block that does not
    /// continue the tail starts it anew: what is between is in the store.
    pub fn push(&self, block: &Arc<Block>, complete: bool, limit_bytes: usize) {
        let mut blocks = self.lock();
        if block.last() <= blocks.head {
            return;
        }
        if block.first.0 != blocks.head.0 + 1 {
            blocks.queue.clear();
            blocks.bytes = 0;
        }
        blocks.head = block.last();
        blocks.complete |= complete;
        blocks.bytes += block.events.len();
        let now = Instant::now();
        blocks.queue.push_back((now, TailBlock::new(block.clone())));
        while let Some((at, oldest)) = blocks.queue.front()
            && (blocks.bytes > limit_bytes || now - *at > KEPT)
            && blocks.queue.len() > 1
        {
            blocks.bytes -= oldest.block.events.len();
            blocks.queue.pop_front();
        }
    }

    /// Learns from the store where the log stands. Blocks that are missing are read from there.
    pub fn reached(&self, head: Offset, complete: bool) {
        let mut blocks = self.lock();
        if head > blocks.head {
            blocks.queue.clear();
            blocks.bytes = 0;
            blocks.head = head;
        }
        blocks.complete |= complete;
    }

    /// Where the log stands, as far as is known here.
    pub fn head(&self) -> (Offset, bool) {
        let blocks = self.lock();
        (blocks.head, blocks.complete)
    }

    /// The block that holds the event after `after`; `None` where it is not in memory, or not written yet.
    pub fn next(&self, after: Offset) -> Option<Arc<TailBlock>> {
        let blocks = self.lock();
        let place = blocks.queue.partition_point(|(_, tail)| tail.block.last() <= after);
        let (_, tail) = blocks.queue.get(place)?;
        (tail.block.first.0 <= after.0 + 1).then(|| tail.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(first: i64, count: u32) -> Arc<Block> {
        Arc::new(Block { first: Offset(first), count, events: Bytes::from(vec![0x80; count as usize]) })
    }

    #[test]
    fn a_tail_is_contiguous_and_bounded_and_knows_what_it_lacks() {
        let tail = Tail::default();
        tail.push(&block(1, 2), false, 4);
        tail.push(&block(3, 2), false, 4);
        assert_eq!(tail.next(Offset(0)).map(|b| b.block.first), Some(Offset(1)));
        assert_eq!(tail.next(Offset(1)).map(|b| b.block.first), Some(Offset(1)));
        assert_eq!(tail.next(Offset(2)).map(|b| b.block.first), Some(Offset(3)));
        assert!(tail.next(Offset(4)).is_none());
        tail.push(&block(5, 3), true, 4);
        assert!(tail.next(Offset(2)).is_none(), "given way, or else the tail is over its bound");
        assert_eq!(tail.next(Offset(6)).map(|b| b.block.first), Some(Offset(5)));
        assert_eq!(tail.head(), (Offset(7), true));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_said_a_while_ago_gives_way_to_what_is_said_now() {
        let tail = Tail::default();
        tail.push(&block(1, 2), false, 100);
        tokio::time::advance(KEPT).await;
        tail.push(&block(3, 2), false, 100);
        assert!(tail.next(Offset(0)).is_some());
        tokio::time::advance(Duration::from_millis(1)).await;
        tail.push(&block(5, 1), false, 100);
        assert!(tail.next(Offset(0)).is_none());
        assert_eq!(tail.next(Offset(2)).map(|b| b.block.first), Some(Offset(3)));
        tokio::time::advance(KEPT * 2).await;
        assert!(tail.next(Offset(2)).is_some(), "where nothing is said, nothing has to give way");
    }

    #[test]
    fn a_gap_starts_the_tail_anew_and_a_late_block_is_dropped() {
        let tail = Tail::default();
        tail.push(&block(1, 2), false, 100);
        tail.push(&block(5, 1), false, 100);
        assert!(tail.next(Offset(0)).is_none());
        tail.push(&block(3, 2), false, 100);
        assert!(tail.next(Offset(2)).is_none());
        tail.reached(Offset(9), false);
        assert!(tail.next(Offset(4)).is_none());
        assert_eq!(tail.head(), (Offset(9), false));
    }
}
