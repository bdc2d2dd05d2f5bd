//! The door from outside: bytes over loopback, as any peer could send them.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use crewline_protocol::operations::api_key;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::JoinHandle,
};

use super::{Admission, Door, serve};
use crate::{
    auth,
    connection::Place,
    context::{Context, Services},
    keys,
    settings::Settings,
};

/// A door that stands open.
struct Open {
    address: SocketAddr,
    services: Arc<Services>,
    draining: watch::Sender<bool>,
    sockets: mpsc::Receiver<(TcpStream, Vec<u8>, Admission)>,
    served: JoinHandle<()>,
}

/// An answer of HTTP.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Open {
    async fn with(settings: Settings) -> Self {
        let services = auth::tests::services(settings).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (draining, drains) = watch::channel(false);
        let (upgraded, sockets) = mpsc::channel(64);
        let on_socket = move |stream, early, _, admission| upgraded.try_send((stream, early, admission)).unwrap();
        let door = Door { services: services.clone(), on_socket: Arc::new(on_socket), draining: drains };
        Self { address, services, draining, sockets, served: tokio::spawn(serve(listener, door)) }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends these bytes and reads one answer.
    async fn ask(&self, request: &str) -> Answer {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        answer(&mut stream).await.unwrap()
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await
    }

    async fn token(&self, headers: &str, body: &str) -> Answer {
        let form = "Content-Type: application/x-www-form-urlencoded\r\n";
        let length = body.len();
        self.ask(&format!("POST /token HTTP/1.1\r\nHost: x\r\n{form}Content-Length: {length}\r\n{headers}\r\n{body}")).await
    }

    fn origin(&self) -> String {
        format!("http://localhost:{}", self.address.port())
    }
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
    fn error(&self) -> (u16, String) {
        (self.status, self.json()["error"].as_str().unwrap().to_owned())
    }
}

/// Reads one answer; `None` where the other side closes without one.
async fn answer(stream: &mut TcpStream) -> Option<Answer> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        // The other side may reset what it has no mind to read to its end.
        bytes.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(bytes).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: BTreeMap<String, String> =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    Some(Answer { status, headers, body: String::from_utf8(body).unwrap() })
}

const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: other, crewline.v1\r\n\r\n";

fn handshake(without: &str, more: &str) -> String {
    let lines = HANDSHAKE.trim_end().split("\r\n").filter(|line| without.is_empty() || !line.starts_with(without));
    let kept: String = lines.map(|line| format!("{line}\r\n")).collect();
    let more = if more.is_empty() { String::new() } else { format!("{more}\r\n") };
    format!("{kept}{more}\r\n")
}

#[tokio::test]
async fn a_handshake_becomes_a_socket_with_the_bytes_that_came_with_it() {
    let mut open = Open::with(Settings::default()).await;
    let mut stream = open.connect().await;
    stream.write_all(&[HANDSHAKE.as_bytes(), b"frames"].concat()).await.unwrap();
    let answer = answer(&mut stream).await.unwrap();
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "the example of RFC 6455, section 1.3");
    assert_eq!(answer.header("sec-websocket-protocol"), "crewline.v1");
    let (mut socket, early, admission) = open.sockets.recv().await.unwrap();
    assert_eq!((admission.refused(), socket.nodelay().unwrap()), (None, true));
    stream.write_all(b" and more").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await.unwrap();
    assert_eq!([early, rest].concat(), b"frames and more");
}

