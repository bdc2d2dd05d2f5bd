//! What is followed: where each stands, what of it was read, and how much credit it is owed. Subscriptions end with a connection;
//! what is followed outlives it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crewline_protocol::{
    Fault,
    fault::Retry,
    follow::{Ended, EndedWhy, SubscribeOptions},
    frame::{Body, ClientFrame},
    value::encode,
};
use tokio::time::Instant;

use crate::{
    Clock,
    error::{FollowError, Stopped},
    reading::Taken,
    subject::{SPARE_PLACES, Subject, Undelivered},
    turns::Turns,
};

/// The least bytes that an `events` frame has on the wire: it bounds how many frames a window of credit can hold.
const LEAST_FRAME_BYTES: i64 = 6;
/// Full jitter before something is subscribed to again when nothing came of the last time: the first bound and the last.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Something that is followed.
pub(crate) struct Follow {
    subject: Subject,
    /// The offset, or the revision, up to which everything was put into the queue; absent: nothing was.
    position: Option<i64>,
    /// The most bytes that may be on their way or unread.
    window: i64,
    taken: Arc<Taken>,
    /// Bytes in the queue.
    unread: i64,
    /// Bytes that were read and not granted yet.
    owed: i64,
    /// Bytes of this subscription that the connection's credit still lacks.
    held: i64,
    /// On this connection.
    sub: Option<u64>,
    /// Subscriptions since the last frame that was applied.
    tries: u32,
}

impl Follow {
    /// To be followed from where it begins.
    pub(crate) fn new(subject: Subject, window: i64, taken: Arc<Taken>) -> Self {
        let position = subject.start();
        Self { subject, position, window, taken, unread: 0, owed: 0, held: 0, sub: None, tries: 0 }
    }
    /// The same, from a position.
    pub(crate) fn from(mut self, position: i64) -> Self {
        self.position = Some(position);
        self
    }
    /// How many places the queue of a reader with this window needs.
    pub(crate) fn places(window: i64) -> usize {
        usize::try_from(window / LEAST_FRAME_BYTES).unwrap_or(0) + SPARE_PLACES
    }
}

/// The peer broke a rule that bounds this side's memory.
#[derive(Debug)]
pub(crate) struct Overdrawn;

/// Everything that is followed, and what is to be said about them.
#[derive(Default)]
pub(crate) struct Follows {
    open: BTreeMap<u64, Follow>,
    last: u64,
    /// To be subscribed to now, or later when nothing came of the last time.
    turns: Turns,
    by_sub: HashMap<u64, u64>,
    /// The connection's credit to begin with, raised so that it holds every window: one reader who stops then never holds up another.
    connection_window: i64,
}

