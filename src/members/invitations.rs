//! Invitations: how people come into a workspace.

use std::sync::{Arc, LazyLock};

use crewline_protocol::{
    fault::{Fault, FaultCode, Reason},
    operation::Role,
    operations::{
        auth::SignedIn,
        invitation::{self, Accept, Create, Invitation, Invited, Revoke, Status},
    },
    value::{InvitationId, MemberId, Millis, Revision, UserId, WorkspaceId, encode},
};

use super::{actor, manages, reaches, still};
use crate::{
    access::{Identity, Member, User, Workspace, address},
    context::{Answer, Context, Failure, Services, not_now},
    entity,
    query::Noun,
    settings::INVITATION_MS,
    store::{Commit, Condition, Select, Snapshot, StoreError},
};

entity! {
    /// An invitation as it is stored. Its token is made from its id, and not stored.
    pub struct InvitationRow in "invitations" {
        /// Its id.
        id: InvitationId,
        /// Where to.
        workspace_id: WorkspaceId,
        /// The workspace's revision at its last change.
        revision: Revision,
        /// When it was made.
        created_at: Millis,
        /// When it last changed.
        updated_at: Millis,
        /// Whom it is for, trimmed and lower-cased.
        email: String,
        /// The same while it is pending: an address has one invitation at a time in a workspace.
        pending: Option<String>,
        /// What they may do once they have joined.
        role: Role,
        /// Who invited them.
        invited_by: UserId,
        /// Where it stands; moved on once, by `accept` or `revoke`.
        status: Status,
        /// Who joined by it.
        accepted_by: Option<UserId>,
        /// Until when it may be accepted.
        expires_at: Millis,
    }
}

/// Invitations, as reads see them.
pub fn invitations() -> Arc<Noun> {
    static NOUN: LazyLock<Arc<Noun>> =
        LazyLock::new(|| Arc::new(Noun::of(&invitation::NOUN, |row: InvitationRow| encode(&row.invitation()))));
    NOUN.clone()
}

/// Invites someone.
///
/// # Errors
/// `invalid` for what is no address; `forbidden` for a role above one's own; `conflict`, `taken` for an address that is a member's or
/// was invited already, and for an id that is there.
pub async fn create(cx: Context, input: Create) -> Result<Answer<Invited>, Failure> {
    let actor = actor(&cx).await?;
    manages(actor.role)?;
    reaches(actor.role, input.role)?;
    let (email, now, workspace_id) = (address(&input.email)?, cx.now(), actor.workspace_id);
    let here = |column| Select::by("workspace_id", workspace_id).and(Condition::Equals(column, email.as_str().into())).limit(1);
    if !cx.services.store.select::<Member>(&here("email")).await?.is_empty() {
        return Err(Fault::conflict(Reason::Taken, "who has this address is a member already").into());
    }
    if let Some(pending) = cx.services.store.select::<InvitationRow>(&here("pending")).await?.pop() {
        if now < pending.expires_at {
            let message = "this address was invited already: revoke that invitation to make another";
            let current = serde_json::to_value(pending.invitation()).ok();
            return Err(Fault { current, ..Fault::conflict(Reason::Taken, message) }.into());
        }
        // It is good for nothing any more, and gives way.
        let commit = Commit::in_workspace(workspace_id).replace(&pending, &pending.became(Status::Revoked, now));
        cx.services.store.commit(commit).await?;
    }
    let commit = Commit::in_workspace(workspace_id).guard(still(&actor));
    let (id, commit) = cx.id::<InvitationRow, _>(input.id, InvitationId::new, commit).await?;
    let row = InvitationRow {
        id,
        workspace_id,
        revision: Revision(0),
        created_at: now,
        updated_at: now,
        pending: Some(email.clone()),
        email,
        role: input.role,
        invited_by: actor.user_id,
        status: Status::Pending,
        accepted_by: None,
        expires_at: now.plus(INVITATION_MS),
    };
    let commit = commit.insert(&row);
    cx.commit(commit, move |revision| Invited { invitation: row.at(revision), token: String::new() }).await
}

/// Puts the token into an answer, which is kept without it.
pub fn with_token(services: &Services, invited: Invited) -> Invited {
    Invited { token: services.access.invitation_token(invited.invitation.id), ..invited }
}

/// Takes an invitation back.
///
/// # Errors
/// `not_found` for one that is absent or in another workspace; `conflict`, `state` for one that was accepted.
pub async fn revoke(cx: Context, input: Revoke) -> Result<Answer<Invitation>, Failure> {
    let actor = actor(&cx).await?;
    manages(actor.role)?;
    let row = cx.services.store.get::<InvitationRow>(input.id).await?;
    let row = row.filter(|row| row.workspace_id == actor.workspace_id).ok_or_else(Fault::not_found)?;
    match row.status {
        Status::Pending => {
            let revoked = row.became(Status::Revoked, cx.now());
            let commit = Commit::in_workspace(row.workspace_id).guard(still(&actor)).replace(&row, &revoked);
            cx.commit(commit, move |revision| revoked.at(revision)).await
        }
        Status::Revoked => cx.commit(Commit::default(), move |_| row.invitation()).await,
        Status::Accepted => Err(not_now("it was accepted: remove the member instead", row.invitation()).into()),
    }
}

