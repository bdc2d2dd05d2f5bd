//! Requests that have no answer yet. They outlive connections: after each they are sent again, mutations with the key that they have.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use crewline_protocol::{
    Fault,
    fault::Retry,
    frame::{Body, ClientFrame},
    opening::RequestOptions,
    value::{MutationKey, encode},
};
use tokio::{sync::oneshot, time::Instant};

use crate::{Clock, error::CallError, turns::Turns};

/// How often a request is sent again after faults that ask for it, before the fault is its answer.
const TRIES: u32 = 6;
/// Full jitter between tries: the first bound and the last.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What a call is answered with: the encoded output.
pub(crate) type Answer = Result<Vec<u8>, CallError>;

/// A request on its way.
pub(crate) struct Call {
    pub(crate) operation: Cow<'static, str>,
    /// Encoded.
    pub(crate) input: Vec<u8>,
    pub(crate) key: Option<MutationKey>,
    /// `None`: the driver's own.
    pub(crate) answer: Option<oneshot::Sender<Answer>>,
    pub(crate) tries: u32,
}

impl Call {
    /// The driver's own request.
    pub(crate) fn own(operation: &'static str, input: Vec<u8>) -> Self {
        Self { operation: operation.into(), input, key: None, answer: None, tries: 0 }
    }
    /// Appends the request's frame.
    pub(crate) fn write(&self, id: u64, frame: &mut Vec<u8>) {
        let options = self.key.map(|key| encode(&RequestOptions { key: Some(key.to_string()), ..RequestOptions::default() }));
        let options = options.as_deref().map(Body::own);
        ClientFrame::Request { id, operation: &self.operation, input: Body::own(&self.input), options }.write(frame);
    }
    /// Answers it.
    pub(crate) fn answer(self, answer: Answer) {
        if let Some(caller) = self.answer {
            // A caller that has gone needs none.
            let _ = caller.send(answer);
        }
    }
    fn is_abandoned(&self) -> bool {
        self.answer.as_ref().is_some_and(oneshot::Sender::is_closed)
    }
}

/// Every open request, in the order in which they were made.
#[derive(Default)]
pub(crate) struct Calls {
    open: BTreeMap<u64, Call>,
    last: u64,
    /// To be sent now, or later after a fault that asks for it.
    turns: Turns,
    /// By the id that they have on this connection.
    sent: HashMap<u64, u64>,
}

impl Calls {
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
    pub(crate) fn add(&mut self, call: Call) {
        self.last += 1;
        self.open.insert(self.last, call);
        self.turns.now(self.last);
    }
    /// The next one to send; it has to be noted with [`Self::sent_as`] or taken out with [`Self::remove`].
    pub(crate) fn next_ready(&mut self) -> Option<(u64, &Call)> {
        loop {
            let number = self.turns.next()?;
            if self.open.get(&number).is_some_and(|call| !call.is_abandoned()) {
                return self.open.get(&number).map(|call| (number, call));
            }
            self.open.remove(&number);
        }
    }
    pub(crate) fn sent_as(&mut self, number: u64, id: u64) {
        self.sent.insert(id, number);
    }
    pub(crate) fn remove(&mut self, number: u64) -> Option<Call> {
        self.open.remove(&number)
    }
    /// Takes out the one that is answered by a reply to `id`.
    pub(crate) fn answered(&mut self, id: u64) -> Option<Call> {
        self.open.remove(&self.sent.remove(&id)?)
    }
    /// A fault for `id`: sends it again later where the fault asks for that, or gives back the call that is to be answered with it.
    pub(crate) fn faulted(&mut self, id: u64, fault: &Fault, now: Instant, clock: &Clock) -> Option<Call> {
        let number = self.sent.remove(&id)?;
        let call = self.open.get_mut(&number)?;
        let jitter = clock.jitter(RETRY.0, RETRY.1, call.tries);
        let wait = match fault.retry {
            Retry::SameKey => jitter,
            Retry::After => Duration::from_millis(fault.retry_after_ms.unwrap_or(0).max(0).unsigned_abs()) + jitter.min(RETRY.0),
            Retry::Never | Retry::SignIn | Retry::Refetch | Retry::Reconnect => return self.open.remove(&number),
        };
        call.tries += 1;
        if call.tries > TRIES {
            return self.open.remove(&number);
        }
        self.turns.at(now + wait, number);
        None
    }
    /// When the next delayed one is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.turns.next_due()
    }
    /// Makes ready what is due.
    pub(crate) fn wake(&mut self, now: Instant) {
        self.turns.wake(now);
    }
    /// Forgets those whose callers have gone, and gives the ids under which the server works on them.
    pub(crate) fn drop_abandoned(&mut self) -> Vec<u64> {
        let open = &mut self.open;
        open.retain(|_, call| !call.is_abandoned());
        let gone = self.sent.iter().filter(|(_, number)| !open.contains_key(number)).map(|(id, _)| *id).collect::<Vec<_>>();
        for id in &gone {
            self.sent.remove(id);
        }
        gone
    }
    /// The connection is gone: all are to be sent again on the next, in their order. The driver's own were for this connection.
    pub(crate) fn disconnected(&mut self) {
        self.open.retain(|_, call| call.answer.is_some() && !call.is_abandoned());
        self.sent.clear();
        self.turns.restart(self.open.keys().copied());
    }
    /// Takes all out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Call> {
        self.sent.clear();
        self.turns = Turns::default();
        std::mem::take(&mut self.open).into_values()
    }
}
