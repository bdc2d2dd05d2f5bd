//! The handle: calls and streams over a connection that looks after itself.

use std::{borrow::Cow, sync::Arc, time::Duration};

use crewline_protocol::{
    follow::{CREDIT_BYTES, CREDIT_CAP_BYTES, Input, Place, Query},
    frame::Body,
    live::Live,
    opening::{ClientInfo, Welcome},
    operation::{Kind, Operation},
    operations::{
        self,
        auth::{Login, Register, SignedIn},
    },
    read::ReadOperation,
    value::{MutationKey, Offset, RunId, SessionId, WorkspaceId, encode},
};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::Instant,
};

use crate::{
    AuthProvider, Clock, Connector, NoToken, Presence, RunStream, Tcp, Watch,
    auth::SignIn,
    calls::{Answer, Call},
    driver::{Driver, Identity, Inbox, Order},
    error::{CallError, ConnectError, FollowError, Stopped, UrlError},
    follows::Follow,
    presence::Here,
    reading::Taken,
    subject::Subject,
};

/// Calls that wait for the driver; more wait in their callers.
const WAITING_CALLS: usize = 64;
/// How long a call waits for its answer, unless told otherwise.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// A client of one server, acting in one workspace. Clones share its connection, which ends when the last one and the last stream
/// are dropped.
#[derive(Clone)]
pub struct Client {
    calls: mpsc::Sender<Call>,
    orders: mpsc::Sender<Order>,
    state: watch::Receiver<State>,
    wake: Arc<Notify>,
    clock: Clock,
    timeout: Duration,
}

/// Where a client stands.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// There is nothing to say, and no connection.
    Idle,
    /// A connection is being made.
    Connecting,
    /// There is a connection, and this is how the server welcomed it.
    Connected(Arc<Welcome>),
    /// There is no connection; the next is made at `until`.
    Waiting {
        /// Why the last did not hold.
        error: ConnectError,
        /// When the next is made.
        until: Instant,
    },
    /// The server said something that no further try mends.
    Stopped(Stopped),
}

/// How a call is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct CallOptions {
    /// How long to wait for the answer, over all tries and connections; absent: the client's own, 60 s unless set.
    pub timeout: Option<Duration>,
    /// The key of a mutation that was made before; absent: a new one.
    pub key: Option<MutationKey>,
}

/// How a run is followed.
#[derive(Debug, Clone, Default)]
pub struct FollowOptions {
    /// The last position that was applied; absent: from the run's start.
    pub from: Offset,
    /// Only events of these types; absent: all.
    pub only: Option<Vec<String>>,
    /// The most bytes of events that may be on their way or unread, from 1 to 16 MiB; absent: 256 KiB.
    pub credit: Option<i64>,
}

/// Puts a client together. It does not connect before it is asked for something.
pub struct ClientBuilder<C = ()> {
    url: String,
    connector: C,
    auth: Arc<dyn AuthProvider>,
    identity: Identity,
    clock: Option<Clock>,
    timeout: Duration,
}

impl Client {
    /// A client of the server at this `ws://` URL.
    pub fn builder(url: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(url.into(), ())
    }
    /// A client over sockets of one's own making.
    pub fn over<C: Connector>(connector: C) -> ClientBuilder<C> {
        ClientBuilder::new(String::new(), connector)
    }

