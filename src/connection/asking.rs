//! What a client asks for: a message's frames, the requests that they begin, the runs that they follow.

use bytes::Buf;
use crewline_protocol::{
    fault::{Fault, FaultCode},
    follow::{self, CREDIT_BYTES, CREDIT_CAP_BYTES, SubscribeOptions, Target},
    frame::{Body, ClientFrame, ServerFrame},
    value::{Offset, Revision},
};
use futures::{
    FutureExt,
    future::{AbortHandle, Abortable},
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    Connection, Done, Ended, Node, OpenRequest, Phase, Place, fault_frame,
    following::{Followed, Log, Query, refuse},
};
use crate::{dispatch::Begun, stream::Wanted};

/// A client that asks for too much at once is told to wait this long.
const TOO_MANY_RETRY_MS: i64 = 100;

impl<S: AsyncRead + AsyncWrite + Unpin + Send, P: Place> Connection<S, P> {
    /// Carries out the message's frames, as long as work may be begun.
    pub(super) fn read_frames(&mut self) -> Result<(), Ended> {
        while !self.message.is_empty() && self.begins_work() {
            // The bytes are held apart from `self` while a frame borrows them.
            let message = self.message.clone();
            let mut rest: &[u8] = &message;
            let frame = ClientFrame::read(&mut rest).map_err(Ended::malformed)?;
            if self.waits(&frame) {
                break;
            }
            self.message.advance(message.len() - rest.len());
            self.on_frame(frame)?;
        }
        Ok(())
    }

    fn on_frame(&mut self, frame: ClientFrame<'_>) -> Result<(), Ended> {
        if (self.phase == Phase::Silent) != matches!(frame, ClientFrame::Hello(_)) {
            return Err(Ended::malformed("hello is the first frame, and comes once"));
        }
        match frame {
            ClientFrame::Hello(body) => self.hello(body)?,
            ClientFrame::Request { id, operation, input, options } => {
                if id <= self.last_request {
                    return Err(Ended::malformed(format_args!("request {id} does not come after {}", self.last_request)));
                }
                self.last_request = id;
                self.request(id, operation, input, options);
            }
            ClientFrame::Cancel { id } => {
                let request = self.open.iter().find(|request| request.id == id);
                if let Some(abort) = request.and_then(|request| request.abort.as_ref()) {
                    abort.abort();
                }
            }
            ClientFrame::Subscribe { sub, target, options } => {
                if sub <= self.last_sub {
                    return Err(Ended::malformed(format_args!("subscription {sub} does not come after {}", self.last_sub)));
                }
                self.last_sub = sub;
                if let Err(fault) = self.subscribe(sub, target, options) {
                    refuse(sub, fault, &mut self.outbox);
                }
            }
            ClientFrame::Credit { sub, bytes } => {
                self.subscriptions.grant(sub, bytes).map_err(|_| Ended::malformed("a grant of credit below 1"))?;
            }
            ClientFrame::Unsubscribe { sub } => {
                self.subscriptions.remove(sub);
                self.presences.remove(sub);
            }
            ClientFrame::Presence { sub, state } => self.presences.set(sub, state, &mut self.outbox),
            ClientFrame::Pong(_) => {}
            ClientFrame::Ping(nonce) => {
                self.outbox.control(&ServerFrame::Pong(nonce));
            }
        }
        Ok(())
    }

    fn request(&mut self, id: u64, operation: &str, input: Body<'_>, options: Option<Body<'_>>) {
        let begun = if self.draining {
            Err(Fault::new(FaultCode::Unavailable, "this server is leaving: connect anew and send it again with the same key"))
        } else if self.open.len() >= self.node.services.settings.requests as usize {
            let message = format!("{} requests are open at once here: wait for some", self.open.len());
            Err(Fault::new(FaultCode::TooMany, message).after_ms(TOO_MANY_RETRY_MS))
        } else {
            let Node { services, router } = &self.node;
            router.begin(services, self.identity.as_ref(), self.address, operation, input, options)
        };
        let Begun { mut reply, cancellable, may_sign_in } = match begun {
            Ok(begun) => begun,
            Err(fault) => return fault_frame(&mut self.outbox, id, &fault),
        };
        // Most reads are done at the first look: they cost no task, no queue and no second look.
        if !may_sign_in && let Some(reply) = (&mut reply).now_or_never() {
            return self.reply(id, reply);
        }
        let waited = async move { Done::Request(id, reply.await) };
        let (abort, registration) = AbortHandle::new_pair();
        let waited = Abortable::new(waited, registration).map(move |done| done.unwrap_or(Done::Cancelled(id)));
        let doubts = self.node.services.hub.doubts();
        self.open.push(OpenRequest { id, abort: cancellable.then_some(abort), may_sign_in, doubts });
        self.requests.push(waited.boxed());
    }

    fn subscribe(&mut self, sub: u64, target: Body<'_>, options: Option<Body<'_>>) -> Result<(), Fault> {
        let Node { services, router } = &self.node;
        router.may_follow(services, self.identity.as_ref())?;
        let target: Target = target.decode()?;
        let options: SubscribeOptions = options.map(Body::decode).transpose()?.unwrap_or_default();
        let from = options.from.unwrap_or_default();
        if from < 0 {
            return Err(Fault::invalid("from", "range", "an offset is 0 or more"));
        }
        let credit = options.credit.unwrap_or(CREDIT_BYTES).min(CREDIT_CAP_BYTES);
        if credit < 0 {
            return Err(Fault::invalid("credit", "range", "credit is 0 or more"));
        }
        if self.draining {
            return Err(Fault::new(FaultCode::Unavailable, "this server is leaving: connect anew and subscribe there"));
        }
        let limit = services.settings.subscriptions;
        if self.subscriptions.len() + self.presences.len() >= limit as usize {
            let message = format!("{limit} subscriptions are open at once here: end some");
            return Err(Fault::new(FaultCode::TooMany, message).after_ms(TOO_MANY_RETRY_MS));
        }
        match target {
            Target::Run { run, only } => {
                let head = router.follow(services, self.identity.as_ref(), run)?;
                // Followed before the head is read, so that nothing falls between.
                let following = services.hub.follow(run, &self.mailbox, sub);
                let wanted = only.map_or(Wanted::All, Wanted::Only);
                self.subscriptions.add(sub, Followed::Log(Log::new(run, wanted, Offset(from), following)), credit);
                self.requests.push(async move { Done::Followed(sub, head.await) }.boxed());
            }
            Target::Query { query: follow::Query { op, input } } => {
                let plan = router.plan(services, self.identity.as_ref(), &op, input.body())?;
                let watching = services.live.follow(plan, &self.mailbox, sub);
                let begun = services.live.begin(&watching, options.from.map(Revision));
                self.subscriptions.add(sub, Followed::Query(Query::new(op, input, watching)), credit);
                self.requests.push(async move { Done::Asked(sub, begun.await) }.boxed());
            }
            Target::Presence { presence } => self.come(sub, presence.session_id)?,
        }
        Ok(())
    }
}
