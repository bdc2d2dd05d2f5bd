//! What was committed in a workspace in the last while, and the task that brings its answers up to date.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crewline_protocol::{
    fault::{Fault, FaultCode},
    value::{Revision, WorkspaceId},
};
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::shared::Shared;
use crate::{
    query::{Output, ReadError, read},
    store::{Before, Change, Store, StoreError, Value},
};

/// Reads of one workspace's answers at once, so that it leaves readers to others.
const READS: usize = 4;

/// Bounds of a workspace's live queries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// How long changes are gathered.
    pub(super) gather: Duration,
    /// Bytes of changes kept for each answer.
    pub(super) history_bytes: usize,
    /// Bytes of changed rows kept for answers that are being read.
    pub(super) feed_bytes: usize,
}

/// What one commit changed.
#[derive(Debug)]
pub(super) struct Transaction {
    revision: Revision,
    /// Each change with its topic.
    changes: Vec<(String, Change)>,
    bytes: usize,
}

/// A workspace's answers, and what was committed in it.
pub(super) struct Feed {
    pub(super) workspace: WorkspaceId,
    tail: Mutex<Tail>,
    /// By their plans' names.
    pub(super) answers: Mutex<HashMap<String, Arc<Shared>>>,
    arrived: Notify,
}

#[derive(Default)]
struct Tail {
    transactions: VecDeque<Arc<Transaction>>,
    bytes: usize,
    /// The last revision that is known to have been committed.
    head: Revision,
}

/// How a read ended.
enum Done {
    Read(Output, Revision, Revision),
    Same(Revision),
    Failed(ReadError),
}

impl Transaction {
    pub(super) fn new(revision: Revision, changes: &[Change]) -> Self {
        let bytes = changes.iter().map(size).sum();
        Self { revision, changes: changes.iter().map(|change| (change.topic(), change.clone())).collect(), bytes }
    }
    /// Its changes of these topics.
    pub(super) fn touching<'a>(&'a self, topics: &'a [String]) -> impl Iterator<Item = (&'a str, &'a Change)> {
        let of_topic = |(topic, _): &&(String, Change)| topics.contains(topic);
        self.changes.iter().filter(of_topic).map(|(topic, change)| (topic.as_str(), change))
    }
}

impl Feed {
    pub(super) fn new(workspace: WorkspaceId) -> Self {
        Self { workspace, tail: Mutex::default(), answers: Mutex::default(), arrived: Notify::new() }
    }

    /// Wakes the task: somebody has begun or stopped to follow.
    pub(super) fn wake(&self) {
        self.arrived.notify_one();
    }

    /// A commit is durable.
    pub(super) fn push(&self, transaction: Transaction, bounds: Bounds) {
        let mut tail = self.tail();
        if transaction.revision <= tail.head {
            return;
        }
        if transaction.revision.0 != tail.head.0 + 1 {
            tail.forget();
        }
        tail.head = transaction.revision;
        tail.bytes += transaction.bytes;
        tail.transactions.push_back(Arc::new(transaction));
        while tail.bytes > bounds.feed_bytes {
            let Some(oldest) = tail.transactions.pop_front() else { break };
            tail.bytes -= oldest.bytes;
        }
        drop(tail);
        self.wake();
    }

    /// The database has a revision that may not have been told here.
    pub(super) fn reached(&self, revision: Revision) {
        let mut tail = self.tail();
        if revision > tail.head {
            tail.forget();
            tail.head = revision;
            drop(tail);
            self.wake();
        }
    }

    /// Keeps the answers up to date until nobody follows any.
    pub(super) async fn keep(&self, store: &Store, bounds: Bounds) {
        let mut reads: FuturesUnordered<BoxFuture<'static, (Arc<Shared>, Done)>> = FuturesUnordered::new();
        let mut last_round = Instant::now();
        loop {
            if self.drop_unfollowed() {
                return;
            }
            let next_read = self.round(&mut reads, store, bounds);
            tokio::select! {
                () = self.arrived.notified() => {
                    // What comes soon after goes with it. The first in a while does not wait.
                    sleep_until(last_round + bounds.gather).await;
                    last_round = Instant::now();
                }
                Some((shared, done)) = reads.next() => finish(&shared, done, bounds),
                () = sleep_until(next_read.unwrap_or_else(Instant::now)), if next_read.is_some() => {}
            }
        }
    }

