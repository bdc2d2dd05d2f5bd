//! Messages: what people and agents say in a session.

use std::sync::{Arc, LazyLock};

use crewline_protocol::{
    opening::PrincipalKind,
    operations::message::{self, Author, Message, Post},
    value::{MessageId, Millis, Revision, RunId, SessionId, WorkspaceId, encode},
};

use super::{load, noun};
use crate::{
    context::{Answer, Context, Failure},
    entity,
    query::Noun,
    store::Commit,
};

entity! {
    /// A message as it is stored.
    pub struct MessageRow in "messages" {
        /// Its id.
        id: MessageId,
        /// Where its session is.
        workspace_id: WorkspaceId,
        /// The workspace's revision at its last change.
        revision: Revision,
        /// When it was said.
        created_at: Millis,
        /// When it last changed.
        updated_at: Millis,
        /// The session that it was said in.
        session_id: SessionId,
        /// What said it.
        author_kind: PrincipalKind,
        /// Who said it.
        author_id: String,
        /// What they were called then.
        author_name: String,
        /// What was said.
        text: String,
        /// The run that said it.
        run_id: Option<RunId>,
    }
}

/// Messages, as reads see them: those of one session.
pub fn messages() -> Arc<Noun> {
    static NOUN: LazyLock<Arc<Noun>> = LazyLock::new(|| {
        let messages = Noun::of(&message::NOUN, |row: MessageRow| encode(&row.message()));
        Arc::new(messages.child_of("session_id", noun()))
    });
    NOUN.clone()
}

/// Says something in a session.
///
/// # Errors
/// `not_found` for a session that is absent or in another workspace; `conflict`, `state` for one that is put away; `conflict`,
/// `taken` for an id that is there already.
pub async fn post(cx: Context, input: Post) -> Result<Answer<Message>, Failure> {
    let identity = cx.identity()?.clone();
    let session = load(&cx.services, identity.workspace, input.session_id).await?;
    let commit = Commit::in_workspace(identity.workspace).guard(session.in_use()?);
    let (id, commit) = cx.id::<MessageRow, _>(input.id, MessageId::new, commit).await?;
    let (now, principal) = (cx.now(), &identity.principal);
    let message = MessageRow {
        id,
        workspace_id: identity.workspace,
        revision: Revision(0),
        created_at: now,
        updated_at: now,
        session_id: session.id,
        author_kind: principal.kind,
        author_id: principal.id.clone(),
        author_name: principal.name.clone(),
        text: input.text,
        run_id: None,
    };
    let commit = commit.insert(&message);
    cx.commit(commit, move |revision| message.at(revision)).await
}

impl MessageRow {
    /// As the wire has it.
    pub fn message(&self) -> Message {
        self.at(self.revision)
    }

    /// The same, written at this revision.
    fn at(&self, revision: Revision) -> Message {
        let row = self.clone();
        Message {
            id: row.id,
            revision,
            created_at: row.created_at,
            updated_at: row.updated_at,
            session_id: row.session_id,
            author: Author { kind: row.author_kind, id: row.author_id, name: row.author_name },
            text: row.text,
            run_id: row.run_id,
        }
    }
}
