//! `web.search`: asks the search that the operator has configured, and gives its results in one form.

use std::time::Duration;

use crewline_protocol::fault::{Fault, FaultCode};
use futures::future::BoxFuture;
use reqwest::Url;
use serde_json::{Value, json};

use super::{away, body, client};
use crate::{
    engine::tools::{Tool, ToolContext, ToolSpec},
    settings::Settings,
};

/// How long a search may take.
const SEARCHING: Duration = Duration::from_secs(20);
/// The most results that a model is given.
const RESULTS: usize = 10;
/// The longest text of a result, in bytes.
const RESULT_BYTES: usize = 1_000;
/// Where in their answers searches have their results.
const PLACES: [&str; 7] = ["/results", "/web/results", "/items", "/organic", "/organic_results", "/data", "/webPages/value"];

/// Searches the web.
pub(in crate::engine) struct Search {
    /// With `{query}` for what is looked for; empty: there is none.
    template: String,
}

impl Search {
    /// With the settings' search.
    pub(in crate::engine) fn new(settings: &Settings) -> Self {
        Self { template: settings.search_url.clone() }
    }
}

impl Tool for Search {
    fn spec(&self) -> ToolSpec {
        ToolSpec {
            name: "web.search".into(),
            description: "Searches the web: titles, addresses and extracts of pages. Read one with web.fetch.".into(),
            input_schema: json!({
                "type": "object",
                "additionalProperties": false,
                "required": ["query"],
                "properties": {"query": {"type": "string", "minLength": 1, "maxLength": 500}}
            }),
        }
    }

    fn call(&self, _: &ToolContext, input: Value) -> BoxFuture<'static, Result<Value, Fault>> {
        let template = self.template.clone();
        Box::pin(async move {
            if template.is_empty() {
                let message = "no search is configured on this server: who runs it sets `search_url`";
                return Err(Fault::new(FaultCode::Unavailable, message));
            }
            let query = input["query"].as_str().unwrap_or_default();
            let answer = tokio::time::timeout(SEARCHING, search(&template, query)).await;
            answer.map_err(|_| away(format!("the search did not answer within {} s", SEARCHING.as_secs())))?
        })
    }
}

/// What goes wrong is told without the URL: there may be a key in it.
async fn search(template: &str, query: &str) -> Result<Value, Fault> {
    let encoded: String = query.bytes().map(escaped).collect();
    let url = Url::parse(&template.replace("{query}", &encoded));
    let url = url.map_err(|_| Fault::new(FaultCode::Internal, "the search's address is no URL: who runs the server mends `search_url`"))?;
    let client = client().build();
    let client = client.map_err(|_| Fault::new(FaultCode::Internal, "no HTTP client can be made"))?;
    let response = client.get(url).send().await.map_err(|_| away("the search can't be reached".to_owned()))?;
    if !response.status().is_success() {
        return Err(away(format!("the search answered {}", response.status())));
    }
    let found: Value = serde_json::from_slice(&body(response).await?).map_err(|_| away("the search answered with no JSON".to_owned()))?;
    let list = PLACES.iter().find_map(|place| found.pointer(place)?.as_array()).or(found.as_array());
    let list = list.ok_or_else(|| away("the search's answer has no list of results".to_owned()))?;
    let results: Vec<Value> = list.iter().filter_map(result).take(RESULTS).collect();
    Ok(json!({"results": results}))
}

fn result(found: &Value) -> Option<Value> {
    let text = |names: &[&str]| {
        let text = names.iter().find_map(|name| found.get(name)?.as_str()).unwrap_or_default();
        text[..text.floor_char_boundary(RESULT_BYTES)].to_owned()
    };
    let url = text(&["url", "link", "href"]);
    (!url.is_empty()).then(
        || json!({"title": text(&["title", "name"]), "url": url, "text": text(&["snippet", "description", "content", "body", "text"])}),
    )
}

fn escaped(byte: u8) -> String {
    match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    }
}
