//! The one task that owns the socket: it connects when there is something to say, keeps requests and subscriptions through lost
//! connections, and ends when nobody is left who could ask for anything.

use std::{sync::Arc, time::Duration};

use crewline_protocol::{
    CloseCode, Fault,
    close::{After, after},
    follow::{Ended, SubscribedRun},
    frame::{Body, ClientFrame, ServerFrame},
    opening::{ClientInfo, Goaway, Hello, LastClose, Notice, Reconnect, Welcome},
    operation::Operation,
    operations::auth::{Authenticate, Login, Logout, Refresh, Register, SignedIn},
    value::{WorkspaceId, encode},
};
use futures::future::BoxFuture;
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::{Instant, sleep_until, timeout},
};

use crate::{
    AuthError, Clock, Connector, Token,
    auth::{Plan, Renewal, SignIn},
    calls::{Call, Calls},
    client::State,
    error::{CallError, ConnectError, Stopped},
    follows::{Follow, Follows},
    link::{Link, Lost},
};

/// How long a connection may take to be made, and to be welcomed.
const OPENING: Duration = Duration::from_secs(10);
/// How to reconnect until a server has said so itself.
const RECONNECT: Reconnect = Reconnect { base_ms: 250, max_ms: 30_000 };
/// Requests open at once until a server has said so itself.
const REQUESTS: u32 = 256;
/// Doublings after which every bound is the largest.
const TRIES_TO_MAX: u32 = 16;

/// What a handle asks of the driver, besides calls.
pub(crate) enum Order {
    Follow(Follow),
    Connect(oneshot::Sender<Result<Arc<Welcome>, ConnectError>>),
}

/// Where the handles' wishes arrive. Calls have a queue of their own, so that many of them hold up nothing else.
pub(crate) struct Inbox {
    pub(crate) calls: mpsc::Receiver<Call>,
    pub(crate) orders: mpsc::Receiver<Order>,
}

enum Input {
    Call(Call),
    Order(Order),
    /// The last handle was dropped.
    Gone,
}

impl Inbox {
    async fn next(&mut self, room_for_calls: bool) -> Input {
        tokio::select! {
            order = self.orders.recv() => order.map_or(Input::Gone, Input::Order),
            call = self.calls.recv(), if room_for_calls => call.map_or(Input::Gone, Input::Call),
        }
    }
}

/// What a client is built with.
pub(crate) struct Identity {
    pub(crate) client: ClientInfo,
    pub(crate) workspace_id: Option<WorkspaceId>,
}

/// The task's state: plain fields, touched by nobody else.
pub(crate) struct Driver<C> {
    connector: C,
    identity: Identity,
    clock: Clock,
    sign_in: SignIn,
    inbox: Inbox,
    /// Rung when a reader took bytes, or somebody who waited has gone.
    wake: Arc<Notify>,
    state: watch::Sender<State>,
    calls: Calls,
    follows: Follows,
    waiting: Vec<oneshot::Sender<Result<Arc<Welcome>, ConnectError>>>,
    /// Whether the last handle was dropped.
    gone: bool,
    /// Connections in a row that did not hold.
    tries: u32,
    reconnect: Reconnect,
    requests: u32,
    epoch: Option<String>,
    last_close: Option<LastClose>,
    /// What the server said about the connection before it closed it.
    said: Option<Fault>,
    /// A token that was asked for because the one in use ends soon.
    renewing: Option<BoxFuture<'static, Result<Option<Token>, AuthError>>>,
}

/// Why a connection is there no longer.
enum Ending {
    Lost(Lost),
    NotMade(ConnectError),
    /// Nothing was heard for two heartbeats.
    Silent,
    /// The server asked for it.
    Asked,
    /// Nobody wants anything any more.
    Unwanted,
}

impl<C: Connector> Driver<C> {
    pub(crate) fn new(
        (connector, identity, clock, sign_in): (C, Identity, Clock, SignIn),
        inbox: Inbox,
        wake: Arc<Notify>,
        state: watch::Sender<State>,
    ) -> Self {
        Self {
            connector,
            identity,
            clock,
            sign_in,
            inbox,
            wake,
            state,
            calls: Calls::default(),
            follows: Follows::default(),
            waiting: Vec::new(),
            gone: false,
            tries: 0,
            reconnect: RECONNECT,
            requests: REQUESTS,
            epoch: None,
            last_close: None,
            said: None,
            renewing: None,
        }
    }