#[tokio::test]
async fn a_handshake_that_may_not_be_is_refused_before_the_upgrade() {
    let mut open = Open::with(Settings { unsigned_per_address: 100, ..Settings::default() }).await;
    let own = format!("Origin: {}", open.origin());
    let refusals = [
        (handshake("Sec-WebSocket-Protocol", ""), 400),
        (handshake("Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: crewline.v2, crewline"), 400),
        (handshake("", "Origin: null"), 403),
        (handshake("", "Origin: https://evil.example"), 403),
        (handshake("", &format!("{own}.evil.example")), 403),
        (handshake("", &format!("{own}\r\n{own}")), 403),
        (handshake("", &format!("{own}\r\nOrigin: https://evil.example")), 403),
        (handshake("Upgrade", ""), 426),
        (handshake("Upgrade", "Upgrade: h2c"), 426),
        (handshake("Sec-WebSocket-Version", ""), 426),
        (handshake("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8"), 426),
        (handshake("Connection", ""), 400),
        (handshake("Sec-WebSocket-Key", ""), 400),
        (handshake("Sec-WebSocket-Key", "Sec-WebSocket-Key: c2hvcnQ="), 400),
        (handshake("", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400),
        (handshake("", "Content-Length: 5") + "12345", 400),
        (handshake("Host", ""), 400),
        (handshake("", "Host: y"), 400),
        (handshake("", "Transfer-Encoding: chunked"), 400),
        (handshake("", "Content-Length: 0\r\nTransfer-Encoding: chunked"), 400),
        (HANDSHAKE.replace("HTTP/1.1", "HTTP/1.0"), 400),
        (HANDSHAKE.replace("GET", "POST"), 405),
    ];
    for (request, status) in refusals {
        assert_eq!(open.ask(&request).await.status, status, "{request}");
    }
    assert_eq!(open.sockets.try_recv().err(), Some(mpsc::error::TryRecvError::Empty));
    for more in ["", own.as_str()] {
        assert_eq!(open.ask(&handshake("", more)).await.status, 101, "{more}");
    }
}

#[tokio::test]
async fn headers_hold_at_their_limits_and_are_refused_one_over() {
    let settings = Settings { headers: 20, header_bytes: 8_192, ..Settings::default() };
    let open = Open::with(settings).await;
    let many = |count: usize| format!("GET /health HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(count - 1));
    assert_eq!(open.ask(&many(20)).await.status, 200);
    assert_eq!(open.ask(&many(21)).await.status, 431);
    let large = |bytes: usize| {
        let frame = "GET /health HTTP/1.1\r\nHost: x\r\nA: \r\n\r\n".len();
        format!("GET /health HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "b".repeat(bytes - frame))
    };
    assert_eq!(open.ask(&large(8_192)).await.status, 200);
    assert_eq!(open.ask(&large(8_193)).await.status, 431);
}

#[tokio::test]
async fn what_a_proxy_could_read_otherwise_is_refused_and_the_connection_closed() {
    let open = Open::with(Settings::default()).await;
    let requests = [
        "GET /health HTTP/1.1\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
        "POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
        "GET /health HTTP/1.1\r\nHost : x\r\n\r\n",
        "nonsense\r\n\r\n",
    ];
    for request in requests {
        let mut stream = open.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(answer(&mut stream).await.unwrap().status, 400, "{request}");
        assert!(answer(&mut stream).await.is_none(), "{request}");
    }
}

#[tokio::test(start_paused = true)]
async fn half_sent_requests_are_cut_in_time_and_others_answered_meanwhile() {
    let open = Open::with(Settings::default()).await;
    let mut halves = Vec::new();
    for half in ["", "GET /ws HTTP/1.1\r\nHost: x\r\n", "GET /hea"].into_iter().cycle().take(300) {
        let mut stream = open.connect().await;
        stream.write_all(half.as_bytes()).await.unwrap();
        halves.push(stream);
    }
    assert_eq!(open.get("/health").await.status, 200);
    let begun = tokio::time::Instant::now();
    for mut half in halves {
        assert!(answer(&mut half).await.is_none());
    }
    assert!(begun.elapsed() <= Duration::from_secs(11), "{:?}", begun.elapsed());

    let mut slow = open.connect().await;
    let head = "POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\n\r\n";
    slow.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut slow).await.unwrap().status, 408);
}

#[tokio::test]
async fn who_is_over_a_limit_is_told_so_and_health_is_told_to_all() {
    let settings = Settings { unsigned_per_address: 2, refusals: 2, ..Settings::default() };
    let mut open = Open::with(settings).await;
    let mut sockets = Vec::new();
    for _ in 0..2 {
        let mut stream = open.connect().await;
        stream.write_all(HANDSHAKE.as_bytes()).await.unwrap();
        assert_eq!(answer(&mut stream).await.unwrap().status, 101);
        sockets.push((stream, open.sockets.recv().await.unwrap().2));
    }
    let refused = open.get("/").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "5"));
    assert_eq!(open.get("/health").await.status, 200);
    assert_eq!(open.ask(HANDSHAKE).await.status, 101);
    let (_socket, _, over) = open.sockets.recv().await.unwrap();
    assert_eq!(over.refused().unwrap().message, "too many connections from this address have not signed in");

    sockets[0].1.signed_in();
    assert_eq!(open.ask(HANDSHAKE).await.status, 101);
    let (_socket, _, let_in) = open.sockets.recv().await.unwrap();
    assert_eq!(let_in.refused(), None);

    assert_eq!(open.ask(HANDSHAKE).await.status, 101);
    let second_refusal = open.sockets.recv().await.unwrap();
    assert!(answer(&mut open.connect().await).await.is_none(), "a third is dropped without a word");
    drop((over, second_refusal, let_in));
    assert_eq!(open.ask(HANDSHAKE).await.status, 101);
}

