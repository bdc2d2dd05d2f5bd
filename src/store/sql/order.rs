//! Who tells first. Lanes that write the same stream or workspace are kept apart by the database until they commit, but what
//! they tell after it must come in the same order.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crewline_protocol::value::{RunId, WorkspaceId};
use tokio::sync::Notify;

#[derive(Default)]
pub(super) struct Order {
    queues: Mutex<Queues>,
    moved: Notify,
}

#[derive(Default)]
struct Queues {
    next: u64,
    waiting: HashMap<Subject, VecDeque<u64>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Subject {
    Run(RunId),
    Workspace(WorkspaceId),
}

/// A group's place; given up when it is dropped.
pub(super) struct Turn {
    order: Arc<Order>,
    number: u64,
    subjects: Vec<Subject>,
}

impl Order {
    /// Takes a place behind those who have one for any of these. Called while the transaction still holds them all in the
    /// database: who comes after it there comes after it here.
    pub(super) fn enter<'a>(
        self: &Arc<Self>,
        runs: impl Iterator<Item = &'a RunId>,
        workspaces: impl Iterator<Item = &'a WorkspaceId>,
    ) -> Turn {
        let subjects: Vec<Subject> = runs.map(|run| Subject::Run(*run)).chain(workspaces.map(|id| Subject::Workspace(*id))).collect();
        let mut queues = self.lock();
        let number = queues.next;
        queues.next += 1;
        for subject in &subjects {
            queues.waiting.entry(*subject).or_default().push_back(number);
        }
        drop(queues);
        Turn { order: self.clone(), number, subjects }
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Waits until nobody is before it.
    pub(super) async fn come(&self) {
        loop {
            let moved = self.order.moved.notified();
            tokio::pin!(moved);
            // Whoever leaves from here on wakes this.
            moved.as_mut().enable();
            if self.is_first() {
                return;
            }
            moved.await;
        }
    }

    fn is_first(&self) -> bool {
        let queues = self.order.lock();
        self.subjects.iter().all(|subject| queues.waiting.get(subject).and_then(|queue| queue.front()) == Some(&self.number))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut queues = self.order.lock();
        for subject in &self.subjects {
            if let Some(queue) = queues.waiting.get_mut(subject) {
                queue.retain(|number| *number != self.number);
                if queue.is_empty() {
                    queues.waiting.remove(subject);
                }
            }
        }
        drop(queues);
        self.order.moved.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn who_shares_a_stream_tells_in_order_and_others_do_not_wait() {
        let order = Arc::new(Order::default());
        let [a, b] = [1, 2].map(|n| RunId::new(crewline_protocol::value::Millis(n), [0; 10]));
        let first = order.enter([&a].into_iter(), [].into_iter());
        let second = order.enter([&a, &b].into_iter(), [].into_iter());
        let third = order.enter([].into_iter(), [].into_iter());
        first.come().await;
        third.come().await;
        assert_eq!(second.come().now_or_never(), None);
        drop(first);
        assert_eq!(second.come().now_or_never(), Some(()));
        drop(second);
        assert!(order.lock().waiting.is_empty());
    }
}
