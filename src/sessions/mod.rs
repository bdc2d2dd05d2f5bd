//! Sessions: durable shared places where people and agents work.

mod clear;
mod messages;

pub use clear::{Deleted, clear};
pub use messages::{MessageRow, messages};

use std::{
    collections::HashSet,
    sync::{Arc, LazyLock},
};

use crewline_protocol::{
    fault::Fault,
    operations::{
        auth::Done,
        run::Status,
        session::{self, Archive, Create, Delete, Session, Update},
    },
    value::{Millis, Revision, RunId, SessionId, UserId, WorkspaceId, encode},
};

use crate::{
    context::{Answer, Context, Failure, Services, not_now, unchanged},
    entity,
    query::Noun,
    store::{Commit, Condition, Guard, Select, Store, StoreError, Stored, Told, Value},
};

/// Rows asked for in one statement: databases bound a statement's parameters.
const BATCH: usize = 500;

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
        /// Since when it is put away; set by `archive`.
        archived_at: Option<Millis>,
        /// The crew that answers what people say in it.
        crew: Option<String>,
    }
}

entity! {
    /// What a session must know of its runs, which are a room of their own.
    struct RunOfSession in "runs" {
        id: RunId,
        session_id: SessionId,
        status: Status,
    }
}

/// Sessions, as reads see them.
pub fn noun() -> Arc<Noun> {
    static NOUN: LazyLock<Arc<Noun>> = LazyLock::new(|| Arc::new(Noun::of(&session::NOUN, |row: SessionRow| encode(&row.session()))));
    NOUN.clone()
}

/// Makes a session.
///
/// # Errors
/// `conflict`, `taken` for an id that is there already; `invalid` for a crew that is not there, or takes no messages.
pub async fn create(cx: Context, input: Create) -> Result<Answer<Session>, Failure> {
    let identity = cx.identity()?.clone();
    if let Some(crew) = &input.crew {
        takes_messages(&cx, crew).await?;
    }
    let (id, commit) = cx.id::<SessionRow, _>(input.id, SessionId::new, Commit::in_workspace(identity.workspace)).await?;
    let session = SessionRow { crew: input.crew, ..SessionRow::new(id, identity.workspace, identity.user, input.title, cx.now()) };
    let commit = commit.insert(&session);
    cx.commit(commit, move |revision| session.at(revision)).await
}

/// Changes a session.
///
/// # Errors
/// `not_found` for one that is absent or in another workspace; `conflict`, `revision`.
pub async fn update(cx: Context, input: Update) -> Result<Answer<Session>, Failure> {
    let session = load(&cx.services, cx.identity()?.workspace, input.id).await?;
    unchanged(input.revision, session.revision, || session.session())?;
    if let Some(Some(crew)) = &input.crew {
        takes_messages(&cx, crew).await?;
    }
    let changes = input.title.is_some() || input.crew.is_some();
    let changed = changes.then(|| session.changed(input.title, input.crew, cx.now()));
    save(&cx, session, changed).await
}

/// Puts a session away, or takes it out again.
///
/// # Errors
/// As [`update`].
pub async fn archive(cx: Context, input: Archive) -> Result<Answer<Session>, Failure> {
    let session = load(&cx.services, cx.identity()?.workspace, input.id).await?;
    unchanged(input.revision, session.revision, || session.session())?;
    let archived = session.archived(input.archived.unwrap_or(true), cx.now());
    save(&cx, session, archived).await
}

/// Deletes a session. Its messages are out of reach with it, and are cleared away later; its runs are kept.
///
/// # Errors
/// As [`update`]; `conflict`, `state` while a run of it has not ended.
pub async fn delete(cx: Context, input: Delete) -> Result<Answer<Done>, Failure> {
    let session = load(&cx.services, cx.identity()?.workspace, input.id).await?;
    unchanged(input.revision, session.revision, || session.session())?;
    let going_on = [Status::Queued, Status::Running, Status::Waiting].map(Value::from).to_vec();
    let going_on = Select::by("session_id", session.id).and(Condition::In("status", going_on)).limit(1);
    if !cx.services.store.select::<RunOfSession>(&going_on).await?.is_empty() {
        let message = "a run of this session has not ended: cancel it, or wait until it has";
        return Err(not_now(message, session.session()).into());
    }
    let commit = Commit::in_workspace(session.workspace_id).remove(&session);
    let commit = commit.insert(&Deleted { id: session.id, workspace_id: session.workspace_id, deleted_at: cx.now() });
    cx.commit(commit, |_| Done {}).await
}

