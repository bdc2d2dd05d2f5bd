//! The web: `web.fetch` reads a public page, `web.search` asks the search that the operator has configured.

mod address;
mod robots;
mod search;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use crewline_protocol::fault::{Fault, FaultCode};
use futures::future::BoxFuture;
use reqwest::{
    Client, ClientBuilder, Response, StatusCode, Url,
    dns::{Addrs, Name, Resolving},
    header::{CONTENT_TYPE, LOCATION},
    redirect::Policy,
};
use serde_json::{Value, json};

use self::address::Reach;
pub(super) use self::search::Search;
use super::{
    content,
    tools::{Tool, ToolContext, ToolSpec},
};
use crate::settings::Settings;

const AGENT: &str = concat!("crewline/", env!("CARGO_PKG_VERSION"));
/// How long connecting may take.
const CONNECTING: Duration = Duration::from_secs(10);
/// How long a page may take, with all that leads to it.
const FETCHING: Duration = Duration::from_secs(30);
/// How often a page may send us elsewhere.
const REDIRECTS: usize = 5;
/// The longest page that is taken, in bytes.
const BYTES: usize = 2 << 20;
/// The most of a page's text that a model is given at once, in bytes.
const TEXT_BYTES: usize = 24 << 10;

/// Reads a page of the web.
pub(super) struct Fetch {
    reach: Reach,
}

impl Fetch {
    /// With what the settings allow besides public addresses.
    pub(super) fn new(settings: &Settings) -> Self {
        Self { reach: Reach { resolve: address::system(), allow: settings.web_allow.clone() } }
    }
}

impl Tool for Fetch {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "web.fetch".into(),
            description: "Reads a public page of the web as text: its address in the end, title, description, and text. \
                          A long text is cut; `from` goes on from there."
                .into(),
            input_schema: json!({
                "type": "object",
                "additionalProperties": false,
                "required": ["url"],
                "properties": {
                    "url": {"type": "string", "minLength": 1, "maxLength": 4_096},
                    "from": {"type": "integer", "minimum": 0, "description": "The byte of the text to begin at: a result's `next`."}
                }
            }),
        }
    }

    fn call(&self, _: &ToolContext, input: Value) -> BoxFuture<'static, Result<Value, Fault>> {
        let reach = self.reach.clone();
        Box::pin(async move {
            let url = input["url"].as_str().unwrap_or_default();
            let from = input["from"].as_u64().and_then(|from| usize::try_from(from).ok()).unwrap_or(0);
            let page = tokio::time::timeout(FETCHING, fetch(&reach, url)).await;
            page.map_err(|_| away(format!("the page did not come within {} s", FETCHING.as_secs())))??.told(from).await
        })
    }
}

/// A page as it came.
struct Fetched {
    url: Url,
    media_type: String,
    text: String,
}

impl Fetched {
    /// As a model is told of it.
    async fn told(self, from: usize) -> Result<Value, Fault> {
        let Self { url, media_type, text } = self;
        let mut told = json!({"url": url.as_str(), "media_type": media_type});
        let text = if media_type.contains("html") {
            if content::is_too_deep(&text) {
                return Err(Fault::new(FaultCode::TooLarge, "the page's elements are nested deeper than can be read"));
            }
            let read = tokio::task::spawn_blocking(move || content::read(&text)).await;
            let read = read.map_err(|_| Fault::new(FaultCode::Internal, "the page could not be read"))?;
            told["title"] = read.title.into();
            told["description"] = read.description.into();
            read.text
        } else {
            text
        };
        let begin = text.ceil_char_boundary(from.min(text.len()));
        let end = text.floor_char_boundary((begin + TEXT_BYTES).min(text.len()));
        told["text"] = text[begin..end].into();
        if end < text.len() {
            told["next"] = end.into();
            told["bytes"] = text.len().into();
        }
        Ok(told)
    }
}

