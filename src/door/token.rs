//! `POST /token`: an OAuth 2.0 token endpoint (RFC 6749), for programs that get their tokens over HTTP, and for pages that keep the
//! refresh token where no script can read it.

use std::net::IpAddr;

use base64::{Engine, engine::general_purpose::STANDARD};
use crewline_protocol::{
    fault::{Fault, FaultCode},
    operation::Rate,
    operations::auth::Login,
    value::Millis,
};
use garde::Validate;
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use warp::reply::Response;

use super::{
    json,
    origin::{Origin, Origins},
    with,
};
use crate::{
    access::{Grant, KeyToken},
    auth,
    context::{Failure, Services},
};

/// Of a request's body: names, passwords and tokens are far smaller.
pub(super) const BODY_BYTES: u64 = 16 << 10;
/// The cookie that holds a page's refresh token.
const COOKIE: &str = "crewline_refresh";

/// A request's parameters, in the order in which they came.
pub(super) type Form = Vec<(String, String)>;

/// RFC 6749, section 5.1.
#[derive(Serialize)]
struct Tokens<'a> {
    access_token: &'a str,
    token_type: &'static str,
    /// Seconds.
    expires_in: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
}

/// RFC 6749, section 5.2.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    #[serde(skip)]
    status: StatusCode,
    #[serde(skip)]
    retry_after_ms: Option<i64>,
    /// The page's cookie holds a token that is not good any more.
    #[serde(skip)]
    ends_cookie: bool,
    error: &'static str,
    error_description: String,
}

/// Answers a request for tokens.
pub(super) async fn answer(
    services: &Services,
    origins: &Origins,
    address: IpAddr,
    headers: &HeaderMap,
    form: Result<Form, Problem>,
) -> Response {
    let origin = origins.of(headers);
    if origin == Origin::Foreign {
        return foreign();
    }
    let granted = match form {
        Ok(form) => grant(services, address, headers, form).await,
        Err(unreadable) => Err(unreadable),
    };
    let response = match granted {
        Ok(grant) => tokens(&grant, &origin, services.clock.now()),
        Err(problem) if problem.ends_cookie => with(refuse(&problem), header::SET_COOKIE, &cookie("", 0, &origin)),
        Err(problem) => refuse(&problem),
    };
    shared(response, &origin)
}