    /// Brings each answer up to date by what was committed, or begins to read it. Says when the next is to be read.
    fn round(
        &self,
        reads: &mut FuturesUnordered<BoxFuture<'static, (Arc<Shared>, Done)>>,
        store: &Store,
        bounds: Bounds,
    ) -> Option<Instant> {
        let answers: Vec<Arc<Shared>> = self.answers().values().cloned().collect();
        let (now, mut next) = (Instant::now(), None::<Instant>);
        for shared in answers {
            if let Some(known) = shared.known_to() {
                match self.tail().after(known) {
                    Some((transactions, head)) if head > known => shared.take(&transactions, head, bounds.history_bytes),
                    Some(_) => {}
                    None => shared.in_doubt(),
                }
            }
            let Some(due) = shared.read_due(now, bounds.gather) else { continue };
            if reads.len() >= READS {
                continue;
            }
            if due > now {
                next = Some(next.map_or(due, |next| next.min(due)));
                continue;
            }
            let known = shared.begin_read();
            let (store, workspace) = (store.clone(), self.workspace);
            reads.push(Box::pin(async move {
                let done = read_anew(&shared, known, &store, workspace).await;
                (shared, done)
            }));
        }
        next
    }

    /// Forgets the answers that nobody follows any more; `true` when there are no others.
    fn drop_unfollowed(&self) -> bool {
        let mut answers = self.answers();
        answers.retain(|_, shared| {
            let kept = shared.is_followed() && !shared.has_ended();
            if !kept {
                shared.abandon();
            }
            kept
        });
        answers.is_empty()
    }

    pub(super) fn answers(&self) -> MutexGuard<'_, HashMap<String, Arc<Shared>>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tail {
    /// What was committed after this revision, and the last of it; `None` where that is not known any more.
    fn after(&self, revision: Revision) -> Option<(Vec<Arc<Transaction>>, Revision)> {
        if revision >= self.head {
            return Some((Vec::new(), revision));
        }
        let first = self.transactions.front()?;
        if first.revision.0 > revision.0 + 1 {
            return None;
        }
        let start = self.transactions.partition_point(|transaction| transaction.revision <= revision);
        Some((self.transactions.range(start..).cloned().collect(), self.head))
    }

    fn forget(&mut self) {
        self.transactions.clear();
        self.bytes = 0;
    }
}

async fn read_anew(shared: &Shared, known: Option<Revision>, store: &Store, workspace: WorkspaceId) -> Done {
    let reading = async {
        let mut snapshot = store.snapshot().await?;
        let at = snapshot.revision(workspace).await?;
        let since = snapshot.touched(workspace, &shared.topics).await?;
        if known.is_some_and(|known| since <= known) {
            return Ok(Done::Same(at));
        }
        let output = read(&shared.plan, &mut snapshot).await?;
        Ok(Done::Read(output, at, since))
    };
    let done = reading.await.unwrap_or_else(Done::Failed);
    // What is read may be durable before it is told: a right that was taken away in it is known to be gone before it is passed on.
    store.settled().await;
    done
}

fn finish(shared: &Shared, done: Done, bounds: Bounds) {
    match done {
        Done::Read(output, at, since) => shared.was_read(output, at, since, bounds.history_bytes),
        Done::Same(at) => shared.was_confirmed(at),
        Done::Failed(ReadError::Fault(fault)) => shared.was_not_found(fault),
        Done::Failed(ReadError::Store(error)) => {
            tracing::warn!(%error, plan = %shared.plan.name, "a live query can't be read; it is tried again");
            shared.was_not_read(unavailable(&error));
        }
    }
}

fn unavailable(error: &StoreError) -> Fault {
    match error {
        StoreError::Unavailable(_) => Fault::new(FaultCode::Unavailable, "the database is away: subscribe again"),
        StoreError::Failed(_) | StoreError::Malformed { .. } => {
            Fault::new(FaultCode::Internal, "something is wrong in the server: its log has more")
        }
    }
}

/// About how many bytes a change holds in memory.
fn size(change: &Change) -> usize {
    let text = |value: &Value| match value {
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len(),
        Value::Null | Value::Integer(_) | Value::Real(_) => 8,
    };
    let before = match &change.before {
        Before::Row(row) => Some(row),
        Before::Absent | Before::Unknown => None,
    };
    let rows = before.into_iter().chain(&change.after);
    64 + rows.map(|row| row.values().iter().map(text).sum::<usize>()).sum::<usize>()
}