/// Fetches a page from where its redirects lead. Each step is checked anew, and asks the site for its rules.
async fn fetch(reach: &Reach, url: &str) -> Result<Fetched, Fault> {
    let mut url = Url::parse(url).map_err(|error| Fault::invalid("url", "format", format!("it is no URL: {error}")))?;
    for _ in 0..=REDIRECTS {
        url.set_fragment(None);
        let addresses = reach.addresses(&url).await?;
        if !robots_allow(&url, &addresses).await? {
            let message = format!("`{}` asks robots to leave this page alone (robots.txt)", url.host_str().unwrap_or_default());
            return Err(Fault::new(FaultCode::Forbidden, message));
        }
        let response = get(&url, &addresses).await?;
        let status = response.status();
        if status.is_redirection() {
            let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).and_then(|to| url.join(to).ok());
            url = to.ok_or_else(|| away(format!("the site answered {status} without saying where to")))?;
            continue;
        }
        if status != StatusCode::OK {
            let code = if matches!(status.as_u16(), 404 | 410) { FaultCode::NotFound } else { FaultCode::Unavailable };
            return Err(Fault::new(code, format!("the site answered {status}")));
        }
        return read(url, response).await;
    }
    Err(away(format!("the site sent us elsewhere more than {REDIRECTS} times")))
}

/// Asks a site for a page, at addresses that were checked and no others.
async fn get(url: &Url, addresses: &[SocketAddr]) -> Result<Response, Fault> {
    let resolver = Pinned(addresses.to_vec());
    // A proxy from the environment would ask for the name itself.
    let client = client().no_proxy().dns_resolver(Arc::new(resolver)).build();
    let client = client.map_err(|_| Fault::new(FaultCode::Internal, "no HTTP client can be made"))?;
    client.get(url.clone()).send().await.map_err(|error| {
        let why = if error.is_connect() { "can't be reached" } else { "broke off" };
        away(format!("`{}` {why}", url.host_str().unwrap_or_default()))
    })
}

/// What every client is made from: it goes nowhere that it was not sent to.
pub(super) fn client() -> ClientBuilder {
    // It is installed already where another client was made.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().user_agent(AGENT).connect_timeout(CONNECTING).redirect(Policy::none())
}

/// Knows one host, whatever it is called.
struct Pinned(Vec<SocketAddr>);

impl reqwest::dns::Resolve for Pinned {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses: Addrs = Box::new(self.0.clone().into_iter());
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

/// Whether a site lets robots fetch this. One that has no rules does; one that can't say them now does not.
async fn robots_allow(url: &Url, addresses: &[SocketAddr]) -> Result<bool, Fault> {
    let rules = url.join("/robots.txt").map_err(|_| Fault::invalid("url", "format", "the URL can't have a path"))?;
    let response = get(&rules, addresses).await?;
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    Ok(match response.status().as_u16() {
        200 => robots::allows(&String::from_utf8_lossy(&body(response).await?), &path),
        500.. | 429 => false,
        _ => true,
    })
}

async fn read(url: Url, response: Response) -> Result<Fetched, Fault> {
    let kind = response.headers().get(CONTENT_TYPE).cloned();
    let media_type = kind.as_ref().and_then(|kind| kind.to_str().ok()).unwrap_or("text/plain");
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_text = media_type.starts_with("text/") || media_type.ends_with("+xml") || media_type.ends_with("json");
    if !is_text && media_type != "application/xml" {
        return Err(Fault::invalid("url", "type", format!("the page is no text but {media_type}")));
    }
    let mut whole = http::Response::new(body(response).await?);
    whole.headers_mut().extend(kind.map(|kind| (CONTENT_TYPE, kind)));
    // In the encoding that its headers name, as a browser reads it.
    let text = Response::from(whole).text().await.map_err(|_| away("the page can't be read".to_owned()))?;
    Ok(Fetched { url, media_type, text })
}

async fn body(mut response: Response) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| away("the page broke off".to_owned()))? {
        if bytes.len() + chunk.len() > BYTES {
            return Err(Fault::new(FaultCode::TooLarge, format!("the page has more than {BYTES} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn away(message: String) -> Fault {
    Fault::new(FaultCode::Unavailable, message)
}

#[cfg(test)]
mod tests;
