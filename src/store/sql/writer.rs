//! The writer: the only one who writes. Each of its lanes takes what is queued as one group; while that is carried out, the
//! next gathers.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{JoinHandle, yield_now},
    time::timeout,
};

use super::{
    carry::{Carried, Carrier},
    driver::{Connection, Failure, Options, Purpose},
    order::Order,
};
use crate::{
    settings::store::{ATTEMPTS, GROUP_BYTES, GROUP_COMMITS, LANES, QUEUE, STATEMENT_TIMEOUT},
    store::{Commit, CommitError, Committed, RowChange, StoreError, Tell, Value, schema},
};

pub(super) struct Writer {
    lanes: Vec<mpsc::Sender<Job>>,
    /// One for each lane.
    progress: Vec<watch::Receiver<Progress>>,
    closing: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

struct Job {
    commit: Commit,
    answer: oneshot::Sender<Result<Committed, CommitError>>,
}

/// The groups that a lane has taken, and those of them that it has told of or given up: each counts up from 0.
#[derive(Default)]
struct Progress {
    taken: u64,
    ended: u64,
}

/// One task and one connection, which carry groups out one after another.
struct Lane {
    progress: watch::Sender<Progress>,
    options: Options,
    connection: Option<Connection>,
    carrier: Carrier,
    tell: Tell,
}

impl Writer {
    /// Starts the writer, one lane with this connection.
    pub(super) fn start(options: &Options, connection: Connection, tell: &Tell) -> Self {
        let lanes = match options {
            Options::Sqlite(_) => 1,
            Options::Postgres(_) => LANES,
        };
        let order = Arc::new(Order::default());
        let (closing, closed) = watch::channel(false);
        let mut connection = Some(connection);
        let start = |_| {
            let (sender, queue) = mpsc::channel(QUEUE);
            let carrier = Carrier::new(options.lock(), order.clone());
            let (progress, seen) = watch::channel(Progress::default());
            let lane = Lane { progress, options: options.clone(), connection: connection.take(), carrier, tell: tell.clone() };
            (sender, (seen, tokio::spawn(lane.work(queue, closed.clone()))))
        };
        let (lanes, (progress, tasks)) = (0..lanes).map(start).unzip();
        Self { lanes, progress, closing, tasks: Mutex::new(tasks) }
    }

    pub(super) async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        let (answer, answered) = oneshot::channel();
        let lane = &self.lanes[lane_of(&commit, self.lanes.len())];
        lane.send(Job { commit, answer }).await.map_err(|_| StoreError::closed())?;
        answered.await.map_err(|_| StoreError::closed())?
    }

    /// Waits until every commit that can be read now has been told of.
    pub(super) async fn settled(&self) {
        for lane in &self.progress {
            let mut lane = lane.clone();
            let taken = lane.borrow().taken;
            // A lane that has ended tells nothing more.
            let _ = lane.wait_for(|progress| progress.ended >= taken).await;
        }
    }

    /// Finishes what is queued.
    pub(super) async fn close(&self) {
        self.closing.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            // A lane that panicked has dropped its questions: who asked them knows.
            let _ = task.await;
        }
    }
}

/// What writes the same workspace, or the same stream without one, goes through the same lane, in order.
fn lane_of(commit: &Commit, lanes: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    match (commit.workspace, commit.events.first(), commit.rows.first()) {
        (Some(workspace), ..) => workspace.hash(&mut hasher),
        (None, Some(append), _) => append.run.hash(&mut hasher),
        (None, None, Some(RowChange::Put { values, .. })) => hash(values.first(), &mut hasher),
        (None, None, Some(RowChange::Delete { id, .. })) => hash(Some(id), &mut hasher),
        (None, None, None) => {}
    }
    // The remainder is below the number of lanes, which is small.
    usize::try_from(hasher.finish() % lanes as u64).unwrap_or(0)
}

fn hash(id: Option<&Value>, hasher: &mut DefaultHasher) {
    if let Some(Value::Text(text)) = id {
        text.hash(hasher);
    }
}

impl Lane {
    async fn work(mut self, mut queue: mpsc::Receiver<Job>, mut closing: watch::Receiver<bool>) {
        let mut left = None;
        loop {
            let first = match left.take() {
                Some(left) => Some(left),
                None => tokio::select! {
                    first = queue.recv() => first,
                    // Also when the store is dropped without being closed.
                    _ = closing.wait_for(|closing| *closing), if !queue.is_closed() => {
                        queue.close();
                        continue;
                    }
                },
            };
            let Some(first) = first else { break };
            // Those whom the last group has answered have their next commit ready now: let them queue it, or the first of them
            // would have a transaction to itself.
            yield_now().await;
            let group;
            (group, left) = gather(first, &mut queue);
            self.progress.send_modify(|progress| progress.taken += 1);
            let carried = self.carry_out(group).await;
            self.progress.send_modify(|progress| progress.ended = progress.taken);
            if let Err(reason) = carried {
                // Those who waited meanwhile are told now, rather than after as long again.
                while let Ok(job) = queue.try_recv() {
                    answer(job, Err(StoreError::Unavailable(reason.clone()).into()));
                }
            }
        }
        if let Some(connection) = self.connection.take() {
            connection.close().await;
        }
    }

