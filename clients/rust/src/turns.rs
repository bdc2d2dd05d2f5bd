//! Whose turn it is to be sent: now, or later.

use std::collections::{BTreeSet, VecDeque};

use tokio::time::Instant;

/// Numbers of things that are to be sent, in order; some of them not before a moment.
#[derive(Default)]
pub(crate) struct Turns {
    ready: VecDeque<u64>,
    delayed: BTreeSet<(Instant, u64)>,
}

impl Turns {
    /// To be sent now, after those that are.
    pub(crate) fn now(&mut self, number: u64) {
        self.ready.push_back(number);
    }
    /// To be sent when `due` has come.
    pub(crate) fn at(&mut self, due: Instant, number: u64) {
        self.delayed.insert((due, number));
    }
    /// The next one to be sent now.
    pub(crate) fn next(&mut self) -> Option<u64> {
        self.ready.pop_front()
    }
    /// When the next delayed one is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.delayed.first().map(|(due, _)| *due)
    }
    /// Makes ready what is due.
    pub(crate) fn wake(&mut self, now: Instant) {
        while let Some((due, number)) = self.delayed.first().copied().filter(|(due, _)| *due <= now) {
            self.delayed.remove(&(due, number));
            self.ready.push_back(number);
        }
    }
    /// Begins anew with these, all to be sent now.
    pub(crate) fn restart(&mut self, numbers: impl Iterator<Item = u64>) {
        self.delayed.clear();
        self.ready = numbers.collect();
    }
}
