//! A node in memory and a peer that speaks frames, for tests in simulated time.

pub(crate) mod crews;
pub(crate) mod desk;
pub(crate) mod openai;
pub(crate) mod scripted;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crewline_protocol::{
    close::CloseCode,
    event::RunEvent,
    fault::Fault,
    follow::{Ended, SubscribedQuery, SubscribedRun},
    frame::{Body, ClientFrame, ServerFrame},
    live::LiveChange,
    opening::{ClientInfo, Goaway, Hello, Notice, ReplyOptions, RequestOptions, Welcome},
    operation::{Operation, Role},
    operations::{
        auth::{Login, Register, SignedIn},
        invitation,
    },
    presence,
    value::{Millis, MutationKey, Offset, Revision, RunId, decode, encode},
};
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role as Side},
};

use crate::{
    access::{Access, Cost, SigningKey, Threads},
    apps::{App, Apps},
    auth,
    clock::Clock,
    connection::{self, Node, Place},
    context::{Context, Failure, Services},
    dispatch::Router,
    hub::Hub,
    limits::Limits,
    lines::Lines,
    query::{Feeds, Live},
    server::tell,
    settings::Settings,
    store::{Commit, Location, Store},
};

/// When simulated calendars start.
pub(crate) const START: Millis = Millis(1_700_000_000_000);
/// Where simulated peers are.
pub(crate) const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
/// The cheapest hash that argon2 can make: these tests are not about hashing.
const CHEAP: Cost = Cost { memory_kib: 8, passes: 1 };

/// A node on a store in memory, and a person who is its workspace's owner.
pub(crate) struct Stage {
    pub(crate) node: Node,
    pub(crate) person: SignedIn,
    /// Whether what the store writes reaches the hub; hints may be lost.
    pub(crate) hints: Arc<AtomicBool>,
}

impl Stage {
    /// A node with these settings.
    pub(crate) async fn new(settings: Settings) -> Self {
        let hub = Hub::new(usize::try_from(settings.tail_bytes).unwrap());
        let hints = Arc::new(AtomicBool::new(true));
        let feeds = Feeds::new(&settings);
        let (tells, passes) = (tell(&hub, &feeds), hints.clone());
        let tell = move |told| {
            if passes.load(Ordering::Relaxed) {
                tells(told);
            }
        };
        let store = Store::open(&Location::Memory, Arc::new(tell)).await.unwrap();
        let node = node(settings, Clock::simulated(1, START), store, hub, feeds).await;
        let person = register(&node, "ada@example.com").await;
        Self { node, person, hints }
    }
    /// A socket to the node, upgraded, with nothing said yet.
    pub(crate) async fn connect(&self) -> Peer<DuplexStream> {
        self.connect_at(Welcomed).await
    }
    /// The same, at a place of one's own.
    pub(crate) async fn connect_at(&self, place: impl Place + 'static) -> Peer<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(connection::serve(theirs, Vec::new(), ADDRESS, self.node.clone(), place));
        Peer::new(ours).await
    }
    /// A socket on which the person is signed in.
    pub(crate) async fn signed_in(&self) -> Peer<DuplexStream> {
        let mut peer = self.connect().await;
        peer.hello(Some(&self.person.access_token)).await;
        peer
    }
    /// A socket on which somebody else is signed in.
    pub(crate) async fn connect_as(&self, person: &SignedIn) -> Peer<DuplexStream> {
        let mut peer = self.connect().await;
        peer.hello(Some(&person.access_token)).await;
        peer
    }
    /// Somebody who joins the stage's workspace.
    pub(crate) async fn joins(&self, email: &str, role: Role) -> SignedIn {
        let invited = self.signed_in().await.call(&invitation::Create { id: None, email: email.into(), role }).await.unwrap();
        let own = register(&self.node, email).await;
        self.connect_as(&own).await.call(&invitation::Accept { token: invited.token }).await.unwrap()
    }
    /// Somebody who is known, signed in once more.
    pub(crate) async fn log_in(&self, email: &str) -> SignedIn {
        let cx = Context { services: self.node.services.clone(), identity: None, address: ADDRESS, key: None };
        let input = Login { email: email.into(), password: "correct horse".into(), workspace_id: None };
        auth::login(cx, input).await.unwrap().output
    }
    /// Appends events to a run's log, as an executor would.
    pub(crate) async fn append(&self, run: RunId, events: &[RunEvent]) {
        self.node.services.store.commit(Commit::default().append(run, events)).await.unwrap();
    }
}

/// A node's rooms on this store.
pub(crate) async fn node(settings: Settings, clock: Clock, store: Store, hub: Hub, feeds: Feeds) -> Node {
    node_of(App::built_in(), settings, clock, store, hub, feeds).await
}

