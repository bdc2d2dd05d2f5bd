//! Reading a run's log: to go on from it, and to hear that someone asks for the run's end.

use std::sync::Arc;

use crewline_protocol::{
    encoded::slices,
    event::RunEvent,
    operations::run::CancelMode,
    value::{Offset, RunId, decode},
};
use tokio::sync::watch;
use tracing::warn;

use super::history::History;
use crate::{
    hub::{Following, Mailbox},
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

/// Tells how someone asks for the run's end, whenever someone does. It follows the run's stream as anyone does.
pub(super) async fn tell_cancels(
    store: &Store,
    mailbox: &Mailbox,
    following: &Following,
    run: RunId,
    from: Offset,
    told: &watch::Sender<Option<CancelMode>>,
) {
    // What was written before the stream was followed was told to nobody here.
    if let Some((_, stream)) = store.heads(&[run]).await.ok().and_then(|heads| heads.first().copied()) {
        following.tail.reached(stream.head, stream.complete);
    }
    let mut after = from;
    loop {
        while let Some(block) = next(store, following, run, after).await {
            after = block.last();
            // A log that can't be read is found by who goes on from it; here it only delays a request.
            for event in events(&block).unwrap_or_default() {
                if let RunEvent::RunCancelRequested { mode, .. } = event {
                    told.send_replace(Some(mode));
                }
            }
        }
        mailbox.arrived().await;
        mailbox.take();
    }
}

async fn next(store: &Store, following: &Following, run: RunId, after: Offset) -> Option<Arc<Block>> {
    if let Some(tail) = following.tail.next(after) {
        return Some(tail.block.clone());
    }
    if following.tail.head().0 <= after {
        return None;
    }
    match store.log_after(run, after, 1).await {
        Ok(blocks) => blocks.into_iter().next(),
        Err(error) => {
            warn!(%run, %error, "the log can't be read for requests to cancel; the next hint tries again");
            None
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