    /// Connects now, once, instead of when there is something to say; or gives the welcome of the connection that is there.
    ///
    /// # Errors
    /// Why this one try failed. Later calls try again.
    pub async fn connect(&self) -> Result<Arc<Welcome>, ConnectError> {
        let gone = || ConnectError::Stopped(Stopped { code: None, fault: None });
        let (answer, answered) = oneshot::channel();
        self.orders.send(Order::Connect(answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
    /// Where the client stands, and each change of it.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }
    /// Says goodbye, and waits until that is said or `within` has passed. Clones and streams that are left keep the connection.
    pub async fn close(self, within: Duration) {
        let mut state = self.state.clone();
        drop(self);
        // The driver drops the sender when it is done.
        let _ = tokio::time::timeout(within, async { while state.changed().await.is_ok() {} }).await;
    }

    /// Asks for an operation and waits for its answer, over lost connections. A mutation happens at most once. Dropping the future
    /// cancels the request.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call<O: Operation>(&self, input: O) -> Result<O::Output, CallError> {
        self.call_with(input, CallOptions::default()).await
    }
    /// The same with options.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call_with<O: Operation>(&self, input: O, options: CallOptions) -> Result<O::Output, CallError> {
        self.ask(O::NAME.into(), encode(&input), O::KIND, options).await
    }
    /// Asks for an operation by name, with an input of any shape.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call_raw(
        &self,
        operation: impl Into<String>,
        input: &serde_json::Value,
        options: CallOptions,
    ) -> Result<serde_json::Value, CallError> {
        let operation = operation.into();
        // A server that is newer may know more operations; a key does no harm where none is needed.
        let kind = operations::find(&operation).map_or(Kind::Mutation, |operation| operation.kind);
        self.ask(operation.into(), encode(input), kind, options).await
    }
    /// Makes a user and a workspace, and signs this client in as its owner: also on later connections.
    ///
    /// # Errors
    /// See [`CallError`]; `conflict` where the address is taken.
    pub async fn register(&self, input: Register) -> Result<SignedIn, CallError> {
        self.call(input).await
    }
    /// Signs this client in: also on later connections.
    ///
    /// # Errors
    /// See [`CallError`]; `unauthenticated` for a wrong password and for an unknown address.
    pub async fn login(&self, email: impl Into<String>, password: impl Into<String>) -> Result<SignedIn, CallError> {
        self.call(Login { email: email.into(), password: password.into(), workspace_id: None }).await
    }

    /// Follows a run's stream. Its events come once each and in order; lost connections are not seen, but for
    /// [`Followed::Attached`](crate::Followed::Attached).
    ///
    /// # Errors
    /// Only when the client has stopped; the stream itself says whether the run can be followed.
    pub async fn follow_run(&self, run: RunId, options: FollowOptions) -> Result<RunStream, FollowError> {
        let window = options.credit.unwrap_or(CREDIT_BYTES).clamp(1, CREDIT_CAP_BYTES);
        let (queue, deliveries) = mpsc::channel(Follow::places(window));
        let taken = Taken::new(self.wake.clone());
        let subject = Subject::Run { run, only: options.only, queue };
        self.follow(Follow::new(subject, window, taken.clone()).from(options.from.0)).await?;
        Ok(RunStream::new(deliveries, taken))
    }
    /// Follows a read that the table of operations marks live, without `cursor`. Lost connections are not seen.
    ///
    /// # Errors
    /// Only when the client has stopped; the query itself says whether it can be followed.
    pub async fn watch<O: ReadOperation>(&self, input: O) -> Result<Watch<O::Output>, FollowError> {
        self.watch_query(Query { op: O::NAME.into(), input: Input::of(&input) }).await
    }
    /// The same by name, with an input and an output of any shape.
    ///
    /// # Errors
    /// The same.
    pub async fn watch_raw<T: Live>(&self, operation: impl Into<String>, input: &serde_json::Value) -> Result<Watch<T>, FollowError> {
        self.watch_query(Query { op: operation.into(), input: Input::of(input) }).await
    }
    /// Is present in a session: the others there see it, and it sees them.
    ///
    /// # Errors
    /// Only when the client has stopped; presence itself says whether one may be there.
    pub async fn presence(&self, session_id: SessionId) -> Result<Presence, FollowError> {
        let (here, others) = watch::channel(Here::default());
        let (own, state) = watch::channel(None);
        let subject = Subject::Presence { place: Place { session_id }, here, state, begun: false };
        self.follow(Follow::new(subject, 0, Taken::new(self.wake.clone()))).await?;
        Ok(Presence::new(others, own, self.wake.clone()))
    }

