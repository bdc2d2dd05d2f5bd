//! API keys: by which programs sign in.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    operation::{Access, Kind, Operation, Rate, Role},
    operations::reads::reads,
    value::{ApiKeyId, Millis, Revision, UserId},
};

/// A key by which a program signs in: as an access token in `hello` or `auth.authenticate`, or for one at the token endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ApiKey {
    /// Its id; at the token endpoint the `client_id`.
    pub id: ApiKeyId,
    /// The workspace's revision at its last change.
    pub revision: Revision,
    /// When it was made.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
    /// What people call it.
    pub name: String,
    /// As what it signs in: `worker`.
    pub role: Role,
    /// Who made it; absent: whoever runs the server, on the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub created_by: Option<UserId>,
    /// Since when it is good for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub revoked_at: Option<Millis>,
}

/// A key as it was made, with what is shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[schemars(rename = "ApiKeyCreated")]
#[ts(rename = "ApiKeyCreated")]
pub struct Created {
    /// The row.
    #[serde(flatten)]
    pub key: ApiKey,
    /// What the program signs in with, `crk_…`; at the token endpoint the `client_secret`. It is stored nowhere.
    pub secret: String,
}

reads! {
    "api_key": ApiKey by ApiKeyId, for Admin as "ApiKeyGet", "ApiKeyList", "ApiKeyAggregate";
    title "name";
    fields [
        Field::text("name"),
        Field::text("role"),
        Field::reference("created_by", "member").optional(),
        Field::time("revoked_at").optional(),
    ]
}

/// Makes a key for a worker. Its `secret` is shown in this answer alone.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ApiKeyCreate")]
#[ts(rename = "ApiKeyCreate")]
pub struct Create {
    /// An id of the client's own; absent: the server makes one. One that is there already: `conflict`, `taken`.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub id: Option<ApiKeyId>,
    /// What people call it.
    #[garde(length(chars, min = 1, max = 200))]
    pub name: String,
}

/// Takes a key back: its connections are closed with 4101, and it is good for nothing any more. The runs that its workers hold are theirs
/// until their leases end.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ApiKeyRevoke")]
#[ts(rename = "ApiKeyRevoke")]
pub struct Revoke {
    /// Which one.
    #[garde(skip)]
    pub id: ApiKeyId,
}

impl Operation for Create {
    const NAME: &'static str = "api_key.create";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Admin;
    const RATE: Rate = Rate::Write;
    type Output = Created;
}
impl Operation for Revoke {
    const NAME: &'static str = "api_key.revoke";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Admin;
    const RATE: Rate = Rate::Write;
    type Output = ApiKey;
}