    /// Carries a group out, in parts where one of its commits spoils it for the others. The error means that the database is away.
    async fn carry_out(&mut self, group: Vec<Job>) -> Result<(), String> {
        let mut parts = vec![group];
        while let Some(mut part) = parts.pop() {
            match self.try_often(&part).await {
                Ok(carried) => self.finish(part, carried).await,
                Err(Failure::Again(reason) | Failure::Away(reason)) => {
                    for job in parts.into_iter().rev().flatten().chain(part) {
                        answer(job, Err(StoreError::Unavailable(reason.clone()).into()));
                    }
                    return Err(reason);
                }
                Err(_) if part.len() > 1 => {
                    let second = part.split_off(part.len() / 2);
                    parts.extend([second, part]);
                }
                Err(Failure::Unique(table)) => part.into_iter().for_each(|job| answer(job, Err(CommitError::Taken(table.clone())))),
                Err(Failure::Broken(reason)) => {
                    part.into_iter().for_each(|job| answer(job, Err(StoreError::Failed(reason.clone()).into())));
                }
            }
        }
        Ok(())
    }

    async fn try_often(&mut self, part: &[Job]) -> Result<Carried, Failure> {
        let commits: Vec<&Commit> = part.iter().map(|job| &job.commit).collect();
        let mut attempt = 1;
        loop {
            let used = self.connection.is_some();
            let connection = match self.connection.take() {
                Some(connection) => connection,
                None => self.options.connect(Purpose::Write).await?,
            };
            match timeout(STATEMENT_TIMEOUT, self.try_once(connection, &commits)).await {
                Ok(Err(Tried::NotBegun(_))) if used => {}
                Ok(Err(Tried::NotBegun(failure) | Tried::Failed(failure))) => match failure {
                    Failure::Again(_) if attempt < ATTEMPTS => attempt += 1,
                    // Another node may have made the row, or kept the reply, that was absent when it was looked for: the commit
                    // looks again, and is told so.
                    Failure::Unique(_) if attempt == 1 && commits.len() == 1 => attempt = ATTEMPTS,
                    failure => return Err(failure),
                },
                Ok(Ok(carried)) => return Ok(carried),
                Err(_) => return Err(Failure::Away("it did not answer in time".into())),
            }
        }
    }

    /// Carries commits out in one transaction. A connection that fails, or is left in the middle, is not used again.
    async fn try_once(&mut self, mut connection: Connection, commits: &[&Commit]) -> Result<Carried, Tried> {
        connection.execute(self.options.begin()).await.map_err(Tried::NotBegun)?;
        let carried = match self.carrier.carry(&mut connection, commits).await {
            Ok(carried) => connection.execute("COMMIT").await.map(|()| carried),
            Err(failure) => Err(failure),
        };
        let sound = match &carried {
            Ok(_) => true,
            Err(Failure::Away(_)) => false,
            Err(_) => connection.execute("ROLLBACK").await.is_ok(),
        };
        if sound {
            self.connection = Some(connection);
        }
        carried.map_err(Tried::Failed)
    }

    /// Tells, then answers.
    async fn finish(&self, part: Vec<Job>, carried: Carried) {
        carried.turn.come().await;
        if !carried.told.is_empty() {
            (self.tell)(carried.told);
        }
        drop(carried.turn);
        let mut results: Vec<Option<Result<Committed, CommitError>>> = part.iter().map(|_| None).collect();
        let committed = carried.committed.into_iter().map(|(place, committed)| (place, Ok(committed)));
        for (place, result) in committed.chain(carried.refused.into_iter().map(|(place, error)| (place, Err(error)))) {
            results[place] = Some(result);
        }
        for (job, result) in part.into_iter().zip(results) {
            answer(job, result.unwrap_or_else(|| Ok(Committed::default())));
        }
    }
}

/// How far a transaction came.
enum Tried {
    /// Nothing was asked of the database: a connection that was lost while it lay idle shows itself here.
    NotBegun(Failure),
    Failed(Failure),
}

/// The first and what is queued behind it, as much as one transaction takes, and one that was taken too much.
///
/// Of the commits that write to a table with unique columns a transaction takes one: what a group leaves in a row is written
/// once, so that a value which one of them takes while another still has it would not be noticed.
fn gather(first: Job, queue: &mut mpsc::Receiver<Job>) -> (Vec<Job>, Option<Job>) {
    let mut bytes = size(&first.commit);
    let mut exclusive = is_exclusive(&first.commit);
    let mut group = vec![first];
    while group.len() < GROUP_COMMITS && bytes < GROUP_BYTES {
        let Ok(job) = queue.try_recv() else { break };
        if is_exclusive(&job.commit) {
            if exclusive {
                return (group, Some(job));
            }
            exclusive = true;
        }
        bytes += size(&job.commit);
        group.push(job);
    }
    (group, None)
}

fn is_exclusive(commit: &Commit) -> bool {
    commit.rows.iter().any(|change| match change {
        RowChange::Put { table, .. } | RowChange::Delete { table, .. } => schema::has_unique(table.name),
    })
}

/// About how many bytes a commit writes.
fn size(commit: &Commit) -> usize {
    let events: usize = commit.events.iter().map(|append| append.events.len()).sum();
    let text = |value: &Value| match value {
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len(),
        Value::Null | Value::Integer(_) | Value::Real(_) => 8,
    };
    let row = |change: &RowChange| match change {
        RowChange::Put { values, .. } => values.iter().map(text).sum(),
        RowChange::Delete { .. } => 40,
    };
    events + commit.rows.iter().map(row).sum::<usize>()
}

fn answer(job: Job, result: Result<Committed, CommitError>) {
    // Who went away does not need it.
    let _ = job.answer.send(result);
}
