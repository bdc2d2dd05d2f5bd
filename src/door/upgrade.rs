//! The upgrade to a WebSocket: whether a request may, and the answer that begins it.

use http::{HeaderValue, Method, Request, StatusCode, Version, header};
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use warp::reply::Response;

use super::{
    origin::{Origin, Origins},
    refusal,
};

/// The subprotocol that a client offers and the server takes.
const SUBPROTOCOL: &str = "crewline.v1";

/// The answer that begins a WebSocket, or the one that refuses it.
pub(super) fn answer<B>(request: &Request<B>, origins: &Origins) -> Result<Response, Response> {
    let headers = request.headers();
    if request.method() != Method::GET {
        return Err(super::with(refusal(StatusCode::METHOD_NOT_ALLOWED, "a WebSocket begins with GET"), header::ALLOW, "GET"));
    }
    if origins.of(headers) == Origin::Foreign {
        return Err(refusal(StatusCode::FORBIDDEN, "pages of this origin may not open a socket: the setting `origins` lists who may"));
    }
    if !is(headers.get(header::UPGRADE), "websocket") {
        let refusal = refusal(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket: connect with a client that upgrades");
        return Err(super::with(refusal, header::UPGRADE, "websocket"));
    }
    if request.version() != Version::HTTP_11 {
        return Err(refusal(StatusCode::BAD_REQUEST, "a WebSocket begins with HTTP/1.1"));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let refusal = refusal(StatusCode::UPGRADE_REQUIRED, "only version 13 of WebSocket is spoken here");
        return Err(super::with(refusal, header::SEC_WEBSOCKET_VERSION, "13"));
    }
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|offer| offer.to_str().ok());
    if !offered.flat_map(|offer| offer.split(',')).any(|offer| offer.trim() == SUBPROTOCOL) {
        return Err(refusal(StatusCode::BAD_REQUEST, "the client does not offer the subprotocol crewline.v1"));
    }
    // Bytes of a body would be taken for frames.
    if headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0") {
        return Err(refusal(StatusCode::BAD_REQUEST, "a WebSocket begins without a body"));
    }
    let once = headers.get_all(header::SEC_WEBSOCKET_KEY).iter().count() == 1;
    let begun = create_response_with_body(request, || ()).ok().filter(|_| once);
    let (parts, ()) = begun.ok_or_else(|| refusal(StatusCode::BAD_REQUEST, "this is no handshake of a WebSocket"))?.into_parts();
    let mut response = Response::default();
    *response.status_mut() = parts.status;
    *response.headers_mut() = parts.headers;
    response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    Ok(response)
}

fn is(value: Option<&HeaderValue>, expected: &str) -> bool {
    value.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(expected.as_bytes()))
}