    /// Runs until the last handle and the last stream are dropped.
    pub(crate) async fn run(mut self) {
        while self.is_wanted_again().await {
            self.state.send_replace(State::Connecting);
            let ending = match self.open().await {
                Ok((link, welcome)) => {
                    let since = Instant::now();
                    let heartbeat = Duration::from_millis(welcome.heartbeat_ms);
                    let ending = self.talk(link, &welcome).await;
                    // One that held for a while starts the count anew; one that did not counts like one that was not made.
                    self.tries = if since.elapsed() >= heartbeat { 0 } else { self.tries };
                    ending
                }
                Err(ending) => ending,
            };
            self.calls.disconnected();
            self.follows.disconnected();
            self.renewing = None;
            match self.judge(ending) {
                Ok(wait) => self.wait(wait).await,
                Err(stopped) => return self.stop(stopped).await,
            }
        }
    }

    /// Waits, without a connection, until there is something to say. False: nobody is left who could.
    async fn is_wanted_again(&mut self) -> bool {
        loop {
            self.drop_abandoned();
            if self.is_wanted() || self.gone {
                return self.is_wanted();
            }
            self.state.send_replace(State::Idle);
            let input = self.inbox.next(true).await;
            self.take(input);
        }
    }
    fn is_wanted(&self) -> bool {
        self.calls.len() > 0 || !self.follows.is_empty() || !self.waiting.is_empty()
    }
    fn has_room(&self) -> bool {
        self.calls.len() < self.requests as usize
    }
    fn take(&mut self, input: Input) {
        match input {
            Input::Call(call) => self.calls.add(call),
            Input::Order(Order::Follow(follow)) => self.follows.add(follow),
            Input::Order(Order::Connect(answer)) => match &*self.state.borrow() {
                State::Connected(welcome) => drop(answer.send(Ok(welcome.clone()))),
                _ => self.waiting.push(answer),
            },
            Input::Gone => self.gone = true,
        }
    }
    fn drop_abandoned(&mut self) {
        self.calls.drop_abandoned();
        self.follows.settle(|_| {});
        self.waiting.retain(|waiting| !waiting.is_closed());
    }

