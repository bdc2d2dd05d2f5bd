//! The one task that owns the socket: it connects when there is something to say, keeps requests and subscriptions through lost
//! connections, and ends when nobody is left who could ask for anything.

mod opening;
mod talking;

use std::{sync::Arc, time::Duration};

use crewline_protocol::{
    CloseCode, Fault, Operation,
    close::{After, after},
    opening::{ClientInfo, LastClose, Reconnect, Welcome},
    operations::auth::Refresh,
    value::{WorkspaceId, encode},
};
use futures::future::BoxFuture;
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};

use crate::{
    AuthError, Clock, Connector, Token,
    auth::SignIn,
    calls::{Call, Calls},
    client::State,
    error::{CallError, ConnectError, Stopped},
    follows::{Follow, Follows},
    link::Lost,
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

    /// How long to wait before the next connection, or that there is to be none.
    fn judge(&mut self, ending: Ending) -> Result<Duration, Stopped> {
        let said = self.said.take();
        let (base, max) = (Duration::from_millis(self.reconnect.base_ms), Duration::from_millis(self.reconnect.max_ms));
        let error = match ending {
            Ending::Asked | Ending::Unwanted => return Ok(Duration::ZERO),
            Ending::NotMade(error) => error,
            Ending::Silent => ConnectError::Lost("nothing was heard from the server for two heartbeats".into()),
            Ending::Lost(Lost::Broken(error)) => ConnectError::Lost(format!("the connection broke: {error}")),
            Ending::Lost(Lost::Closed(code)) => {
                self.last_close = code.map(|code| LastClose { code, at: self.clock.now() });
                let stopped = Stopped { code, fault: said };
                match after(code) {
                    After::Stop => return Err(stopped),
                    After::SignIn if code != Some(CloseCode::Silent.code()) && self.sign_in.refused() => return Err(stopped),
                    After::BackOff => self.tries = TRIES_TO_MAX,
                    After::SignIn | After::Reconnect | After::Done => {}
                }
                match (&stopped.fault, code) {
                    (None, None) => ConnectError::Lost("the connection ended without a word from the server".into()),
                    _ => ConnectError::Lost(format!("the server closed the connection: {stopped}")),
                }
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
        while Instant::now() < until && (self.is_wanted() || !self.gone) {
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
