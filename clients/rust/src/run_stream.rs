//! A run's events as a stream. Reading it is what grants the server credit for more.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use crewline_protocol::{RunEvent, value::Offset};
use futures::Stream;
use tokio::sync::mpsc;

use crate::{
    error::{FollowError, Stopped},
    reading::{Reading, Taken},
};

/// What a followed run gives.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all of them are events: a box for each would be an allocation for each")]
pub enum Followed {
    /// The subscription has begun, again after a lost connection: what follows is read from the log after `from`, up to `head` at once.
    Attached {
        /// The last position that was given.
        from: Offset,
        /// The run's last offset at that moment.
        head: Offset,
    },
    /// The next event.
    Event(RunEvent),
    /// All events up to this offset were given. Keep it together with what was made of them, and follow from it later. Adjacent events
    /// may have been merged, so that only these positions count, not the number of events.
    Position(Offset),
    /// The server's database is another incarnation, after a restore: forget what was made of this run, it is given from its start.
    Restarted,
}

/// What the driver puts into a stream's queue.
#[derive(Debug)]
pub(crate) enum Delivery {
    Attached { from: Offset, head: Offset },
    Frame { events: Vec<RunEvent>, position: Offset, bytes: i64 },
    Restarted,
    End(Result<(), FollowError>),
}

/// Events of a run, each once and in order, over any number of connections. It ends after the run's last event; an error is the last
/// item. Dropping it ends the subscription; the run goes on.
pub struct RunStream {
    reading: Reading<Delivery>,
    events: std::vec::IntoIter<RunEvent>,
    /// Comes after the frame's events.
    position: Option<Offset>,
    /// Of the frame whose events are being given.
    bytes: i64,
    finished: bool,
}

impl RunStream {
    pub(crate) fn new(queue: mpsc::Receiver<Delivery>, taken: Arc<Taken>) -> Self {
        Self { reading: Reading::new(queue, taken), events: Vec::new().into_iter(), position: None, bytes: 0, finished: false }
    }
    /// The next event, past positions; `None` after the last.
    ///
    /// # Errors
    /// Why the run is followed no longer. After a restore on the server, events come from the run's start again: who keeps what was
    /// made of them reads the stream itself, which says so.
    pub async fn next_event(&mut self) -> Result<Option<RunEvent>, FollowError> {
        loop {
            match std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await {
                Some(Ok(Followed::Event(event))) => return Ok(Some(event)),
                Some(Ok(Followed::Attached { .. } | Followed::Position(_) | Followed::Restarted)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(None),
            }
        }
    }
}

impl Stream for RunStream {
    type Item = Result<Followed, FollowError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(event) = this.events.next() {
            return Poll::Ready(Some(Ok(Followed::Event(event))));
        }
        if let Some(position) = this.position.take() {
            return Poll::Ready(Some(Ok(Followed::Position(position))));
        }
        // Asking for more says that what came before has been dealt with.
        this.reading.grant(std::mem::take(&mut this.bytes));
        if this.finished {
            return Poll::Ready(None);
        }
        let item = match ready!(this.reading.poll_next(cx)) {
            Some(Delivery::Attached { from, head }) => Ok(Followed::Attached { from, head }),
            Some(Delivery::Restarted) => Ok(Followed::Restarted),
            Some(Delivery::Frame { events, position, bytes }) => {
                (this.events, this.bytes) = (events.into_iter(), bytes);
                match this.events.next() {
                    Some(event) => {
                        this.position = Some(position);
                        Ok(Followed::Event(event))
                    }
                    None => Ok(Followed::Position(position)),
                }
            }
            Some(Delivery::End(end)) => {
                this.finished = true;
                match end {
                    Ok(()) => return Poll::Ready(None),
                    Err(error) => Err(error),
                }
            }
            None => {
                this.finished = true;
                Err(FollowError::Stopped(Stopped { code: None, fault: None }))
            }
        };
        Poll::Ready(Some(item))
    }
}
