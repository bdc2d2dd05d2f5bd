//! Members: the people of a workspace and their roles.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    operation::{Access, Kind, Operation, Rate, Role},
    operations::{auth::Done, reads::reads},
    value::{MemberId, Millis, Revision, UserId},
};

/// A person in a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[schemars(rename = "WorkspaceMember")]
#[ts(rename = "WorkspaceMember")]
pub struct Member {
    /// The membership's id.
    pub id: MemberId,
    /// The workspace's revision at its last change.
    pub revision: Revision,
    /// When they joined.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
    /// Who it is.
    pub user_id: UserId,
    /// What others see.
    pub name: String,
    /// The address that they sign in with.
    pub email: String,
    /// What they may do here.
    pub role: Role,
}

reads! {
    "member": Member by MemberId, for Viewer as "MemberGet", "MemberList", "MemberAggregate";
    title "name";
    fields [Field::id("user_id"), Field::text("name"), Field::text("email"), Field::text("role")]
}

/// Gives a member another role. Only an owner makes owners or changes one, and a workspace keeps at least one: `conflict`, `state`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MemberUpdate")]
#[ts(rename = "MemberUpdate")]
pub struct Update {
    /// Which membership.
    #[garde(skip)]
    pub id: MemberId,
    /// The row's revision as the client has it: another one is a `conflict`; absent: whatever it is.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub revision: Option<Revision>,
    /// What they may do from now on.
    #[garde(custom(of_a_person))]
    pub role: Role,
}

/// Takes a member out of the workspace: their connections in it are closed with 4101. Everyone may leave, admins take out others, only
/// an owner an owner. The last owner stays: `conflict`, `state`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, TS, Validate)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MemberRemove")]
#[ts(rename = "MemberRemove")]
pub struct Remove {
    /// Which membership.
    #[garde(skip)]
    pub id: MemberId,
}

impl Operation for Update {
    const NAME: &'static str = "member.update";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Admin;
    const RATE: Rate = Rate::Write;
    type Output = Member;
}
impl Operation for Remove {
    const NAME: &'static str = "member.remove";
    const KIND: Kind = Kind::Mutation;
    const ACCESS: Access = Access::Viewer;
    const RATE: Rate = Rate::Write;
    type Output = Done;
}

/// Workers and agents are no members.
pub(super) fn of_a_person(role: &Role, (): &()) -> garde::Result {
    match role.rank() {
        Some(_) => Ok(()),
        None => Err(garde::Error::new("is not a person's role: `viewer`, `member`, `admin` or `owner`")),
    }
}