impl Follows {
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
    pub(crate) fn add(&mut self, follow: Follow) {
        self.last += 1;
        self.open.insert(self.last, follow);
        self.turns.now(self.last);
    }
    /// A connection was made: with this credit, and with positions that mean nothing any more where the epoch is another.
    pub(crate) fn connected(&mut self, credit_bytes: u64, another_epoch: bool) {
        self.connection_window = i64::try_from(credit_bytes).unwrap_or(i64::MAX);
        for follow in self.open.values_mut().filter(|_| another_epoch) {
            follow.position = follow.subject.start();
            follow.subject.restarted();
        }
    }
    /// The connection is gone: all are to be subscribed to again on the next.
    pub(crate) fn disconnected(&mut self) {
        self.open.retain(|_, follow| !follow.subject.is_abandoned());
        self.by_sub.clear();
        self.turns.restart(self.open.keys().copied());
        for follow in self.open.values_mut() {
            (follow.sub, follow.held, follow.owed) = (None, 0, 0);
            follow.subject.disconnected();
        }
    }
    /// Writes the `subscribe` of everything that is ready.
    pub(crate) fn subscribe_ready(&mut self, next_sub: &mut u64, mut say: impl FnMut(ClientFrame<'_>)) {
        while let Some(number) = self.turns.next() {
            let Some(follow) = self.open.get_mut(&number) else { continue };
            *next_sub += 1;
            let sub = *next_sub;
            // What was read meanwhile is room again, and what is unread is not.
            let taken = follow.taken.bytes.swap(0, Ordering::AcqRel);
            follow.unread -= taken;
            (follow.sub, follow.held, follow.owed) = (Some(sub), 0, 0);
            follow.tries += 1;
            let credit = (follow.window - follow.unread).max(0);
            let target = encode(&follow.subject.target());
            let options = SubscribeOptions { from: follow.position, credit: Some(credit) };
            let options = follow.subject.has_positions().then(|| encode(&options));
            self.by_sub.insert(sub, number);
            say(ClientFrame::Subscribe { sub, target: Body::own(&target), options: options.as_deref().map(Body::own) });
        }
        let windows: i64 = self.open.values().filter(|follow| follow.sub.is_some()).map(|follow| follow.window).sum();
        if windows > self.connection_window {
            say(ClientFrame::Credit { sub: 0, bytes: windows - self.connection_window });
            self.connection_window = windows;
        }
    }
    /// `subscribed` came.
    pub(crate) fn subscribed(&mut self, sub: u64, body: Body<'_>, say: impl FnMut(ClientFrame<'_>)) -> Result<(), Fault> {
        match self.follow(sub) {
            Some(follow) => follow.subject.begun(sub, body, say),
            None => Ok(()),
        }
    }
    /// `events` came, in a frame of so many bytes. The one rule of the protocol: a frame that begins where this side stands is applied, one
    /// that ends at or before it is dropped, and on anything else it is subscribed to again from where this side stands.
    pub(crate) fn events(
        &mut self,
        (sub, offset, span, bytes): (u64, i64, i64, i64),
        events: Body<'_>,
        clock: &Clock,
        mut say: impl FnMut(ClientFrame<'_>),
    ) -> Result<(), Overdrawn> {
        let Some(follow) = self.follow(sub) else {
            say(ClientFrame::Credit { sub: 0, bytes });
            return Ok(());
        };
        follow.held += bytes;
        if follow.position.is_some_and(|position| offset <= position) {
            say(ClientFrame::Credit { sub, bytes });
            say(ClientFrame::Credit { sub: 0, bytes });
            follow.held -= bytes;
            return Ok(());
        }
        if follow.position != Some(offset - span) {
            self.leave(sub, &mut say);
            self.again(sub, clock);
            return Ok(());
        }
        let delivered = follow.subject.events(offset, events, bytes);
        self.delivered(sub, (offset, bytes), delivered, say)
    }
    /// `snapshot` came, in a frame of so many bytes: whatever this side had, it stands there now.
    pub(crate) fn snapshot(
        &mut self,
        (sub, offset, bytes): (u64, i64, i64),
        value: Body<'_>,
        mut say: impl FnMut(ClientFrame<'_>),
    ) -> Result<(), Overdrawn> {
        let Some(follow) = self.follow(sub) else {
            say(ClientFrame::Credit { sub: 0, bytes });
            return Ok(());
        };
        follow.held += bytes;
        let delivered = follow.subject.snapshot(offset, value, bytes);
        self.delivered(sub, (offset, bytes), delivered, say)
    }
    /// `presence` came.
    pub(crate) fn presence(&mut self, sub: u64, member: Body<'_>, state: Body<'_>) -> Result<(), Fault> {
        self.follow(sub).map_or(Ok(()), |follow| follow.subject.present(member, state))
    }
    fn delivered(
        &mut self,
        sub: u64,
        (offset, bytes): (i64, i64),
        delivered: Result<(), Undelivered>,
        mut say: impl FnMut(ClientFrame<'_>),
    ) -> Result<(), Overdrawn> {
        match (delivered, self.follow(sub)) {
            (Err(Undelivered::Full), _) => Err(Overdrawn),
            (Err(Undelivered::Unreadable(error)), _) => {
                self.leave(sub, &mut say);
                self.finish(sub, Err(FollowError::Unreadable(error)));
                Ok(())
            }
            (Ok(()), follow) => {
                if let Some(follow) = follow {
                    (follow.position, follow.tries) = (Some(offset), 0);
                    follow.unread += bytes;
                }
                Ok(())
            }
        }
    }
    /// `ended` came.
    pub(crate) fn ended(&mut self, sub: u64, ended: Ended, clock: &Clock, mut say: impl FnMut(ClientFrame<'_>)) {
        let Some(follow) = self.follow(sub) else { return };
        let held = std::mem::take(&mut follow.held);
        if held > 0 {
            say(ClientFrame::Credit { sub: 0, bytes: held });
        }
        match (ended.why, ended.fault) {
            (EndedWhy::Complete, _) => self.finish(sub, Ok(())),
            (EndedWhy::Forbidden, _) => self.finish(sub, Err(FollowError::Forbidden)),
            (EndedWhy::Deleted, _) => self.finish(sub, Err(FollowError::Deleted)),
            (EndedWhy::Server, _) => self.again(sub, clock),
            (EndedWhy::Refused, Some(fault)) if matches!(fault.retry, Retry::After | Retry::SameKey) => self.again(sub, clock),
            (EndedWhy::Refused, fault) => {
                let fault = fault.unwrap_or_else(Fault::not_found);
                self.finish(sub, Err(FollowError::Refused(fault)));
            }
        }
    }
    /// Grants what was read, in halves of the window so that credit costs few frames, and leaves what nobody reads any more.
    pub(crate) fn settle(&mut self, mut say: impl FnMut(ClientFrame<'_>)) {
        let mut gone = Vec::new();
        for (number, follow) in &mut self.open {
            if follow.subject.is_abandoned() {
                gone.push((*number, follow.sub));
                continue;
            }
            // Unless it is subscribed to, the next subscription's credit says it.
            let Some(sub) = follow.sub else { continue };
            follow.subject.tell_state(sub, false, &mut say);
            let taken = follow.taken.bytes.swap(0, Ordering::AcqRel);
            follow.unread -= taken;
            follow.owed += taken;
            if follow.owed > 0 && follow.owed >= follow.window / 2 {
                say(ClientFrame::Credit { sub, bytes: follow.owed });
                let back = follow.owed.min(follow.held);
                if back > 0 {
                    say(ClientFrame::Credit { sub: 0, bytes: back });
                }
                follow.held -= back;
                follow.owed = 0;
            }
        }
        for (number, sub) in gone {
            if let Some(sub) = sub {
                self.leave(sub, &mut say);
                self.by_sub.remove(&sub);
            }
            self.open.remove(&number);
        }
    }
    /// When the next one is to be subscribed to again.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.turns.next_due()
    }
    /// Makes ready what is due.
    pub(crate) fn wake(&mut self, now: Instant) {
        self.turns.wake(now);
    }
    /// Ends all.
    pub(crate) fn stop(&mut self, stopped: &Stopped) {
        self.by_sub.clear();
        for follow in std::mem::take(&mut self.open).into_values() {
            follow.subject.end(Err(FollowError::Stopped(stopped.clone())));
        }
    }

    fn follow(&mut self, sub: u64) -> Option<&mut Follow> {
        self.open.get_mut(self.by_sub.get(&sub)?)
    }
    /// Unsubscribes, and gives the connection back what the subscription still holds of its credit.
    fn leave(&mut self, sub: u64, say: &mut impl FnMut(ClientFrame<'_>)) {
        say(ClientFrame::Unsubscribe { sub });
        if let Some(held) = self.follow(sub).map(|follow| std::mem::take(&mut follow.held)).filter(|held| *held > 0) {
            say(ClientFrame::Credit { sub: 0, bytes: held });
        }
    }
    /// Subscribes again: at once, or later when nothing came of the last time.
    fn again(&mut self, sub: u64, clock: &Clock) {
        let Some(number) = self.by_sub.remove(&sub) else { return };
        let Some(follow) = self.open.get_mut(&number) else { return };
        follow.sub = None;
        follow.subject.disconnected();
        if follow.tries == 0 {
            self.turns.now(number);
        } else {
            let wait = clock.jitter(AGAIN.0, AGAIN.1, follow.tries);
            self.turns.at(Instant::now() + wait, number);
        }
    }
    fn finish(&mut self, sub: u64, end: Result<(), FollowError>) {
        if let Some(follow) = self.by_sub.remove(&sub).and_then(|number| self.open.remove(&number)) {
            follow.subject.end(end);
        }
    }
}
