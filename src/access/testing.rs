//! People for tests of access: rows written straight into the store.

use crewline_protocol::{
    fault::Fault,
    operation::Role,
    value::{MemberId, Millis, Revision, SignInId, UserId, WorkspaceId},
};

use super::{Access, Cost, Denied, Grant, Member, NewUser, PasswordHash, Refused, SignIn, SigningKey, Threads, User, Workspace};
use crate::{
    clock::Clock,
    settings::Settings,
    store::{Commit, Location, Store, Stored, Value},
};

pub(crate) const START: Millis = Millis(1_700_000_000_000);
pub(crate) const ACCESS_TOKEN_MS: u64 = 900_000;

/// Access over an empty memory, in simulated time.
pub(crate) async fn access() -> (Access, Store) {
    let store = Store::open(&Location::Memory, std::sync::Arc::new(|_| ())).await.unwrap();
    (access_with(&store, &Settings::default()), store)
}

/// Access over this store, in simulated time that begins now.
pub(crate) fn access_with(store: &Store, settings: &Settings) -> Access {
    let key = SigningKey::from_seed([7; 32]);
    let cost = Cost { memory_kib: 8, passes: 1 };
    Access::with_key(&key, cost, Threads::None, store.clone(), Clock::simulated(1, START), settings).unwrap()
}

pub(crate) fn member_id(number: u8) -> MemberId {
    MemberId::new(START, [number; 10])
}

/// A user with a workspace, a membership and a sign-in.
pub(crate) struct Someone {
    pub(crate) user: User,
    pub(crate) workspace: Workspace,
    pub(crate) member: Member,
    pub(crate) sign_in: SignIn,
}

impl Someone {
    pub(crate) fn new(number: usize, email: &str, role: Role) -> Self {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&number.to_be_bytes());
        let (user_id, workspace_id) = (UserId::new(START, random), WorkspaceId::new(START, random));
        let (created_at, updated_at) = (START, START);
        let password_hash = PasswordHash::from_value(Value::Text("none".into())).unwrap();
        Self {
            user: User {
                id: user_id,
                email: email.into(),
                name: "Ada".into(),
                password_hash,
                operator: false,
                disabled_at: None,
                created_at,
                updated_at,
            },
            workspace: Workspace {
                id: workspace_id,
                name: "Home".into(),
                revision: Revision(0),
                changed_revision: Revision(0),
                created_at,
                updated_at,
            },
            member: Member {
                id: MemberId::new(START, random),
                workspace_id,
                user_id,
                role,
                name: "Ada".into(),
                email: email.into(),
                revision: Revision(0),
                created_at,
                updated_at,
            },
            sign_in: SignIn {
                // No person's sign-in has its user's id.
                id: SignInId::new(START.plus(1), random),
                user_id,
                workspace_id,
                refresh_used: 0,
                refresh_expires_at: START.plus(1_000_000_000),
                revoked_at: None,
                signed_out: false,
                created_at,
                updated_at,
            },
        }
    }

    /// Writes someone with this role into a workspace of their own.
    pub(crate) async fn member(store: &Store, email: &str, role: Role) -> Self {
        let number = store.select::<User>(&crate::store::Select::default()).await.unwrap().len();
        let someone = Self::new(number, email, role);
        let commit = Commit::in_workspace(someone.workspace.id);
        let commit = commit.put(&someone.user).put(&someone.workspace).put(&someone.member).put(&someone.sign_in);
        store.commit(commit).await.unwrap();
        someone
    }

    /// An access token of the sign-in, and when it ends.
    pub(crate) fn token(&self, access: &Access) -> (String, Millis) {
        let now = access.0.clock.now();
        let ends = now.plus(i64::try_from(ACCESS_TOKEN_MS).unwrap());
        access.0.tokens.access(self.user.id, self.sign_in.id, now, ends).unwrap()
    }
}

pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) async fn registered(access: &Access, email: &str) -> Grant {
    let (email, name) = (email.to_owned(), "Ada".into());
    access
        .register(
            NewUser {
                email,
                name,
                password: PASSWORD.into(),
                workspace: None,
                invited: false,
                operator: false,
                furnish: crate::access::Furnish::nothing(),
            },
            None,
        )
        .await
        .unwrap()
}

pub(crate) async fn login(access: &Access, email: &str, password: &str) -> Result<Grant, Fault> {
    access.login(email, password.into(), None, None).await.map_err(fault)
}

pub(crate) async fn refresh(access: &Access, token: &str) -> Result<Grant, Fault> {
    access.refresh(token, None).await.map_err(fault)
}

pub(crate) fn fault(denied: Denied) -> Fault {
    match denied {
        Denied::Fault(fault) | Denied::Reused(_, Refused { fault, .. }) => fault,
        Denied::Store(error) => panic!("{error}"),
        Denied::Error(error) => panic!("{error}"),
    }
}

pub(crate) async fn stored(store: &Store, grant: &Grant) -> SignIn {
    store.get::<SignIn>(grant.identity.sign_in).await.unwrap().unwrap()
}
