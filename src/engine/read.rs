//! Reading a run's log: to go on from it, and to hear what people say.

use std::sync::Arc;

use crewline_protocol::{
    encoded::{slices, type_of},
    event::RunEvent,
    value::{Offset, RunId, decode},
};
use tracing::warn;

use super::{
    history::History,
    people::{People, Said},
};
use crate::{
    hub::{Following, Hub, Mailbox},
    store::{Block, Store, StoreError},
};

/// Bytes of a log that are read at once.
const READ_BYTES: usize = 256 << 10;

/// What the events up to `head` say has been done.
///
/// # Errors
/// Where the log can't be read.
pub(super) async fn history(store: &Store, run: RunId, head: Offset) -> Result<History, StoreError> {
    let (mut history, mut after) = (History::default(), Offset(0));
    while after < head {
        let blocks = store.log_after(run, after, READ_BYTES).await?;
        let Some(last) = blocks.last() else { break };
        after = last.last();
        for block in &blocks {
            events(block)?.into_iter().for_each(|event| history.apply(event));
        }
    }
    Ok(history)
}

/// Goes through all that people have said to a run, as its log has it.
///
/// # Errors
/// Where the log can't be read.
pub(super) async fn each_said(store: &Store, run: RunId, mut hear: impl FnMut(&RunEvent)) -> Result<(), StoreError> {
    let mut after = Offset(0);
    loop {
        let blocks = store.log_after(run, after, READ_BYTES).await?;
        let Some(last) = blocks.last() else { return Ok(()) };
        after = last.last();
        let said = blocks.iter().flat_map(|block| slices(&block.events)).filter_map(Result::ok);
        let said = said.filter(|event| type_of(event).is_some_and(Said::hears));
        said.filter_map(|event| decode(event).ok()).for_each(|event| hear(&event));
    }
}

/// Hears what people say to a run: it follows the run's stream as anyone does.
pub(super) struct Listener<'a> {
    store: &'a Store,
    run: RunId,
    mailbox: Arc<Mailbox>,
    following: Following,
    /// The last event that was heard.
    after: Offset,
}

impl<'a> Listener<'a> {
    /// Begins to follow a run's stream.
    pub(super) fn new(store: &'a Store, hub: &Hub, run: RunId) -> Self {
        let mailbox = Arc::new(Mailbox::default());
        let following = hub.follow(run, &mailbox, 0);
        Self { store, run, mailbox, following, after: Offset(0) }
    }

    /// Hears what comes after this event, for ever.
    pub(super) async fn listen(&mut self, from: Offset, people: &People) {
        self.after = self.after.max(from);
        // What was written before the stream was followed was told to nobody here.
        self.catch_up(people).await;
        loop {
            self.mailbox.arrived().await;
            self.mailbox.take();
            self.hear(people).await;
        }
    }

    /// Hears all that is there, whether it was told of it or not.
    pub(super) async fn catch_up(&mut self, people: &People) {
        if let Some((_, stream)) = self.store.heads(&[self.run]).await.ok().and_then(|heads| heads.first().copied()) {
            self.following.tail.reached(stream.head, stream.complete);
        }
        self.hear(people).await;
    }

    async fn hear(&mut self, people: &People) {
        while let Some(block) = self.next().await {
            self.after = block.last();
            // A log that can't be read is found by who goes on from it; here it only delays a request.
            let said = slices(&block.events).filter_map(Result::ok).filter(|event| type_of(event).is_some_and(Said::hears));
            said.filter_map(|event| decode(event).ok()).for_each(|event| people.hear(&event));
        }
    }

    async fn next(&self) -> Option<Arc<Block>> {
        if let Some(tail) = self.following.tail.next(self.after) {
            return Some(tail.block.clone());
        }
        if self.following.tail.head().0 <= self.after {
            return None;
        }
        match self.store.log_after(self.run, self.after, 1).await {
            Ok(blocks) => blocks.into_iter().next(),
            Err(error) => {
                warn!(run = %self.run, %error, "the log can't be read for what people say; the next hint tries again");
                None
            }
        }
    }
}

/// A block's events.
///
/// # Errors
/// `Failed` where one can't be read: a later version of the program has written it.
pub fn events(block: &Block) -> Result<Vec<RunEvent>, StoreError> {
    let unreadable = |error: &dyn std::fmt::Display| StoreError::Failed(format!("the log holds an event that can't be read: {error}"));
    slices(&block.events).map(|event| decode(event.map_err(|error| unreadable(&error))?).map_err(|error| unreadable(&error))).collect()
}
