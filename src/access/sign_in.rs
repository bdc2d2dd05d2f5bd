//! Signing in: a sign-in is made for who knows the password, and gives the tokens by which it goes on.

use std::sync::Arc;

use crewline_protocol::{
    fault::{Fault, FaultCode, Reason},
    operations::auth::SignedIn,
    value::{Millis, SignInId, UserId, WorkspaceId},
};
use secrecy::SecretString;

use super::{
    Access, Identity, Refused,
    rows::{Member, SignIn, User, Workspace},
    standing::{identity, membership},
    tokens::RefreshToken,
};
use crate::store::{Commit, CommitError, Direction, Select, StoreError};

/// Tokens, and who they are for.
#[derive(Debug, Clone)]
pub struct Grant {
    /// As the wire shows it.
    pub tokens: SignedIn,
    /// Who is signed in by them.
    pub identity: Arc<Identity>,
}

/// Why nobody was signed in or out.
#[derive(Debug)]
pub enum Denied {
    /// The peer is told this.
    Fault(Fault),
    /// A refresh token came back after its successor was used: one of the two who have it has stolen it. The sign-in is revoked, and
    /// its connections are to be closed.
    Reused(SignInId, Refused),
    /// The database failed.
    Store(StoreError),
    /// A defect.
    Error(Box<dyn std::error::Error + Send + Sync>),
}

impl From<Fault> for Denied {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Refused> for Denied {
    fn from(refused: Refused) -> Self {
        Self::Fault(refused.fault)
    }
}

impl From<StoreError> for Denied {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<CommitError> for Denied {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Store(error) => Self::Store(error),
            error => Self::Error(Box::new(error)),
        }
    }
}

impl Access {
    /// Signs in with e-mail and password, in the workspace that is asked for or the latest. On a connection where somebody is signed
    /// in already (`here`) it is the same principal again, or nobody.
    ///
    /// # Errors
    /// `unauthenticated`, the same and as late for an unknown address and for a wrong password; `forbidden` for a disabled user;
    /// `not_found` for a workspace that one is not in; `conflict` for another principal; `unavailable` when too many sign in.
    pub async fn login(
        &self,
        email: &str,
        password: SecretString,
        workspace: Option<WorkspaceId>,
        here: Option<&Identity>,
    ) -> Result<Grant, Denied> {
        let user = self.user_by_email(&normal_email(email)).await?;
        let fits = self.0.passwords.fits(password, user.as_ref().map(|user| &user.password_hash)).await?;
        let user = user.filter(|_| fits).ok_or_else(wrong_password)?;
        self.begin(&user, workspace, here).await
    }

    pub(super) async fn user_by_email(&self, email: &str) -> Result<Option<User>, StoreError> {
        Ok(self.0.store.select::<User>(&Select::by("email", email).limit(1)).await?.pop())
    }

    /// Makes a sign-in of a user whose password was checked.
    pub(super) async fn begin(&self, user: &User, asked: Option<WorkspaceId>, here: Option<&Identity>) -> Result<Grant, Denied> {
        if user.disabled_at.is_some() {
            return Err(Refused::disabled().into());
        }
        same_principal(here, user.id, asked)?;
        let mut snapshot = self.0.store.snapshot().await?;
        // Ids are made from the time: the largest is the latest.
        let latest = Select::by("user_id", user.id).order_by("id", Direction::Descending).limit(1);
        let latest = snapshot.select::<SignIn>(&latest).await?.pop().map(|sign_in| sign_in.workspace_id);
        let place = membership(&mut snapshot, user.id, asked.or(here.map(|here| here.workspace)), latest).await?;
        let (workspace, member) = place.ok_or_else(Refused::no_workspace)?;
        // A reader held while the writer is waited for would be one fewer for others.
        drop(snapshot);
        let (sign_in, grant) = self.new_grant(user, &workspace, &member)?;
        self.0.store.commit(Commit::default().insert(&sign_in)).await?;
        Ok(grant)
    }

