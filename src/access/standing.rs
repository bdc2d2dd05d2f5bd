//! Where somebody stands: from a token, or from what one knew of them, to what the database says of them now.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use crewline_protocol::{
    close::CloseCode,
    fault::{Fault, FaultCode},
    opening::{Principal, PrincipalKind, WorkspaceRef},
    value::{ApiKeyId, Millis, SignInId, UserId, WorkspaceId},
};

use super::{
    Access, Identity, Refused,
    api_key::{ApiKeyRow, identify_key, key_identity, key_of},
    rows::{Member, SignIn, User, Workspace},
    sign_in::same_principal,
    tokens::AccessToken,
};
use crate::store::{Condition, Direction, Entity, Select, Snapshot, StoreError, Value};

/// Rows asked for in one statement: databases bound a statement's parameters.
const BATCH: usize = 500;

impl Access {
    /// Checks an access token and reads who it is from the database: role and membership are never taken from the token.
    ///
    /// # Errors
    /// 4100 for a token that is not good or has ended, 4101 for a revoked sign-in, 4202 for a disabled user, 4205 for a workspace
    /// that the user is not in; `unavailable` with 4002 where the database is away.
    pub async fn verify(&self, access_token: &str, workspace: Option<WorkspaceId>) -> Result<Identity, Refused> {
        if let Some(key) = self.0.tokens.read_key_secret(access_token) {
            return self.verify_key(key, workspace).await;
        }
        let token = self.0.tokens.read_access(access_token, self.0.clock.now()).ok_or_else(Refused::token)?;
        self.stands(&token, workspace).await
    }

    /// The same on a connection where somebody may be signed in already: the same principal again, or nobody.
    ///
    /// # Errors
    /// As [`Self::verify`], each as a fault; `conflict` for another principal.
    pub async fn authenticate(&self, access_token: &str, here: Option<&Identity>) -> Result<Identity, Fault> {
        let workspace = here.map(|here| here.workspace);
        let identity = match self.0.tokens.read_key_secret(access_token) {
            Some(key) => self.verify_key(key, workspace).await,
            None => {
                let token = self.0.tokens.read_access(access_token, self.0.clock.now()).ok_or_else(|| Refused::token().fault)?;
                same_principal(here, token.user, None)?;
                self.stands(&token, workspace).await
            }
        };
        let identity = identity.map_err(|refused| refused.fault)?;
        same_principal(here, identity.user, None)?;
        // A worker goes on as the one that it has registered as.
        Ok(Identity { worker: here.and_then(|here| here.worker), ..identity })
    }

    /// Reads again, for each identity, who it is now, in a few queries for all of them: the same, changed, or refused.
    ///
    /// # Errors
    /// The outer error means that the database was away: nothing is known, nothing changes.
    pub async fn standings(&self, identities: &[Arc<Identity>]) -> Result<Vec<Result<Identity, Refused>>, Fault> {
        if identities.is_empty() {
            return Ok(Vec::new());
        }
        let mut snapshot = self.0.store.snapshot().await.map_err(|error| unavailable(&error))?;
        let known = Known::read(&mut snapshot, identities).await.map_err(|error| unavailable(&error))?;
        Ok(identities.iter().map(|identity| known.standing(identity)).collect())
    }

    async fn stands(&self, token: &AccessToken, workspace: Option<WorkspaceId>) -> Result<Identity, Refused> {
        let away = |error| Refused { fault: unavailable(&error), close: CloseCode::Internal };
        let mut snapshot = self.0.store.snapshot().await.map_err(away)?;
        identify(&mut snapshot, token, workspace).await.map_err(away)?
    }
}

impl Refused {
    /// One wording for every way in which a token is not good.
    pub(super) fn token() -> Self {
        Self::new(CloseCode::TokenRefused, "the access token or key is not good, or has ended: sign in again, or with another key")
    }
    pub(crate) fn revoked() -> Self {
        Self::new(CloseCode::SignInRevoked, "this sign-in was revoked: sign in again")
    }
    pub(super) fn key_revoked() -> Self {
        Self::new(CloseCode::SignInRevoked, "this key was revoked: ask who manages the workspace for another")
    }
    fn signed_out() -> Self {
        Self::new(CloseCode::SignedOut, "signed out")
    }
    pub(super) fn disabled() -> Self {
        Self::new(CloseCode::Disabled, "this user is disabled: ask who runs the server")
    }
    pub(super) fn no_workspace() -> Self {
        Self { fault: Fault::not_found(), close: CloseCode::NoWorkspace }
    }
    fn new(close: CloseCode, message: &'static str) -> Self {
        Self { fault: Fault::new(close.fault().unwrap_or(FaultCode::Unauthenticated), message), close }
    }
}