/// Answers a browser that asks whether a page may ask.
pub(super) fn preflight(origins: &Origins, headers: &HeaderMap) -> Response {
    let origin = origins.of(headers);
    if origin == Origin::Foreign {
        return foreign();
    }
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    let response = with(response, header::ACCESS_CONTROL_ALLOW_METHODS, "POST");
    let response = with(response, header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type");
    shared(with(response, header::ACCESS_CONTROL_MAX_AGE, "600"), &origin)
}

/// What is wrong with a body that could not be read, as this endpoint says it.
pub(super) fn unreadable(status: StatusCode, what: &str) -> Problem {
    Problem::new(status, "invalid_request", what)
}

/// What somebody is given.
enum Granted {
    /// A person, the tokens of a sign-in.
    Person(Box<Grant>),
    /// A program, a token of its key.
    Program(KeyToken),
}

impl From<Grant> for Granted {
    fn from(grant: Grant) -> Self {
        Self::Person(Box::new(grant))
    }
}

async fn grant(services: &Services, address: IpAddr, headers: &HeaderMap, form: Form) -> Result<Granted, Problem> {
    services.limits.check(Rate::SignIn, None, address).map_err(Problem::of)?;
    let mut form = Parameters(form);
    match form.take("grant_type")?.as_deref() {
        Some("password") => auth::log_in(services, login(&mut form)?, None).await.map(Granted::from).map_err(Problem::behind),
        Some("refresh_token") => match form.take("refresh_token")? {
            Some(token) => auth::renew(services, &token, None).await.map(Granted::from).map_err(Problem::behind),
            None => {
                let token = cookie_of(headers).ok_or_else(|| Problem::missing("refresh_token"))?;
                let renewed = auth::renew(services, &token, None).await.map(Granted::from).map_err(Problem::behind);
                // A page can't remove it: no script sees it.
                renewed.map_err(|problem| Problem { ends_cookie: problem.error == "invalid_grant", ..problem })
            }
        },
        Some("client_credentials") => {
            let (id, secret) = credentials(&mut form, headers)?;
            let token = services.access.token_of_key(&id, &secret).await.map_err(Failure::from);
            token.map(Granted::Program).map_err(|failure| match Problem::behind(failure) {
                problem if problem.error == "invalid_grant" => Problem::no_client(),
                problem => problem,
            })
        }
        Some(_) => {
            let what = "grant_type is password, refresh_token or client_credentials";
            Err(Problem::new(StatusCode::BAD_REQUEST, "unsupported_grant_type", what))
        }
        None => Err(Problem::missing("grant_type")),
    }
}

fn login(form: &mut Parameters) -> Result<Login, Problem> {
    let mut required = |name| form.take(name)?.ok_or_else(|| Problem::missing(name));
    let (email, password) = (required("username")?, required("password")?);
    let workspace_id = form.take("workspace_id")?.map(|id| id.parse()).transpose();
    let workspace_id = workspace_id.map_err(|_| Problem::invalid("workspace_id is a UUIDv7 in lower-case hyphenated form"))?;
    let login = Login { email, password, workspace_id };
    login.validate().map_err(|_| Problem::invalid("username or password is too long"))?;
    Ok(login)
}

/// A program's id and secret: by HTTP Basic authentication, or among the parameters (RFC 6749, section 2.3.1).
fn credentials(form: &mut Parameters, headers: &HeaderMap) -> Result<(String, String), Problem> {
    let (id, secret) = (form.take("client_id")?, form.take("client_secret")?);
    match (headers.get(header::AUTHORIZATION), id, secret) {
        (None, Some(id), Some(secret)) => Ok((id, secret)),
        (Some(basic), _, None) => {
            let basic =
                basic.to_str().ok().and_then(|basic| basic.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
            let pair = basic.and_then(|(_, pair)| STANDARD.decode(pair.trim()).ok()).and_then(|pair| String::from_utf8(pair).ok());
            let pair = pair.and_then(|pair| pair.split_once(':').map(|(id, secret)| (id.to_owned(), secret.to_owned())));
            pair.ok_or_else(Problem::no_client)
        }
        (Some(_), _, Some(_)) => Err(Problem::invalid("a program says who it is in one way: in `Authorization`, or among the parameters")),
        (None, ..) => Err(Problem::no_client()),
    }
}

struct Parameters(Form);

impl Parameters {
    /// Takes a parameter out. An empty one counts as absent, and one that comes twice as wrong (RFC 6749, section 3.2).
    fn take(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        let mut values = self.0.extract_if(.., |(key, _)| key == name).map(|(_, value)| value);
        let value = values.next();
        if values.next().is_some() {
            return Err(Problem::invalid(format!("{name} comes more than once")));
        }
        Ok(value.filter(|value| !value.is_empty()))
    }
}

impl Problem {
    fn new(status: StatusCode, error: &'static str, what: impl Into<String>) -> Self {
        Self { status, retry_after_ms: None, ends_cookie: false, error, error_description: what.into() }
    }
    fn invalid(what: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", what)
    }
    /// The same for whatever is not a key's id with its secret.
    fn no_client() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_client", "no client has this id and secret")
    }
    fn missing(name: &str) -> Self {
        Self::invalid(format!("{name} is missing"))
    }
    /// A failure, as far as the peer is told.
    fn behind(failure: Failure) -> Self {
        match failure {
            Failure::Fault(fault) | Failure::Stale(fault) => Self::of(fault),
            Failure::Unavailable(error) => {
                tracing::error!(%error, "tokens could not be given");
                Self::of(Fault::new(FaultCode::Unavailable, "the database is away: try again").after_ms(1_000))
            }
            Failure::Error(error) => {
                tracing::error!(%error, "tokens could not be given");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "a defect of the server: its log says more")
            }
        }
    }
    fn of(fault: Fault) -> Self {
        let (status, error) = match fault.code {
            FaultCode::Unauthenticated | FaultCode::Forbidden | FaultCode::NotFound => (StatusCode::BAD_REQUEST, "invalid_grant"),
            FaultCode::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable"),
            FaultCode::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
            _ => (StatusCode::BAD_REQUEST, "invalid_request"),
        };
        Self { retry_after_ms: fault.retry_after_ms, ..Self::new(status, error, fault.message) }
    }
}