/// Joins the workspace that one was invited to. Who has joined by this invitation is given tokens again.
///
/// # Errors
/// `invalid` for what is no token of an invitation; `not_found` for one that is gone; `forbidden` for another address than one's own;
/// `conflict`, `state` for one that was revoked, has expired or was accepted by somebody who has left since.
pub async fn accept(cx: Context, input: Accept) -> Result<Answer<SignedIn>, Failure> {
    let identity = cx.identity()?.clone();
    let access = &cx.services.access;
    let id = access.read_invitation(&input.token).ok_or_else(|| Fault::invalid("token", "format", "is no token of an invitation"))?;
    let mut snapshot = cx.services.store.snapshot().await?;
    let Found { row, user, workspace, member } = find(&mut snapshot, id, &identity).await?.ok_or_else(Fault::not_found)?;
    // A reader held while the writer is waited for would be one fewer for others.
    drop(snapshot);
    if row.email != user.email {
        return Err(Fault::new(FaultCode::Forbidden, "this invitation is for another address: sign in as who was invited").into());
    }
    let now = cx.now();
    let commit = Commit::in_workspace(row.workspace_id);
    let (member, commit) = match (row.status, member) {
        (Status::Accepted, Some(member)) if row.accepted_by == Some(user.id) => (member, Commit::default()),
        (Status::Pending, Some(member)) if now < row.expires_at => (member, commit.replace(&row, &row.accepted(user.id, now))),
        (Status::Pending, None) if now < row.expires_at => {
            let member = row.member(cx.services.clock.id(MemberId::new), &user, now);
            (member.clone(), commit.replace(&row, &row.accepted(user.id, now)).insert(&member))
        }
        (Status::Pending, _) => return Err(Fault::conflict(Reason::State, "this invitation has expired: ask for another").into()),
        (Status::Revoked, _) => return Err(Fault::conflict(Reason::State, "this invitation was taken back").into()),
        (Status::Accepted, _) => return Err(Fault::conflict(Reason::State, "this invitation was used: ask for another").into()),
    };
    let (sign_in, grant) = access.new_grant(&user, &workspace, &member)?;
    cx.services.store.commit(commit.insert(&sign_in)).await?;
    // The tokens are for the other workspace: this connection stays where it is.
    Ok(grant.tokens.into())
}

/// Whether a token is of an invitation for this address, as it is stored, that may be accepted or was.
///
/// # Errors
/// See [`StoreError`].
pub async fn is_invited(services: &Services, token: &str, email: &str) -> Result<bool, StoreError> {
    let Some(id) = services.access.read_invitation(token) else { return Ok(false) };
    let row = services.store.get::<InvitationRow>(id).await?;
    Ok(row.is_some_and(|row| row.email == email && row.is_good(services.clock.now())))
}

/// What an invitation leads to.
struct Found {
    row: InvitationRow,
    user: User,
    workspace: Workspace,
    member: Option<Member>,
}

async fn find(snapshot: &mut Snapshot, id: InvitationId, identity: &Identity) -> Result<Option<Found>, Failure> {
    let Some(row) = snapshot.get::<InvitationRow>(id).await? else { return Ok(None) };
    let user = snapshot.get::<User>(identity.user).await?;
    let workspace = snapshot.get::<Workspace>(row.workspace_id).await?;
    let own = Select::by("user_id", identity.user).and(Condition::Equals("workspace_id", row.workspace_id.into())).limit(1);
    let member = snapshot.select::<Member>(&own).await?.pop();
    Ok(user.zip(workspace).map(|(user, workspace)| Found { row, user, workspace, member }))
}

impl InvitationRow {
    /// As the wire has it.
    pub fn invitation(&self) -> Invitation {
        self.at(self.revision)
    }

    /// The same, written at this revision.
    fn at(&self, revision: Revision) -> Invitation {
        let Self { id, created_at, updated_at, email, role, invited_by, status, accepted_by, expires_at, .. } = self.clone();
        Invitation { id, revision, created_at, updated_at, email, role, invited_by, status, accepted_by, expires_at }
    }

    /// Whether it may be accepted, or was.
    fn is_good(&self, now: Millis) -> bool {
        match self.status {
            Status::Pending => now < self.expires_at,
            Status::Accepted => true,
            Status::Revoked => false,
        }
    }

    /// Not pending any more.
    fn became(&self, status: Status, now: Millis) -> Self {
        Self { status, pending: None, updated_at: now, ..self.clone() }
    }

    fn accepted(&self, user: UserId, now: Millis) -> Self {
        Self { accepted_by: Some(user), ..self.became(Status::Accepted, now) }
    }

    /// Who joins by it.
    fn member(&self, id: MemberId, user: &User, now: Millis) -> Member {
        Member {
            id,
            workspace_id: self.workspace_id,
            user_id: user.id,
            role: self.role,
            name: user.name.clone(),
            email: user.email.clone(),
            revision: Revision(0),
            created_at: now,
            updated_at: now,
        }
    }
}
