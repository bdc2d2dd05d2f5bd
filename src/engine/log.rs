//! Writing a run's log: events are gathered while a commit is in flight, every commit is guarded by the lease, and whoever makes
//! events faster than they become durable is held back.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use crewline_protocol::{
    event::{RunEvent, Usage},
    value::{Millis, RunId, encode},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::{
    leases::Lease,
    runs::{End, RunRow, finished_event},
    store::{Append, Commit, CommitError, Store, StoreError},
};

/// Bytes of events that may wait to be written, for one run.
const WAITING_BYTES: u32 = 256 << 10;
/// Entries that may wait: small ones cost more than their bytes.
const WAITING: usize = 1_024;
/// Bytes of events in one append: a block is read and sent as it was written.
const APPEND_BYTES: usize = 128 << 10;

/// Where events are put.
#[derive(Clone)]
pub(super) struct Log {
    entries: mpsc::Sender<Entry>,
    room: Arc<Semaphore>,
}

/// What is written together.
struct Entry {
    events: Vec<Bytes>,
    bytes: usize,
    change: Option<Change>,
    /// Told when it is written.
    written: Option<oneshot::Sender<()>>,
    /// Its share of the bytes that may wait, given back when it is written.
    _room: OwnedSemaphorePermit,
}

/// How the run's row changes.
enum Change {
    Progressed(f64, Usage, Millis),
    Finished(End, Usage, Millis),
}

/// How writing ended.
#[derive(Debug)]
pub(super) enum Written {
    /// The run has finished.
    Finished,
    /// Whoever made the events has left, and all of them are written.
    Left,
    /// The lease is someone else's: nothing that came after was written.
    Lost,
    /// The database failed: what was in flight may be written or not, and the log says.
    Failed(StoreError),
}

/// Writes what is put into a [`Log`].
pub(super) struct Writer {
    entries: mpsc::Receiver<Entry>,
    store: Store,
    lease: Lease,
    run: RunRow,
}

/// A log and its writer, under this lease.
pub(super) fn open(store: Store, lease: Lease, run: RunRow) -> (Log, Writer) {
    let (sender, entries) = mpsc::channel(WAITING);
    let log = Log { entries: sender, room: Arc::new(Semaphore::new(WAITING_BYTES as usize)) };
    (log, Writer { entries, store, lease, run })
}

impl Log {
    /// Puts events that belong together: they are written in one commit.
    pub(super) async fn put(&self, events: &[RunEvent]) {
        self.enter(events, None, None).await;
    }

    /// Waits until all that was put before is durable.
    pub(super) async fn written(&self) {
        let (written, is_written) = oneshot::channel();
        self.enter(&[], None, Some(written)).await;
        if is_written.await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The same, with how far the run has come.
    pub(super) async fn put_progress(&self, events: &[RunEvent], progress: f64, usage: Usage, at: Millis) {
        self.enter(events, Some(Change::Progressed(progress, usage, at)), None).await;
    }

    /// Ends the run: its row, its lease and its stream together.
    pub(super) async fn finish(&self, end: End, usage: Usage, at: Millis) {
        self.enter(&[], Some(Change::Finished(end, usage, at)), None).await;
    }

    async fn enter(&self, events: &[RunEvent], change: Option<Change>, written: Option<oneshot::Sender<()>>) {
        let events: Vec<Bytes> = events.iter().map(|event| encode(event).into()).collect();
        let bytes = events.iter().map(Bytes::len).sum();
        let share = u32::try_from(bytes).unwrap_or(u32::MAX).min(WAITING_BYTES);
        let room = self.room.clone().acquire_many_owned(share).await;
        let entry = room.ok().map(|room| Entry { events, bytes, change, written, _room: room });
        let sent = match entry {
            Some(entry) => self.entries.send(entry).await.is_ok(),
            None => false,
        };
        if !sent {
            // The writer has ended, and with it the attempt: whoever executes it is about to be dropped.
            std::future::pending::<()>().await;
        }
    }
}

impl Writer {
    /// Writes until the run has finished, the lease is lost, or all logs are gone.
    pub(super) async fn run(mut self) -> Written {
        while let Some(first) = self.entries.recv().await {
            let batch = self.gather(first);
            let finishes = matches!(batch.last(), Some(Entry { change: Some(Change::Finished(..)), .. }));
            match self.write(&batch).await {
                Ok(true) if finishes => return Written::Finished,
                Ok(true) => {
                    for written in batch.into_iter().filter_map(|entry| entry.written) {
                        // Whoever waited may have been cut off.
                        let _ = written.send(());
                    }
                }
                Ok(false) => return Written::Lost,
                Err(error) => return Written::Failed(error),
            }
        }
        Written::Left
    }

