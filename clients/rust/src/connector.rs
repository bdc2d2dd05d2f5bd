//! How a socket is made. The client asks for a new one each time that it connects.

use std::{future::Future, io};

use crewline_protocol::{MESSAGE_BYTES, SUBPROTOCOL};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error,
        client::IntoClientRequest,
        http::{HeaderValue, StatusCode, Uri, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::WebSocketConfig,
    },
};

use crate::error::{ConnectError, UrlError};

/// Makes sockets to one server.
pub trait Connector: Send + Sync + 'static {
    /// What the WebSocket runs over.
    type Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Connects, upgraded, with the subprotocol `crewline.v1`.
    fn connect(&self) -> impl Future<Output = Result<WebSocketStream<Self::Socket>, ConnectError>> + Send;
}

/// Plain TCP to a `ws://` URL.
#[derive(Debug, Clone)]
pub struct Tcp {
    uri: Uri,
    address: String,
}

impl Tcp {
    /// A connector to this URL.
    ///
    /// # Errors
    /// For `wss://`, which needs TLS, and for what is no WebSocket URL.
    pub fn new(url: &str) -> Result<Self, UrlError> {
        let malformed = || UrlError::Malformed(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| malformed())?;
        match uri.scheme_str() {
            Some("ws") => {}
            Some("wss") => return Err(UrlError::Tls(url.to_owned())),
            _ => return Err(malformed()),
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(malformed)?;
        let address = format!("{host}:{}", uri.port_u16().unwrap_or(80));
        Ok(Self { uri, address })
    }
}

impl Connector for Tcp {
    type Socket = TcpStream;

    async fn connect(&self) -> Result<WebSocketStream<TcpStream>, ConnectError> {
        let unreachable = |error: io::Error| ConnectError::Unreachable { address: self.address.clone(), error: error.to_string() };
        let socket = TcpStream::connect(&self.address).await.map_err(unreachable)?;
        // Frames are gathered before they are written; Nagle's waiting would only add to that.
        socket.set_nodelay(true).map_err(unreachable)?;
        upgrade(socket, self.uri.clone()).await.map_err(|error| self.refused(&error))
    }
}

impl Tcp {
    fn refused(&self, error: &Error) -> ConnectError {
        let error = match error {
            Error::Http(response) => match response.status() {
                StatusCode::NOT_FOUND => "there is no /ws here (404): the URL's path is /ws".to_owned(),
                StatusCode::FORBIDDEN => "this client's address or origin is not let in (403)".to_owned(),
                StatusCode::SERVICE_UNAVAILABLE => "the server is full or draining (503): try again later".to_owned(),
                status => format!("it answered {status}, which is not the upgrade of a Crewline server"),
            },
            Error::Io(error) => return ConnectError::Unreachable { address: self.address.clone(), error: error.to_string() },
            other => format!("it speaks no {SUBPROTOCOL} ({other})"),
        };
        ConnectError::Refused { address: self.address.clone(), error }
    }
}

/// Asks for the upgrade of a socket that is connected.
async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(socket: S, uri: Uri) -> Result<WebSocketStream<S>, Error> {
    let mut request = uri.into_client_request()?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    let config = WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES)).max_frame_size(Some(MESSAGE_BYTES));
    Ok(client_async_with_config(request, socket, Some(config)).await?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_websocket_addresses_are_taken_and_the_others_told_why() {
        assert_eq!(Tcp::new("ws://[::1]:7410/ws").unwrap().address, "[::1]:7410");
        assert_eq!(Tcp::new("ws://example.com/ws").unwrap().address, "example.com:80");
        assert_eq!(Tcp::new("wss://example.com/ws").unwrap_err(), UrlError::Tls("wss://example.com/ws".into()));
        for malformed in ["http://example.com/ws", "example.com", "", "ws://", "/ws"] {
            assert_eq!(Tcp::new(malformed).unwrap_err(), UrlError::Malformed(malformed.into()));
        }
    }

    #[tokio::test]
    async fn where_nothing_listens_the_address_is_named() {
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = Tcp::new(&format!("ws://{free}/ws")).unwrap().connect().await.unwrap_err();
        assert!(matches!(error, ConnectError::Unreachable { ref address, .. } if *address == free.to_string()), "{error}");
    }
}
