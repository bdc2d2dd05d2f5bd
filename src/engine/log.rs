//! Writing a run's log: events are gathered while a commit is in flight, every commit is guarded by the lease, and whoever makes
//! events faster than they become durable is held back.

use std::sync::Arc;

use bytes::Bytes;
use crewline_protocol::{
    event::{RunEvent, WaitingFor},
    value::{Millis, RunId, encode},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::{
    leases::Lease,
    runs::{End, RunRow, Taken, finished_event},
    store::{Append, Commit, CommitError, Guard, RowChange, Store, StoreError},
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
    /// Boxed, for most have none, and there is room for many in the queue.
    change: Option<Box<Change>>,
    /// Told when it is written, and whether it was: what would change the row may be refused.
    written: Option<oneshot::Sender<bool>>,
    /// Its share of the bytes that may wait, given back when it is written.
    _room: OwnedSemaphorePermit,
}

/// What is written beside events.
enum Change {
    /// Rows.
    Rows(Vec<RowChange>),
    /// How far the run has come, where that is known anew, what it has taken, and rows.
    Progressed { fraction: Option<f64>, taken: Taken, at: Millis, rows: Vec<RowChange> },
    /// The run is put away; refused where its row has changed, or something that must hold does not.
    Parked { r#for: WaitingFor, taken: Taken, at: Millis, holds: Vec<Guard> },
    /// The run's end, with rows and other runs' events; refused where its row has changed, or something that must hold does not.
    Finished { end: End, taken: Taken, at: Millis, rows: Vec<RowChange>, others: Vec<Append>, holds: Vec<Guard> },
}

/// How writing ended.
#[derive(Debug)]
pub(super) enum Written {
    /// The run has finished.
    Finished,
    /// The run is put away: whoever queues it lets someone go on with it.
    Parked,
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

    /// The same, with rows.
    pub(super) async fn put_rows(&self, events: &[RunEvent], rows: Vec<RowChange>) {
        self.enter(events, Some(Change::Rows(rows)), None).await;
    }

    /// The same, with how far the run has come and what it has taken.
    pub(super) async fn put_progress(&self, events: &[RunEvent], fraction: f64, taken: Taken, at: Millis, rows: Vec<RowChange>) {
        self.enter(events, Some(Change::Progressed { fraction: Some(fraction), taken, at, rows }), None).await;
    }

    /// Puts events with what the run has taken.
    pub(super) async fn put_taken(&self, events: &[RunEvent], taken: Taken, at: Millis) {
        self.enter(events, Some(Change::Progressed { fraction: None, taken, at, rows: Vec::new() }), None).await;
    }

    /// Puts the run away: its row says that it waits, and nobody holds it. `false` where that was refused: somebody has just said
    /// something.
    pub(super) async fn park(&self, r#for: WaitingFor, taken: Taken, at: Millis, holds: Vec<Guard>) -> bool {
        self.enter_and_wait(&[], Some(Change::Parked { r#for, taken, at, holds })).await
    }

    /// Ends the run after these events: its row, its lease, its stream and what else this commit says together. `false` where that was
    /// refused: somebody has just said something.
    pub(super) async fn finish(&self, events: &[RunEvent], end: End, taken: Taken, at: Millis, with: Commit) -> bool {
        let Commit { rows, guards: holds, events: others, .. } = with;
        self.enter_and_wait(events, Some(Change::Finished { end, taken, at, rows, others, holds })).await
    }

    /// Waits until all that was put before is durable.
    pub(super) async fn written(&self) {
        self.enter_and_wait(&[], None).await;
    }

    async fn enter_and_wait(&self, events: &[RunEvent], change: Option<Change>) -> bool {
        let (written, is_written) = oneshot::channel();
        self.enter(events, change, Some(written)).await;
        match is_written.await {
            Ok(written) => written,
            Err(_) => std::future::pending().await,
        }
    }

    async fn enter(&self, events: &[RunEvent], change: Option<Change>, written: Option<oneshot::Sender<bool>>) {
        let events: Vec<Bytes> = events.iter().map(|event| encode(event).into()).collect();
        let bytes = events.iter().map(Bytes::len).sum();
        let share = u32::try_from(bytes).unwrap_or(u32::MAX).min(WAITING_BYTES);
        let room = self.room.clone().acquire_many_owned(share).await;
        let change = change.map(Box::new);
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
    /// Writes until the run has finished or is put away, the lease is lost, or all logs are gone.
    pub(super) async fn run(mut self) -> Written {
        while let Some(first) = self.entries.recv().await {
            let batch = self.gather(first);
            let wrote = match self.write(&batch).await {
                Ok(Wrote::Lost) => return Written::Lost,
                Err(error) => return Written::Failed(error),
                Ok(wrote) => wrote,
            };
            match batch.last().and_then(|entry| entry.change.as_deref()) {
                Some(Change::Finished { .. }) if matches!(wrote, Wrote::All) => return Written::Finished,
                Some(Change::Parked { .. }) if matches!(wrote, Wrote::All) => return Written::Parked,
                _ => {}
            }
            let last = batch.len() - 1;
            for (place, entry) in batch.into_iter().enumerate() {
                let refused = place == last && matches!(wrote, Wrote::Refused);
                // Whoever waited may have been cut off.
                let _ = entry.written.map(|written| written.send(!refused));
            }
        }
        Written::Left
    }

    /// What waits already, as far as one append goes and up to the first that changes rows.
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

    async fn write(&mut self, mut batch: &[Entry]) -> Result<Wrote, StoreError> {
        let mut refused = false;
        loop {
            let change = batch.last().and_then(|entry| entry.change.as_deref());
            let mut commit = Commit::default().guard(self.lease.guard());
            commit.events = appends(self.run.id, batch);
            if commit.events.is_empty() && change.is_none() {
                return Ok(if refused { Wrote::Refused } else { Wrote::All });
            }
            let changed = change.and_then(|change| self.changed(change));
            if let Some(change) = change {
                commit.workspace = Some(self.run.workspace_id);
                let (rows, holds): (&[RowChange], &[Guard]) = match change {
                    Change::Rows(rows) | Change::Progressed { rows, .. } => (rows, &[]),
                    Change::Finished { rows, holds, .. } => (rows, holds),
                    Change::Parked { holds, .. } => (&[], holds),
                };
                commit.guards.extend_from_slice(holds);
                commit.rows.extend_from_slice(rows);
            }
            if let Some(row) = &changed {
                commit = commit.replace(&self.run, row);
                commit = match change {
                    Some(Change::Finished { others, .. }) => {
                        commit.events.extend_from_slice(others);
                        commit.delete::<Lease>(row.id).append(row.id, &[finished_event(row, row.usage())])
                    }
                    Some(Change::Parked { r#for, at, .. }) => {
                        commit.delete::<Lease>(row.id).append(row.id, &[RunEvent::RunWaiting { at: *at, r#for: *r#for }])
                    }
                    Some(Change::Rows(_) | Change::Progressed { .. }) | None => commit,
                };
            }
            match self.store.commit(commit).await {
                Ok(committed) => {
                    if let Some((row, revision)) = changed.zip(committed.revision) {
                        self.run = RunRow { revision, ..row };
                    }
                    return Ok(if refused { Wrote::Refused } else { Wrote::All });
                }
                Err(CommitError::Guard(0)) => return Ok(Wrote::Lost),
                // Someone else has changed the row, by asking for something: the change is made anew on it as it is now, or whoever
                // wants it hears first what was asked. What came before it is written all the same.
                Err(CommitError::Guard(_)) => {
                    let row = self.store.get::<RunRow>(self.run.id).await?;
                    self.run = row.ok_or_else(|| StoreError::Failed(format!("run {} is gone", self.run.id)))?;
                    if matches!(change, Some(Change::Parked { .. } | Change::Finished { .. })) {
                        (batch, refused) = (&batch[..batch.len() - 1], true);
                    }
                }
                Err(CommitError::Store(error)) => return Err(error),
                Err(error) => return Err(StoreError::Failed(error.to_string())),
            }
        }
    }

    fn changed(&self, change: &Change) -> Option<RunRow> {
        match change {
            Change::Rows(_) => None,
            Change::Progressed { fraction, taken, at, .. } => Some(self.run.progressed(fraction.unwrap_or(self.run.progress), *taken, *at)),
            Change::Parked { r#for, taken, at, .. } => Some(self.run.parked(*r#for, *taken, *at)),
            Change::Finished { end, taken, at, .. } => Some(self.run.progressed(self.run.progress, *taken, *at).finished(end.clone(), *at)),
        }
    }
}

/// What became of a batch.
enum Wrote {
    /// All of it is written.
    All,
    /// All but what would have changed the run's row at its end.
    Refused,
    /// Nothing: the lease is someone else's.
    Lost,
}

/// The batch's events, in appends that are not longer than one may be.
fn appends(run: RunId, batch: &[Entry]) -> Vec<Append> {
    let events: Vec<&Bytes> = batch.iter().flat_map(|entry| &entry.events).collect();
    let (mut appends, mut rest) = (Vec::new(), &events[..]);
    while !rest.is_empty() {
        let mut bytes = 0;
        let fit = rest.iter().take_while(|event| {
            bytes += event.len();
            bytes <= APPEND_BYTES
        });
        let (these, later) = rest.split_at(fit.count().max(1));
        // As long as its events: what followers read stays in memory for a while.
        let encoded = Bytes::from(these.iter().map(|event| &event[..]).collect::<Vec<_>>().concat());
        appends.push(Append { run, count: u32::try_from(these.len()).unwrap_or(u32::MAX), events: encoded, complete: false });
        rest = later;
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
