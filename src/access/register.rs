//! New users: who registers owns a workspace of their own, and only the command line makes an operator of the server.

use std::{fmt, sync::Arc};

use crewline_protocol::{
    fault::{Fault, FaultCode, Reason},
    operation::Role,
    value::{MemberId, Millis, Revision, UserId, WorkspaceId},
};
use secrecy::SecretString;

use super::{
    Access, Denied, Grant, Identity,
    rows::{Member, User, Workspace},
    sign_in::{another_principal, busy, normal_email},
};
use crate::{
    settings::Registration,
    store::{Commit, CommitError, RowChange},
};

/// How long registering again with the same e-mail and password signs in: an answer that was lost can be asked for again.
const AGAIN_MS: i64 = 24 * 60 * 60 * 1000;

/// Makes what a new workspace begins with: rows that are written with it, for its owner.
#[derive(Clone)]
pub struct Furnish(pub Arc<dyn Fn(WorkspaceId, UserId, Millis) -> Vec<RowChange> + Send + Sync>);

impl Furnish {
    /// With nothing.
    pub fn nothing() -> Self {
        Self(Arc::new(|_, _, _| Vec::new()))
    }
}

impl fmt::Debug for Furnish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Furnish")
    }
}

/// Somebody who is not known yet.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The address to sign in with.
    pub email: String,
    /// What others see.
    pub name: String,
    /// The password.
    pub password: SecretString,
    /// The workspace's name; `None`: made from the user's.
    pub workspace: Option<String>,
    /// Whether they have an invitation for this address.
    pub invited: bool,
    /// Whether this user runs the server.
    pub operator: bool,
    /// What their workspace begins with.
    pub furnish: Furnish,
}

impl Access {
    /// Makes a user and their workspace, and signs them in as its owner. Who did so in the last 24 hours with the same e-mail and
    /// password is signed in.
    ///
    /// # Errors
    /// `forbidden` where the settings do not let them; `invalid` for what is no address; `conflict`, `taken` for an address that is
    /// taken; `conflict`, `state` where somebody is signed in `here`; `unavailable` when too many sign in.
    pub async fn register(&self, new: NewUser, here: Option<&Identity>) -> Result<Grant, Denied> {
        may_register(self.0.settings.registration, new.invited)?;
        let email = address(&new.email)?;
        let password = new.password.clone();
        if self.user_by_email(&email).await?.is_none() {
            if here.is_some() {
                return Err(another_principal().into());
            }
            let made = self.make(&email, NewUser { operator: false, ..new }).await?;
            let sign_in = self.new_sign_in(made.user.id, made.workspace.id);
            if self.write(made.commit().insert(&sign_in)).await? {
                return self.grant(&made.user, &made.workspace, &made.member, &sign_in, 1);
            }
        }
        // Known, if only since another request a moment ago.
        let user = self.user_by_email(&email).await?.ok_or_else(busy)?;
        let lately = self.0.clock.now().since(user.created_at) <= AGAIN_MS;
        if lately && self.0.passwords.fits(password, Some(&user.password_hash)).await? {
            return self.begin(&user, None, here).await;
        }
        Err(taken().into())
    }

    /// Makes a user and their workspace for whoever has the machine, whatever the settings say of registration.
    ///
    /// # Errors
    /// `invalid` for what is no address; `conflict`, `taken` for an address that is taken.
    pub async fn add_user(&self, new: NewUser) -> Result<User, Denied> {
        let email = address(&new.email)?;
        let made = self.make(&email, new).await?;
        if self.write(made.commit()).await? { Ok(made.user) } else { Err(taken().into()) }
    }

