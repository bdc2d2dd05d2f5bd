//! Invitations: how people come into a workspace.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    operation::{Access, Kind, Operation, Rate, Role},
    operations::{auth::SignedIn, member::of_a_person, reads::reads},
    value::{InvitationId, Millis, Revision, UserId},
};

/// Where an invitation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "InvitationStatus")]
#[ts(rename = "InvitationStatus")]
pub enum Status {
    /// May be accepted until it expires.
    Pending,
    /// Was accepted.
    Accepted,
    /// Was taken back.
    Revoked,
}

impl Status {
    /// As it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Revoked => "revoked",
        }
    }
    /// The status with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Pending, Self::Accepted, Self::Revoked].into_iter().find(|status| status.as_str() == name)
    }
}

/// An invitation to a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// The workspace's revision at its last change.
    pub revision: Revision,
    /// When it was made.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
    /// Whom it is for; lower-cased.
    pub email: String,
    /// What they may do once they have joined.
    pub role: Role,
    /// Who invited them.
    pub invited_by: UserId,
    /// Where it stands.
    pub status: Status,
    /// Who joined by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub accepted_by: Option<UserId>,
    /// Until when it may be accepted.
    pub expires_at: Millis,
}

/// An invitation as it was made, with what is shown this once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Invited {
    /// The row.
    #[serde(flatten)]
    pub invitation: Invitation,
    /// Whoever has it and the address may join; hand it to them.
    pub token: String,
}

reads! {
    "invitation": Invitation by InvitationId, for Admin as "InvitationGet", "InvitationList", "InvitationAggregate";
    title "email";
    fields [
        Field::text("email"),
        Field::text("role"),
        Field::id("invited_by"),
        Field::text("status"),
        Field::id("accepted_by").optional(),
        Field::time("expires_at"),
    ]
}

/// Invites someone. Its `token` is shown in this answer alone. Someone who is a member already: `conflict`, `taken`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "InvitationCreate")]
#[ts(rename = "InvitationCreate")]
pub struct Create {
    /// An id of the client's own; absent: the server makes one. One that is there already: `conflict`, `taken`.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub id: Option<InvitationId>,
    /// Whom; trimmed and lower-cased.
    #[garde(length(bytes, min = 3, max = 254), contains("@"))]
    pub email: String,
    /// What they may do once they have joined. Only an owner invites owners.
    #[garde(custom(of_a_person))]
    pub role: Role,
}

/// Takes an invitation back: its token is good for nothing then.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "InvitationRevoke")]
#[ts(rename = "InvitationRevoke")]
pub struct Revoke {
    /// Which one.
    #[garde(skip)]
    pub id: InvitationId,
}

/// Joins the workspace that one was invited to, and gives tokens for it; this connection stays where it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "InvitationAccept")]
#[ts(rename = "InvitationAccept")]
pub struct Accept {
    /// The invitation's token.
    #[garde(length(bytes, max = 1024))]
    pub token: String,
}

impl Operation for Create {
    const NAME: &'static str = "invitation.create";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Admin;
    const RATE: Rate = Rate::Write;
    type Output = Invited;
}
impl Operation for Revoke {
    const NAME: &'static str = "invitation.revoke";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Admin;
    const RATE: Rate = Rate::Write;
    type Output = Invitation;
}
impl Operation for Accept {
    const NAME: &'static str = "invitation.accept";
    const KIND: Kind = Kind::Idempotent;
    const ACCESS: Access = Access::Own;
    const RATE: Rate = Rate::SignIn;
    type Output = SignedIn;
}