/// The same, serving this app.
pub(crate) async fn node_of(app: App, settings: Settings, clock: Clock, store: Store, hub: Hub, feeds: Feeds) -> Node {
    let key = SigningKey::from_seed([7; 32]);
    let access = Access::with_key(&key, CHEAP, Threads::None, store.clone(), clock.clone(), &settings).unwrap();
    let apps = Apps::serve(app, &store, START).await.unwrap();
    let limits = Limits::new(&settings);
    let live = Live::new(feeds, store.clone());
    let services = Arc::new(Services { settings, clock, store, hub, live, access, apps, limits, lines: Lines::default() });
    Node { services, router: Arc::new(Router::new()) }
}

/// Registers a person.
pub(crate) async fn register(node: &Node, email: &str) -> SignedIn {
    let cx = Context { services: node.services.clone(), identity: None, address: ADDRESS, key: None };
    let input = Register { email: email.into(), password: "correct horse".into(), name: "Ada".into(), workspace: None, invitation: None };
    auth::register(cx, input).await.unwrap().output
}

/// What a handler refused with.
pub(crate) fn fault(failure: Failure) -> Fault {
    match failure {
        Failure::Fault(fault) | Failure::Stale(fault) => fault,
        Failure::Error(error) | Failure::Unavailable(error) => panic!("{error}"),
    }
}

/// A place that is free.
pub(crate) struct Welcomed;

impl Place for Welcomed {
    fn refused(&self) -> Option<Fault> {
        None
    }
    fn signed_in(&mut self) {}
}

/// The other end of a socket.
pub(crate) struct Peer<S> {
    socket: WebSocketStream<S>,
    heard: std::collections::VecDeque<Heard>,
    requests: u64,
    /// When it was welcomed.
    now: Millis,
}

/// Numbers for keys: no two calls of a test share one.
static KEYS: AtomicU64 = AtomicU64::new(0);

/// A frame of the server, decoded, or the socket's end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Heard {
    Welcome(Box<Welcome>),
    Reply(u64, serde_json::Value, ReplyOptions),
    Fault(u64, Box<Fault>),
    Subscribed(u64, SubscribedRun),
    Asked(u64, SubscribedQuery),
    Snapshot(u64, Revision, serde_json::Value),
    Changes {
        sub: u64,
        offset: Revision,
        span: i64,
        changes: Vec<LiveChange>,
    },
    /// Present in a session.
    Here(u64),
    /// A member's state; `None`: it has left.
    Presence(u64, Box<presence::Member>, Option<serde_json::Value>),
    Events {
        sub: u64,
        offset: Offset,
        span: i64,
        events: Vec<RunEvent>,
        bytes: usize,
    },
    Ended(u64, Offset, Box<Ended>),
    Ping,
    Pong(Vec<u8>),
    Notice(Box<Notice>),
    Goaway(Goaway),
    Closed(Option<CloseCode>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// The client's side of an upgraded stream.
    pub(crate) async fn new(stream: S) -> Self {
        let socket = WebSocketStream::from_raw_socket(stream, Side::Client, None).await;
        Self { socket, heard: Default::default(), requests: 0, now: START }
    }
    /// Sends frames in one message.
    pub(crate) async fn say(&mut self, frames: &[ClientFrame<'_>]) {
        let mut message = Vec::new();
        for frame in frames {
            frame.write(&mut message);
        }
        self.say_bytes(message).await;
    }
    /// Sends a binary message.
    pub(crate) async fn say_bytes(&mut self, message: Vec<u8>) {
        self.say_message(Message::Binary(message.into())).await;
    }
    /// Sends any message. That the socket is gone shows when one listens.
    pub(crate) async fn say_message(&mut self, message: Message) {
        let _ = self.socket.send(message).await;
    }
    /// Says hello and listens for welcome.
    pub(crate) async fn hello(&mut self, access_token: Option<&str>) -> Welcome {
        self.say(&[ClientFrame::Hello(Body::own(&hello(access_token)))]).await;
        match self.hear().await {
            Heard::Welcome(welcome) => {
                self.now = welcome.now_at;
                *welcome
            }
            other => panic!("no welcome but {other:?}"),
        }
    }
    /// Asks for an operation, with a key; gives the request's id.
    pub(crate) async fn ask<O: Operation>(&mut self, input: &O, key: Option<MutationKey>) -> u64 {
        self.requests += 1;
        let (id, input) = (self.requests, encode(input));
        let options = encode(&RequestOptions { key: key.map(|key| key.to_string()), ..RequestOptions::default() });
        self.say(&[ClientFrame::Request { id, operation: O::NAME, input: Body::own(&input), options: Some(Body::own(&options)) }]).await;
        id
    }
    /// Asks for an operation, under a key of its own, and waits for the answer; what is heard meanwhile is kept.
    pub(crate) async fn call<O: Operation>(&mut self, input: &O) -> Result<O::Output, Fault> {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&KEYS.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let id = self.ask(input, Some(MutationKey::new(self.now, random))).await;
        let mut others = std::collections::VecDeque::new();
        let answer = loop {
            match self.hear_said().await {
                Heard::Reply(of, output, _) if of == id => break Ok(serde_json::from_value(output).unwrap()),
                Heard::Fault(of, fault) if of == id => break Err(*fault),
                Heard::Closed(code) => panic!("closed with {code:?} before the answer"),
                other => others.push_back(other),
            }
        };
        others.append(&mut self.heard);
        self.heard = others;
        answer
    }
    /// Follows a run.
    pub(crate) async fn follow(&mut self, sub: u64, run: RunId, options: serde_json::Value) {
        let (target, options) = (encode(&serde_json::json!({ "run": run })), encode(&options));
        self.say(&[ClientFrame::Subscribe { sub, target: Body::own(&target), options: Some(Body::own(&options)) }]).await;
    }
    /// Follows a read.
    pub(crate) async fn watch(&mut self, sub: u64, op: &str, input: &serde_json::Value, options: serde_json::Value) {
        let (target, options) = (encode(&serde_json::json!({ "query": { "op": op, "input": input } })), encode(&options));
        self.say(&[ClientFrame::Subscribe { sub, target: Body::own(&target), options: Some(Body::own(&options)) }]).await;
    }
    /// The next frame, or the socket's end.
    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return heard;
            }
            match self.socket.next().await {
                Some(Ok(Message::Binary(message))) => self.heard.extend(frames(&message)),
                Some(Ok(Message::Close(frame))) => {
                    return Heard::Closed(frame.and_then(|frame| CloseCode::from_code(frame.code.into())));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Heard::Closed(None),
            }
        }
    }
    /// The next frame that is no ping; pings are answered.
    pub(crate) async fn hear_said(&mut self) -> Heard {
        loop {
            match self.hear().await {
                Heard::Ping => self.say(&[ClientFrame::Pong(Body::own(&[0]))]).await,
                heard => return heard,
            }
        }
    }
    /// Listens until the end: the fault before it and its code.
    pub(crate) async fn hear_end(&mut self) -> (Option<Fault>, Option<CloseCode>) {
        let mut last = None;
        loop {
            match self.hear().await {
                Heard::Fault(0, fault) => last = Some(*fault),
                Heard::Closed(code) => return (last, code),
                _ => {}
            }
        }
    }
}

