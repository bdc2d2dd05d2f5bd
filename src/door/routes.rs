//! What HTTP answers, in warp's words.

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use http::{HeaderMap, Method, Request, StatusCode, header};
use hyper::{body::Incoming, service::Service};
use hyper_util::service::TowerToHyperService;
use warp::{Filter, Rejection, filters::BoxedFilter, reject, reply::Response};

use super::{health::Health, origin::Origins, refusal, token, with};
use crate::context::Services;

/// Answers an HTTP request. Its extensions hold the address that it came from.
pub(super) type Http = Arc<dyn Fn(Request<Incoming>) -> BoxFuture<'static, Response> + Send + Sync>;

/// The address that a request came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct From(pub(super) IpAddr);

/// Every route but the upgrade.
pub(super) fn http(services: Arc<Services>, origins: Arc<Origins>, health: &Health) -> Http {
    let routes = health_routes(health).or(token_routes(services, origins)).unify().or(page()).unify().recover(rejected).unify();
    let service = TowerToHyperService::new(warp::service(routes));
    Arc::new(move |request| {
        service.call(request).map(|answered: Result<Response, Infallible>| answered.unwrap_or_else(|never| match never {})).boxed()
    })
}

fn health_routes(health: &Health) -> BoxedFilter<(Response,)> {
    let reads = |answer: fn(&Health) -> Response| {
        let health = health.clone();
        move |method: Method| if matches!(method, Method::GET | Method::HEAD) { answer(&health) } else { not_allowed("GET, HEAD") }
    };
    let whole = warp::path!("health").and(warp::method()).map(reads(Health::ready));
    let ready = warp::path!("health" / "ready").and(warp::method()).map(reads(Health::ready));
    let live = warp::path!("health" / "live").and(warp::method()).map(reads(Health::live));
    whole.or(ready).unify().or(live).unify().boxed()
}

fn token_routes(services: Arc<Services>, origins: Arc<Origins>) -> BoxedFilter<(Response,)> {
    let allowed = origins.clone();
    let preflight = warp::path!("token").and(warp::options()).and(warp::header::headers_cloned());
    let preflight = preflight.map(move |headers: HeaderMap| token::preflight(&allowed, &headers));
    let ask = warp::path!("token").and(warp::post()).and(warp::header::headers_cloned()).and(warp::ext::get::<From>());
    let form = warp::body::content_length_limit(token::BODY_BYTES).and(warp::body::form::<token::Form>());
    let ask = ask.and(form.map(Ok::<_, token::Problem>).recover(unreadable).unify());
    let ask = ask.then(move |headers: HeaderMap, From(address), form| {
        let (services, origins) = (services.clone(), origins.clone());
        async move { token::answer(&services, &origins, address, &headers, form).await }
    });
    let otherwise = warp::path!("token").map(|| not_allowed("POST, OPTIONS"));
    preflight.or(ask).unify().or(otherwise).unify().boxed()
}

/// For who opens the server's address in a browser.
fn page() -> BoxedFilter<(Response,)> {
    let asked = warp::path::end().and(warp::get()).and(warp::header::headers_cloned());
    let page = asked.and_then(async |headers: HeaderMap| {
        let html = headers.get_all(header::ACCEPT).iter().any(|accept| accept.as_bytes().windows(9).any(|word| word == b"text/html"));
        if html { Ok(super::html(include_str!("page.html"))) } else { Err(reject::not_found()) }
    });
    page.boxed()
}

/// A body of `/token` that is no form, in the words of its endpoint.
async fn unreadable(rejection: Rejection) -> Result<Result<token::Form, token::Problem>, Rejection> {
    let problem = if rejection.find::<reject::LengthRequired>().is_some() {
        token::unreadable(StatusCode::LENGTH_REQUIRED, "the request has no content-length")
    } else if rejection.find::<reject::PayloadTooLarge>().is_some() {
        token::unreadable(StatusCode::PAYLOAD_TOO_LARGE, "the request's body is larger than 16 KiB")
    } else if rejection.find::<reject::UnsupportedMediaType>().is_some() {
        token::unreadable(StatusCode::BAD_REQUEST, "the request's body is not application/x-www-form-urlencoded")
    } else if rejection.find::<warp::body::BodyDeserializeError>().is_some() {
        token::unreadable(StatusCode::BAD_REQUEST, "the request's body is no form")
    } else {
        return Err(rejection);
    };
    Ok(Err(problem))
}

async fn rejected(_: Rejection) -> Result<Response, Infallible> {
    Ok(refusal(StatusCode::NOT_FOUND, "there is nothing here: /health, /token and /ws are what there is"))
}

fn not_allowed(methods: &str) -> Response {
    with(refusal(StatusCode::METHOD_NOT_ALLOWED, "this is asked for with another method"), header::ALLOW, methods)
}
