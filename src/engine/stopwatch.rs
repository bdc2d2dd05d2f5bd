//! How long a piece of work may take: the time that it waits for people is not its own.

use std::{future::Future, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// Measures time that may be held.
pub(super) struct Stopwatch(watch::Sender<State>);

#[derive(Debug, Clone, Copy)]
struct State {
    left: Duration,
    /// Since when it runs.
    since: Instant,
    /// How many hold it.
    held: usize,
}

impl Stopwatch {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(State { left: Duration::ZERO, since: Instant::now(), held: 0 }))
    }

    /// What comes of the work; `None` where it takes more than this time.
    pub(super) async fn within<F: Future>(&self, time: Duration, work: F) -> Option<F::Output> {
        self.0.send_replace(State { left: time, since: Instant::now(), held: 0 });
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.run_out() => None,
        }
    }

    /// Holds it until this is dropped.
    pub(super) fn hold(&self) -> Held<'_> {
        self.0.send_modify(|state| {
            if state.held == 0 {
                state.left = state.left.saturating_sub(state.since.elapsed());
            }
            state.held += 1;
        });
        Held(self)
    }

    async fn run_out(&self) {
        let mut states = self.0.subscribe();
        loop {
            let State { left, since, held } = *states.borrow_and_update();
            tokio::select! {
                () = sleep_until(since + left), if held == 0 => return,
                // The sender is here.
                _ = states.changed() => {}
            }
        }
    }
}

/// A stopwatch that does not run.
pub(super) struct Held<'a>(&'a Stopwatch);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| {
            state.held -= 1;
            if state.held == 0 {
                state.since = Instant::now();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    #[tokio::test(start_paused = true)]
    async fn time_runs_out_but_for_what_it_was_held() {
        let (s, watch, begun) = (Duration::from_secs, Stopwatch::new(), Instant::now());
        assert_eq!(watch.within(s(5), sleep(s(4))).await, Some(()));
        let held = async {
            sleep(s(4)).await;
            let first = watch.hold();
            let second = watch.hold();
            sleep(s(100)).await;
            drop(first);
            sleep(s(100)).await;
            drop(second);
            sleep(s(60)).await;
        };
        assert_eq!(watch.within(s(10), held).await, None);
        assert_eq!(begun.elapsed(), s(214));
    }
}
