//! One task a socket: frames in, frames out, and every state of it a plain field. It knows nothing of runs, rooms or rows: requests
//! go to dispatch, and what is followed is a log with offsets.

mod asking;
mod deadlines;
mod following;
mod opening;
mod outbox;
mod presence;
mod standing;
#[cfg(test)]
mod tests;
mod wire;

use std::{future::poll_fn, net::IpAddr, sync::Arc, task::Poll, time::Duration};

use bytes::Bytes;
use crewline_protocol::{
    MESSAGE_BYTES_BEFORE_SIGN_IN,
    close::CloseCode,
    fault::{Fault, FaultCode},
    follow::{Input, SubscribedQuery},
    frame::{Body, ServerFrame},
    opening::{Goaway, GoawayWhy, Notice, ReplyOptions},
    value::{ConnectionId, encode},
};
use futures::{
    FutureExt, StreamExt,
    future::{AbortHandle, BoxFuture},
    stream::FuturesUnordered,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep},
};
use tracing::{debug, info};

use self::{
    deadlines::{Deadlines, Due},
    following::{ReadWanted, Subscriptions},
    outbox::Outbox,
    presence::Presences,
    wire::{Event, Wire},
};
use crate::{
    access::{Identity, Refused},
    context::Services,
    dispatch::{Reply, Router},
    hub::{Mailbox, Registered},
    store::{Block, StreamHead},
};

/// Messages that are answered in one flush at most, so that none waits long for the others.
const GATHERED: usize = 64;
/// What reaches the socket in one flush at most, so that control frames never wait behind much.
const FED_BYTES: usize = 256 << 10;
/// What is read from a log at a time.
const READ_BYTES: usize = 256 << 10;
/// How long requests that came before what ends the connection may take until it is closed.
const CARRY_OUT: Duration = Duration::from_secs(1);

/// What a connection shares with the rest of its node.
#[derive(Clone)]
pub struct Node {
    /// What the rooms share.
    pub services: Arc<Services>,
    /// Who carries out which operation.
    pub router: Arc<Router>,
}

/// What a socket was given when it was let in.
pub trait Place: Send {
    /// Why it is not let in, if it is not.
    fn refused(&self) -> Option<Fault>;
    /// Somebody has signed in on it.
    fn signed_in(&mut self);
}

/// Serves one socket, from its upgrade to its close.
pub async fn serve<S, P>(stream: S, early: Vec<u8>, address: IpAddr, node: Node, place: P)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    P: Place,
{
    let wire = Wire::new(stream, early).await;
    if let Some(fault) = place.refused() {
        let mut outbox = Outbox::default();
        fault_frame(&mut outbox, 0, &fault);
        return wire.close(outbox.last_words(), CloseCode::TooManyConnections).await;
    }
    let id = node.services.clock.id(ConnectionId::new);
    let mut connection = Connection::new(wire, id, address, node, place);
    let ended = connection.run().await;
    connection.leave(ended).await;
}

struct Connection<S, P> {
    id: ConnectionId,
    address: IpAddr,
    node: Node,
    place: P,
    wire: Wire<S>,
    outbox: Outbox,
    deadlines: Deadlines,
    timer: std::pin::Pin<Box<Sleep>>,
    mailbox: Arc<Mailbox>,
    registered: Registered,
    phase: Phase,
    identity: Option<Arc<Identity>>,
    /// What is left of the message that is being read.
    message: Bytes,
    last_request: u64,
    last_sub: u64,
    requests: FuturesUnordered<BoxFuture<'static, Done>>,
    open: Vec<OpenRequest>,
    subscriptions: Subscriptions,
    presences: Presences,
    /// Whether it is being asked where the principal stands.
    asking: bool,
    draining: bool,
}

/// A request that has no reply yet.
struct OpenRequest {
    id: u64,
    /// Stops it, where it may be stopped.
    abort: Option<AbortHandle>,
    may_sign_in: bool,
    /// How often rights had come into doubt when it began.
    doubts: u64,
}

/// How far the opening is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Hello has not come.
    Silent,
    /// Hello's token is being checked; what comes after waits.
    Greeting,
    /// Open.
    Open,
}