    /// Makes a connection and is welcomed on it.
    async fn open(&mut self) -> Result<(Link<C::Socket>, Arc<Welcome>), Ending> {
        let not_made = |error: ConnectError| Ending::NotMade(error);
        let late = |_| not_made(ConnectError::NotWelcomed(format!("nothing came within {OPENING:?}")));
        let plan = self.sign_in.plan().await.map_err(|error| not_made(error.into()))?;
        let socket = timeout(OPENING, self.connector.connect()).await.map_err(late)?.map_err(not_made)?;
        let mut link = Link::new(socket);
        let (access_token, refresh) = match plan {
            Plan::Hello(token) => (token.map(|token| token.expose().to_owned()), None),
            Plan::Refresh(token) => (None, Some(token)),
        };
        let hello = Hello {
            client: self.identity.client.clone(),
            access_token,
            workspace_id: self.identity.workspace_id,
            features: Vec::new(),
            last_close: self.last_close,
        };
        link.say(ClientFrame::Hello(Body::own(&encode(&hello))));
        let welcome = timeout(OPENING, self.welcomed(&mut link)).await.map_err(late)??;
        match refresh {
            Some(refresh) => timeout(OPENING, self.refreshed(&mut link, &refresh)).await.map_err(late)??,
            None if welcome.principal.is_some() => self.sign_in.accepted(),
            None => {}
        }
        let signed_in = welcome.principal.is_some() || link.last_id > 0;
        if signed_in {
            link.message_bytes = usize::try_from(welcome.limits.message_bytes).unwrap_or(usize::MAX);
        }
        let another_epoch = self.epoch.as_ref().is_some_and(|epoch| *epoch != welcome.epoch);
        self.follows.connected(welcome.limits.credit_bytes, another_epoch);
        self.epoch = Some(welcome.epoch.clone());
        (self.reconnect, self.requests) = (welcome.reconnect, welcome.limits.requests.max(1));
        (self.said, self.last_close) = (None, None);
        let welcome = Arc::new(welcome);
        self.state.send_replace(State::Connected(welcome.clone()));
        for waiting in self.waiting.drain(..) {
            let _ = waiting.send(Ok(welcome.clone()));
        }
        Ok((link, welcome))
    }
    async fn welcomed(&mut self, link: &mut Link<C::Socket>) -> Result<Welcome, Ending> {
        loop {
            let message = link.message().await.map_err(Ending::Lost)?;
            let mut rest = &message[..];
            while !rest.is_empty() {
                match ServerFrame::read(&mut rest).map_err(unreadable)? {
                    Some(ServerFrame::Welcome(body)) => return body.decode().map_err(unreadable),
                    Some(ServerFrame::Fault { id: 0, fault }) => self.said = fault.decode().ok(),
                    _ => {}
                }
            }
        }
    }
    /// Signs a connection in with the refresh token, before anything else is said on it.
    async fn refreshed(&mut self, link: &mut Link<C::Socket>, token: &Token) -> Result<(), Ending> {
        let mut request = Vec::new();
        refresh(token).write(1, &mut request);
        link.last_id = 1;
        link.say_encoded(request);
        loop {
            let message = link.message().await.map_err(Ending::Lost)?;
            let mut rest = &message[..];
            while !rest.is_empty() {
                match ServerFrame::read(&mut rest).map_err(unreadable)? {
                    Some(ServerFrame::Reply { id: 1, output, .. }) => {
                        self.sign_in.signed_in(output.decode().map_err(unreadable)?);
                        return Ok(());
                    }
                    Some(ServerFrame::Fault { id, fault }) => {
                        let fault: Fault = fault.decode().map_err(unreadable)?;
                        if id == 0 {
                            self.said = Some(fault);
                            continue;
                        }
                        if fault.retry == crewline_protocol::fault::Retry::SignIn {
                            self.sign_in.forget();
                        }
                        return Err(Ending::NotMade(ConnectError::NotWelcomed(fault.to_string())));
                    }
                    Some(ServerFrame::Ping(nonce)) => link.say(ClientFrame::Pong(nonce)),
                    _ => {}
                }
            }
        }
    }

    /// Speaks on a connection until it ends.
    async fn talk(&mut self, mut link: Link<C::Socket>, welcome: &Welcome) -> Ending {
        let silence = Duration::from_millis(welcome.heartbeat_ms.saturating_mul(2));
        let mut leave_at: Option<Instant> = None;
        loop {
            let now = Instant::now();
            if leave_at.is_some_and(|at| at <= now) {
                link.leave().await;
                return Ending::Asked;
            }
            if now >= link.heard + silence {
                return Ending::Silent;
            }
            if leave_at.is_none() {
                self.say_ready(&mut link, now);
            }
            if self.gone && !self.is_wanted() {
                link.leave().await;
                return Ending::Unwanted;
            }
            let dues = [leave_at, self.calls.next_due(), self.follows.next_due(), Some(link.heard + silence)];
            let due = dues.into_iter().flatten().min().unwrap_or(now + silence);
            let room = self.has_room();
            tokio::select! {
                message = link.message() => {
                    let read = message.map_err(Ending::Lost).and_then(|message| self.read(&mut link, &message, welcome));
                    match read {
                        Ok(None) => {}
                        Ok(Some(goaway)) => {
                            let window = Duration::from_millis(goaway.reconnect_within_ms);
                            leave_at.get_or_insert(Instant::now() + self.clock.up_to(window));
                        }
                        Err(ending) => return ending,
                    }
                }
                input = self.inbox.next(room), if !self.gone && leave_at.is_none() => self.take(input),
                () = self.wake.notified() => {
                    for id in self.calls.drop_abandoned() {
                        link.say(ClientFrame::Cancel { id });
                    }
                    self.follows.settle(|frame| link.say(frame));
                }
                token = renewed(&mut self.renewing) => {
                    self.renewing = None;
                    match token {
                        Ok(Some(token)) => {
                            let input = Authenticate { access_token: token.expose().to_owned() };
                            self.calls.add(Call::own(Authenticate::NAME, encode(&input)));
                        }
                        Ok(None) => {}
                        Err(error) => tracing::warn!(%error, "the token ends soon and no other could be had"),
                    }
                }
                () = sleep_until(due) => {}
            }
        }
    }
    /// Sends what is to be sent now.
    fn say_ready(&mut self, link: &mut Link<C::Socket>, now: Instant) {
        self.calls.wake(now);
        self.follows.wake(now);
        while let Some((number, call)) = self.calls.next_ready() {
            let mut frame = Vec::new();
            call.write(link.last_id + 1, &mut frame);
            if frame.len() > link.message_bytes {
                let (bytes, limit) = (frame.len(), link.message_bytes);
                if let Some(call) = self.calls.remove(number) {
                    let operation = call.operation.to_string();
                    call.answer(Err(CallError::TooLarge { operation, bytes, limit }));
                }
                continue;
            }
            link.last_id += 1;
            self.calls.sent_as(number, link.last_id);
            link.say_encoded(frame);
        }
        let mut sub = link.last_sub;
        self.follows.subscribe_ready(&mut sub, |frame| link.say(frame));
        link.last_sub = sub;
    }

