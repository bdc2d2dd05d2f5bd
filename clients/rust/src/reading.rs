//! The reader's end of something that is followed: what it takes is what grants the server credit for more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    task::{Context, Poll},
};

use tokio::sync::{Notify, mpsc};

/// A queue that the driver fills. Dropping it ends the subscription.
pub(crate) struct Reading<T> {
    queue: mpsc::Receiver<T>,
    taken: Arc<Taken>,
}

/// How many bytes the reader has taken since the driver last looked.
pub(crate) struct Taken {
    pub(crate) bytes: AtomicI64,
    pub(crate) wake: Arc<Notify>,
}

impl Taken {
    /// Nothing yet.
    pub(crate) fn new(wake: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self { bytes: 0.into(), wake })
    }
}

impl<T> Reading<T> {
    pub(crate) fn new(queue: mpsc::Receiver<T>, taken: Arc<Taken>) -> Self {
        Self { queue, taken }
    }
    /// The next delivery; `None`: the driver is gone.
    pub(crate) async fn next(&mut self) -> Option<T> {
        self.queue.recv().await
    }
    /// The same, polled.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.queue.poll_recv(cx)
    }
    /// So many bytes were dealt with: as many may be sent again.
    pub(crate) fn grant(&self, bytes: i64) {
        if bytes > 0 {
            self.taken.bytes.fetch_add(bytes, Ordering::AcqRel);
            self.taken.wake.notify_one();
        }
    }
    /// Reads no more.
    pub(crate) fn leave(&mut self) {
        self.queue.close();
        self.taken.wake.notify_one();
    }
}

impl<T> Drop for Reading<T> {
    fn drop(&mut self) {
        self.leave();
    }
}
