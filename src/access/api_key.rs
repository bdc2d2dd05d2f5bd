//! API keys: by which programs sign in. A key's secret is made from its id, and stored nowhere.

use crewline_protocol::{
    fault::{Fault, FaultCode},
    opening::{Principal, PrincipalKind, WorkspaceRef},
    operation::Role,
    value::{ApiKeyId, MAX_INTEGER, Millis, Revision, SignInId, UserId, WorkspaceId},
};

use super::{Access, Denied, Identity, Refused, rows::Workspace, standing::unavailable, tokens::AccessToken};
use crate::{
    entity,
    store::{Snapshot, StoreError},
};

/// When what has no end ends.
pub(super) const NEVER: Millis = Millis(MAX_INTEGER);

entity! {
    /// An API key as it is stored.
    pub struct ApiKeyRow in "api_keys" {
        /// Its id.
        id: ApiKeyId,
        /// Where it is good.
        workspace_id: WorkspaceId,
        /// The workspace's revision at its last change.
        revision: Revision,
        /// When it was made.
        created_at: Millis,
        /// When it last changed.
        updated_at: Millis,
        /// What people call it.
        name: String,
        /// As what it signs in.
        role: Role,
        /// Who made it; absent: whoever runs the server.
        created_by: Option<UserId>,
        /// When it was taken back.
        revoked_at: Option<Millis>,
    }
}

/// A token for a program, and when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyToken {
    /// As `hello` takes it.
    pub access_token: String,
    /// When it ends.
    pub expires_at: Millis,
}

impl Access {
    /// A key's secret.
    pub fn key_secret(&self, id: ApiKeyId) -> String {
        self.0.tokens.key_secret(id)
    }

    /// An access token for whoever has a key's id and its secret.
    ///
    /// # Errors
    /// `unauthenticated` for what is no key and its secret, and for one that was taken back; `unavailable` where the database is away.
    pub async fn token_of_key(&self, id: &str, secret: &str) -> Result<KeyToken, Denied> {
        let key = self.0.tokens.read_key_secret(secret).filter(|key| key.to_string() == id);
        let key = key.ok_or_else(no_such_key)?;
        let mut snapshot = self.0.store.snapshot().await?;
        let identity = identify_key(&mut snapshot, key, None, NEVER).await?.map_err(|_| no_such_key())?;
        let now = self.0.clock.now();
        let ends = now.plus(i64::try_from(self.0.settings.access_token_ms).unwrap_or(i64::MAX));
        let made = self.0.tokens.access(identity.user, identity.sign_in, now, ends);
        let (access_token, expires_at) = made.map_err(|error| Denied::Error(Box::new(error)))?;
        Ok(KeyToken { access_token, expires_at })
    }

    /// Who has this secret.
    pub(super) async fn verify_key(&self, key: ApiKeyId, workspace: Option<WorkspaceId>) -> Result<Identity, Refused> {
        let away = |error| Refused { fault: unavailable(&error), close: crewline_protocol::close::CloseCode::Internal };
        let mut snapshot = self.0.store.snapshot().await.map_err(away)?;
        identify_key(&mut snapshot, key, workspace, NEVER).await.map_err(away)?
    }
}

/// Who a key is now, in its workspace and no other.
pub(super) async fn identify_key(
    snapshot: &mut Snapshot,
    key: ApiKeyId,
    asked: Option<WorkspaceId>,
    expires_at: Millis,
) -> Result<Result<Identity, Refused>, StoreError> {
    let Some(row) = snapshot.get::<ApiKeyRow>(key).await? else { return Ok(Err(Refused::token())) };
    let workspace = snapshot.get::<Workspace>(row.workspace_id).await?;
    let here = asked.is_none_or(|asked| asked == row.workspace_id);
    let Some(workspace) = workspace.filter(|_| here) else { return Ok(Err(Refused::no_workspace())) };
    Ok(key_identity(&row, &workspace, expires_at))
}

/// Who a key is, unless it was taken back.
pub(super) fn key_identity(row: &ApiKeyRow, workspace: &Workspace, expires_at: Millis) -> Result<Identity, Refused> {
    if row.revoked_at.is_some() {
        return Err(Refused::key_revoked());
    }
    let (user, sign_in) = (UserId::same_as(row.id), SignInId::same_as(row.id));
    let principal = Principal {
        kind: PrincipalKind::Worker,
        id: row.id.to_string(),
        name: row.name.clone(),
        email: None,
        workspace: WorkspaceRef { id: workspace.id, name: workspace.name.clone() },
        role: row.role,
        operator: None,
    };
    Ok(Identity { principal, user, workspace: workspace.id, sign_in, expires_at, worker: None })
}

