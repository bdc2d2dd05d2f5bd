//! One answer for all who follow it: what it is, and how it came to be that in the last while. A follower has a revision and takes
//! what comes after it; one who is too far behind takes the answer as it is. So who lags costs no memory.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use crewline_protocol::{
    fault::{Fault, FaultCode},
    follow::EndedWhy,
    value::Revision,
};
use tokio::{sync::Notify, time::Instant};

use super::{
    apply::{Applied, apply},
    diff::diff,
    feed::Transaction,
};
use crate::{
    hub::Mailbox,
    query::{Output, Plan, Shape},
};

/// How an answer ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum End {
    /// There was one, and it went.
    Gone(EndedWhy),
    /// There never was one.
    Refused(Fault),
}

/// What a follower takes next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// There is nothing yet.
    Nothing,
    /// Changes up to this revision, as an array.
    Changes(Revision, Bytes),
    /// The whole answer at this revision.
    Snapshot(Revision, Bytes),
    /// The end.
    Ended(EndedWhy),
}

/// A plan's answer, and who follows it.
pub(super) struct Shared {
    pub(super) plan: Arc<Plan>,
    /// The topics whose changes can change it.
    pub(super) topics: Vec<String>,
    state: Mutex<State>,
    /// Told when the first answer is there, or will never be.
    ready: Notify,
}

struct State {
    output: Option<Output>,
    /// As the wire has it; made when somebody takes it.
    encoded: Option<Bytes>,
    /// The answer is true at this revision, and was the same at all before it from `since` on, but for what `history` says.
    at: Revision,
    since: Revision,
    history: VecDeque<Step>,
    history_bytes: usize,
    followers: Vec<(Arc<Mailbox>, u64)>,
    end: Option<End>,
    reading: Reading,
    /// How long the last read took, and when it began.
    took: Duration,
    began: Option<Instant>,
}

/// How an answer became the next one.
struct Step {
    /// The last revision at which it had not.
    before: Revision,
    /// The first at which it was known to have.
    to: Revision,
    changes: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// What is known is all there is.
    Idle,
    /// It is to be read.
    Wanted,
    /// It is being read.
    Begun,
}

impl Shared {
    pub(super) fn new(plan: Arc<Plan>) -> Self {
        let state = State {
            output: None,
            encoded: None,
            at: Revision(0),
            since: Revision(0),
            history: VecDeque::new(),
            history_bytes: 0,
            followers: Vec::new(),
            end: None,
            reading: Reading::Wanted,
            took: Duration::ZERO,
            began: None,
        };
        Self { topics: plan.topics(), plan, state: Mutex::new(state), ready: Notify::new() }
    }

    pub(super) fn add(&self, mailbox: &Arc<Mailbox>, sub: u64) {
        self.lock().followers.push((mailbox.clone(), sub));
    }

    /// Removes a follower; `true` when it was the last.
    pub(super) fn remove(&self, mailbox: &Arc<Mailbox>, sub: u64) -> bool {
        let mut state = self.lock();
        state.followers.retain(|(other, other_sub)| !(*other_sub == sub && Arc::ptr_eq(other, mailbox)));
        state.followers.is_empty()
    }

    pub(super) fn is_followed(&self) -> bool {
        !self.lock().followers.is_empty()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.lock().end.is_some()
    }

    /// Waits for the first answer; says at which revision it is true.
    pub(super) async fn answered(&self) -> Result<Revision, Fault> {
        loop {
            let mut ready = std::pin::pin!(self.ready.notified());
            ready.as_mut().enable();
            {
                let state = self.lock();
                match &state.end {
                    Some(End::Refused(fault)) => return Err(fault.clone()),
                    Some(End::Gone(_)) => return Err(Fault::not_found()),
                    None if state.output.is_some() => return Ok(state.at),
                    None => {}
                }
            }
            ready.await;
        }
    }

    /// Whether who has the answer of this revision can be told what changed since; `None`: not known yet.
    pub(super) fn reaches(&self, from: Revision) -> Option<bool> {
        let state = self.lock();
        state.output.as_ref()?;
        Some(state.place(from).is_some())
    }

    /// What a follower takes who has the answer of this revision, or none.
    pub(super) fn next(&self, position: Option<Revision>) -> Next {
        let mut state = self.lock();
        if let Some(end) = &state.end {
            return match end {
                End::Gone(why) => Next::Ended(*why),
                // Who follows it has seen it, and sees it no more: a right was taken away.
                End::Refused(fault) if fault.code == FaultCode::NotFound => Next::Ended(EndedWhy::Forbidden),
                End::Refused(_) => Next::Ended(EndedWhy::Server),
            };
        }
        if state.output.is_none() {
            return Next::Nothing;
        }
        match position.and_then(|position| state.place(position)) {
            Some(place) => match state.history.get(place) {
                Some(step) => Next::Changes(step.to, step.changes.clone()),
                None => Next::Nothing,
            },
            None => {
                let at = state.at;
                state.encode(&self.plan).map_or(Next::Nothing, |value| Next::Snapshot(at, value))
            }
        }
    }

    /// When it is to be read, if it is; `now`: at once.
    pub(super) fn read_due(&self, now: Instant, gather: Duration) -> Option<Instant> {
        let state = self.lock();
        (state.reading == Reading::Wanted && state.end.is_none()).then(|| {
            // What takes long is not done all the time.
            state.began.map_or(now, |began| began + state.took + gather.max(4 * state.took))
        })
    }