/// Something that was waited for.
enum Done {
    Greeted(u64, Result<Option<Identity>, Refused>),
    Stood(Arc<Identity>, Result<Option<Result<Identity, Refused>>, Fault>),
    Request(u64, Result<Reply, Fault>),
    Cancelled(u64),
    Followed(u64, Result<StreamHead, Fault>),
    Asked(u64, Result<SubscribedQuery, Fault>),
    Read(u64, Result<Vec<Arc<Block>>, Fault>),
    Came(u64, Result<(), Fault>),
}

/// What woke the connection.
enum Wake {
    Wire(Event),
    Done(Done),
    Mail,
    Time,
}

/// How a connection ends.
enum Ended {
    /// The socket is gone.
    Gone,
    /// The client closes.
    Left,
    /// The server closes, and says why.
    Close(CloseCode, Fault),
}

impl Ended {
    fn close(code: CloseCode, message: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self::Close(code, Fault::new(code.fault().unwrap_or(FaultCode::Disconnected), message))
    }
    fn malformed(what: impl std::fmt::Display) -> Self {
        Self::close(CloseCode::ProtocolError, what.to_string())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send, P: Place> Connection<S, P> {
    fn new(wire: Wire<S>, id: ConnectionId, address: IpAddr, node: Node, place: P) -> Self {
        let now = Instant::now();
        let deadlines = Deadlines::new(&node.services.settings, now);
        let mailbox = Arc::<Mailbox>::default();
        let registered = node.services.hub.register(id, mailbox.clone());
        let credit = i64::try_from(node.services.settings.connection_credit_bytes).unwrap_or(i64::MAX);
        Self {
            id,
            address,
            place,
            wire,
            outbox: Outbox::default(),
            timer: Box::pin(tokio::time::sleep_until(deadlines.next())),
            deadlines,
            mailbox,
            registered,
            phase: Phase::Silent,
            identity: None,
            message: Bytes::new(),
            last_request: 0,
            last_sub: 0,
            requests: FuturesUnordered::new(),
            open: Vec::new(),
            subscriptions: Subscriptions::new(credit),
            presences: Presences::default(),
            asking: false,
            draining: false,
            node,
        }
    }

    async fn run(&mut self) -> Ended {
        loop {
            if let Err(ended) = self.work().await {
                return ended;
            }
            let done = match self.wake().await {
                Wake::Wire(event) => self.on_wire(event),
                Wake::Done(done) => self.on_done(done),
                Wake::Mail => self.on_mail(),
                Wake::Time => Ok(()),
            };
            if let Err(ended) = done {
                return ended;
            }
        }
    }

    /// Does all that can be done without waiting: frames that came, requests that are done at once, events that may go, and the
    /// socket's next bytes.
    async fn work(&mut self) -> Result<(), Ended> {
        self.ask_standing();
        let mut gathered = 0;
        loop {
            self.read_frames()?;
            if let Some(done) = self.requests.next().now_or_never().flatten() {
                self.on_done(done)?;
            } else if gathered < GATHERED && self.reads() {
                // What has come meanwhile is answered with the same flush.
                let Some(event) = self.wire.at_hand() else { break };
                gathered += 1;
                self.on_wire(event)?;
            } else {
                break;
            }
        }
        let now = Instant::now();
        while let Some(due) = self.deadlines.due(now) {
            match due {
                Due::Ping => {
                    self.outbox.control(&ServerFrame::Ping(Body::own(&[0])));
                }
                Due::TokenNotice(expires_at) => {
                    let body = encode(&Notice::TokenExpiring { expires_at });
                    self.outbox.control(&ServerFrame::Notice(Body::own(&body)));
                }
                Due::Close(code, message) => return Err(Ended::close(code, message)),
            }
        }
        self.send_presence();
        self.send_events();
        if !self.wire.is_flushing() {
            let mut fed = 0;
            while fed < FED_BYTES {
                let Some(message) = self.outbox.next() else { break };
                fed += message.len();
                self.wire.feed(message).await.map_err(|_| Ended::Gone)?;
            }
        }
        self.deadlines.writing(now, self.wire.is_flushing(), self.wire.written());
        let next = self.deadlines.next();
        // A timer that fires early only asks again, so that it is moved when something is due before it, and else left alone.
        if next < self.timer.deadline() || self.timer.is_elapsed() {
            self.timer.as_mut().reset(next);
        }
        Ok(())
    }

    async fn wake(&mut self) -> Wake {
        let reading = self.reads();
        let Self { wire, requests, timer, mailbox, .. } = self;
        let socket = poll_fn(|cx| wire.poll(cx, reading));
        let done = poll_fn(|cx| match requests.poll_next_unpin(cx) {
            Poll::Ready(Some(done)) => Poll::Ready(done),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        });
        tokio::select! {
            biased;
            event = socket => Wake::Wire(event),
            done = done => Wake::Done(done),
            () = mailbox.arrived() => Wake::Mail,
            () = timer.as_mut() => Wake::Time,
        }
    }

    /// Whether the next message is taken off the socket.
    fn reads(&self) -> bool {
        self.message.is_empty() && self.begins_work()
    }

    /// Whether frames are read now. Not while who asks does not read, nor before it is known who asks.
    fn begins_work(&self) -> bool {
        let limit = usize::try_from(self.node.services.settings.outbox_bytes).unwrap_or(usize::MAX);
        let signing_in = || self.identity.is_none() && self.open.iter().any(|request| request.may_sign_in);
        self.outbox.bytes() < limit && self.phase != Phase::Greeting && !signing_in()
    }

    fn on_wire(&mut self, event: Event) -> Result<(), Ended> {
        match event {
            Event::Message(message) => {
                self.deadlines.heard(Instant::now());
                if message.is_empty() {
                    return Err(Ended::malformed("an empty message"));
                }
                if self.identity.is_none() && message.len() > MESSAGE_BYTES_BEFORE_SIGN_IN {
                    let limit = MESSAGE_BYTES_BEFORE_SIGN_IN;
                    let message = format!("a message has at most {limit} bytes until somebody has signed in");
                    return Err(Ended::close(CloseCode::TooLarge, message));
                }
                self.message = message;
            }
            Event::Heard => self.deadlines.heard(Instant::now()),
            Event::Flushed => {}
            Event::Left => return Err(Ended::Left),
            Event::Gone => return Err(Ended::Gone),
            Event::Violation(what) => return Err(Ended::malformed(what)),
            Event::TooLarge => return Err(Ended::close(CloseCode::TooLarge, "a message is larger than the limit of 1 MiB")),
        }
        Ok(())
    }

    fn on_done(&mut self, done: Done) -> Result<(), Ended> {
        match done {
            Done::Greeted(doubts, greeted) => self.greeted(doubts, greeted)?,
            Done::Stood(was, standing) => self.stood(&was, standing)?,
            Done::Request(id, reply) => {
                let began = self.close_request(id);
                let signs_in = reply.as_ref().is_ok_and(|reply| reply.signs_in.is_some());
                self.reply(id, reply);
                if let Some(doubts) = began.filter(|_| signs_in) {
                    self.read_at(doubts);
                }
            }
            Done::Cancelled(id) => {
                self.close_request(id);
                fault_frame(&mut self.outbox, id, &Fault::new(FaultCode::Cancelled, "cancelled as asked"));
            }
            Done::Followed(sub, head) => self.subscriptions.begin_log(sub, head, &mut self.outbox),
            Done::Asked(sub, subscribed) => {
                self.subscriptions.begin_query(sub, subscribed, &mut self.outbox);
                // Rights may have changed since it was asked for.
                self.ask_again(sub);
            }
            Done::Read(sub, blocks) => self.subscriptions.read(sub, blocks, &mut self.outbox),
            Done::Came(sub, found) => self.presences.begin(sub, found, &mut self.outbox),
        }
        Ok(())
    }

    /// Gives how often rights had come into doubt when the request began.
    fn close_request(&mut self, id: u64) -> Option<u64> {
        let place = self.open.iter().position(|request| request.id == id)?;
        Some(self.open.remove(place).doubts)
    }

    fn reply(&mut self, id: u64, reply: Result<Reply, Fault>) {
        match reply {
            Ok(Reply { output, as_of, signs_in }) => {
                let options = as_of.map(|as_of| encode(&ReplyOptions { as_of: Some(as_of) }));
                let options = options.as_deref().map(Body::own);
                self.outbox.control(&ServerFrame::Reply { id, output: Body::own(&output), options });
                if let Some(identity) = signs_in {
                    self.sign_in(identity);
                }
            }
            Err(fault) => fault_frame(&mut self.outbox, id, &fault),
        }
    }

    fn on_mail(&mut self) -> Result<(), Ended> {
        let letters = self.mailbox.take();
        for sub in letters.grown {
            self.subscriptions.grown(sub);
        }
        for sub in letters.gone {
            self.presences.gone(sub, &mut self.outbox);
        }
        self.heard_of_leases(letters.lost, letters.superseded);
        if letters.ask_again {
            self.ask_all_again();
        }
        if let Some((code, fault)) = letters.close {
            return Err(Ended::Close(code, fault));
        }
        if let Some(within) = letters.drain {
            self.drain(within);
        }
        Ok(())
    }

    /// What a live query's principal may see of it may be another part by now.
    /// Asks all live queries again: what they may see, or what there is to see, may be another.
    fn ask_all_again(&mut self) {
        for sub in self.subscriptions.asked() {
            self.ask_again(sub);
        }
    }

    fn ask_again(&mut self, sub: u64) {
        let Self { subscriptions, node: Node { services, router }, identity, mailbox, outbox, .. } = self;
        let plan = |operation: &str, input: &Input| router.plan(services, identity.as_ref(), operation, input.body());
        let follow = |plan| services.live.follow(plan, mailbox, sub);
        subscriptions.ask_again(sub, plan, follow, outbox);
    }

    fn drain(&mut self, within: Duration) {
        self.draining = true;
        self.deadlines.drain(Instant::now(), within);
        let ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        let body = encode(&Goaway { why: GoawayWhy::Shutdown, reconnect_within_ms: ms, drain_ms: ms });
        self.outbox.control(&ServerFrame::Goaway(Body::own(&body)));
    }

    fn send_events(&mut self) {
        if self.in_doubt() {
            return;
        }
        let mut reads = Vec::new();
        self.subscriptions.send(&mut self.outbox, &mut reads, &self.mailbox);
        for ReadWanted { sub, run, after } in reads {
            let store = self.node.services.store.clone();
            let read = async move {
                let blocks = store.log_after(run, after, READ_BYTES).await;
                // A right that was taken away in what was read is known to be gone before it is sent.
                store.settled().await;
                Done::Read(sub, blocks.map_err(|_| Fault::new(FaultCode::Unavailable, "the database is away")))
            };
            self.requests.push(read.boxed());
        }
    }

    fn sign_in(&mut self, identity: Arc<Identity>) {
        let calendar = self.node.services.clock.now();
        self.deadlines.signed_in(Instant::now(), calendar, identity.expires_at);
        self.place.signed_in();
        self.registered.signed_in(identity.clone());
        debug!(connection = %self.id, user = %identity.user, workspace = %identity.workspace, "signed in");
        self.identity = Some(identity);
    }

    async fn finish_requests(&mut self) {
        let finished = async {
            while let Some(done) = self.requests.next().await {
                if self.on_done(done).is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(CARRY_OUT, finished).await;
    }

    async fn leave(mut self, ended: Ended) {
        let (code, fault) = match ended {
            Ended::Close(code, fault) => (code, fault),
            Ended::Left => {
                debug!(connection = %self.id, "the client left");
                return self.wire.answer_close().await;
            }
            Ended::Gone => {
                debug!(connection = %self.id, "the socket is gone");
                return;
            }
        };
        info!(connection = %self.id, code = code.code(), reason = %fault.message, "closed");
        self.presences = Presences::default();
        match code {
            // Frames before the bad one are carried out, and what they asked for is answered.
            CloseCode::ProtocolError => self.finish_requests().await,
            // What took the right away is answered, too; nothing is read for who has it no more.
            CloseCode::SignedOut | CloseCode::SignInRevoked => {
                self.subscriptions = Subscriptions::new(0);
                self.open.iter().filter_map(|request| request.abort.as_ref()).for_each(AbortHandle::abort);
                self.finish_requests().await;
            }
            _ => {}
        }
        fault_frame(&mut self.outbox, 0, &fault);
        self.wire.close(self.outbox.last_words(), code).await;
    }
}

fn fault_frame(outbox: &mut Outbox, id: u64, fault: &Fault) {
    let fault = encode(fault);
    outbox.control(&ServerFrame::Fault { id, fault: Body::own(&fault) });
}
