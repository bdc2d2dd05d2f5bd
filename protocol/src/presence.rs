//! Presence: who is here now. Nothing of it is stored.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{opening::PrincipalKind, value::ConnectionId};

/// Bytes that a member's state may have when encoded.
pub const STATE_BYTES: usize = 1 << 10;

/// One connection that is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Member {
    /// Which connection: a person may be here more than once.
    pub connection_id: ConnectionId,
    /// Whose it is.
    pub principal: MemberPrincipal,
}

/// Who is here, as far as other members may know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct MemberPrincipal {
    /// What it is.
    pub kind: PrincipalKind,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}
