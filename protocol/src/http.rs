//! The little that is said over plain HTTP: health, and tokens as RFC 6749 has them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::WorkspaceId;

/// How a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// It takes requests.
    Ok,
    /// It lets connections finish and takes no new ones.
    Draining,
    /// Its database does not answer.
    Unavailable,
}

/// The answer of `/health`, `/health/live` and `/health/ready`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// How the server is.
    pub status: HealthStatus,
    /// The server's version.
    pub version: String,
}

/// The form that `POST /token` takes, as `application/x-www-form-urlencoded` (RFC 6749, sections 4.3, 4.4 and 6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "grant_type", rename_all = "snake_case")]
pub enum TokenRequest {
    /// A person signs in.
    Password {
        /// The e-mail address.
        username: String,
        /// The password.
        password: String,
        /// The workspace to act in; absent: the latest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workspace_id: Option<WorkspaceId>,
    },
    /// The next tokens of a sign-in.
    RefreshToken {
        /// The refresh token; absent where a browser sends it as an HttpOnly cookie.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refresh_token: Option<String>,
    },
    /// A program signs in with an API key. Id and secret may also come by HTTP Basic authentication.
    ClientCredentials {
        /// The key's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
        /// The key's secret.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_secret: Option<String>,
    },
}

/// How an access token is used: in `hello` and in `auth.authenticate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TokenType {
    /// Whoever has it is who it names.
    Bearer,
}

/// The answer of `POST /token` (RFC 6749, section 5.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenResponse {
    /// Proves who one is, until it ends.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: TokenType,
    /// Seconds until the access token ends.
    pub expires_in: i64,
    /// Gets the next tokens; absent where it was set as a cookie, and for API keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
}

/// Why no token was given (RFC 6749, section 5.2; the last two as its section 4.1.2.1 names them).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenErrorCode {
    /// A parameter is missing, stands twice, or cannot be read.
    InvalidRequest,
    /// The API key is not known, or its secret is wrong.
    InvalidClient,
    /// The address, password or refresh token is wrong: which of them is not said.
    InvalidGrant,
    /// This principal may not use this grant.
    UnauthorizedClient,
    /// The grant is none of those that are served.
    UnsupportedGrantType,
    /// The scope is not known: there are none.
    InvalidScope,
    /// Too many tries, or the server is draining: `Retry-After` says when.
    TemporarilyUnavailable,
    /// A defect of the server.
    ServerError,
}

/// The answer of `POST /token` where no token is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenError {
    /// The stable code.
    pub error: TokenErrorCode,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_description: Option<String>,
}