    /// Takes one message's frames.
    fn read(&mut self, link: &mut Link<C::Socket>, message: &[u8], welcome: &Welcome) -> Result<Option<Goaway>, Ending> {
        let mut goaway = None;
        let mut rest = message;
        while !rest.is_empty() {
            let before = rest.len();
            let Some(frame) = ServerFrame::read(&mut rest).map_err(unreadable)? else { continue };
            let bytes = i64::try_from(before - rest.len()).unwrap_or(i64::MAX);
            match frame {
                ServerFrame::Reply { id, output, .. } => self.replied(link, id, output, welcome),
                ServerFrame::Fault { id: 0, fault } => self.said = fault.decode().ok(),
                ServerFrame::Fault { id, fault } => self.faulted(id, &fault.decode().map_err(unreadable)?),
                ServerFrame::Subscribed { sub, body } => {
                    let subscribed: SubscribedRun = body.decode().map_err(unreadable)?;
                    self.follows.subscribed(sub, subscribed);
                }
                ServerFrame::Events { sub, offset, span, events } => self
                    .follows
                    .events((sub, offset, span, bytes), events, &self.clock, |frame| link.say(frame))
                    .map_err(|_| Ending::Lost(Lost::Broken("the server sent more than it had credit for".into())))?,
                ServerFrame::Ended { sub, body, .. } => {
                    let ended: Ended = body.decode().map_err(unreadable)?;
                    self.follows.ended(sub, ended, &self.clock, |frame| link.say(frame));
                }
                ServerFrame::Snapshot { .. } => link.say(ClientFrame::Credit { sub: 0, bytes }),
                ServerFrame::Ping(nonce) => link.say(ClientFrame::Pong(nonce)),
                ServerFrame::Notice(body) => match body.decode() {
                    Ok(Notice::TokenExpiring { .. }) => match self.sign_in.renewal() {
                        Renewal::Refresh(token) => self.calls.add(refresh(&token)),
                        Renewal::Ask(token) => self.renewing = Some(token),
                    },
                    // Others, which a newer server may send, ask nothing of a client.
                    Ok(Notice::PrincipalChanged { .. }) | Err(_) => {}
                },
                ServerFrame::Goaway(body) => goaway = Some(body.decode().map_err(unreadable)?),
                ServerFrame::Welcome(_) | ServerFrame::Presence { .. } | ServerFrame::Pong(_) => {}
            }
        }
        Ok(goaway)
    }
    fn replied(&mut self, link: &mut Link<C::Socket>, id: u64, output: Body<'_>, welcome: &Welcome) {
        let Some(call) = self.calls.answered(id) else { return };
        let operation = &*call.operation;
        if [Register::NAME, Login::NAME, Refresh::NAME].contains(&operation)
            && let Ok(signed_in) = output.decode::<SignedIn>()
        {
            self.sign_in.signed_in(signed_in);
            link.message_bytes = usize::try_from(welcome.limits.message_bytes).unwrap_or(usize::MAX);
        } else if operation == Authenticate::NAME {
            link.message_bytes = usize::try_from(welcome.limits.message_bytes).unwrap_or(usize::MAX);
        } else if operation == Logout::NAME {
            self.sign_in.forget();
        }
        let answer = match output.flaw() {
            None => Ok(output.bytes().to_vec()),
            Some(flaw) => Err(CallError::Unreadable { operation: operation.to_owned(), error: format!("{flaw:?}") }),
        };
        call.answer(answer);
    }
    fn faulted(&mut self, id: u64, fault: &Fault) {
        let Some(call) = self.calls.faulted(id, fault, Instant::now(), &self.clock) else { return };
        if call.answer.is_none() {
            tracing::warn!(%fault, "the token ends soon and was not renewed");
        }
        call.answer(Err(CallError::Fault(fault.clone())));
    }

