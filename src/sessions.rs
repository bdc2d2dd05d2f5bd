//! Sessions: durable shared places where people and agents work.

use std::sync::{Arc, LazyLock};

use crewline_protocol::{
    fault::Fault,
    operations::session::{self, Create, Session},
    value::{Millis, Revision, SessionId, UserId, WorkspaceId, encode},
};

use crate::{
    context::{Answer, Context, Failure, Services, taken},
    entity,
    query::Noun,
    store::{Commit, Guard},
};

entity! {
    /// A session as it is stored.
    pub struct SessionRow in "sessions" {
        /// Its id.
        id: SessionId,
        /// Where it is.
        workspace_id: WorkspaceId,
        /// The workspace's revision at its last change.
        revision: Revision,
        /// When it was made.
        created_at: Millis,
        /// When it last changed.
        updated_at: Millis,
        /// What people call it.
        title: String,
        /// Who made it.
        created_by: UserId,
        /// Since when it is out of the way.
        archived_at: Option<Millis>,
    }
}

/// Sessions, as reads see them.
pub fn noun() -> Arc<Noun> {
    static NOUN: LazyLock<Arc<Noun>> =
        LazyLock::new(|| Arc::new(Noun::of(&session::NOUN, |row: SessionRow| encode(&row.at(row.revision)))));
    NOUN.clone()
}

/// Makes a session.
///
/// # Errors
/// `conflict`, `taken` for an id that is there already.
pub async fn create(cx: Context, input: Create) -> Result<Answer<Session>, Failure> {
    let identity = cx.identity()?.clone();
    let mut commit = Commit::in_workspace(identity.workspace);
    let id = match input.id {
        Some(id) if cx.services.store.get::<SessionRow>(id).await?.is_some() => return Err(taken().into()),
        Some(id) => {
            commit = commit.guard(Guard::absent::<SessionRow>(id));
            id
        }
        // Nobody has it: looking for it would cost more than making it.
        None => cx.services.clock.id(SessionId::new),
    };
    let session = SessionRow::new(id, identity.workspace, identity.user, input.title, cx.now());
    let commit = commit.put(&session);
    cx.commit(commit, move |revision| session.at(revision)).await
}

/// Reads a session of this workspace.
///
/// # Errors
/// `not_found` for one that is absent or in another workspace: both read the same.
pub async fn load(services: &Services, workspace: WorkspaceId, session: SessionId) -> Result<SessionRow, Failure> {
    let row = services.store.get::<SessionRow>(session).await?;
    Ok(row.filter(|row| row.workspace_id == workspace).ok_or_else(Fault::not_found)?)
}

impl SessionRow {
    /// A new session.
    pub fn new(id: SessionId, workspace_id: WorkspaceId, created_by: UserId, title: String, now: Millis) -> Self {
        Self { id, workspace_id, revision: Revision(0), created_at: now, updated_at: now, title, created_by, archived_at: None }
    }

    /// As the wire has it, at the revision that it was written with.
    fn at(&self, revision: Revision) -> Session {
        let Self { id, created_at, updated_at, title, created_by, archived_at, .. } = self.clone();
        Session { id, revision, created_at, updated_at, title, created_by, archived_at }
    }
}