#[tokio::test]
async fn a_server_that_leaves_says_so_and_upgrades_nobody() {
    let open = Open::with(Settings::default()).await;
    let body = |status: &str| json!({"status": status, "version": env!("CARGO_PKG_VERSION"), "database": true});
    for path in ["/health", "/health/ready", "/health/live"] {
        let answer = open.get(path).await;
        assert_eq!((answer.status, answer.json()), (200, body("ok")), "{path}");
    }
    let mut idle = open.connect().await;
    idle.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert_eq!(answer(&mut idle).await.unwrap().status, 200);
    open.draining.send_replace(true);
    assert!(answer(&mut idle).await.is_none(), "who is idle is closed");
    for (path, status, said) in [("/health", 503, "draining"), ("/health/ready", 503, "draining"), ("/health/live", 200, "ok")] {
        let answer = open.get(path).await;
        assert_eq!((answer.status, answer.json()), (status, body(said)), "{path}");
    }
    assert_eq!(open.ask(HANDSHAKE).await.status, 503);
    drop(open.draining);
    open.served.await.unwrap();
}

#[tokio::test]
async fn a_browser_gets_a_page_and_nobody_gets_anything_else() {
    let open = Open::with(Settings::default()).await;
    let page = open.ask("GET / HTTP/1.1\r\nHost: x\r\nAccept: text/html,application/xhtml+xml,*/*;q=0.8\r\n\r\n").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.body.contains("Crewline is running"));
    for path in ["/", "/index.html", "/ws/", "/healthy", "/../etc/passwd", "/%2e%2e/etc/passwd"] {
        assert_eq!(open.get(path).await.status, 404, "{path}");
    }
    for (path, allowed) in [("/token", "POST, OPTIONS"), ("/health", "GET, HEAD"), ("/health/live", "GET, HEAD")] {
        let put = open.ask(&format!("PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")).await;
        assert_eq!((put.status, put.header("allow")), (405, allowed), "{path}");
    }
}

const PASSWORD: &str = "grant_type=password&username=ADA%40example.com&password=correct+horse";

async fn with_ada(settings: Settings) -> Open {
    let open = Open::with(settings).await;
    let crewline_protocol::operations::auth::Register { email, password, name, workspace, .. } = auth::tests::ada();
    let ada = crate::access::NewUser {
        email,
        password: password.into(),
        name,
        workspace,
        invited: false,
        operator: false,
        furnish: crate::access::Furnish::nothing(),
    };
    open.services.access.add_user(ada).await.unwrap();
    open
}