    /// Reading begins; says at which revision what is known is true, if anything is.
    pub(super) fn begin_read(&self) -> Option<Revision> {
        let mut state = self.lock();
        state.reading = Reading::Begun;
        state.began = Some(Instant::now());
        state.output.as_ref().map(|_| state.at)
    }

    /// It was read: true at `at`, and the same since `since`.
    pub(super) fn was_read(&self, output: Output, at: Revision, since: Revision, history_bytes: usize) {
        let mut state = self.lock();
        state.read_is_done();
        match state.output.take() {
            Some(before) => {
                state.output = Some(before);
                state.become_(&self.plan, output, at, history_bytes);
            }
            None => {
                state.output = Some(output);
                (state.at, state.since) = (at, since);
                state.tell();
            }
        }
        drop(state);
        self.ready.notify_waiters();
    }

    /// It was found not to have changed.
    pub(super) fn was_confirmed(&self, at: Revision) {
        let mut state = self.lock();
        state.read_is_done();
        state.at = state.at.max(at);
    }

    /// It could not be read: it is tried again, unless nothing is known yet.
    pub(super) fn was_not_read(&self, fault: Fault) {
        let mut state = self.lock();
        state.read_is_done();
        if state.output.is_some() {
            state.reading = Reading::Wanted;
            state.took = state.took.max(Duration::from_millis(200));
        } else {
            state.end = Some(End::Refused(fault));
            state.tell();
        }
        drop(state);
        self.ready.notify_waiters();
    }

    /// There is no such row: it never was there, or has gone.
    pub(super) fn was_not_found(&self, fault: Fault) {
        let mut state = self.lock();
        state.read_is_done();
        state.end = Some(if state.output.is_some() { End::Gone(EndedWhy::Deleted) } else { End::Refused(fault) });
        state.tell();
        drop(state);
        self.ready.notify_waiters();
    }

    /// It is not kept up to date any more.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.end.get_or_insert_with(|| End::Refused(Fault::new(FaultCode::Cancelled, "nobody follows it any more")));
        drop(state);
        self.ready.notify_waiters();
    }

    /// The revision up to which it is known; `None` while it is read, or is to be.
    pub(super) fn known_to(&self) -> Option<Revision> {
        let state = self.lock();
        (state.reading == Reading::Idle && state.end.is_none()).then_some(state.at)
    }

    /// It is not known what happened since.
    pub(super) fn in_doubt(&self) {
        let mut state = self.lock();
        if state.reading == Reading::Idle {
            state.reading = Reading::Wanted;
        }
    }

    /// Takes in what was committed after what is known, up to `head`.
    pub(super) fn take(&self, transactions: &[Arc<Transaction>], head: Revision, history_bytes: usize) {
        let touching: Vec<_> = transactions.iter().flat_map(|transaction| transaction.touching(&self.topics)).collect();
        let mut state = self.lock();
        if state.reading != Reading::Idle || state.end.is_some() {
            return;
        }
        if touching.is_empty() {
            state.at = head;
            return;
        }
        let Some(before) = &state.output else { return };
        match apply(&self.plan, before, &touching) {
            Ok(Applied::Unchanged) => state.at = head,
            Ok(Applied::Changed(output)) => state.become_(&self.plan, output, head, history_bytes),
            Ok(Applied::Unknown) => state.reading = Reading::Wanted,
            Ok(Applied::Ended(why)) => {
                state.end = Some(End::Gone(why));
                state.tell();
            }
            Err(error) => {
                tracing::error!(%error, plan = %self.plan.name, "a changed row can't be read; the query is read again");
                state.reading = Reading::Wanted;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The place in the history of what who has the answer of this revision takes next; `None` where it does not tell.
    fn place(&self, position: Revision) -> Option<usize> {
        if position < self.since || position > self.at {
            return None;
        }
        let place = self.history.partition_point(|step| step.to <= position);
        // Within a step it is not known what was there.
        self.history.get(place).is_none_or(|step| position <= step.before).then_some(place)
    }

    fn become_(&mut self, plan: &Plan, output: Output, at: Revision, history_bytes: usize) {
        let Some(before) = self.output.as_ref() else { return };
        let list = match &plan.shape {
            Shape::List(list) => Some(list),
            Shape::Row(_) | Shape::Figures(_) => None,
        };
        let changes = diff(before, &output, list);
        if !changes.is_empty() {
            let step = Step { before: self.at, to: at, changes: changes.finish().into() };
            self.history_bytes += step.changes.len();
            self.history.push_back(step);
            while self.history_bytes > history_bytes {
                let Some(oldest) = self.history.pop_front() else { break };
                self.history_bytes -= oldest.changes.len();
                self.since = oldest.to;
            }
            self.output = Some(output);
            self.encoded = None;
            self.tell();
        }
        self.at = at;
    }

    fn encode(&mut self, plan: &Plan) -> Option<Bytes> {
        let list = match &plan.shape {
            Shape::List(list) => Some(list),
            Shape::Row(_) | Shape::Figures(_) => None,
        };
        let output = self.output.as_ref()?;
        Some(self.encoded.get_or_insert_with(|| output.encode(list)).clone())
    }

    fn read_is_done(&mut self) {
        self.reading = Reading::Idle;
        self.took = self.began.map_or(Duration::ZERO, |began| began.elapsed());
    }

    fn tell(&self) {
        for (mailbox, sub) in &self.followers {
            mailbox.grown(*sub);
        }
    }
}
