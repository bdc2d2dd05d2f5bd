//! A bare socket that shows what the client hides: every frame, and the close.

use std::net::SocketAddr;

use crewline_protocol::{
    Fault, SUBPROTOCOL,
    frame::{Body, ClientFrame, ServerFrame},
    opening::{ClientInfo, Goaway, Hello, RequestOptions},
    operation::Operation,
    value::encode,
};
use futures::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

use crate::server::PATIENCE;

/// What a server said, as far as tests ask for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Said {
    Welcome,
    Reply(u64),
    Fault(u64, Fault),
    Goaway(Goaway),
    Close(u16),
    /// The socket ended without a close frame.
    Gone,
}

/// A connection that has said hello.
pub(crate) struct Socket {
    socket: WebSocketStream<TcpStream>,
    /// What came in the last message and was not asked for yet.
    came: std::collections::VecDeque<Said>,
}

impl Socket {
    /// Connects and says hello; gives the socket when the server has welcomed it.
    pub(crate) async fn open(address: SocketAddr, token: &str) -> Self {
        let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
        let stream = TcpStream::connect(address).await.unwrap();
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        let mut socket = Self { socket, came: Default::default() };
        let hello = encode(&Hello {
            client: ClientInfo { name: "tests".into(), version: "1".into() },
            access_token: Some(token.to_owned()),
            workspace_id: None,
            features: Vec::new(),
            last_close: None,
        });
        socket.send(&ClientFrame::Hello(Body::own(&hello))).await;
        assert_eq!(socket.next().await, Said::Welcome);
        socket
    }

    /// Asks for an operation.
    pub(crate) async fn ask<O: Operation>(&mut self, id: u64, input: &O) {
        let input = encode(input);
        let options = encode(&RequestOptions::default());
        let frame = ClientFrame::Request { id, operation: O::NAME, input: Body::own(&input), options: Some(Body::own(&options)) };
        self.send(&frame).await;
    }

    /// The next thing said, pings left out.
    pub(crate) async fn next(&mut self) -> Said {
        tokio::time::timeout(PATIENCE, self.wait()).await.expect("the server said nothing")
    }

    async fn send(&mut self, frame: &ClientFrame<'_>) {
        let mut message = Vec::new();
        frame.write(&mut message);
        self.socket.send(Message::Binary(message.into())).await.unwrap();
    }

    async fn wait(&mut self) -> Said {
        loop {
            if let Some(said) = self.came.pop_front() {
                return said;
            }
            match self.socket.next().await {
                Some(Ok(Message::Binary(message))) => self.read(&message),
                Some(Ok(Message::Close(Some(close)))) => return Said::Close(close.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Said::Gone,
            }
        }
    }

    fn read(&mut self, message: &[u8]) {
        let mut rest = message;
        while !rest.is_empty() {
            self.came.extend(match ServerFrame::read(&mut rest).unwrap() {
                Some(ServerFrame::Welcome(_)) => Some(Said::Welcome),
                Some(ServerFrame::Reply { id, .. }) => Some(Said::Reply(id)),
                Some(ServerFrame::Fault { id, fault }) => Some(Said::Fault(id, fault.decode().unwrap())),
                Some(ServerFrame::Goaway(body)) => Some(Said::Goaway(body.decode().unwrap())),
                _ => None,
            });
        }
    }
}