    /// A new sign-in of this user in this workspace, with its tokens, which are good as soon as it is written.
    ///
    /// # Errors
    /// None that can be provoked: the key was read when the server started.
    pub fn new_grant(&self, user: &User, workspace: &Workspace, member: &Member) -> Result<(SignIn, Grant), Denied> {
        let sign_in = self.new_sign_in(user.id, workspace.id);
        let grant = self.grant(user, workspace, member, &sign_in, 1)?;
        Ok((sign_in, grant))
    }

    pub(super) fn new_sign_in(&self, user_id: UserId, workspace_id: WorkspaceId) -> SignIn {
        let now = self.0.clock.now();
        let refresh_expires_at = self.refresh_expires_at(now);
        let id = self.0.clock.id(SignInId::new);
        SignIn {
            id,
            user_id,
            workspace_id,
            refresh_used: 0,
            refresh_expires_at,
            revoked_at: None,
            signed_out: false,
            created_at: now,
            updated_at: now,
        }
    }

    pub(super) fn grant(
        &self,
        user: &User,
        workspace: &Workspace,
        member: &Member,
        sign_in: &SignIn,
        number: i64,
    ) -> Result<Grant, Denied> {
        let now = self.0.clock.now();
        let life = i64::try_from(self.0.settings.access_token_ms).unwrap_or(i64::MAX);
        let ends = now.plus(life).min(sign_in.refresh_expires_at);
        let made = self.0.tokens.access(user.id, sign_in.id, now, ends);
        let (access_token, access_expires_at) = made.map_err(|error| Denied::Error(Box::new(error)))?;
        let identity = identity(user, workspace, member, sign_in.id, access_expires_at);
        let tokens = SignedIn {
            access_token,
            access_expires_at,
            refresh_token: self.0.tokens.refresh(RefreshToken { sign_in: sign_in.id, number }),
            refresh_expires_at: sign_in.refresh_expires_at,
            principal: identity.principal.clone(),
        };
        Ok(Grant { tokens, identity: Arc::new(identity) })
    }

    pub(super) fn refresh_expires_at(&self, now: Millis) -> Millis {
        now.plus(i64::try_from(self.0.settings.refresh_token_ms).unwrap_or(i64::MAX))
    }
}

/// An e-mail address as it is stored and looked up.
pub fn normal_email(email: &str) -> String {
    email.trim().to_lowercase()
}

/// A connection acts for one principal in one workspace, from its first sign-in to its end.
///
/// # Errors
/// `conflict`, `state` where it is another.
pub(super) fn same_principal(here: Option<&Identity>, user: UserId, workspace: Option<WorkspaceId>) -> Result<(), Fault> {
    let same = here.is_none_or(|here| here.user == user && workspace.is_none_or(|workspace| here.workspace == workspace));
    same.then_some(()).ok_or_else(another_principal)
}

pub(super) fn another_principal() -> Fault {
    let message = "somebody else, or the same in another workspace, is signed in on this connection: open another connection";
    Fault::conflict(Reason::State, message)
}

pub(super) fn busy() -> Fault {
    Fault::new(FaultCode::Unavailable, "it was changed by others again and again: try again")
}