/// Reads a session of this workspace.
///
/// # Errors
/// `not_found` for one that is absent or in another workspace: both read the same.
pub async fn load(services: &Services, workspace: WorkspaceId, session: SessionId) -> Result<SessionRow, Failure> {
    let row = services.store.get::<SessionRow>(session).await?;
    Ok(row.filter(|row| row.workspace_id == workspace).ok_or_else(Fault::not_found)?)
}

/// Those of these sessions that are not there any more.
///
/// # Errors
/// See [`StoreError`].
pub async fn missing(store: &Store, sessions: &[SessionId]) -> Result<Vec<SessionId>, StoreError> {
    let mut missing = Vec::new();
    for batch in sessions.chunks(BATCH) {
        let ids = batch.iter().map(|id| Value::from(*id)).collect();
        let select = Select { conditions: vec![Condition::In("id", ids)], ..Select::default() };
        let there: HashSet<SessionId> = store.select::<SessionRow>(&select).await?.into_iter().map(|row| row.id).collect();
        missing.extend(batch.iter().filter(|id| !there.contains(id)));
    }
    Ok(missing)
}

/// The sessions that are gone after what was written.
pub fn gone(told: &[Told]) -> Vec<SessionId> {
    let changes = told.iter().filter_map(|told| match told {
        Told::Rows { changes, .. } => Some(changes.iter()),
        Told::Stream { .. } => None,
    });
    let gone = changes.flatten().filter(|change| change.table.name == "sessions" && change.after.is_none());
    gone.filter_map(|change| SessionId::from_value(change.id.clone())).collect()
}

/// Passes a crew that can answer what people say.
async fn takes_messages(cx: &Context, crew: &str) -> Result<(), Failure> {
    let app = cx.services.apps.of(cx.identity()?.workspace);
    if app.crew(crew)?.message_input.is_none() {
        let message = format!("crew `{crew}` takes no messages: name the input that they go into as `message_input` in crew.yaml");
        return Err(Fault::invalid("crew", "unsupported", message).into());
    }
    Ok(())
}

async fn save(cx: &Context, before: SessionRow, after: Option<SessionRow>) -> Result<Answer<Session>, Failure> {
    match after {
        Some(after) => {
            let commit = Commit::in_workspace(before.workspace_id).replace(&before, &after);
            cx.commit(commit, move |revision| after.at(revision)).await
        }
        None => cx.commit(Commit::default(), move |_| before.session()).await,
    }
}

impl SessionRow {
    /// A new session.
    pub fn new(id: SessionId, workspace_id: WorkspaceId, created_by: UserId, title: String, now: Millis) -> Self {
        let (created_at, updated_at, revision) = (now, now, Revision(0));
        Self { id, workspace_id, revision, created_at, updated_at, title, created_by, archived_at: None, crew: None }
    }

    /// What must still hold when something new is written in it.
    ///
    /// # Errors
    /// `conflict`, `state` where it is put away.
    pub fn in_use(&self) -> Result<Guard, Fault> {
        if self.archived_at.is_some() {
            return Err(not_now("the session is put away: take it out again first", self.session()));
        }
        Ok(Guard::columns::<Self>(self.id, vec![("archived_at", Value::Null)]))
    }

    /// As the wire has it.
    pub fn session(&self) -> Session {
        self.at(self.revision)
    }

    /// The same, written at this revision.
    fn at(&self, revision: Revision) -> Session {
        let Self { id, created_at, updated_at, title, created_by, archived_at, crew, .. } = self.clone();
        Session { id, revision, created_at, updated_at, title, created_by, crew, archived_at }
    }

    /// Under another title, or with another crew.
    fn changed(&self, title: Option<String>, crew: Option<Option<String>>, now: Millis) -> Self {
        let Self { title: old, crew: before, .. } = self.clone();
        Self { title: title.unwrap_or(old), crew: crew.unwrap_or(before), updated_at: now, ..self.clone() }
    }

    /// The same after a run was started in it.
    #[must_use]
    pub fn used(&self, now: Millis) -> Self {
        Self { updated_at: now, ..self.clone() }
    }

    /// Put away or taken out; `None` where it is so already.
    fn archived(&self, archived: bool, now: Millis) -> Option<Self> {
        let changes = self.archived_at.is_some() != archived;
        changes.then(|| Self { archived_at: archived.then_some(now), updated_at: now, ..self.clone() })
    }
}

#[cfg(test)]
mod tests;
