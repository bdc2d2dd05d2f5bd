//! Signing in and out.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    opening::Principal,
    operation::{Access, Kind, Operation, Rate},
    value::{Millis, WorkspaceId},
};

/// Makes a user and a workspace of one's own, and signs the connection in as its owner.
///
/// Sent again within 24 hours with the same e-mail and password it signs in. An address that is taken: `conflict`, `taken`.
/// Where the server's registration is not open: `forbidden`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AuthRegister")]
#[ts(rename = "AuthRegister")]
pub struct Register {
    /// The address to sign in with; trimmed and lower-cased.
    #[garde(length(bytes, min = 3, max = 254), contains("@"))]
    pub email: String,
    /// 10 to 256 characters.
    #[garde(length(chars, min = 10, max = 256))]
    pub password: String,
    /// What others see.
    #[garde(length(chars, min = 1, max = 200))]
    pub name: String,
    /// The workspace's name; absent: made from the user's.
    #[garde(length(chars, min = 1, max = 200))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub workspace: Option<String>,
    /// The token of an invitation for this address; needed where registration is by invitation. It is not accepted by this:
    /// `invitation.accept` does that, once signed in.
    #[garde(length(bytes, max = 200))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub invitation: Option<String>,
}

/// Signs the connection in with e-mail and password.
///
/// A wrong password and an unknown address get the same `unauthenticated`, in the same time.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AuthLogin")]
#[ts(rename = "AuthLogin")]
pub struct Login {
    /// The address; trimmed and lower-cased.
    #[garde(length(bytes, max = 254))]
    pub email: String,
    /// The password.
    #[garde(length(chars, max = 256))]
    pub password: String,
    /// The workspace to act in; absent: the latest.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub workspace_id: Option<WorkspaceId>,
}

/// Changes a refresh token for new tokens, on the same socket.
///
/// A refresh token stays good until its successor is first used; after that, using it again signs out all that came from it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AuthRefresh")]
#[ts(rename = "AuthRefresh")]
pub struct Refresh {
    /// The refresh token.
    #[garde(length(bytes, max = 1024))]
    pub refresh_token: String,
}

/// Signs the connection in with an access token got elsewhere.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AuthAuthenticate")]
#[ts(rename = "AuthAuthenticate")]
pub struct Authenticate {
    /// The access token.
    #[garde(length(bytes, max = 4096))]
    pub access_token: String,
}

/// Ends this sign-in, or all of the user's: replies, then closes every connection of it with 4201.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AuthLogout")]
#[ts(rename = "AuthLogout")]
pub struct Logout {
    /// Whether to end all sign-ins of the user.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub everywhere: Option<bool>,
}

/// Tells who the connection is signed in as.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AuthMe")]
#[ts(rename = "AuthMe")]
pub struct Me {}

/// Tokens of a sign-in, and who it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS)]
pub struct SignedIn {
    /// Proves who one is, until it ends.
    pub access_token: String,
    /// When the access token ends.
    pub access_expires_at: Millis,
    /// Gets the next tokens.
    pub refresh_token: String,
    /// When the refresh token ends.
    pub refresh_expires_at: Millis,
    /// Who is signed in.
    pub principal: Principal,
}

/// Who an access token signed in, and until when.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS)]
pub struct Authenticated {
    /// Who is signed in.
    pub principal: Principal,
    /// Until when; absent: as long as it is an API key that is not revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub access_expires_at: Option<Millis>,
}

/// Nothing to say but that it is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Done {}

impl Operation for Register {
    const NAME: &'static str = "auth.register";
    const KIND: Kind = Kind::Idempotent;
    const ACCESS: Access = Access::Anyone;
    const RATE: Rate = Rate::SignIn;
    type Output = SignedIn;
}
impl Operation for Login {
    const NAME: &'static str = "auth.login";
    const KIND: Kind = Kind::Idempotent;
    const ACCESS: Access = Access::Anyone;
    const RATE: Rate = Rate::SignIn;
    type Output = SignedIn;
}
impl Operation for Refresh {
    const NAME: &'static str = "auth.refresh";
    const KIND: Kind = Kind::Idempotent;
    const ACCESS: Access = Access::Anyone;
    const RATE: Rate = Rate::SignIn;
    type Output = SignedIn;
}
impl Operation for Authenticate {
    const NAME: &'static str = "auth.authenticate";
    const KIND: Kind = Kind::Idempotent;
    const ACCESS: Access = Access::Anyone;
    const RATE: Rate = Rate::SignIn;
    type Output = Authenticated;
}
impl Operation for Logout {
    const NAME: &'static str = "auth.logout";
    const KIND: Kind = Kind::Idempotent;
    const ACCESS: Access = Access::Own;
    const RATE: Rate = Rate::Write;
    type Output = Done;
}
impl Operation for Me {
    const NAME: &'static str = "auth.me";
    const KIND: Kind = Kind::Read;
    const ACCESS: Access = Access::Own;
    const RATE: Rate = Rate::Read;
    type Output = Principal;
}