/// An encoded hello.
pub(crate) fn hello(access_token: Option<&str>) -> Vec<u8> {
    encode(&Hello {
        client: ClientInfo { name: "test".into(), version: "1".into() },
        access_token: access_token.map(str::to_owned),
        workspace_id: None,
        features: Vec::new(),
        last_close: None,
    })
}

fn frames(message: &[u8]) -> Vec<Heard> {
    let (mut rest, mut heard) = (message, Vec::new());
    while !rest.is_empty() {
        let before = rest.len();
        let frame = ServerFrame::read(&mut rest).unwrap().expect("a frame that is known");
        heard.push(decoded(frame, before - rest.len()));
    }
    heard
}

fn decoded(frame: ServerFrame<'_>, bytes: usize) -> Heard {
    match frame {
        ServerFrame::Welcome(body) => Heard::Welcome(Box::new(decode(body.bytes()).unwrap())),
        ServerFrame::Reply { id, output, options } => {
            let options = options.map(|options| decode(options.bytes()).unwrap()).unwrap_or_default();
            Heard::Reply(id, decode(output.bytes()).unwrap(), options)
        }
        ServerFrame::Fault { id, fault } => Heard::Fault(id, Box::new(decode(fault.bytes()).unwrap())),
        ServerFrame::Subscribed { sub, body } if body.bytes() == [0x80] => Heard::Here(sub),
        ServerFrame::Subscribed { sub, body } => match decode(body.bytes()) {
            Ok(subscribed) => Heard::Subscribed(sub, subscribed),
            Err(_) => Heard::Asked(sub, decode(body.bytes()).unwrap()),
        },
        ServerFrame::Events { sub, offset, span, events } => match decode(events.bytes()) {
            Ok(events) => Heard::Events { sub, offset: Offset(offset), span, events, bytes },
            Err(_) => Heard::Changes { sub, offset: Revision(offset), span, changes: decode(events.bytes()).unwrap() },
        },
        ServerFrame::Ended { sub, offset, body } => Heard::Ended(sub, Offset(offset), Box::new(decode(body.bytes()).unwrap())),
        ServerFrame::Ping(_) => Heard::Ping,
        ServerFrame::Pong(nonce) => Heard::Pong(nonce.bytes().to_vec()),
        ServerFrame::Notice(body) => Heard::Notice(Box::new(decode(body.bytes()).unwrap())),
        ServerFrame::Goaway(body) => Heard::Goaway(decode(body.bytes()).unwrap()),
        ServerFrame::Presence { sub, member, state } => {
            Heard::Presence(sub, Box::new(decode(member.bytes()).unwrap()), decode(state.bytes()).unwrap())
        }
        ServerFrame::Snapshot { sub, offset, value } => Heard::Snapshot(sub, Revision(offset), decode(value.bytes()).unwrap()),
    }
}