fn tokens(granted: &Granted, origin: &Origin<'_>, now: Millis) -> Response {
    let tokens = match granted {
        Granted::Person(grant) => &grant.tokens,
        Granted::Program(KeyToken { access_token, expires_at }) => {
            let body = Tokens { access_token, token_type: "Bearer", expires_in: expires_at.since(now) / 1000, refresh_token: None };
            return never_stored(json(StatusCode::OK, &body));
        }
    };
    let in_cookie = matches!(origin, Origin::Allowed(_));
    let body = Tokens {
        access_token: &tokens.access_token,
        token_type: "Bearer",
        expires_in: tokens.access_expires_at.since(now) / 1000,
        // A page gets it where its scripts can't read it.
        refresh_token: (!in_cookie).then_some(&tokens.refresh_token),
    };
    let response = never_stored(json(StatusCode::OK, &body));
    if !in_cookie {
        return response;
    }
    with(response, header::SET_COOKIE, &cookie(&tokens.refresh_token, tokens.refresh_expires_at.since(now) / 1000, origin))
}

fn refuse(problem: &Problem) -> Response {
    // RFC 6749 allows these characters only.
    let allowed = |c: char| if matches!(c, ' '..='~') && c != '"' && c != '\\' { c } else { '\'' };
    let error_description = problem.error_description.chars().map(allowed).collect();
    let body = Problem { error_description, ..*problem };
    let mut response = never_stored(json(problem.status, &body));
    if problem.status == StatusCode::UNAUTHORIZED {
        response = with(response, header::WWW_AUTHENTICATE, "Basic realm=\"crewline\"");
    }
    match problem.retry_after_ms {
        Some(ms) => with(response, header::RETRY_AFTER, &ms.saturating_add(999).div_euclid(1000).to_string()),
        None => response,
    }
}

fn foreign() -> Response {
    never_stored(super::refusal(StatusCode::FORBIDDEN, "pages of this origin may not ask for tokens: the setting `origins` lists who may"))
}

/// RFC 6749, section 5.1: no cache keeps tokens.
fn never_stored(response: Response) -> Response {
    with(with(response, header::CACHE_CONTROL, "no-store"), header::PRAGMA, "no-cache")
}

/// Lets the page that asked read the answer, and no other.
fn shared(response: Response, origin: &Origin<'_>) -> Response {
    let mut response = with(response, header::VARY, "Origin");
    if let Origin::Allowed(origin) = origin {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, (*origin).clone());
        response = with(response, header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    }
    response
}

fn cookie(value: &str, seconds: i64, origin: &Origin<'_>) -> String {
    // Behind TLS it never travels in the clear; without, a browser would not keep it.
    let tls = matches!(origin, Origin::Allowed(origin) if origin.as_bytes().starts_with(b"https:"));
    let secure = if tls { "; Secure" } else { "" };
    format!("{COOKIE}={value}; HttpOnly; SameSite=Strict; Path=/token; Max-Age={seconds}{secure}")
}

fn cookie_of(headers: &HeaderMap) -> Option<String> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(name, _)| *name == COOKIE).map(|(_, value)| value.to_owned())
}
