//! The one port: who is let in, what HTTP answers, and the upgrade after which a socket is a connection's. It knows nothing of frames.

mod admission;
mod health;
mod origin;
mod routes;
#[cfg(test)]
mod tests;
mod token;
mod upgrade;

pub use admission::Admission;

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderName, HeaderValue, Request, StatusCode, Version, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn, upgrade::OnUpgrade};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use warp::reply::Response;

use self::{admission::Places, health::Health, origin::Origins, routes::Http};
use crate::{connection::Place, context::Services};

/// How long accepting rests after it failed: without descriptors it would fail again at once, and again.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Takes over a socket after its upgrade: the bytes of frames that came with the handshake, who is on the other side, and the place
/// that it holds. It must not wait.
pub type OnSocket = Arc<dyn Fn(TcpStream, Vec<u8>, SocketAddr, Admission) + Send + Sync>;

/// What a door opens to.
pub struct Door {
    /// What the node's rooms share.
    pub services: Arc<Services>,
    /// Who takes over upgraded sockets.
    pub on_socket: OnSocket,
    /// Whether the server leaves: then HTTP says so, and no socket is upgraded any more.
    pub draining: watch::Receiver<bool>,
}

/// Serves until it is dropped, or until nobody can say any more that the server leaves. HTTP's connections end with it; upgraded ones
/// are not its own.
pub async fn serve(listener: TcpListener, door: Door) {
    let Door { services, on_socket, mut draining } = door;
    let port = listener.local_addr().map_or(0, |address| address.port());
    let origins = Arc::new(Origins::new(port, &services.settings));
    let (database, known) = watch::channel(true);
    let health = Health { database: known, draining: draining.clone() };
    let mut tasks = JoinSet::new();
    tasks.spawn(health::watch_database(services.store.clone(), database));
    let places = Places::new(&services.settings);
    let http = routes::http(services.clone(), origins.clone(), &health);
    let hall = Arc::new(Hall { server: server(&services), services, origins, http, on_socket, draining: draining.clone() });
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let Some(admission) = places.admit(peer.ip()) else { continue };
                    tasks.spawn(hall.clone().receive(stream, peer, admission));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            },
            // A set that nobody asks keeps what has ended.
            Some(_) = tasks.join_next() => {}
            gone = draining.changed() => if gone.is_err() { return },
        }
    }
}

/// What all sockets share before their upgrade.
struct Hall {
    server: http1::Builder,
    services: Arc<Services>,
    origins: Arc<Origins>,
    http: Http,
    on_socket: OnSocket,
    draining: watch::Receiver<bool>,
}

/// A socket's upgrade, once it has begun.
type Begun = Arc<Mutex<Option<OnUpgrade>>>;

impl Hall {
    /// Speaks HTTP with a socket, and hands it over when it has been upgraded.
    async fn receive(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, admission: Admission) {
        // Frames are small, and each flush is whole: waiting for more would only delay it.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let begun = Begun::default();
        let mut draining = self.draining.clone();
        {
            let (hall, begun, refused) = (self.clone(), begun.clone(), admission.refused().is_some());
            let service = service_fn(move |request| {
                let (hall, begun) = (hall.clone(), begun.clone());
                async move { Ok::<_, Infallible>(hall.answer(request, peer, refused, &begun).await) }
            });
            let mut server = self.server.clone();
            server.keep_alive(!refused && !*draining.borrow_and_update());
            let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service).with_upgrades());
            tokio::select! {
                _ = connection.as_mut() => {}
                _ = draining.changed() => {
                    connection.as_mut().graceful_shutdown();
                    // How it ends, its own side has seen.
                    let _ = connection.await;
                }
            }
        }
        let Some(upgrade) = begun.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let Ok(upgraded) = upgrade.await else { return };
        let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else { return };
        // Copied, so that hyper's buffer of 8 KiB goes.
        let early = parts.read_buf.to_vec();
        (self.on_socket)(parts.io.into_inner(), early, peer, admission);
    }

    async fn answer(&self, mut request: Request<Incoming>, peer: SocketAddr, refused: bool, begun: &Begun) -> Response {
        if let Some(refusal) = malformed(&request) {
            return with(refusal, header::CONNECTION, "close");
        }
        let path = request.uri().path();
        if path == "/ws" {
            if *self.draining.borrow() {
                return later(refusal(StatusCode::SERVICE_UNAVAILABLE, "the server leaves: connect anew"));
            }
            return upgrade::answer(&request, &self.origins).map_or_else(
                |refusal| refusal,
                |response| {
                    let upgrade = hyper::upgrade::on(&mut request);
                    *begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(upgrade);
                    response
                },
            );
        }
        // Whether the server is well is told to everyone, or an attack would look like a failure.
        if refused && !path.starts_with("/health") {
            return later(refusal(StatusCode::SERVICE_UNAVAILABLE, "too many connections are open here: try again later"));
        }
        request.extensions_mut().insert(routes::From(peer.ip().to_canonical()));
        let within = Duration::from_millis(self.services.settings.http_ms);
        let answered = tokio::time::timeout(within, (self.http)(request)).await;
        answered.unwrap_or_else(|_| {
            with(
                refusal(StatusCode::REQUEST_TIMEOUT, "the request did not come, or could not be answered, in time"),
                header::CONNECTION,
                "close",
            )
        })
    }
}

fn server(services: &Services) -> http1::Builder {
    let settings = &services.settings;
    let header_bytes = settings.header_bytes as usize;
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(settings.header_ms))
        .max_headers(settings.headers as usize)
        .max_header_size(header_bytes)
        .max_buf_size(header_bytes);
    server
}

/// Requests that a proxy in front could read in another way: RFC 9112, sections 3.2 and 6.3. hyper drops a content-length that stands
/// beside a transfer-encoding, so that the latter is refused wherever it stands; nothing here needs it.
fn malformed<B>(request: &Request<B>) -> Option<Response> {
    let headers = request.headers();
    let hosts = headers.get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        return Some(refusal(StatusCode::BAD_REQUEST, "a request has one Host"));
    }
    let coded = headers.contains_key(header::TRANSFER_ENCODING);
    coded.then(|| refusal(StatusCode::BAD_REQUEST, "a body comes with its content-length, and without a transfer-encoding"))
}

/// A refusal, in a line for people.
fn refusal(status: StatusCode, what: &'static str) -> Response {
    text(status, "text/plain; charset=utf-8", format!("{what}\n"))
}

fn html(page: &'static str) -> Response {
    let response = text(StatusCode::OK, "text/html; charset=utf-8", page.to_owned());
    with(response, header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(body) => text(status, "application/json", body),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            refusal(StatusCode::INTERNAL_SERVER_ERROR, "a defect of the server: its log says more")
        }
    }
}

fn text(status: StatusCode, kind: &'static str, body: String) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let response = with(response, header::CONTENT_TYPE, kind);
    with(response, header::X_CONTENT_TYPE_OPTIONS, "nosniff")
}

fn later(response: Response) -> Response {
    with(response, header::RETRY_AFTER, &(admission::RETRY_AFTER_MS / 1000).to_string())
}

/// The same with this header. A value that can't stand in one is left out; ours all can.
fn with(mut response: Response, name: HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}
