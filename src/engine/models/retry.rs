//! When a model is asked again, and what is said where it can't be.

use std::time::Duration;

use crewline_protocol::fault::{Fault, FaultCode, Retry};
use genai::webc;
use http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret, SecretString};

/// The longest wait before a model is asked again: a provider that wants more is down for this run.
const LONGEST: Duration = Duration::from_secs(60);
/// Characters of a provider's own words in a fault.
const WORDS: usize = 300;

/// How a call failed.
pub(super) struct Broken {
    pub(super) fault: Fault,
    /// Whether it may go well another time.
    pub(super) again: bool,
    /// How long the provider asks to wait.
    pub(super) after: Option<Duration>,
}

impl Broken {
    /// The provider answered with this status.
    fn status(status: StatusCode, headers: Option<&HeaderMap>, body: &str, provider: &str, key: Option<&SecretString>) -> Self {
        let after = headers.and_then(|headers| headers.get("retry-after")).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let after = after.map(|seconds: f64| Duration::from_secs_f64(seconds.clamp(0.0, 3_600.0)));
        let busy = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT;
        let message = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                format!("`{provider}` refused the key that the server has for it ({status}): whoever runs the server must give it another")
            }
            StatusCode::NOT_FOUND => {
                format!("`{provider}` does not know this model, or its address is wrong ({status}){}", words(body, key))
            }
            _ if busy => format!("`{provider}` does not answer now ({status}){}", words(body, key)),
            _ => format!("`{provider}` refused the request ({status}){}", words(body, key)),
        };
        let code = if busy { FaultCode::Unavailable } else { FaultCode::Invalid };
        Self { fault: fault(code, message), again: busy, after }
    }

    /// The connection failed, or what came over it is no answer.
    fn line(message: String) -> Self {
        Self { fault: fault(FaultCode::Unavailable, message), again: true, after: None }
    }

    /// The answer ended before it was whole.
    pub(super) fn cut(provider: &str) -> Self {
        Self::line(format!("the answer of `{provider}` was cut off before its end"))
    }

    /// The answer calls tools with more than anything could take.
    pub(super) fn endless(provider: &str) -> Self {
        let message = format!("the answer of `{provider}` calls tools with arguments that do not end");
        Self { fault: fault(FaultCode::TooLarge, message), again: false, after: None }
    }

    /// Nothing came for too long.
    pub(super) fn silent(provider: &str, waited: Duration) -> Self {
        Self::line(format!("`{provider}` said nothing for {} s", waited.as_secs()))
    }

    /// What the library says, without what may hold a key or a request.
    pub(super) fn of(error: &genai::Error, provider: &str, key: Option<&SecretString>) -> Self {
        match error {
            genai::Error::HttpError { status, body, headers, .. } => Self::status(*status, Some(headers), body, provider, key),
            genai::Error::WebModelCall { webc_error, .. } | genai::Error::WebAdapterCall { webc_error, .. } => match webc_error {
                webc::Error::ResponseFailedStatus { status, body, headers } => Self::status(*status, Some(headers), body, provider, key),
                webc::Error::Reqwest(error) => Self::line(unreached(error, provider)),
                _ => Self::line(format!("what `{provider}` answered can't be read")),
            },
            genai::Error::WebStream { error, .. } => {
                if let Some(error) = error.downcast_ref::<genai::Error>() {
                    return Self::of(error, provider, key);
                }
                match error.downcast_ref::<reqwest::Error>() {
                    Some(error) => Self::line(unreached(error, provider)),
                    None => Self::cut(provider),
                }
            }
            genai::Error::ChatResponse { body, .. } => {
                let said = words(&body.to_string(), key);
                Self::line(format!("`{provider}` broke its answer off{said}"))
            }
            genai::Error::StreamParse { .. } | genai::Error::ChatResponseGeneration { .. } => {
                Self::line(format!("what `{provider}` answered can't be read"))
            }
            _ => Self { fault: fault(FaultCode::Invalid, format!("`{provider}` can't be asked this")), again: false, after: None },
        }
    }

    /// How long to wait before the next try, the n-th from 0; `None`: there is none.
    pub(super) fn wait(&self, tried: u32, most: u32, dice: f64) -> Option<Duration> {
        if !self.again || tried >= most || self.after.is_some_and(|after| after > LONGEST) {
            return None;
        }
        let backoff = Duration::from_millis(500).saturating_mul(1 << tried.min(7)).min(LONGEST);
        // Full jitter, over what was asked for.
        Some(self.after.unwrap_or_default() + backoff.mul_f64(dice))
    }
}

fn unreached(error: &reqwest::Error, provider: &str) -> String {
    match () {
        () if error.is_connect() => format!("`{provider}` can't be reached"),
        () if error.is_timeout() => format!("`{provider}` did not answer in time"),
        () => format!("the connection to `{provider}` broke"),
    }
}

/// What a provider says is wrong, for people: short, and without the key, which some repeat.
fn words(body: &str, key: Option<&SecretString>) -> String {
    let json: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let said = json
        .as_ref()
        .and_then(|json| [&json["error"]["message"], &json["message"], &json["error"]].into_iter().find_map(serde_json::Value::as_str));
    let Some(said) = said else { return String::new() };
    let said = match key {
        Some(key) => said.replace(key.expose_secret(), "(key)"),
        None => said.to_owned(),
    };
    let said: String = said.chars().filter(|c| !c.is_control()).take(WORDS).collect();
    format!(": {said}")
}

fn fault(code: FaultCode, message: String) -> Fault {
    Fault { retry: Retry::Never, ..Fault::new(code, message) }
}
