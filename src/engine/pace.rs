//! How often models are called: so many times in any minute, over a crew and for an agent.

use std::{collections::VecDeque, sync::Mutex, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::stage::lock;

const MINUTE: Duration = Duration::from_secs(60);

/// The calls of the last minute, of which there may be so many.
pub(super) struct Pace {
    most: usize,
    made: Mutex<VecDeque<Instant>>,
}

impl Pace {
    /// At most so many calls in a minute; these ago, some were made already, the earliest first.
    pub(super) fn new(most: u32, made: impl IntoIterator<Item = Duration>) -> Self {
        let now = Instant::now();
        let made = made.into_iter().filter_map(|ago| now.checked_sub(ago)).collect();
        Self { most: most as usize, made: Mutex::new(made) }
    }

    /// Waits until one more call may be made, and counts it.
    pub(super) async fn turn(&self) {
        while let Some(free) = self.take() {
            sleep_until(free).await;
        }
    }

    /// Takes a place, or says when the next comes free.
    fn take(&self) -> Option<Instant> {
        let mut made = lock(&self.made);
        let now = Instant::now();
        while made.front().is_some_and(|first| *first + MINUTE <= now) {
            made.pop_front();
        }
        if made.len() >= self.most {
            return made.get(made.len() - self.most).map(|first| *first + MINUTE);
        }
        made.push_back(now);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use tokio::time::sleep;

    #[tokio::test(start_paused = true)]
    async fn no_minute_has_more_calls_than_it_may_have() {
        let s = Duration::from_secs;
        sleep(s(100)).await;
        let (pace, begun) = (Pace::new(3, [s(61), s(50)]), Instant::now());
        let calls = (0..8).map(|_| async {
            pace.turn().await;
            begun.elapsed().as_secs()
        });
        let mut at = join_all(calls).await;
        at.sort_unstable();
        assert_eq!(at, [0, 0, 10, 60, 60, 70, 120, 120]);
    }
}