/// Who a token's sign-in is now, in the workspace that is asked for, or else in its latest.
pub(super) async fn identify(
    snapshot: &mut Snapshot,
    token: &AccessToken,
    asked: Option<WorkspaceId>,
) -> Result<Result<Identity, Refused>, StoreError> {
    if let Some(key) = token.key() {
        return identify_key(snapshot, key, asked, token.expires_at).await;
    }
    let (user, sign_in) = (snapshot.get::<User>(token.user).await?, snapshot.get::<SignIn>(token.sign_in).await?);
    let (user, sign_in) = match good(user.as_ref(), sign_in.as_ref()) {
        Ok(good) => good,
        Err(refused) => return Ok(Err(refused)),
    };
    let place = membership(snapshot, user.id, asked, Some(sign_in.workspace_id)).await?;
    let identity = place.map(|(workspace, member)| identity(user, &workspace, &member, sign_in.id, token.expires_at));
    Ok(identity.ok_or_else(Refused::no_workspace))
}

/// The user's membership in the workspace that is asked for, or else in the latest, or else the newest there is.
pub(super) async fn membership(
    snapshot: &mut Snapshot,
    user: UserId,
    asked: Option<WorkspaceId>,
    latest: Option<WorkspaceId>,
) -> Result<Option<(Workspace, Member)>, StoreError> {
    let mut members = snapshot.select::<Member>(&Select::by("user_id", user).order_by("created_at", Direction::Ascending)).await?;
    let place = |workspace| members.iter().position(|member| member.workspace_id == workspace);
    let found = match asked {
        Some(asked) => place(asked),
        None => latest.and_then(place).or_else(|| members.len().checked_sub(1)),
    };
    let Some(member) = found.map(|found| members.swap_remove(found)) else { return Ok(None) };
    Ok(snapshot.get::<Workspace>(member.workspace_id).await?.map(|workspace| (workspace, member)))
}

pub(super) fn identity(user: &User, workspace: &Workspace, member: &Member, sign_in: SignInId, expires_at: Millis) -> Identity {
    let principal = Principal {
        kind: PrincipalKind::User,
        id: user.id.to_string(),
        name: user.name.clone(),
        email: Some(user.email.clone()),
        workspace: WorkspaceRef { id: workspace.id, name: workspace.name.clone() },
        role: member.role,
        operator: user.operator.then_some(true),
    };
    Identity { principal, user: user.id, workspace: workspace.id, sign_in, expires_at, worker: None }
}

/// The database is away: nothing is known, and the same may be known later.
pub(super) fn unavailable(error: &StoreError) -> Fault {
    tracing::error!(%error, "who is signed in could not be read");
    Fault::new(FaultCode::Unavailable, "the database is away: try again")
}

/// A disabled user is told so whatever became of the sign-in: no new one would help.
pub(super) fn good<'u, 's>(user: Option<&'u User>, sign_in: Option<&'s SignIn>) -> Result<(&'u User, &'s SignIn), Refused> {
    if user.is_some_and(|user| user.disabled_at.is_some()) {
        return Err(Refused::disabled());
    }
    let sign_in = sign_in.filter(|sign_in| sign_in.revoked_at.is_none());
    user.zip(sign_in).filter(|(user, sign_in)| sign_in.user_id == user.id).ok_or_else(Refused::revoked)
}

/// Everything that says where many stand, read at one moment.
struct Known {
    users: HashMap<UserId, User>,
    sign_ins: HashMap<SignInId, SignIn>,
    members: HashMap<(UserId, WorkspaceId), Member>,
    workspaces: HashMap<WorkspaceId, Workspace>,
    keys: HashMap<ApiKeyId, ApiKeyRow>,
}

impl Known {
    async fn read(snapshot: &mut Snapshot, identities: &[Arc<Identity>]) -> Result<Self, StoreError> {
        let keys: BTreeSet<_> = identities.iter().filter_map(|identity| key_of(identity.user, identity.sign_in)).collect();
        let people = || identities.iter().filter(|identity| key_of(identity.user, identity.sign_in).is_none());
        let users: BTreeSet<_> = people().map(|identity| identity.user).collect();
        let sign_ins: BTreeSet<_> = people().map(|identity| identity.sign_in).collect();
        let workspaces: BTreeSet<_> = identities.iter().map(|identity| identity.workspace).collect();
        let members = all::<Member, _>(snapshot, "user_id", &users).await?;
        Ok(Self {
            users: all::<User, _>(snapshot, "id", &users).await?.into_iter().map(|user| (user.id, user)).collect(),
            sign_ins: all::<SignIn, _>(snapshot, "id", &sign_ins).await?.into_iter().map(|sign_in| (sign_in.id, sign_in)).collect(),
            members: members.into_iter().map(|member| ((member.user_id, member.workspace_id), member)).collect(),
            workspaces: all::<Workspace, _>(snapshot, "id", &workspaces).await?.into_iter().map(|row| (row.id, row)).collect(),
            keys: all::<ApiKeyRow, _>(snapshot, "id", &keys).await?.into_iter().map(|row| (row.id, row)).collect(),
        })
    }

