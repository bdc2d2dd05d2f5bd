//! A scripted peer: the other end of the client's sockets, speaking frames over a pipe in memory.

use std::collections::VecDeque;

use crewline_protocol::{
    CloseCode, Fault, RunEvent,
    follow::{Ended, EndedWhy, SubscribeOptions, SubscribedQuery, SubscribedRun, Target},
    frame::{Body, ClientFrame, ServerFrame},
    opening::{Hello, Limits, Reconnect, RequestOptions, ServerInfo, Welcome},
    value::{ConnectionId, Millis, Offset, Revision, encode},
};
use futures::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{io::DuplexStream, sync::mpsc};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{CloseFrame, Role},
    },
};

use crate::{AuthProvider, Client, Clock, ConnectError, Connector};

/// Makes sockets whose other ends go to the test.
struct Dial(mpsc::Sender<DuplexStream>);

impl Connector for Dial {
    type Socket = DuplexStream;
    async fn connect(&self) -> Result<WebSocketStream<DuplexStream>, ConnectError> {
        let (near, far) = tokio::io::duplex(1 << 20);
        let gone = |_| ConnectError::Unreachable { address: "the test".into(), error: "has ended".into() };
        self.0.send(far).await.map_err(gone)?;
        Ok(WebSocketStream::from_raw_socket(near, Role::Client, None).await)
    }
}

/// Where the client's connections arrive.
pub(super) struct Listener(mpsc::Receiver<DuplexStream>);

/// A client with these tokens, and where its connections arrive.
pub(super) fn client(seed: u64, auth: impl AuthProvider) -> (Client, Listener) {
    let (dial, connections) = mpsc::channel(1);
    let clock = Clock::simulated(seed, Millis(1_700_000_000_000));
    (Client::over(Dial(dial)).auth(auth).clock(clock).start(), Listener(connections))
}

impl Listener {
    /// The next connection and what it says first.
    pub(super) async fn accept(&mut self) -> (Peer, Hello) {
        let socket = self.0.recv().await.expect("the client connects");
        let mut peer = Peer { socket: WebSocketStream::from_raw_socket(socket, Role::Server, None).await, said: VecDeque::new() };
        let Some(Said::Hello(hello)) = peer.next().await else { panic!("the first frame is hello") };
        (peer, hello)
    }
    /// The next connection, welcomed.
    pub(super) async fn welcome(&mut self) -> Peer {
        let (mut peer, _) = self.accept().await;
        peer.welcomed(&welcome("first")).await;
        peer
    }
    /// Whether a connection is waiting to be accepted.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.0.try_recv().is_err()
    }
}

pub(super) fn welcome(epoch: &str) -> Welcome {
    Welcome {
        connection_id: ConnectionId::new(Millis(1), [1; 10]),
        server: ServerInfo { name: "peer".into(), version: "1".into(), build: "test".into() },
        now_at: Millis(1),
        epoch: epoch.into(),
        principal: None,
        limits: Limits { message_bytes: 1 << 20, row_bytes: 1 << 18, requests: 256, subscriptions: 256, credit_bytes: 1 << 20 },
        heartbeat_ms: 15_000,
        features: Vec::new(),
        reconnect: Reconnect { base_ms: 200, max_ms: 10_000 },
    }
}

/// A frame that the client sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    Hello(Hello),
    Request { id: u64, operation: String, input: Value, key: Option<String> },
    Cancel(u64),
    Subscribe { sub: u64, target: Target, from: Option<i64>, credit: Option<i64> },
    Presence { sub: u64, state: Value },
    Credit { sub: u64, bytes: i64 },
    Unsubscribe(u64),
    Pong(u64),
}

/// One connection, seen from the server's end.
pub(super) struct Peer {
    socket: WebSocketStream<DuplexStream>,
    said: VecDeque<Said>,
}

