//! Members: the people of a workspace and their roles, and how they come and go.

mod invitations;

pub use invitations::{InvitationRow, accept, create, invitations, is_invited, revoke, with_token};

use std::sync::{Arc, LazyLock};

use crewline_protocol::{
    fault::{Fault, FaultCode},
    operation::Role,
    operations::{
        auth::Done,
        member::{self, Member as Wire, Remove, Update},
    },
    value::{MemberId, Millis, encode},
};

use crate::{
    access::Member,
    context::{Answer, Context, Failure, not_now, unchanged},
    query::Noun,
    store::{Commit, Condition, Guard, Select},
};

/// Members, as reads see them.
pub fn noun() -> Arc<Noun> {
    static NOUN: LazyLock<Arc<Noun>> = LazyLock::new(|| {
        // A user is one person in many workspaces; what others refer to is the person.
        Arc::new(Noun::of(&member::NOUN, |row: Member| encode(&wire(&row))).known_by("user_id"))
    });
    NOUN.clone()
}

/// Gives a member another role.
///
/// # Errors
/// `not_found` for one that is absent or in another workspace; `forbidden` where it takes an owner; `conflict`, `revision`;
/// `conflict`, `state` for the last owner.
pub async fn update(cx: Context, input: Update) -> Result<Answer<Wire>, Failure> {
    let (actor, member) = (actor(&cx).await?, load(&cx, input.id).await?);
    unchanged(input.revision, member.revision, || wire(&member))?;
    if member.role == input.role {
        return cx.commit(Commit::default(), move |_| wire(&member)).await;
    }
    manages(actor.role)?;
    reaches(actor.role, member.role)?;
    reaches(actor.role, input.role)?;
    let commit = Commit::in_workspace(member.workspace_id).guard(still(&actor));
    let commit = keep_an_owner(&cx, &actor, &member, commit).await?;
    let changed = with_role(&member, input.role, cx.now());
    cx.commit(commit.replace(&member, &changed), move |revision| Wire { revision, ..wire(&changed) }).await
}

/// Takes a member out of the workspace. Everyone may leave it.
///
/// # Errors
/// As [`update`].
pub async fn remove(cx: Context, input: Remove) -> Result<Answer<Done>, Failure> {
    let (actor, member) = (actor(&cx).await?, load(&cx, input.id).await?);
    let commit = Commit::in_workspace(member.workspace_id);
    let commit = if actor.id == member.id {
        commit
    } else {
        manages(actor.role)?;
        reaches(actor.role, member.role)?;
        commit.guard(still(&actor))
    };
    let commit = keep_an_owner(&cx, &actor, &member, commit).await?;
    cx.commit(commit.remove(&member), |_| Done {}).await
}

/// A member as the wire has it.
pub fn wire(member: &Member) -> Wire {
    let Member { id, revision, created_at, updated_at, user_id, name, email, role, .. } = member.clone();
    Wire { id, revision, created_at, updated_at, user_id, name, email, role }
}

/// Who asks, as the database has them now. What the connection knows of their role may be a moment old.
async fn actor(cx: &Context) -> Result<Member, Failure> {
    let identity = cx.identity()?;
    let own = Select::by("user_id", identity.user).and(Condition::Equals("workspace_id", identity.workspace.into()));
    let own = cx.services.store.select::<Member>(&own.limit(1)).await?.pop();
    Ok(own.ok_or_else(|| Fault::new(FaultCode::Forbidden, "you are no member of this workspace any more"))?)
}

async fn load(cx: &Context, id: MemberId) -> Result<Member, Failure> {
    let workspace = cx.identity()?.workspace;
    let member = cx.services.store.get::<Member>(id).await?;
    Ok(member.filter(|member| member.workspace_id == workspace).ok_or_else(Fault::not_found)?)
}

/// Holds a commit to what it was allowed for: that who asks still has their role.
fn still(actor: &Member) -> Guard {
    Guard::columns::<Member>(actor.id, vec![("role", actor.role.into())])
}

/// A workspace keeps an owner: where this one goes, another must still be there when it is written.
async fn keep_an_owner(cx: &Context, actor: &Member, member: &Member, commit: Commit) -> Result<Commit, Failure> {
    // Who makes or unmakes another owner is one, and is guarded already.
    if member.role != Role::Owner || actor.id != member.id {
        return Ok(commit);
    }
    let owners = Select::by("workspace_id", member.workspace_id).and(Condition::Equals("role", Role::Owner.into()));
    let owners = cx.services.store.select::<Member>(&owners).await?;
    match owners.iter().find(|owner| owner.id != member.id) {
        Some(other) => Ok(commit.guard(still(other))),
        None => Err(not_now("the last owner stays: make somebody else an owner first", wire(member)).into()),
    }
}

/// Passes who may change members and invitations.
fn manages(role: Role) -> Result<(), Fault> {
    if role.rank() >= Role::Admin.rank() {
        return Ok(());
    }
    Err(Fault::new(FaultCode::Forbidden, format!("the role `{}` may not change who is in this workspace", role.as_str())))
}

/// Passes who may give a role or take it: nobody reaches above their own.
fn reaches(role: Role, other: Role) -> Result<(), Fault> {
    if other.rank() <= role.rank() {
        return Ok(());
    }
    Err(Fault::new(FaultCode::Forbidden, format!("the role `{}` may not make or unmake one of `{}`", role.as_str(), other.as_str())))
}

fn with_role(member: &Member, role: Role, now: Millis) -> Member {
    Member { role, updated_at: now, ..member.clone() }
}

#[cfg(test)]
mod tests;