    /// How long to wait before the next connection, or that there is to be none.
    fn judge(&mut self, ending: Ending) -> Result<Duration, Stopped> {
        let (base, max) = (Duration::from_millis(self.reconnect.base_ms), Duration::from_millis(self.reconnect.max_ms));
        let error = match ending {
            Ending::Asked | Ending::Unwanted => return Ok(Duration::ZERO),
            Ending::NotMade(error) => {
                if matches!(error, ConnectError::NotWelcomed(_)) {
                    self.said = None;
                }
                error
            }
            Ending::Silent => ConnectError::NotWelcomed("nothing was heard for two heartbeats".into()),
            Ending::Lost(Lost::Broken(error)) => ConnectError::NotWelcomed(format!("the connection broke: {error}")),
            Ending::Lost(Lost::Closed(code)) => {
                self.last_close = code.map(|code| LastClose { code, at: self.clock.now() });
                let stopped = Stopped { code, fault: self.said.take() };
                match after(code) {
                    After::Stop => return Err(stopped),
                    After::SignIn if code != Some(CloseCode::Silent.code()) && self.sign_in.refused() => return Err(stopped),
                    After::BackOff => self.tries = TRIES_TO_MAX,
                    After::SignIn | After::Reconnect | After::Done => {}
                }
                ConnectError::NotWelcomed(stopped.to_string())
            }
        };
        let wait = self.clock.jitter(base, max, self.tries);
        self.tries = self.tries.saturating_add(1);
        tracing::debug!(%error, wait_ms = wait.as_millis(), "not connected");
        for waiting in self.waiting.drain(..) {
            let _ = waiting.send(Err(error.clone()));
        }
        self.state.send_replace(State::Waiting { error, until: Instant::now() + wait });
        Ok(wait)
    }
    /// Waits, and hears meanwhile what is asked for, or that nobody wants anything any more.
    async fn wait(&mut self, wait: Duration) {
        let until = Instant::now() + wait;
        while Instant::now() < until && !(self.gone && !self.is_wanted()) {
            let room = self.has_room();
            tokio::select! {
                () = sleep_until(until) => {}
                input = self.inbox.next(room), if !self.gone => self.take(input),
                () = self.wake.notified() => self.drop_abandoned(),
            }
        }
    }
    /// Answers everything with why the client has stopped, until nobody asks any more.
    async fn stop(mut self, stopped: Stopped) {
        tracing::debug!(%stopped, "stopped");
        self.state.send_replace(State::Stopped(stopped.clone()));
        loop {
            for call in self.calls.drain() {
                call.answer(Err(CallError::Stopped(stopped.clone())));
            }
            self.follows.stop(&stopped);
            for waiting in self.waiting.drain(..) {
                let _ = waiting.send(Err(ConnectError::Stopped(stopped.clone())));
            }
            if self.gone {
                return;
            }
            let input = self.inbox.next(true).await;
            self.take(input);
        }
    }
}

fn refresh(token: &Token) -> Call {
    Call::own(Refresh::NAME, encode(&Refresh { refresh_token: token.expose().to_owned() }))
}

fn unreadable(error: impl std::fmt::Display) -> Ending {
    Ending::Lost(Lost::Broken(format!("what the server sent can't be read: {error}")))
}

/// The token that was asked for; never, where none was.
async fn renewed(asked: &mut Option<BoxFuture<'static, Result<Option<Token>, AuthError>>>) -> Result<Option<Token>, AuthError> {
    match asked {
        Some(asked) => asked.await,
        None => std::future::pending().await,
    }
}
