//! Who there is, as it is stored: users, workspaces, who is a member of which, and sign-ins.

use crewline_protocol::{
    operation::Role,
    value::{MemberId, Millis, Revision, SignInId, UserId, WorkspaceId},
};

use super::passwords::PasswordHash;
use crate::entity;

entity! {
    /// A person who signs in.
    pub struct User in "users" {
        /// Its id.
        id: UserId,
        /// The address to sign in with, trimmed and lower-cased; no two users share it.
        email: String,
        /// What others see.
        name: String,
        /// What a password is checked against.
        password_hash: PasswordHash,
        /// Whether this user runs the server; only the command line says so.
        operator: bool,
        /// Since when this user may not sign in; set by an operator.
        disabled_at: Option<Millis>,
        /// When it was made.
        created_at: Millis,
        /// When it last changed.
        updated_at: Millis,
    }
}

entity! {
    /// The boundary of members, data and quota.
    pub struct Workspace in "workspaces" {
        /// Its id.
        id: WorkspaceId,
        /// What people call it.
        name: String,
        /// Its count of committed writes.
        revision: Revision,
        /// The count at the row's own last change; set by the store.
        changed_revision: Revision,
        /// When it was made.
        created_at: Millis,
        /// When it last changed.
        updated_at: Millis,
    }
}

entity! {
    /// A person's membership in a workspace.
    pub struct Member in "members" {
        /// Its id.
        id: MemberId,
        /// Where.
        workspace_id: WorkspaceId,
        /// Who.
        user_id: UserId,
        /// As what.
        role: Role,
        /// The user's name, as it was when they joined or last changed it.
        name: String,
        /// The user's address, likewise.
        email: String,
        /// The workspace's revision at its last change.
        revision: Revision,
        /// When it was made.
        created_at: Millis,
        /// When it last changed.
        updated_at: Millis,
    }
}

entity! {
    /// One sign-in of a user: the family of refresh tokens that came from it.
    pub struct SignIn in "sign_ins" {
        /// Its id.
        id: SignInId,
        /// Whose.
        user_id: UserId,
        /// The workspace that its connections act in unless they ask for another.
        workspace_id: WorkspaceId,
        /// The number of the last refresh token that was used; raised by each first use.
        refresh_used: i64,
        /// When the newest refresh token ends; moved on by each first use.
        refresh_expires_at: Millis,
        /// When it was signed out, or a used refresh token came again.
        revoked_at: Option<Millis>,
        /// Whether it was signed out, by who it is of: then nobody has to sign in again.
        signed_out: bool,
        /// When it was made.
        created_at: Millis,
        /// When it last changed.
        updated_at: Millis,
    }
}