impl Peer {
    /// The next frame; `None`: the client has left.
    pub(super) async fn next(&mut self) -> Option<Said> {
        while self.said.is_empty() {
            match self.socket.next().await?.ok()? {
                Message::Binary(message) => self.take(&message),
                Message::Close(_) => return None,
                other => panic!("{other:?}"),
            }
        }
        self.said.pop_front()
    }
    fn take(&mut self, mut message: &[u8]) {
        while !message.is_empty() {
            let said = match ClientFrame::read(&mut message).expect("a whole frame") {
                ClientFrame::Hello(body) => Said::Hello(body.decode().unwrap()),
                ClientFrame::Request { id, operation, input, options } => {
                    let key = options.and_then(|options| options.decode::<RequestOptions>().unwrap().key);
                    Said::Request { id, operation: operation.into(), input: input.decode().unwrap(), key }
                }
                ClientFrame::Cancel { id } => Said::Cancel(id),
                ClientFrame::Subscribe { sub, target, options } => {
                    let SubscribeOptions { from, credit } = options.map(|options| options.decode().unwrap()).unwrap_or_default();
                    Said::Subscribe { sub, target: target.decode().unwrap(), from, credit }
                }
                ClientFrame::Credit { sub, bytes } => Said::Credit { sub, bytes },
                ClientFrame::Presence { sub, state } => Said::Presence { sub, state: state.decode().unwrap() },
                ClientFrame::Unsubscribe { sub } => Said::Unsubscribe(sub),
                ClientFrame::Pong(nonce) => Said::Pong(nonce.decode().unwrap()),
                ping @ ClientFrame::Ping(_) => panic!("{ping:?}"),
            };
            self.said.push_back(said);
        }
    }
    /// Says these frames in one message; returns its length.
    pub(super) async fn say(&mut self, frames: &[ServerFrame<'_>]) -> i64 {
        let mut message = Vec::new();
        for frame in frames {
            frame.write(&mut message);
        }
        let bytes = i64::try_from(message.len()).unwrap();
        self.socket.send(Message::Binary(message.into())).await.unwrap();
        bytes
    }
    pub(super) async fn welcomed(&mut self, welcome: &Welcome) {
        self.say(&[ServerFrame::Welcome(Body::own(&encode(welcome)))]).await;
    }
    pub(super) async fn reply(&mut self, id: u64, output: &impl serde::Serialize) {
        self.say(&[ServerFrame::Reply { id, output: Body::own(&encode(output)), options: None }]).await;
    }
    pub(super) async fn fault(&mut self, id: u64, fault: &Fault) {
        self.say(&[ServerFrame::Fault { id, fault: Body::own(&encode(fault)) }]).await;
    }
    pub(super) async fn subscribed(&mut self, sub: u64, from: i64, head: i64) {
        let body = encode(&SubscribedRun { from: Offset(from), head: Offset(head), complete: false });
        self.say(&[ServerFrame::Subscribed { sub, body: Body::own(&body) }]).await;
    }
    /// Says that a query's subscription stands at this revision, and whether a snapshot is to come.
    pub(super) async fn subscribed_query(&mut self, sub: u64, revision: i64, snapshot: bool) {
        let body = encode(&SubscribedQuery { revision: Revision(revision), snapshot });
        self.say(&[ServerFrame::Subscribed { sub, body: Body::own(&body) }]).await;
    }
    pub(super) async fn snapshot(&mut self, sub: u64, revision: i64, value: &Value) -> i64 {
        self.say(&[ServerFrame::Snapshot { sub, offset: revision, value: Body::own(&encode(value)) }]).await
    }
    /// Says changes that bring the position from `revision - span` to `revision`; returns the frame's length.
    pub(super) async fn changes(&mut self, sub: u64, revision: i64, span: i64, changes: &Value) -> i64 {
        self.say(&[ServerFrame::Events { sub, offset: revision, span, events: Body::own(&encode(changes)) }]).await
    }
    /// Says events that bring the position from `offset - span` to `offset`; returns the frame's length.
    pub(super) async fn events(&mut self, sub: u64, offset: i64, span: i64, events: &[RunEvent]) -> i64 {
        self.say(&[ServerFrame::Events { sub, offset, span, events: Body::own(&encode(events)) }]).await
    }
    pub(super) async fn ended(&mut self, sub: u64, why: EndedWhy, fault: Option<Fault>) {
        self.say(&[ServerFrame::Ended { sub, offset: 0, body: Body::own(&encode(&Ended { why, fault })) }]).await;
    }
    pub(super) async fn close(mut self, code: CloseCode) {
        let frame = CloseFrame { code: code.code().into(), reason: "".into() };
        self.socket.send(Message::Close(Some(frame))).await.unwrap();
        while let Some(Ok(_)) = self.socket.next().await {}
    }
    /// Gone without a word.
    pub(super) fn cut(self) {}
}