/// The key that an identity or a token is of: it stands there as both the user and the sign-in, which no person's do.
pub(super) fn key_of(user: UserId, sign_in: SignInId) -> Option<ApiKeyId> {
    (user.as_bytes() == sign_in.as_bytes()).then(|| ApiKeyId::same_as(user))
}

impl AccessToken {
    pub(super) fn key(&self) -> Option<ApiKeyId> {
        key_of(self.user, self.sign_in)
    }
}

fn no_such_key() -> Fault {
    Fault::new(FaultCode::Unauthenticated, "no key has this id and secret, or it was taken back")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        access::testing::{self, Someone},
        store::Commit,
    };

    async fn key(store: &crate::store::Store, workspace: WorkspaceId) -> ApiKeyRow {
        let row = ApiKeyRow {
            id: ApiKeyId::new(testing::START, [9; 10]),
            workspace_id: workspace,
            revision: Revision(0),
            created_at: testing::START,
            updated_at: testing::START,
            name: "box".into(),
            role: Role::Worker,
            created_by: None,
            revoked_at: None,
        };
        store.commit(Commit::in_workspace(workspace).insert(&row)).await.unwrap();
        store.get(row.id).await.unwrap().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_signs_its_worker_in_without_an_end_and_a_token_of_it_with_one() {
        let (access, store) = testing::access().await;
        let ada = Someone::member(&store, "ada@example.com", Role::Owner).await;
        let row = key(&store, ada.workspace.id).await;
        let secret = access.key_secret(row.id);
        assert!(secret.starts_with("crk_"), "{secret}");
        let identity = access.verify(&secret, None).await.unwrap();
        assert_eq!((identity.principal.kind, identity.principal.role), (PrincipalKind::Worker, Role::Worker));
        assert_eq!((identity.principal.id.as_str(), identity.expires_at), (row.id.to_string().as_str(), NEVER));
        let token = access.token_of_key(&row.id.to_string(), &secret).await.unwrap();
        let again = access.verify(&token.access_token, Some(ada.workspace.id)).await.unwrap();
        assert_eq!(again, Identity { expires_at: token.expires_at, ..identity.clone() });
        assert_eq!(access.standings(&[Arc::new(identity.clone())]).await.unwrap(), [Ok(identity)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_key_and_what_was_taken_back_sign_nobody_in() {
        let (access, store) = testing::access().await;
        let ada = Someone::member(&store, "ada@example.com", Role::Owner).await;
        let ben = Someone::member(&store, "ben@example.com", Role::Owner).await;
        let row = key(&store, ada.workspace.id).await;
        let secret = access.key_secret(row.id);
        let mut forged = secret.clone();
        forged.replace_range(30..31, if &secret[30..31] == "A" { "B" } else { "A" });
        for wrong in ["crk_", "crk_x", &forged, &secret[4..]] {
            assert_eq!(access.verify(wrong, None).await.unwrap_err(), Refused::token(), "{wrong}");
        }
        assert_eq!(access.verify(&secret, Some(ben.workspace.id)).await.unwrap_err(), Refused::no_workspace());
        let other = ApiKeyId::new(testing::START, [8; 10]).to_string();
        assert!(access.token_of_key(&other, &secret).await.is_err(), "another key's id");

        let identity = Arc::new(access.verify(&secret, None).await.unwrap());
        let token = access.token_of_key(&row.id.to_string(), &secret).await.unwrap();
        let revoked = ApiKeyRow { revoked_at: Some(testing::START), ..row.clone() };
        store.commit(Commit::in_workspace(row.workspace_id).replace(&row, &revoked)).await.unwrap();
        for good_before in [&secret, &token.access_token] {
            assert_eq!(access.verify(good_before, None).await.unwrap_err(), Refused::key_revoked());
        }
        assert_eq!(access.standings(&[identity]).await.unwrap(), [Err(Refused::key_revoked())]);
        assert!(access.token_of_key(&row.id.to_string(), &secret).await.is_err());
    }
}