#[tokio::test(start_paused = true)]
async fn a_password_and_a_refresh_token_are_changed_for_tokens() {
    let open = with_ada(Settings::default()).await;
    let answer = open.token("", PASSWORD).await;
    let tokens = answer.json();
    let kept = (answer.header("cache-control"), answer.header("pragma"), answer.header("content-type"), answer.header("set-cookie"));
    assert_eq!((answer.status, kept), (200, ("no-store", "no-cache", "application/json", "")));
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(900)));
    let identity = open.services.access.verify(tokens["access_token"].as_str().unwrap(), None).await.unwrap();
    assert_eq!(identity.principal.email.as_deref(), Some("ada@example.com"));

    let first = format!("grant_type=refresh_token&refresh_token={}", tokens["refresh_token"].as_str().unwrap());
    let second = open.token("", &first).await.json()["refresh_token"].as_str().unwrap().to_owned();
    assert_eq!(open.token("", &format!("grant_type=refresh_token&refresh_token={second}")).await.status, 200);
    assert_eq!(open.token("", &first).await.error(), (400, "invalid_grant".into()), "used after its successor");

    let workspace = identity.workspace;
    assert_eq!(open.token("", &format!("{PASSWORD}&workspace_id={workspace}")).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_program_changes_its_key_for_a_token_in_either_way() {
    let open = with_ada(Settings::default()).await;
    let tokens = open.token("", PASSWORD).await.json();
    let ada = open.services.access.verify(tokens["access_token"].as_str().unwrap(), None).await.unwrap();
    let address = [127, 0, 0, 1].into();
    let cx = Context { services: open.services.clone(), identity: Some(ada.into()), address, key: None };
    let key = keys::create(cx, api_key::Create { id: None, name: "box".into() }).await.unwrap().output.key;
    let secret = open.services.access.key_secret(key.id);
    let basic = format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{}:{secret}", key.id)));
    let form = format!("grant_type=client_credentials&client_id={}&client_secret={secret}", key.id);
    for (headers, body) in [(basic.as_str(), "grant_type=client_credentials"), ("", form.as_str())] {
        let answer = open.token(headers, body).await;
        let tokens = answer.json();
        assert_eq!((answer.status, &tokens["expires_in"], tokens.get("refresh_token")), (200, &json!(900), None), "{body}");
        let identity = open.services.access.verify(tokens["access_token"].as_str().unwrap(), None).await.unwrap();
        assert_eq!(identity.principal.id, key.id.to_string());
    }
    let wrong = [form.replace("crk_", "crk_x"), format!("grant_type=client_credentials&client_id={}", key.id)];
    for body in wrong {
        assert_eq!(open.token("", &body).await.error(), (401, "invalid_client".into()), "{body}");
    }
    assert_eq!(open.token(&basic, &form).await.error(), (400, "invalid_request".into()), "both at once");
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_said_in_the_words_of_rfc_6749() {
    let open = with_ada(Settings::default()).await;
    let elsewhere = "0190a5a0-0000-7000-8000-000000000000";
    let wrong = [
        ("", "invalid_request"),
        ("grant_type=", "invalid_request"),
        ("grant_type=password&grant_type=password", "invalid_request"),
        ("grant_type=password", "invalid_request"),
        ("grant_type=password&username=ada%40example.com", "invalid_request"),
        ("grant_type=password&username=a&username=b&password=c", "invalid_request"),
        (&format!("{PASSWORD}&workspace_id=1"), "invalid_request"),
        (&format!("grant_type=password&username=a&password={}", "x".repeat(257)), "invalid_request"),
        (&format!("{PASSWORD}&workspace_id={elsewhere}"), "invalid_grant"),
        ("grant_type=password&username=ada%40example.com&password=wrong", "invalid_grant"),
        ("grant_type=password&username=ben%40example.com&password=wrong", "invalid_grant"),
        ("grant_type=refresh_token", "invalid_request"),
        ("grant_type=refresh_token&refresh_token=crr_x", "invalid_grant"),
        ("grant_type=authorization_code&code=x", "unsupported_grant_type"),
    ];
    for (body, error) in wrong {
        let answer = open.token("", body).await;
        assert_eq!((answer.error(), answer.header("cache-control")), ((400, error.into()), "no-store"), "{body}");
    }
    let known = open.token("", "grant_type=password&username=ada%40example.com&password=wrong").await;
    let unknown = open.token("", "grant_type=password&username=ben%40example.com&password=wrong").await;
    assert_eq!(known.body, unknown.body);
    let client = open.token("Authorization: Basic YTpi\r\n", "grant_type=client_credentials").await;
    assert_eq!((client.error(), client.header("www-authenticate")), ((401, "invalid_client".into()), "Basic realm=\"crewline\""));
}

#[tokio::test]
async fn a_body_that_is_no_form_is_refused() {
    let open = Open::with(Settings::default()).await;
    let post = |headers: &str| format!("POST /token HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(open.ask(&post(form)).await.error(), (411, "invalid_request".into()));
    assert_eq!(open.ask(&post(&format!("{form}Content-Length: 16385\r\n"))).await.error(), (413, "invalid_request".into()));
    assert_eq!(
        open.ask(&(post("Content-Type: application/json\r\nContent-Length: 2\r\n") + "{}")).await.error(),
        (400, "invalid_request".into())
    );
    let largest = format!("grant_type={}", "x".repeat(16_384 - "grant_type=".len()));
    assert_eq!(open.token("", &largest).await.error(), (400, "unsupported_grant_type".into()));
}

#[tokio::test(start_paused = true)]
async fn a_page_keeps_its_refresh_token_where_no_script_reads_it() {
    let open = with_ada(Settings { origins: "https://app.example.com".parse().unwrap(), ..Settings::default() }).await;
    let own = format!("Origin: {}\r\n", open.origin());
    let answer = open.token(&own, PASSWORD).await;
    assert_eq!((answer.status, answer.json()["refresh_token"].clone()), (200, Value::Null));
    let shared = ["access-control-allow-origin", "access-control-allow-credentials", "vary"].map(|name| answer.header(name).to_owned());
    assert_eq!(shared, [open.origin(), "true".into(), "Origin".into()]);
    let (pair, attributes) = answer.header("set-cookie").split_once("; ").unwrap();
    assert_eq!(attributes, "HttpOnly; SameSite=Strict; Path=/token; Max-Age=2592000");

    let by_cookie = open.token(&format!("{own}Cookie: other=1; {pair}\r\n"), "grant_type=refresh_token").await;
    let (next, _) = by_cookie.header("set-cookie").split_once("; ").unwrap();
    assert_eq!(by_cookie.status, 200);
    assert_ne!(next, pair);
    assert_eq!(open.token(&format!("{own}Cookie: {next}\r\n"), "grant_type=refresh_token").await.status, 200);
    let reused = open.token(&format!("{own}Cookie: {pair}\r\n"), "grant_type=refresh_token").await;
    assert_eq!(reused.error(), (400, "invalid_grant".into()));
    assert_eq!(reused.header("set-cookie"), "crewline_refresh=; HttpOnly; SameSite=Strict; Path=/token; Max-Age=0");

    let secure = open.token("Origin: https://app.example.com\r\n", PASSWORD).await;
    assert!(secure.header("set-cookie").ends_with("; Secure"), "{secure:?}");
}

#[tokio::test]
async fn only_pages_of_the_list_may_ask_for_tokens() {
    let open = with_ada(Settings::default()).await;
    let preflight =
        |origin: &str| format!("OPTIONS /token HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\n\r\n");
    let allowed = open.ask(&preflight(&open.origin())).await;
    let names = ["access-control-allow-origin", "access-control-allow-methods", "access-control-allow-headers", "access-control-max-age"];
    assert_eq!((allowed.status, names.map(|name| allowed.header(name))), (204, [open.origin().as_str(), "POST", "content-type", "600"]));
    let alike = [format!("{}.evil.example", open.origin()), "null".into(), "https://evil.example".into()];
    for origin in alike {
        let refusals = [open.ask(&preflight(&origin)).await, open.token(&format!("Origin: {origin}\r\n"), PASSWORD).await];
        for refused in refusals {
            assert_eq!((refused.status, refused.header("access-control-allow-origin")), (403, ""), "{origin}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn asking_for_tokens_too_often_says_when_to_ask_again() {
    let open = with_ada(Settings { sign_in_rate: 2, ..Settings::default() }).await;
    for _ in 0..2 {
        assert_eq!(open.token("", "grant_type=refresh_token&refresh_token=x").await.status, 400);
    }
    let limited = open.token("", PASSWORD).await;
    assert_eq!(limited.error(), (429, "temporarily_unavailable".into()));
    let wait: u64 = limited.header("retry-after").parse().unwrap();
    assert!((1..=31).contains(&wait), "{wait}");
}
