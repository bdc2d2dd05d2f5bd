//! Following a live query: the revision whose answer the client has. Who lags is sent the answer as it is by then.

use crewline_protocol::{
    follow::{EndedWhy, Input, SubscribedQuery},
    frame::{Body, ServerFrame},
    value::{Revision, encode},
};

use super::{Purse, Turn};
use crate::{
    connection::outbox::Outbox,
    hub::Mailbox,
    query::{Next, Watching},
};

/// A live query that is followed.
pub(in crate::connection) struct Query {
    /// The operation, and its input as it came: asked again when the principal's rights change.
    pub(in crate::connection) operation: String,
    pub(in crate::connection) input: Input,
    watching: Watching,
    /// The revision of the last frame that was sent; `None`: a snapshot comes next.
    position: Option<Revision>,
}

impl Query {
    pub(in crate::connection) fn new(operation: String, input: Input, watching: Watching) -> Self {
        Self { operation, input, watching, position: None }
    }

    /// Begins; gives the body with which that is answered.
    pub(super) fn begin(&mut self, subscribed: SubscribedQuery) -> Vec<u8> {
        // Without a snapshot the client has the answer of this revision.
        if !subscribed.snapshot {
            self.position = Some(subscribed.revision);
        }
        encode(&subscribed)
    }

    pub(super) fn position(&self) -> i64 {
        self.position.unwrap_or_default().0
    }

    /// Whether this is the plan that is followed.
    pub(super) fn follows(&self, plan: &crate::query::Plan) -> bool {
        self.watching.plan().name == plan.name
    }

    /// Follows another plan's answer, which the client has not.
    pub(super) fn follow(&mut self, watching: Watching) {
        self.watching = watching;
        self.position = None;
    }

    pub(super) fn turn(&mut self, sub: u64, purse: &mut Purse<'_>, outbox: &mut Outbox, mailbox: &Mailbox) -> Turn {
        let next = self.watching.next(self.position);
        // Asked after the answer, as with a log.
        if mailbox.doubted() {
            return Turn::Doubted;
        }
        if !matches!(next, Next::Nothing | Next::Ended(_)) && purse.is_empty() {
            return Turn::OutOfCredit;
        }
        match next {
            Next::Nothing => Turn::Waits,
            Next::Ended(EndedWhy::Complete) => Turn::Ended(EndedWhy::Server),
            Next::Ended(why) => Turn::Ended(why),
            Next::Changes(revision, changes) => {
                let span = revision.0 - self.position();
                purse.pay(outbox.events(&ServerFrame::Events { sub, offset: revision.0, span, events: Body::own(&changes) }));
                self.position = Some(revision);
                Turn::Sent
            }
            Next::Snapshot(revision, value) => {
                purse.pay(outbox.events(&ServerFrame::Snapshot { sub, offset: revision.0, value: Body::own(&value) }));
                self.position = Some(revision);
                Turn::Sent
            }
        }
    }
}