    async fn watch_query<T: Live>(&self, query: Query) -> Result<Watch<T>, FollowError> {
        let (queue, told) = mpsc::channel(Follow::places(CREDIT_BYTES));
        let taken = Taken::new(self.wake.clone());
        self.follow(Follow::new(Subject::Query { query, queue }, CREDIT_BYTES, taken.clone())).await?;
        Ok(Watch::new(told, taken))
    }
    async fn follow(&self, follow: Follow) -> Result<(), FollowError> {
        let gone = |_| FollowError::Stopped(Stopped { code: None, fault: None });
        self.orders.send(Order::Follow(follow)).await.map_err(gone)
    }
    async fn ask<T: DeserializeOwned>(
        &self,
        operation: Cow<'static, str>,
        input: Vec<u8>,
        kind: Kind,
        options: CallOptions,
    ) -> Result<T, CallError> {
        let key = match kind {
            Kind::Mutation => Some(options.key.unwrap_or_else(|| self.clock.mutation_key())),
            Kind::Read | Kind::Idempotent => None,
        };
        let (answer, answered) = oneshot::channel();
        let mut answered = Answered { answered, wake: &self.wake };
        let call = Call { operation: operation.clone(), input, key, answer: Some(answer), tries: 0 };
        let gone = || CallError::Stopped(Stopped { code: None, fault: None });
        let after = options.timeout.unwrap_or(self.timeout);
        let answer = tokio::time::timeout(after, async {
            self.calls.send(call).await.map_err(|_| gone())?;
            (&mut answered.answered).await.map_err(|_| gone())?
        });
        let operation = operation.into_owned();
        let output = answer.await.map_err(|_| CallError::TimedOut { operation: operation.clone(), after, key })??;
        Body::own(&output).decode().map_err(|error| CallError::Unreadable { operation, error: error.to_string() })
    }
}

/// Tells the driver when the one who waits has gone.
struct Answered<'a> {
    answered: oneshot::Receiver<Answer>,
    wake: &'a Notify,
}

impl Drop for Answered<'_> {
    fn drop(&mut self) {
        self.answered.close();
        self.wake.notify_one();
    }
}

impl<C> ClientBuilder<C> {
    fn new(url: String, connector: C) -> Self {
        let client = ClientInfo { name: env!("CARGO_PKG_NAME").into(), version: env!("CARGO_PKG_VERSION").into() };
        let identity = Identity { client, workspace_id: None };
        Self { url, connector, auth: Arc::new(NoToken), identity, clock: None, timeout: CALL_TIMEOUT }
    }
    /// Who is asked for a token each time that the client connects; without one it signs in by [`Client::login`].
    #[must_use]
    pub fn auth(mut self, provider: impl AuthProvider) -> Self {
        self.auth = Arc::new(provider);
        self
    }
    /// The workspace to act in; without it the principal's latest.
    #[must_use]
    pub fn workspace(mut self, id: WorkspaceId) -> Self {
        self.identity.workspace_id = Some(id);
        self
    }
    /// The program's name and version, for the server's log.
    #[must_use]
    pub fn program(mut self, name: impl Into<String>, version: impl Into<String>) -> Self {
        self.identity.client = ClientInfo { name: name.into(), version: version.into() };
        self
    }
    /// The calendar and the dice; the machine's without it.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }
    /// How long calls wait for their answer; 60 s without it.
    #[must_use]
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl ClientBuilder {
    /// The client. Must be called within a tokio runtime, which gets the connection's task.
    ///
    /// # Errors
    /// For a URL that is no `ws://` URL.
    pub fn build(self) -> Result<Client, UrlError> {
        let connector = Tcp::new(&self.url)?;
        let Self { url, connector: (), auth, identity, clock, timeout } = self;
        Ok(ClientBuilder { url, connector, auth, identity, clock, timeout }.start())
    }
}

impl<C: Connector> ClientBuilder<C> {
    /// The client. Must be called within a tokio runtime, which gets the connection's task.
    pub fn start(self) -> Client {
        let clock = self.clock.unwrap_or_else(Clock::system);
        let (calls, calls_inbox) = mpsc::channel(WAITING_CALLS);
        let (orders, orders_inbox) = mpsc::channel(WAITING_CALLS);
        let (state_sender, state) = watch::channel(State::Idle);
        let wake = Arc::new(Notify::new());
        let inbox = Inbox { calls: calls_inbox, orders: orders_inbox };
        let who = (self.connector, self.identity, clock.clone(), SignIn::new(self.auth));
        // It ends when the last handle and the last stream are dropped.
        tokio::spawn(Driver::new(who, inbox, wake.clone(), state_sender).run());
        Client { calls, orders, state, wake, clock, timeout: self.timeout }
    }
}
