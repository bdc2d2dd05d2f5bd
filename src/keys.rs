//! API keys: making and revoking them. How one signs in is in `access`.

use std::sync::{Arc, LazyLock};

use crewline_protocol::{
    fault::Fault,
    operation::Role,
    operations::api_key::{self, ApiKey, Create, Created, Revoke},
    value::{ApiKeyId, Millis, Revision, UserId, WorkspaceId, encode},
};

use crate::{
    access::{Access, ApiKeyRow, Cost, SigningKey, Threads, Workspace},
    clock::Clock,
    context::{Answer, Context, Failure, Services},
    query::Noun,
    settings::Settings,
    store::{Commit, Location, Select, Store},
};

/// API keys, as reads see them.
pub fn noun() -> Arc<Noun> {
    static NOUN: LazyLock<Arc<Noun>> =
        LazyLock::new(|| Arc::new(Noun::of(&api_key::NOUN, |row: ApiKeyRow| encode(&at(&row, row.revision)))));
    NOUN.clone()
}

/// Makes a key for a worker.
///
/// # Errors
/// `conflict`, `taken` for an id that is there.
pub async fn create(cx: Context, input: Create) -> Result<Answer<Created>, Failure> {
    let identity = cx.identity()?.clone();
    let (id, commit) = cx.id::<ApiKeyRow, _>(input.id, ApiKeyId::new, Commit::in_workspace(identity.workspace)).await?;
    let row = new_row(id, identity.workspace, input.name, Some(identity.user), cx.now());
    cx.commit(commit.insert(&row), move |revision| Created { key: at(&row, revision), secret: String::new() }).await
}

/// Puts the secret into an answer, which is kept without it.
pub fn with_secret(services: &Services, created: Created) -> Created {
    Created { secret: services.access.key_secret(created.key.id), ..created }
}

/// Takes a key back. Its connections are told by what is written.
///
/// # Errors
/// `not_found` for one that is absent or in another workspace.
pub async fn revoke(cx: Context, input: Revoke) -> Result<Answer<ApiKey>, Failure> {
    let workspace = cx.identity()?.workspace;
    let row = cx.services.store.get::<ApiKeyRow>(input.id).await?;
    let row = row.filter(|row| row.workspace_id == workspace).ok_or_else(Fault::not_found)?;
    match revoked(&row, cx.now()) {
        None => cx.commit(Commit::default(), move |_| at(&row, row.revision)).await,
        Some(revoked) => {
            let commit = Commit::in_workspace(workspace).replace(&row, &revoked);
            cx.commit(commit, move |revision| at(&revoked, revision)).await
        }
    }
}

fn new_row(id: ApiKeyId, workspace_id: WorkspaceId, name: String, created_by: Option<UserId>, now: Millis) -> ApiKeyRow {
    let (created_at, updated_at, revision) = (now, now, Revision(0));
    ApiKeyRow { id, workspace_id, revision, created_at, updated_at, name, role: Role::Worker, created_by, revoked_at: None }
}

/// The key after it was taken back; `None` where it was before.
fn revoked(row: &ApiKeyRow, now: Millis) -> Option<ApiKeyRow> {
    row.revoked_at.is_none().then(|| ApiKeyRow { revoked_at: Some(now), updated_at: now, ..row.clone() })
}

/// As the wire has it, written at this revision.
fn at(row: &ApiKeyRow, revision: Revision) -> ApiKey {
    let ApiKeyRow { id, created_at, updated_at, name, role, created_by, revoked_at, .. } = row.clone();
    ApiKey { id, revision, created_at, updated_at, name, role, created_by, revoked_at }
}

/// Keys of a server's database, for whoever runs it, on the machine itself. A server may run on the database meanwhile.
pub struct Keys {
    store: Store,
    clock: Clock,
}

impl Keys {
    /// Opens the database.
    ///
    /// # Errors
    /// Where it can't be.
    pub async fn open(location: &Location) -> Result<Self, Failure> {
        Ok(Self { store: Store::open_beside(location).await?, clock: Clock::system() })
    }

    /// The workspace of this id or name; without one the only one that there is.
    ///
    /// # Errors
    /// `invalid`, with those that there are, where it can't be told which is meant.
    pub async fn workspace(&self, named: Option<&str>) -> Result<Workspace, Failure> {
        let mut all: Vec<Workspace> = self.store.select(&Select::default()).await?;
        if let Some(named) = named {
            all.retain(|workspace| workspace.name == named || workspace.id.to_string() == named);
        }
        match (all.pop(), all.is_empty()) {
            (Some(workspace), true) => Ok(workspace),
            (None, _) => Err(Fault::invalid("workspace", "unknown", "there is no such workspace: `crewline user add` makes one").into()),
            (Some(one), false) => {
                let names: Vec<String> = all.iter().chain([&one]).take(20).map(|one| format!("{} ({})", one.id, one.name)).collect();
                let message =
                    format!("several workspaces could be meant: name one by its id with --workspace; there are {}", names.join(", "));
                Err(Fault::invalid("workspace", "ambiguous", message).into())
            }
        }
    }

    /// Makes a key: its row, and its secret by the server's signing key.
    ///
    /// # Errors
    /// Where the database fails, or the signing key is none.
    pub async fn add(&self, workspace: WorkspaceId, name: String, key: &SigningKey) -> Result<(ApiKeyRow, String), Failure> {
        let row = new_row(self.clock.id(ApiKeyId::new), workspace, name, None, self.clock.now());
        self.store.commit(Commit::in_workspace(workspace).insert(&row)).await?;
        let access = Access::with_key(key, Cost::STRONG, Threads::Own, self.store.clone(), self.clock.clone(), &Settings::default());
        let access = access.map_err(|error| Failure::Error(Box::new(error)))?;
        let secret = access.key_secret(row.id);
        Ok((row, secret))
    }

    /// The keys of a workspace, the oldest first.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn list(&self, workspace: WorkspaceId) -> Result<Vec<ApiKeyRow>, Failure> {
        Ok(self.store.select(&Select::by("workspace_id", workspace)).await?)
    }

    /// Takes a key back. A server that runs closes its connections with its next sweep.
    ///
    /// # Errors
    /// `not_found` for one that is not there.
    pub async fn revoke(&self, id: ApiKeyId) -> Result<ApiKeyRow, Failure> {
        let row = self.store.get::<ApiKeyRow>(id).await?.ok_or_else(Fault::not_found)?;
        let Some(revoked) = revoked(&row, self.clock.now()) else { return Ok(row) };
        self.store.commit(Commit::in_workspace(row.workspace_id).replace(&row, &revoked)).await?;
        Ok(revoked)
    }

    /// Closes the database.
    pub async fn close(self) {
        self.store.close().await;
    }
}