    fn standing(&self, was: &Identity) -> Result<Identity, Refused> {
        if let Some(key) = key_of(was.user, was.sign_in) {
            let known = self.keys.get(&key).zip(self.workspaces.get(&was.workspace));
            let (row, workspace) = known.ok_or_else(Refused::key_revoked)?;
            return Ok(Identity { worker: was.worker, ..key_identity(row, workspace, was.expires_at)? });
        }
        let (user, sign_in) = (self.users.get(&was.user), self.sign_ins.get(&was.sign_in));
        let (user, sign_in) = good(user, sign_in).map_err(|refused| match sign_in {
            // Who is there is told which of the two it was; who comes with its token signs in again either way.
            Some(SignIn { signed_out: true, .. }) if refused.close == CloseCode::SignInRevoked => Refused::signed_out(),
            _ => refused,
        })?;
        let member = self.members.get(&(was.user, was.workspace));
        let (member, workspace) = member.zip(self.workspaces.get(&was.workspace)).ok_or_else(Refused::revoked)?;
        Ok(identity(user, workspace, member, sign_in.id, was.expires_at))
    }
}

async fn all<E: Entity, I: Copy + Into<Value>>(
    snapshot: &mut Snapshot,
    column: &'static str,
    ids: &BTreeSet<I>,
) -> Result<Vec<E>, StoreError> {
    let ids: Vec<Value> = ids.iter().map(|id| (*id).into()).collect();
    let mut rows = Vec::with_capacity(ids.len());
    for batch in ids.chunks(BATCH) {
        let select = Select { conditions: vec![Condition::In(column, batch.to_vec())], ..Select::default() };
        rows.extend(snapshot.select::<E>(&select).await?);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use crewline_protocol::{operation::Role, value::Revision};

    use super::*;
    use crate::{
        access::testing::{self, Someone},
        store::Commit,
    };

    #[tokio::test(start_paused = true)]
    async fn a_token_says_who_and_the_database_says_what_they_may() {
        let (access, store) = testing::access().await;
        let ada = Someone::member(&store, "ada@example.com", Role::Viewer).await;
        let token = ada.token(&access);
        let identity = access.verify(&token.0, None).await.unwrap();
        let principal = Principal {
            kind: PrincipalKind::User,
            id: ada.user.id.to_string(),
            name: "Ada".into(),
            email: Some("ada@example.com".into()),
            workspace: WorkspaceRef { id: ada.workspace.id, name: "Home".into() },
            role: Role::Viewer,
            operator: None,
        };
        let expected = Identity {
            principal,
            user: ada.user.id,
            workspace: ada.workspace.id,
            sign_in: ada.sign_in.id,
            expires_at: token.1,
            worker: None,
        };
        assert_eq!(identity, expected);

        let promoted = Member { role: Role::Admin, ..ada.member.clone() };
        store.commit(Commit::in_workspace(ada.workspace.id).put(&promoted)).await.unwrap();
        assert_eq!(access.verify(&token.0, Some(ada.workspace.id)).await.unwrap().principal.role, Role::Admin);
    }

    #[tokio::test(start_paused = true)]
    async fn each_way_of_being_out_has_its_close_code() {
        let (access, store) = testing::access().await;
        let close = async |token: &str, workspace| access.verify(token, workspace).await.unwrap_err();
        assert_eq!(close("x", None).await, Refused::token());

        let ada = Someone::member(&store, "ada@example.com", Role::Owner).await;
        let ben = Someone::member(&store, "ben@example.com", Role::Owner).await;
        let token = ada.token(&access).0;
        assert_eq!(close(&token, Some(ben.workspace.id)).await, Refused::no_workspace());
        let absent = WorkspaceId::new(Millis(0), [9; 10]);
        assert_eq!(close(&token, Some(absent)).await, Refused::no_workspace(), "another's and an absent one read the same");

        let at = Some(testing::START);
        store.commit(Commit::default().put(&SignIn { revoked_at: at, ..ada.sign_in.clone() })).await.unwrap();
        assert_eq!(close(&token, None).await, Refused::revoked());
        store.commit(Commit::default().put(&User { disabled_at: at, ..ada.user.clone() })).await.unwrap();
        assert_eq!(close(&token, None).await, Refused::disabled());
        let codes = [Refused::token(), Refused::revoked(), Refused::disabled(), Refused::no_workspace()].map(|r| r.close.code());
        assert_eq!(codes, [4100, 4101, 4202, 4205]);

        tokio::time::advance(std::time::Duration::from_millis(testing::ACCESS_TOKEN_MS)).await;
        let token = ben.token(&access).0;
        assert!(access.verify(&token, None).await.is_ok());
        tokio::time::advance(std::time::Duration::from_millis(testing::ACCESS_TOKEN_MS)).await;
        assert_eq!(close(&token, None).await, Refused::token());
    }

    #[tokio::test(start_paused = true)]
    async fn a_sign_in_acts_in_its_workspace_while_it_may_and_then_in_the_newest() {
        let (access, store) = testing::access().await;
        let ada = Someone::member(&store, "ada@example.com", Role::Owner).await;
        let ben = Someone::member(&store, "ben@example.com", Role::Owner).await;
        let joined =
            Member { workspace_id: ben.workspace.id, id: testing::member_id(77), created_at: testing::START.plus(1), ..ada.member.clone() };
        store.commit(Commit::in_workspace(ben.workspace.id).put(&joined)).await.unwrap();
        let token = ada.token(&access).0;
        let acts_in = async |asked| access.verify(&token, asked).await.map(|identity| identity.workspace);
        assert_eq!(acts_in(None).await, Ok(ada.workspace.id));
        assert_eq!(acts_in(Some(ben.workspace.id)).await, Ok(ben.workspace.id));
        store.commit(Commit::in_workspace(ada.workspace.id).delete::<Member>(ada.member.id)).await.unwrap();
        assert_eq!(acts_in(None).await, Ok(ben.workspace.id));
        store.commit(Commit::in_workspace(ben.workspace.id).delete::<Member>(joined.id)).await.unwrap();
        assert_eq!(acts_in(None).await, Err(Refused::no_workspace()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_sweep_learns_for_each_what_a_new_sign_in_would() {
        let (access, store) = testing::access().await;
        let names = ["same", "renamed", "demoted", "removed", "revoked", "left", "disabled", "gone"];
        let mut people = Vec::new();
        for name in names {
            people.push(Someone::member(&store, &format!("{name}@example.com"), Role::Admin).await);
        }
        let mut identities = Vec::new();
        for someone in &people {
            identities.push(Arc::new(access.verify(&someone.token(&access).0, None).await.unwrap()));
        }
        let at = Some(testing::START);
        let [_, renamed, demoted, removed, revoked, left, disabled, gone] = &people[..] else { panic!("{}", people.len()) };
        let changes = [
            Commit::default().put(&User { name: "Other".into(), ..renamed.user.clone() }),
            Commit::in_workspace(demoted.workspace.id).put(&Member { role: Role::Viewer, ..demoted.member.clone() }),
            Commit::in_workspace(removed.workspace.id).delete::<Member>(removed.member.id),
            Commit::default().put(&SignIn { revoked_at: at, ..revoked.sign_in.clone() }),
            Commit::default().put(&SignIn { revoked_at: at, signed_out: true, ..left.sign_in.clone() }),
            Commit::default().put(&User { disabled_at: at, ..disabled.user.clone() }),
            Commit::default().delete::<User>(gone.user.id),
        ];
        for change in changes {
            store.commit(change).await.unwrap();
        }
        let changed = |place: usize, change: fn(&mut Principal)| {
            let mut identity = Identity::clone(&identities[place]);
            change(&mut identity.principal);
            Ok(identity)
        };
        let expected = vec![
            changed(0, |_| ()),
            changed(1, |principal| principal.name = "Other".into()),
            changed(2, |principal| principal.role = Role::Viewer),
            Err(Refused::revoked()),
            Err(Refused::revoked()),
            Err(Refused::signed_out()),
            Err(Refused::disabled()),
            Err(Refused::revoked()),
        ];
        assert_eq!(access.standings(&identities).await, Ok(expected));
        assert_eq!(access.standings(&[]).await, Ok(Vec::new()));
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_a_statement_holds_are_read_all_the_same() {
        let (access, store) = testing::access().await;
        let mut commit = Commit::default();
        let mut identities = Vec::new();
        for number in 0..=BATCH {
            let someone = Someone::new(number, &format!("{number}@example.com"), Role::Member);
            commit = commit.put(&someone.user).put(&someone.workspace).put(&someone.member).put(&someone.sign_in);
            identities.push(Arc::new(identity(&someone.user, &someone.workspace, &someone.member, someone.sign_in.id, Millis(0))));
        }
        store.commit(commit).await.unwrap();
        let expected: Vec<_> = identities.iter().map(|identity| Ok(Identity::clone(identity))).collect();
        assert_eq!(access.standings(&identities).await, Ok(expected));
        assert_eq!(store.revisions(&[identities[0].workspace]).await.unwrap(), [(identities[0].workspace, Revision(0))]);
    }

    #[test]
    fn a_failing_database_is_told_without_its_words() {
        let fault = unavailable(&StoreError::Failed("secret of the disk".into()));
        assert_eq!(fault, Fault::new(FaultCode::Unavailable, "the database is away: try again"));
    }
}