    async fn make(&self, email: &str, new: NewUser) -> Result<Made, Fault> {
        let NewUser { name, password, workspace, operator, furnish, .. } = new;
        let password_hash = self.0.passwords.hash(password).await?;
        let now = self.0.clock.now();
        let (created_at, updated_at, revision) = (now, now, Revision(0));
        let workspace_name = workspace.unwrap_or_else(|| format!("{name}’s workspace"));
        let (user_id, workspace_id) = (self.0.clock.id(UserId::new), self.0.clock.id(WorkspaceId::new));
        let user = User { id: user_id, email: email.to_owned(), name, password_hash, operator, disabled_at: None, created_at, updated_at };
        Ok(Made {
            furniture: (furnish.0)(workspace_id, user_id, now),
            workspace: Workspace { id: workspace_id, name: workspace_name, revision, changed_revision: revision, created_at, updated_at },
            member: Member {
                id: self.0.clock.id(MemberId::new),
                workspace_id,
                user_id,
                role: Role::Owner,
                name: user.name.clone(),
                email: user.email.clone(),
                revision,
                created_at,
                updated_at,
            },
            user,
        })
    }

    /// `false`: the address is taken.
    async fn write(&self, commit: Commit) -> Result<bool, CommitError> {
        match self.0.store.commit(commit).await {
            Ok(_) => Ok(true),
            Err(CommitError::Taken(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// What a new user comes with.
struct Made {
    user: User,
    workspace: Workspace,
    member: Member,
    furniture: Vec<RowChange>,
}

impl Made {
    fn commit(&self) -> Commit {
        let mut commit = Commit::in_workspace(self.workspace.id).insert(&self.user).insert(&self.workspace).insert(&self.member);
        commit.rows.extend(self.furniture.iter().cloned());
        commit
    }
}

fn may_register(registration: Registration, invited: bool) -> Result<(), Fault> {
    match registration {
        Registration::Open => Ok(()),
        Registration::Invite if invited => Ok(()),
        Registration::Invite => Err(Fault::new(
            FaultCode::Forbidden,
            "registration here is by invitation: ask a member for one, and give its token as `invitation`",
        )),
        Registration::Closed => Err(Fault::new(FaultCode::Forbidden, "registration here is closed: ask who runs the server")),
    }
}

/// An address as it is stored. Whether mail reaches it, only mail can tell.
///
/// # Errors
/// `invalid` for what is none.
pub fn address(email: &str) -> Result<String, Fault> {
    let email = normal_email(email);
    let whole = email.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    if whole && !email.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Ok(email);
    }
    Err(Fault::invalid("email", "format", "an address such as ada@example.com"))
}

fn taken() -> Fault {
    Fault::conflict(Reason::Taken, "somebody is registered with this address: sign in, or use another")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::future::join_all;
    use tokio::time::advance;

    use super::*;
    use crate::{
        access::testing::{self, fault},
        settings::Settings,
        store::Select,
    };

    fn new(email: &str) -> NewUser {
        let (email, name) = (email.to_owned(), "Ada".into());
        NewUser {
            email,
            name,
            password: "correct horse".into(),
            workspace: None,
            invited: false,
            operator: false,
            furnish: Furnish::nothing(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_registers_owns_a_workspace_and_never_the_server() {
        let (access, store) = testing::access().await;
        let grant = access.register(NewUser { operator: true, ..new(" Ada@Example.COM ") }, None).await.unwrap();
        let user = store.get::<User>(grant.identity.user).await.unwrap().unwrap();
        assert_eq!((user.email.as_str(), user.operator, user.created_at), ("ada@example.com", false, testing::START));
        let principal = &grant.identity.principal;
        assert_eq!((principal.role, principal.operator), (Role::Owner, None));
        assert_eq!(principal.workspace.name, "Ada’s workspace");
        let workspace = store.get::<Workspace>(grant.identity.workspace).await.unwrap().unwrap();
        let members = store.select::<Member>(&Select::by("workspace_id", workspace.id)).await.unwrap();
        assert_eq!((workspace.revision, members.len(), members[0].revision), (Revision(1), 1, Revision(1)));
        let named = access.register(NewUser { workspace: Some("Crew".into()), ..new("ben@example.com") }, None).await.unwrap();
        assert_eq!(named.identity.principal.workspace.name, "Crew");
    }

    #[tokio::test(start_paused = true)]
    async fn registering_again_within_a_day_with_the_same_password_signs_in() {
        let (access, store) = testing::access().await;
        let first = access.register(new("ada@example.com"), None).await.unwrap();
        advance(Duration::from_millis(AGAIN_MS.unsigned_abs())).await;
        let again = access.register(new("ADA@example.com"), None).await.unwrap();
        assert_eq!(again.identity.principal, first.identity.principal);
        let on_its_connection = access.register(new("ada@example.com"), Some(&first.identity)).await.unwrap();
        assert_eq!(on_its_connection.identity.principal, first.identity.principal);
        let other = NewUser { password: "correct horsf".into(), ..new("ada@example.com") };
        assert_eq!(access.register(other, None).await.map_err(fault).unwrap_err(), taken());
        advance(Duration::from_millis(1)).await;
        assert_eq!(access.register(new("ada@example.com"), None).await.map_err(fault).unwrap_err(), taken());
        assert_eq!(store.select::<User>(&Select::default()).await.unwrap().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn fifty_who_register_one_address_at_once_are_one_user() {
        let (access, store) = testing::access().await;
        let grants = join_all((0..50).map(|_| access.register(new("ada@example.com"), None))).await;
        let users: Vec<_> = grants.into_iter().map(|grant| grant.unwrap().identity.user).collect();
        assert!(users.iter().all(|user| *user == users[0]));
        assert_eq!(store.select::<User>(&Select::default()).await.unwrap().len(), 1);
        assert_eq!(store.select::<Workspace>(&Select::default()).await.unwrap().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_signed_in_connection_registers_nobody_else() {
        let (access, store) = testing::access().await;
        let ada = access.register(new("ada@example.com"), None).await.unwrap();
        access.register(new("ben@example.com"), None).await.unwrap();
        for email in ["ben@example.com", "new@example.com"] {
            let refused = access.register(new(email), Some(&ada.identity)).await.map_err(fault).unwrap_err();
            assert_eq!(refused, another_principal(), "{email}");
        }
        assert_eq!(store.select::<User>(&Select::default()).await.unwrap().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_settings_say_who_may_register_and_not_whom_the_command_line_adds() {
        let (_, store) = testing::access().await;
        for (registration, may) in [(Registration::Open, true), (Registration::Invite, false), (Registration::Closed, false)] {
            let settings = Settings { registration, ..Settings::default() };
            let access = testing::access_with(&store, &settings);
            let registered = access.register(new(&format!("{registration}@example.com")), None).await.map_err(fault);
            assert_eq!(registered.map(drop).map_err(|fault| fault.code), may.then_some(()).ok_or(FaultCode::Forbidden));
            let added = access.add_user(NewUser { operator: true, ..new(&format!("{registration}@example.org")) }).await.unwrap();
            assert!(added.operator);
            let grant = access.login(&added.email, "correct horse".into(), None, None).await.unwrap();
            assert_eq!((grant.identity.principal.role, grant.identity.principal.operator), (Role::Owner, Some(true)));
            let again = access.add_user(new(&added.email)).await.map_err(fault).unwrap_err();
            assert_eq!(again, taken());
            let invited = NewUser { invited: true, ..new(&format!("{registration}@example.net")) };
            assert_eq!(access.register(invited, None).await.is_ok(), registration != Registration::Closed);
        }
    }

    #[test]
    fn an_address_has_two_halves_and_no_spaces() {
        for good in ["a@b", " A@B\t", "a@b@c", "ü@exämple.com", "\"a\"@b"] {
            assert_eq!(address(good), Ok(good.trim().to_lowercase()));
        }
        for bad in ["", "@", "a@", "@b", "a", "a b@c", "a@b\nc", "a\u{0}@b", "a\u{1b}@b"] {
            assert_eq!(address(bad).unwrap_err().fields[0].path, "email", "{bad:?}");
        }
    }

    #[test]
    fn a_password_is_not_shown_with_its_user() {
        let shown = format!("{:?}", new("ada@example.com"));
        assert!(!shown.contains("correct horse"), "{shown}");
    }
}
