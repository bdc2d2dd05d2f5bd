//! Faults: errors meant for the peer. Each code is stable and says by `retry` what a client does next.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What a client does after a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// The same request will fail again.
    Never,
    /// Send the same request with the same key again.
    SameKey,
    /// Wait `retry_after_ms`, then send it again.
    After,
    /// Sign in, then send it again.
    SignIn,
    /// The client's copy is stale: read it again, then decide.
    Refetch,
    /// Connect anew.
    Reconnect,
}

macro_rules! fault_codes {
    ($($(#[doc = $doc:literal])* $variant:ident = $code:literal, $retry:ident;)*) => {
        /// The stable code of a fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
        #[serde(rename_all = "snake_case")]
        pub enum FaultCode {
            $($(#[doc = $doc])* $variant,)*
        }

        impl FaultCode {
            /// Every code, in the order of the protocol's table.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// As it stands on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }
            /// What a client does after it, unless the fault says otherwise.
            pub const fn retry(self) -> Retry {
                match self { $(Self::$variant => Retry::$retry,)* }
            }
            /// When it is given.
            pub const fn when(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc,)*),)* }
            }
        }
    };
}

fault_codes! {
    /// The input fails validation; `fields` says where.
    Invalid = "invalid", Never;
    /// No operation has this name.
    UnknownOperation = "unknown_operation", Never;
    /// A mutation came without a key.
    KeyRequired = "key_required", Never;
    /// The key was used for another operation or input.
    KeyReused = "key_reused", Never;
    /// The key is older than 24 hours, or more than 5 minutes ahead.
    KeyExpired = "key_expired", Never;
    /// Nobody is signed in, or the token has ended.
    Unauthenticated = "unauthenticated", SignIn;
    /// The principal may know of it, but may not do this.
    Forbidden = "forbidden", Never;
    /// It is absent, or not visible: both read the same.
    NotFound = "not_found", Never;
    /// The state is another than the request expects; `reason` says how, `current` may hold the row.
    Conflict = "conflict", Refetch;
    /// Too many requests in too short a time.
    RateLimited = "rate_limited", After;
    /// A budget or quota of the workspace is used up.
    OverQuota = "over_quota", Never;
    /// A message, row, event or state is larger than the limit.
    TooLarge = "too_large", Never;
    /// Too many requests or subscriptions are open at once.
    TooMany = "too_many", After;
    /// The request's `timeout_ms` passed; sending it again with its key tells whether it happened.
    Timeout = "timeout", SameKey;
    /// The client cancelled it.
    Cancelled = "cancelled", Never;
    /// Written under a lease that is no longer the writer's own.
    LeaseLost = "lease_lost", Never;
    /// The server is draining, or its database is away.
    Unavailable = "unavailable", SameKey;
    /// A defect of the server; `reference` finds it in the log.
    Internal = "internal", SameKey;
    /// The peer broke the protocol; with id 0, before a close.
    ProtocolError = "protocol_error", Never;
    /// The client is too old for this server; with id 0, before a close.
    UnsupportedClient = "unsupported_client", Never;
    /// The server ends the connection; with id 0, before a close.
    Disconnected = "disconnected", Reconnect;
}

/// How a `conflict` came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The row has another revision than the request names.
    Revision,
    /// The row's state does not allow it.
    State,
    /// The name or address is taken.
    Taken,
    /// Events are missing before these.
    Sequence,
    /// Something else is being done there.
    Busy,
}

/// One field of an input that fails validation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct FieldFault {
    /// Where in the input, as `items[2].name`; empty for the whole.
    pub path: String,
    /// A stable word: `type`, `required`, `unknown`, `length`, `range`, `pattern`, `format`, …
    pub code: String,
    /// For people.
    pub message: String,
}

/// An error meant for the peer. It never carries an internal error's text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Fault {
    /// The stable code.
    pub code: FaultCode,
    /// For people: what happened, to what, what to do.
    pub message: Cow<'static, str>,
    /// What a client does next.
    pub retry: Retry,
    /// How long to wait before the next try, with `retry: after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub retry_after_ms: Option<i64>,
    /// How a conflict came about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub reason: Option<Reason>,
    /// Which fields of the input are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(optional, as = "Option<Vec<FieldFault>>")]
    pub fields: Vec<FieldFault>,
    /// The row as it is now, with a conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "unknown")]
    pub current: Option<serde_json::Value>,
    /// Finds the error behind it in the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub reference: Option<String>,
}

impl Fault {
    /// A fault with its code's own `retry`.
    pub fn new(code: FaultCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            retry: code.retry(),
            retry_after_ms: None,
            reason: None,
            fields: Vec::new(),
            current: None,
            reference: None,
        }
    }
    /// An `invalid` for one field.
    pub fn invalid(path: impl Into<String>, code: &str, message: impl Into<String>) -> Self {
        let field = FieldFault { path: path.into(), code: code.into(), message: message.into() };
        Self::invalid_fields(vec![field])
    }
    /// The same of what stands below another path.
    #[must_use]
    pub fn below(mut self, path: &str) -> Self {
        for field in &mut self.fields {
            let own = std::mem::take(&mut field.path);
            field.path = if own.is_empty() { path.to_owned() } else { format!("{path}.{own}") };
        }
        self
    }
    /// An `invalid` for several fields; its message names the first.
    pub fn invalid_fields(fields: Vec<FieldFault>) -> Self {
        let message = match fields.first() {
            Some(first) if first.path.is_empty() => format!("the input is not valid: {}", first.message),
            Some(first) => format!("`{}` is not valid: {}", first.path, first.message),
            None => "the input is not valid".into(),
        };
        Self { fields, ..Self::new(FaultCode::Invalid, message) }
    }
    /// The one `not_found`: the same bytes for what is absent and for what may not be seen.
    pub fn not_found() -> Self {
        Self::new(FaultCode::NotFound, "there is no such thing here, or you may not see it")
    }
    /// A `conflict` and how it came about.
    pub fn conflict(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self { reason: Some(reason), ..Self::new(FaultCode::Conflict, message) }
    }
    /// The same with the time to wait, in milliseconds.
    #[must_use]
    pub fn after_ms(mut self, retry_after_ms: i64) -> Self {
        self.retry_after_ms = Some(retry_after_ms);
        self
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)?;
        for field in self.fields.iter().skip(1) {
            write!(f, "; `{}`: {}", field.path, field.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}
