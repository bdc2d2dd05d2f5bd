//! One connection's socket: messages in, and frames out, gathered into few messages and one flush.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use crewline_protocol::{MESSAGE_BYTES, MESSAGE_BYTES_BEFORE_SIGN_IN, frame::ClientFrame};
use futures::{Sink, Stream};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        error::ProtocolError,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

/// Messages that are fed to the socket before it is flushed.
const FED_AT_ONCE: usize = 64;
/// Bytes waiting to be written above which nothing is read: what is read makes more to write.
const HIGH_WATER_BYTES: usize = 2 << 20;
/// How long a leaving client waits for the socket to take the last bytes.
const LEAVING: Duration = Duration::from_secs(1);

/// How a connection ended.
#[derive(Debug)]
pub(crate) enum Lost {
    /// With this close code, or without one.
    Closed(Option<u16>),
    /// The socket broke.
    Broken(String),
}

/// A connection's socket.
pub(crate) struct Link<S> {
    socket: WebSocketStream<S>,
    /// Encoded frames.
    outbox: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
    unflushed: bool,
    /// The longest message that the server takes now.
    pub(crate) message_bytes: usize,
    /// When something was last received.
    pub(crate) heard: Instant,
    pub(crate) last_id: u64,
    pub(crate) last_sub: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    pub(crate) fn new(socket: WebSocketStream<S>) -> Self {
        Self {
            socket,
            outbox: VecDeque::new(),
            waiting_bytes: 0,
            unflushed: false,
            message_bytes: MESSAGE_BYTES_BEFORE_SIGN_IN,
            heard: Instant::now(),
            last_id: 0,
            last_sub: 0,
        }
    }
    /// Puts a frame into the outbox.
    pub(crate) fn say(&mut self, frame: ClientFrame<'_>) {
        let mut bytes = Vec::new();
        frame.write(&mut bytes);
        self.say_encoded(bytes);
    }
    /// Puts an encoded frame into the outbox.
    pub(crate) fn say_encoded(&mut self, frame: Vec<u8>) {
        self.waiting_bytes += frame.len();
        self.outbox.push_back(frame);
    }
    /// Whether everything said was handed to the operating system.
    pub(crate) fn is_quiet(&self) -> bool {
        self.outbox.is_empty() && !self.unflushed
    }
    /// Writes what waits until a message comes. May be dropped and called again at any time.
    pub(crate) async fn message(&mut self) -> Result<Bytes, Lost> {
        poll_fn(|cx| {
            self.poll_write(cx)?;
            if self.waiting_bytes > HIGH_WATER_BYTES {
                return Poll::Pending;
            }
            loop {
                let message = match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                    None => return Poll::Ready(Err(Lost::Closed(None))),
                    Some(Err(error)) => return Poll::Ready(Err(lost(&error))),
                    Some(Ok(message)) => message,
                };
                self.heard = Instant::now();
                match message {
                    Message::Binary(bytes) => return Poll::Ready(Ok(bytes)),
                    Message::Close(frame) => return Poll::Ready(Err(Lost::Closed(frame.map(|frame| frame.code.into())))),
                    Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                }
            }
        })
        .await
    }
    /// Says goodbye with 1000, so that the server knows that nobody comes back.
    pub(crate) async fn leave(mut self) {
        let goodbye = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let _ = timeout(LEAVING, async {
            let written = poll_fn(|cx| match self.poll_write(cx) {
                Ok(()) if !self.is_quiet() => Poll::Pending,
                written => Poll::Ready(written),
            });
            if written.await.is_ok() {
                let _ = self.socket.close(Some(goodbye)).await;
            }
        })
        .await;
    }

    /// Feeds what waits, as few messages as the limit allows, and flushes once.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<(), Lost> {
        while !self.is_quiet() {
            let mut fed = 0;
            while fed < FED_AT_ONCE && !self.outbox.is_empty() {
                match Pin::new(&mut self.socket).poll_ready(cx) {
                    Poll::Pending => break,
                    Poll::Ready(ready) => ready.map_err(|error| lost(&error))?,
                }
                let message = self.gather();
                Pin::new(&mut self.socket).start_send(Message::Binary(message.into())).map_err(|error| lost(&error))?;
                (fed, self.unflushed) = (fed + 1, true);
            }
            match Pin::new(&mut self.socket).poll_flush(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(flushed) => flushed.map_err(|error| lost(&error))?,
            }
            self.unflushed = false;
        }
        Ok(())
    }
    /// The next message: frames from the outbox as far as the limit allows, and at least one.
    fn gather(&mut self) -> Vec<u8> {
        let mut message = self.outbox.pop_front().unwrap_or_default();
        while let Some(next) = self.outbox.front().filter(|next| message.len() + next.len() <= self.message_bytes.min(MESSAGE_BYTES)) {
            message.extend_from_slice(next);
            self.outbox.pop_front();
        }
        self.waiting_bytes -= message.len();
        message
    }
}

fn lost(error: &Error) -> Lost {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Lost::Closed(None),
        other => Lost::Broken(other.to_string()),
    }
}
