//! The socket under a connection: messages in, bytes out, both polled together so that neither waits for the other.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use crewline_protocol::{MESSAGE_BYTES, close::CloseCode};
use futures::{FutureExt, SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};

/// A connection holds this much for reading: most of what an idle one costs.
const READ_BUFFER_BYTES: usize = 2 << 10;
/// Written to the socket at once from here on; below, a flush decides.
const WRITE_BUFFER_BYTES: usize = 16 << 10;
/// How long the peer's own close frame is awaited before the socket is dropped.
const GOODBYE: Duration = Duration::from_millis(50);
/// How long the last frames may take to get out. A socket that takes none is dropped.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A WebSocket over any stream of bytes.
pub(super) struct Wire<S> {
    socket: WebSocketStream<Metered<S>>,
    flushing: bool,
}

/// What came of polling the wire.
pub(super) enum Event {
    /// A binary message.
    Message(Bytes),
    /// Something that is no message of the protocol, but shows that the peer is there.
    Heard,
    /// Everything that was fed is with the operating system.
    Flushed,
    /// The peer closes, and waits for the same.
    Left,
    /// The socket broke.
    Gone,
    /// The peer broke the WebSocket protocol, or sent text.
    Violation(&'static str),
    /// A message is over the limit.
    TooLarge,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Takes over a stream whose upgrade is done, and what was read of it already.
    pub(super) async fn new(stream: S, early: Vec<u8>) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            .max_message_size(Some(MESSAGE_BYTES))
            .max_frame_size(Some(MESSAGE_BYTES));
        let metered = Metered { stream, written: 0 };
        Self { socket: WebSocketStream::from_partially_read(metered, early, Role::Server, Some(config)).await, flushing: false }
    }

    /// Whether bytes wait for the operating system.
    pub(super) fn is_flushing(&self) -> bool {
        self.flushing
    }

    /// Bytes that the operating system has taken, ever.
    pub(super) fn written(&self) -> u64 {
        self.socket.get_ref().written
    }

    /// Hands a message on; [`poll`](Self::poll) brings it out. Only called while nothing is being flushed, so that what waits here
    /// is bounded by what is fed at once.
    pub(super) async fn feed(&mut self, message: Vec<u8>) -> Result<(), Error> {
        self.flushing = true;
        self.socket.feed(Message::Binary(message.into())).await
    }

    /// Brings bytes out and, when `reading`, messages in; whichever is first.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, reading: bool) -> Poll<Event> {
        if self.flushing {
            match self.socket.poll_flush_unpin(cx) {
                Poll::Ready(Ok(())) => {
                    self.flushing = false;
                    return Poll::Ready(Event::Flushed);
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Event::Gone),
                Poll::Pending => {}
            }
        }
        if !reading {
            return Poll::Pending;
        }
        Poll::Ready(event(ready!(self.socket.poll_next_unpin(cx))))
    }

    /// What has come already. Whoever finds nothing polls before waiting.
    pub(super) fn at_hand(&mut self) -> Option<Event> {
        self.socket.next().now_or_never().map(event)
    }

    /// Answers the peer's close with the same (RFC 6455, section 5.5.1), within a bounded time. What waits goes before it.
    pub(super) async fn answer_close(mut self) {
        // tungstenite has the answer ready when it hands the peer's close on, and brings it out as it is read on.
        let answer = async { while let Some(Ok(_)) = self.socket.next().await {} };
        let _ = tokio::time::timeout(LAST_WORDS, answer).await;
    }

    /// Says the last words, closes with this code, and lets the peer close too, all within a bounded time.
    pub(super) async fn close(mut self, last_words: Vec<u8>, code: CloseCode) {
        let goodbye = async {
            if !last_words.is_empty() {
                self.socket.feed(Message::Binary(last_words.into())).await?;
            }
            // RFC 6455, section 5.5.1: the frame says why; tungstenite sends none by itself after an error.
            let frame = CloseFrame { code: code.code().into(), reason: code.reason().into() };
            self.socket.close(Some(frame)).await?;
            self.socket.flush().await
        };
        if let Ok(Ok(())) = tokio::time::timeout(LAST_WORDS, goodbye).await {
            let peer_closes = async { while let Some(Ok(_)) = self.socket.next().await {} };
            let _ = tokio::time::timeout(GOODBYE, peer_closes).await;
        }
    }
}

fn event(next: Option<Result<Message, Error>>) -> Event {
    match next {
        Some(Ok(Message::Binary(bytes))) => Event::Message(bytes),
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Event::Heard,
        Some(Ok(Message::Text(_))) => Event::Violation("a text message: messages are binary"),
        Some(Ok(Message::Close(_))) => Event::Left,
        Some(Err(Error::Capacity(_))) => Event::TooLarge,
        Some(Err(Error::Protocol(_))) => Event::Violation("the WebSocket protocol was broken"),
        Some(Err(Error::Utf8(_))) => Event::Violation("a text message that is no UTF-8"),
        Some(Err(_)) | None => Event::Gone,
    }
}

/// Counts what the operating system takes, so that a slow socket is told from a stalled one.
struct Metered<S> {
    stream: S,
    written: u64,
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.written += count as u64;
        Poll::Ready(Ok(count))
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