    /// What waits already, as far as one append goes and up to the first that changes the row.
    fn gather(&mut self, first: Entry) -> Vec<Entry> {
        let mut bytes = first.bytes;
        let mut batch = vec![first];
        while bytes < APPEND_BYTES && batch.last().is_some_and(|entry| entry.change.is_none()) {
            let Ok(next) = self.entries.try_recv() else { break };
            bytes += next.bytes;
            batch.push(next);
        }
        batch
    }

    /// Whether the lease was still held.
    async fn write(&mut self, batch: &[Entry]) -> Result<bool, StoreError> {
        if batch.iter().all(|entry| entry.events.is_empty() && entry.change.is_none()) {
            return Ok(true);
        }
        loop {
            let changed = batch.last().and_then(|entry| entry.change.as_ref()).map(|change| self.changed(change));
            let mut commit = Commit::default().guard(self.lease.guard());
            commit.events = appends(self.run.id, batch);
            if let Some(row) = &changed {
                commit.workspace = Some(row.workspace_id);
                commit = commit.replace(&self.run, row);
                if row.status.is_final() {
                    commit = commit.delete::<Lease>(row.id).append(row.id, &[finished_event(row, row.usage())]);
                }
            }
            match self.store.commit(commit).await {
                Ok(committed) => {
                    if let Some((row, revision)) = changed.zip(committed.revision) {
                        self.run = RunRow { revision, ..row };
                    }
                    return Ok(true);
                }
                Err(CommitError::Guard(0)) => return Ok(false),
                // Someone else has changed the row, by asking for its end: the change is made anew on it as it is now.
                Err(CommitError::Guard(_)) => {
                    let row = self.store.get::<RunRow>(self.run.id).await?;
                    self.run = row.ok_or_else(|| StoreError::Failed(format!("run {} is gone", self.run.id)))?;
                }
                Err(CommitError::Store(error)) => return Err(error),
                Err(error) => return Err(StoreError::Failed(error.to_string())),
            }
        }
    }

    fn changed(&self, change: &Change) -> RunRow {
        match change {
            Change::Progressed(progress, usage, at) => self.run.progressed(*progress, *usage, *at),
            Change::Finished(end, usage, at) => self.run.progressed(self.run.progress, *usage, *at).finished(end.clone(), *at),
        }
    }
}

/// The batch's events, in appends that are not longer than one may be.
fn appends(run: RunId, batch: &[Entry]) -> Vec<Append> {
    let mut appends = Vec::new();
    let (mut events, mut count) = (BytesMut::new(), 0);
    for event in batch.iter().flat_map(|entry| &entry.events) {
        if count > 0 && events.len() + event.len() > APPEND_BYTES {
            appends.push(Append { run, count, events: events.split().freeze(), complete: false });
            count = 0;
        }
        events.extend_from_slice(event);
        count += 1;
    }
    if count > 0 {
        appends.push(Append { run, count, events: events.freeze(), complete: false });
    }
    appends
}

#[cfg(test)]
mod tests {
    use super::*;
    use crewline_protocol::event::LogLevel;

    async fn entry(bytes: usize, room: &Arc<Semaphore>) -> Entry {
        let event = RunEvent::LogWritten { at: Millis(0), level: LogLevel::Info, message: "x".repeat(bytes), fields: None };
        let events: Vec<Bytes> = vec![encode(&event).into()];
        Entry { bytes: events[0].len(), events, change: None, written: None, _room: room.clone().acquire_many_owned(1).await.unwrap() }
    }

    #[tokio::test]
    async fn no_append_is_longer_than_one_may_be_and_no_event_is_lost() {
        let room = Arc::new(Semaphore::new(100));
        let mut batch = Vec::new();
        for bytes in [10, 70_000, 70_000, 130_000, 200_000, 10, 10] {
            batch.push(entry(bytes, &room).await);
        }
        let run = crate::runs::test_row().id;
        let appends = appends(run, &batch);
        assert_eq!(appends.iter().map(|append| append.count).collect::<Vec<_>>(), [2, 1, 1, 1, 2]);
        let whole: Vec<u8> = batch.iter().flat_map(|entry| entry.events.iter().flatten().copied()).collect();
        assert_eq!(appends.iter().flat_map(|append| append.events.iter().copied()).collect::<Vec<u8>>(), whole);
    }
}