fn wrong_password() -> Fault {
    Fault::new(FaultCode::Unauthenticated, "nobody has this e-mail and password")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crewline_protocol::operation::Role;
    use tokio::time::advance;

    use super::*;
    use crate::{
        access::testing::{self, PASSWORD, fault, login, refresh, registered, stored},
        settings::Settings,
    };

    #[tokio::test(start_paused = true)]
    async fn a_sign_in_gives_tokens_of_its_own_that_say_who_it_is() {
        let (access, _) = testing::access().await;
        let first = registered(&access, "ada@example.com").await;
        let second = login(&access, " ADA@Example.com ", PASSWORD).await.unwrap();
        assert_ne!(second.identity.sign_in, first.identity.sign_in);
        assert_eq!(second.identity.principal, first.identity.principal);
        assert_eq!(second.tokens.principal, second.identity.principal);
        let settings = Settings::default();
        let ends = |ms: u64| testing::START.plus(i64::try_from(ms).unwrap());
        assert_eq!(second.tokens.access_expires_at, ends(settings.access_token_ms));
        assert_eq!(second.tokens.refresh_expires_at, ends(settings.refresh_token_ms));
        assert_eq!(access.verify(&second.tokens.access_token, None).await, Ok(Identity::clone(&second.identity)));
    }

    #[tokio::test(start_paused = true)]
    async fn unknown_addresses_and_wrong_passwords_get_the_same_answer() {
        let (access, _) = testing::access().await;
        registered(&access, "ada@example.com").await;
        for (email, password) in [("ada@example.com", "correct horsf"), ("ben@example.com", PASSWORD), ("no address", ""), ("", "")] {
            assert_eq!(login(&access, email, password).await.unwrap_err(), wrong_password(), "{email} {password}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_who_knows_the_password_learns_that_a_user_is_disabled() {
        let (access, store) = testing::access().await;
        let ada = registered(&access, "ada@example.com").await;
        let user = store.get::<User>(ada.identity.user).await.unwrap().unwrap();
        store.commit(Commit::default().put(&User { disabled_at: Some(testing::START), ..user })).await.unwrap();
        assert_eq!(login(&access, "ada@example.com", "correct horsf").await.unwrap_err(), wrong_password());
        assert_eq!(login(&access, "ada@example.com", PASSWORD).await.unwrap_err(), Refused::disabled().fault);
        assert_eq!(refresh(&access, &ada.tokens.refresh_token).await.unwrap_err(), Refused::disabled().fault);
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_is_for_a_workspace_that_one_is_in() {
        let (access, store) = testing::access().await;
        let ada = registered(&access, "ada@example.com").await;
        let ben = registered(&access, "ben@example.com").await;
        let into = async |workspace| access.login("ada@example.com", PASSWORD.into(), workspace, None).await.map_err(fault);
        assert_eq!(into(Some(ben.identity.workspace)).await.unwrap_err(), Fault::not_found());

        let member = store.select::<Member>(&Select::by("user_id", ada.identity.user)).await.unwrap().remove(0);
        let joined = Member { id: testing::member_id(9), workspace_id: ben.identity.workspace, role: Role::Viewer, ..member };
        store.commit(Commit::in_workspace(ben.identity.workspace).put(&joined)).await.unwrap();
        assert_eq!(into(None).await.unwrap().identity.workspace, ada.identity.workspace);
        advance(Duration::from_millis(1)).await;
        let there = into(Some(ben.identity.workspace)).await.unwrap();
        assert_eq!((there.identity.workspace, there.identity.principal.role), (ben.identity.workspace, Role::Viewer));
        advance(Duration::from_millis(1)).await;
        assert_eq!(into(None).await.unwrap().identity.workspace, ben.identity.workspace, "the latest");
    }

    #[tokio::test(start_paused = true)]
    async fn on_a_connection_it_is_the_same_principal_or_nobody() {
        let (access, store) = testing::access().await;
        let ada = registered(&access, "ada@example.com").await;
        let ben = registered(&access, "ben@example.com").await;
        let here = Some(&*ada.identity);
        let as_ben = access.login("ben@example.com", PASSWORD.into(), None, here).await.map_err(fault).unwrap_err();
        assert_eq!(as_ben, another_principal());
        let elsewhere = access.login("ada@example.com", PASSWORD.into(), Some(ben.identity.workspace), here).await;
        assert_eq!(elsewhere.map_err(fault).unwrap_err(), another_principal());
        let refreshed = access.refresh(&ben.tokens.refresh_token, here).await.map_err(fault).unwrap_err();
        assert_eq!(refreshed, another_principal());
        assert_eq!(stored(&store, &ben).await.refresh_used, 0, "the token was not used up");
        let again = access.login("ada@example.com", PASSWORD.into(), Some(ada.identity.workspace), here).await.unwrap();
        assert_eq!(again.identity.principal, ada.identity.principal);
    }
}
