//! How many branches of a run are at work, and how many wait for people: when none works any more and some wait, the run can be put
//! away until it has its answer.

use std::future::Future;

use futures::future::join_all;
use tokio::sync::watch;

/// The branches of one attempt.
pub(super) struct Branches(watch::Sender<Count>);

#[derive(Debug, Clone, Copy)]
struct Count {
    working: isize,
    waiting: isize,
}

impl Branches {
    /// One branch, at work.
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Count { working: 1, waiting: 0 }))
    }

    /// Lets a branch fork, and go on when all that came of it have come to their ends; the results stay in order.
    pub(super) async fn side_by_side<F: Future>(&self, forks: impl IntoIterator<Item = F>) -> Vec<F::Output> {
        let forks: Vec<_> = forks
            .into_iter()
            .map(|fork| {
                let working = self.count(1, 0);
                async move {
                    let output = fork.await;
                    drop(working);
                    output
                }
            })
            .collect();
        let _forked = self.count(-1, 0);
        join_all(forks).await
    }

    /// Lets a branch wait for a person.
    pub(super) async fn waits<F: Future>(&self, answer: F) -> F::Output {
        let _waits = self.count(-1, 1);
        answer.await
    }

    /// Comes to its end when all branches wait. It must be polled by the task that polls the branches: while those are polled, what
    /// is counted means nothing.
    pub(super) async fn all_wait(&self) {
        let mut counts = self.0.subscribe();
        // The sender is here.
        let _ = counts.wait_for(|count| count.working == 0 && count.waiting > 0).await;
    }

    /// Counts until it is dropped: a branch may be cut off anywhere.
    fn count(&self, working: isize, waiting: isize) -> Counted<'_> {
        self.add(working, waiting);
        Counted { branches: self, working, waiting }
    }

    fn add(&self, working: isize, waiting: isize) {
        self.0.send_modify(|count| {
            count.working += working;
            count.waiting += waiting;
        });
    }
}

struct Counted<'a> {
    branches: &'a Branches,
    working: isize,
    waiting: isize,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.branches.add(-self.working, -self.waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::{
        select,
        time::{Instant, sleep},
    };

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn all_wait_when_no_branch_works_any_more() {
        let (branches, begun) = (Branches::new(), Instant::now());
        let inner = || async {
            let waits = async |after| {
                sleep(s(after)).await;
                branches.waits(sleep(s(60))).await;
            };
            let both = [Box::pin(waits(1)) as std::pin::Pin<Box<dyn Future<Output = ()>>>, Box::pin(waits(3))];
            branches.side_by_side(both).await;
        };
        let works = async { sleep(s(7)).await };
        let all = [Box::pin(inner()) as std::pin::Pin<Box<dyn Future<Output = ()>>>, Box::pin(works)];
        select! {
            biased;
            _ = branches.side_by_side(all) => panic!("it did not wait"),
            () = branches.all_wait() => {}
        }
        assert_eq!(begun.elapsed(), s(7));
        let Count { working, waiting } = *branches.0.borrow();
        assert_eq!((working, waiting), (1, 0), "what is cut off is counted no more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_branch_that_goes_on_is_at_work_again() {
        let branches = Branches::new();
        let all = async {
            branches.side_by_side([branches.waits(sleep(s(0)))]).await;
            sleep(s(5)).await;
        };
        select! {
            biased;
            () = all => {}
            () = async { sleep(s(1)).await; branches.all_wait().await } => panic!("nobody waits"),
        }
    }
}
