//! A socket that speaks frames with as little work as can be, so that the server is what is measured.

use std::sync::atomic::{AtomicU64, Ordering};

use crewline_protocol::{
    Fault, SUBPROTOCOL,
    frame::{Body, ClientFrame, ServerFrame},
    opening::{ClientInfo, Hello, RequestOptions},
    operation::Operation,
    operations::auth::{Register, SignedIn},
    value::{Millis, MutationKey, encode},
};
use futures::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue, protocol::WebSocketConfig},
};

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// What a socket reads at a time: with the library's 128 KiB, thousands of sockets would fill the memory.
const READ_BYTES: usize = 16 << 10;

/// An open socket.
pub(crate) struct Wire {
    pub(crate) socket: WebSocketStream<TcpStream>,
    next_id: u64,
}

impl Wire {
    /// Connects to a plain WebSocket.
    pub(crate) async fn plain(address: &str) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut request = format!("ws://{address}/ws").into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
        let config = WebSocketConfig::default().read_buffer_size(READ_BYTES);
        let (socket, _) = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await?;
        Ok(Self { socket, next_id: 0 })
    }
    /// Connects and says hello.
    pub(crate) async fn open(address: &str, access_token: Option<&str>) -> Result<Self, Error> {
        let mut wire = Self::plain(address).await?;
        let hello = encode(&Hello {
            client: ClientInfo { name: "loadtest".into(), version: env!("CARGO_PKG_VERSION").into() },
            access_token: access_token.map(str::to_owned),
            workspace_id: None,
            features: Vec::new(),
            last_close: None,
        });
        let mut message = Vec::new();
        ClientFrame::Hello(Body::own(&hello)).write(&mut message);
        wire.send(message).await?;
        let welcome = wire.receive().await?;
        match ServerFrame::read(&mut &welcome[..])? {
            Some(ServerFrame::Welcome(_)) => Ok(wire),
            other => Err(format!("no welcome but {other:?}").into()),
        }
    }
    /// Registers a person on a socket of its own and gives the tokens.
    pub(crate) async fn register(address: &str) -> Result<SignedIn, Error> {
        let mut wire = Self::open(address, None).await?;
        // Registering again with the same password within a day signs in, so that a database may be used twice.
        let (email, password) = ("load@example.com".into(), "a password for load".into());
        let input = Register { email, password, name: "Load".into(), workspace: None, invitation: None };
        wire.call(&input).await
    }
    /// Asks and waits for the reply.
    pub(crate) async fn call<O: Operation>(&mut self, input: &O) -> Result<O::Output, Error> {
        let mut message = Vec::new();
        let wanted = self.request(O::NAME, &encode(input), Some(&fresh_key()), &mut message);
        self.send(message).await?;
        loop {
            let message = self.receive().await?;
            let mut rest = &message[..];
            while !rest.is_empty() {
                match ServerFrame::read(&mut rest)? {
                    Some(ServerFrame::Reply { id, output, .. }) if id == wanted => {
                        return Ok(output.decode()?);
                    }
                    Some(ServerFrame::Fault { fault, .. }) => return Err(fault.decode::<Fault>()?.into()),
                    _ => {}
                }
            }
        }
    }
    /// Appends a request to a message; gives its id.
    pub(crate) fn request(&mut self, operation: &str, input: &[u8], options: Option<&[u8]>, message: &mut Vec<u8>) -> u64 {
        self.next_id += 1;
        let (input, options) = (Body::own(input), options.map(Body::own));
        ClientFrame::Request { id: self.next_id, operation, input, options }.write(message);
        self.next_id
    }
    /// Sends a message.
    pub(crate) async fn send(&mut self, message: Vec<u8>) -> Result<(), Error> {
        Ok(self.socket.send(Message::Binary(message.into())).await?)
    }
    /// The next binary message.
    pub(crate) async fn receive(&mut self) -> Result<bytes::Bytes, Error> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Binary(message))) => return Ok(message),
                Some(Ok(Message::Close(frame))) => return Err(format!("the server closed: {frame:?}").into()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err("the server is gone".into()),
            }
        }
    }
}

/// Encoded options with a key that nobody used.
pub(crate) fn fresh_key() -> Vec<u8> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut random = [0; 10];
    random[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    let key = MutationKey::new(now(), random);
    encode(&RequestOptions { key: Some(key.to_string()), ..RequestOptions::default() })
}

#[allow(clippy::disallowed_methods, reason = "the load has nobody to hand it a clock")]
fn now() -> Millis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
