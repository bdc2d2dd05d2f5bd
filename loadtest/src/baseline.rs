//! What Crewline is compared with. `plain`: tokio-tungstenite used the obvious way, a flush a message. `skeleton`: the same library
//! tuned as Crewline's connection is, and nothing behind it: no access, rates, log or credit. The distance between the skeleton
//! and Crewline is what checking and storing cost.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use clap::ValueEnum;
use crewline_protocol::frame::{Body, ClientFrame, ServerFrame};
use futures::{FutureExt, SinkExt, StreamExt};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::server::{Request, Response},
        protocol::WebSocketConfig,
    },
};

use crate::wire::Error;

/// Messages that wait for a follower; the publisher waits when there are as many.
const QUEUE: usize = 256;

/// Messages that are published at once, as events come in groups from a store.
const BURST: u32 = 64;

/// How a baseline is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    Plain,
    Skeleton,
}

impl Way {
    /// Its name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Skeleton => "skeleton",
        }
    }
}

/// A message that asks a baseline for something else than an echo; it begins with a byte that no frame begins with.
pub(crate) enum Order {
    /// This socket gets what is published.
    Follow,
    /// Publish so many messages of so many bytes, in bursts, of which the last is whole too.
    Publish { messages: u32, bytes: u32 },
}

impl Order {
    const MARK: u8 = 0xc1;

    /// As a message.
    pub(crate) fn write(&self) -> Bytes {
        let (messages, bytes) = match self {
            Self::Follow => (0, 0),
            Self::Publish { messages, bytes } => (*messages, *bytes),
        };
        [&[Self::MARK][..], &messages.to_be_bytes(), &bytes.to_be_bytes()].concat().into()
    }
    fn read(message: &[u8]) -> Option<Self> {
        let [Self::MARK, a, b, c, d, e, f, g, h] = *message else { return None };
        let (messages, bytes) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
        Some(if messages == 0 { Self::Follow } else { Self::Publish { messages, bytes } })
    }
}

type Followers = Arc<Mutex<Vec<mpsc::Sender<Bytes>>>>;

/// Serves until it is killed.
pub(crate) async fn serve(way: Way) -> Result<Infallible, Error> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener: TcpListener = socket.listen(4096)?;
    println!("{}", listener.local_addr()?);
    let followers = Followers::default();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(connection(way, stream, followers.clone()));
    }
}

async fn connection(way: Way, stream: TcpStream, followers: Followers) -> Option<()> {
    let config = match way {
        Way::Plain => WebSocketConfig::default(),
        Way::Skeleton => WebSocketConfig::default().read_buffer_size(2048).write_buffer_size(16 << 10).max_write_buffer_size(1 << 20),
    };
    #[allow(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
    let answer = |request: &Request, mut response: Response| {
        if let Some(offered) = request.headers().get("sec-websocket-protocol") {
            response.headers_mut().insert("sec-websocket-protocol", offered.clone());
        }
        Ok(response)
    };
    let socket = tokio_tungstenite::accept_hdr_async_with_config(stream, answer, Some(config)).await.ok()?;
    match way {
        Way::Plain => plain(socket, &followers).await,
        Way::Skeleton => skeleton(socket, &followers).await,
    }
}

async fn plain(mut socket: WebSocketStream<TcpStream>, followers: &Followers) -> Option<()> {
    let (queue, mut published) = mpsc::channel::<Bytes>(QUEUE);
    loop {
        tokio::select! {
            message = socket.next() => match message?.ok()? {
                Message::Binary(message) => match Order::read(&message) {
                    Some(order) => carry_out(&order, &queue, followers),
                    None => socket.send(Message::Binary(message)).await.ok()?,
                },
                _ => return None,
            },
            message = published.recv() => socket.send(Message::Binary(message?)).await.ok()?,
        }
    }
}

async fn skeleton(mut socket: WebSocketStream<TcpStream>, followers: &Followers) -> Option<()> {
    let (queue, mut published) = mpsc::channel::<Bytes>(QUEUE);
    loop {
        let mut asked = tokio::select! {
            biased;
            message = socket.next() => Some(message?.ok()?),
            message = published.recv() => {
                socket.feed(Message::Binary(message?)).await.ok()?;
                None
            }
        };
        // All that is there already goes out with one flush.
        loop {
            if let Some(message) = asked.take() {
                let Message::Binary(message) = message else { return None };
                match Order::read(&message) {
                    Some(order) => carry_out(&order, &queue, followers),
                    None => socket.feed(Message::Binary(replies(&message)?)).await.ok()?,
                }
            }
            while let Ok(message) = published.try_recv() {
                socket.feed(Message::Binary(message)).await.ok()?;
            }
            match socket.next().now_or_never() {
                Some(message) => asked = Some(message?.ok()?),
                None => break,
            }
        }
        socket.flush().await.ok()?;
    }
}

/// A reply to each request of a message, with an output of the size of `auth.me`'s.
fn replies(message: &[u8]) -> Option<Bytes> {
    let (mut rest, mut replies) = (message, Vec::with_capacity(message.len()));
    // A text of 200 bytes: MessagePack's `str 8`.
    let output = [&[0xd9, 200][..], &[b'a'; 200]].concat();
    while !rest.is_empty() {
        let ClientFrame::Request { id, .. } = ClientFrame::read(&mut rest).ok()? else { return None };
        ServerFrame::Reply { id, output: Body::own(&output), options: None }.write(&mut replies);
    }
    Some(replies.into())
}

fn carry_out(order: &Order, queue: &mpsc::Sender<Bytes>, followers: &Followers) {
    match *order {
        Order::Follow => followers.lock().unwrap_or_else(PoisonError::into_inner).push(queue.clone()),
        Order::Publish { messages, bytes } => {
            let followers = followers.lock().unwrap_or_else(PoisonError::into_inner).clone();
            tokio::spawn(async move {
                for _ in 0..messages.div_ceil(BURST) {
                    let message = Bytes::from(vec![7; bytes as usize]);
                    for follower in &followers {
                        for _ in 0..BURST {
                            if follower.send(message.clone()).await.is_err() {
                                return;
                            }
                        }
                    }
                }
            });
        }
    }
}
