//! The opening of a connection, and what the server says about the connection itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    operation::Role,
    value::{ConnectionId, Millis, WorkspaceId},
};

/// A client program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ClientInfo {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// How the client's last connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct LastClose {
    /// The close code.
    pub code: u16,
    /// When, by the client's clock.
    pub at: Millis,
}

/// The client's first frame, within 5 s of the upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Hello {
    /// Which client.
    pub client: ClientInfo,
    /// An access token or an API key; absent: nobody is signed in yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub access_token: Option<String>,
    /// The workspace to act in; absent: the principal's latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub workspace_id: Option<WorkspaceId>,
    /// Features that the client knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(optional, as = "Option<Vec<String>>")]
    pub features: Vec<String>,
    /// How its last connection ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub last_close: Option<LastClose>,
}

/// The server program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ServerInfo {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Which build.
    pub build: String,
}

/// What a connection may hold at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Limits {
    /// Bytes of a message.
    #[ts(type = "number")]
    pub message_bytes: u64,
    /// Bytes of a row.
    #[ts(type = "number")]
    pub row_bytes: u64,
    /// Requests open at once.
    pub requests: u32,
    /// Subscriptions open at once.
    pub subscriptions: u32,
    /// Credit that the connection starts with, in bytes.
    #[ts(type = "number")]
    pub credit_bytes: u64,
}

/// How long a client waits before it connects anew: a random time up to the bound, which doubles from `base_ms` to `max_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Reconnect {
    /// The first bound.
    #[ts(type = "number")]
    pub base_ms: u64,
    /// The last bound.
    #[ts(type = "number")]
    pub max_ms: u64,
}

/// The server's answer to `hello`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Welcome {
    /// The connection's id; the server's log names it.
    pub connection_id: ConnectionId,
    /// Which server.
    pub server: ServerInfo,
    /// The server's clock.
    pub now_at: Millis,
    /// The database's incarnation. A client that knew another forgets every position.
    pub epoch: String,
    /// Who is signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub principal: Option<Principal>,
    /// What the connection may hold.
    pub limits: Limits,
    /// How often the server pings; two without a byte end the connection.
    #[ts(type = "number")]
    pub heartbeat_ms: u64,
    /// Features that both know.
    pub features: Vec<String>,
    /// How to connect anew.
    pub reconnect: Reconnect,
}

/// What acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// A person.
    User,
    /// A process that executes runs.
    Worker,
    /// A run, acting for a person.
    Agent,
}

impl PrincipalKind {
    /// As it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Worker => "worker",
            Self::Agent => "agent",
        }
    }
    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::User, Self::Worker, Self::Agent].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A workspace by id and name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct WorkspaceRef {
    /// Its id.
    pub id: WorkspaceId,
    /// Its name.
    pub name: String,
}

/// Who acts on a connection, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Principal {
    /// What it is.
    pub kind: PrincipalKind,
    /// The user's id, or the worker's or agent's.
    pub id: String,
    /// What others see.
    pub name: String,
    /// The user's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub email: Option<String>,
    /// The workspace that the connection acts in.
    pub workspace: WorkspaceRef,
    /// The role there.
    pub role: Role,
    /// Whether this is an operator of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub operator: Option<bool>,
}

/// Something that the server tells about the connection, without being asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Notice {
    /// The access token ends in 60 s: `auth.refresh` on the same socket.
    TokenExpiring {
        /// When it ends.
        expires_at: Millis,
    },
    /// The principal's role or name changed.
    PrincipalChanged {
        /// As it is now.
        principal: Principal,
    },
}

/// Why the server asks its clients to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum GoawayWhy {
    /// It shuts down.
    Shutdown,
    /// It is replaced by a newer one.
    Upgrade,
    /// Others have more room.
    Rebalance,
}

/// The server leaves: finish, and connect anew at a random moment within the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Goaway {
    /// Why.
    pub why: GoawayWhy,
    /// The window in which to connect anew.
    #[ts(type = "number")]
    pub reconnect_within_ms: u64,
    /// After this the connection is closed with 4001.
    #[ts(type = "number")]
    pub drain_ms: u64,
}

/// Options of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct RequestOptions {
    /// The key of a mutation: a UUIDv7, made once and kept through retries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub key: Option<String>,
    /// After this the server answers `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "number")]
    pub timeout_ms: Option<u64>,
    /// A W3C traceparent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub trace: Option<String>,
}

/// Options of a reply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct ReplyOptions {
    /// The revision at which the output is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub as_of: Option<crate::value::Revision>,
}
