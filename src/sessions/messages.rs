//! Messages: what people and agents say in a session.

use std::sync::{Arc, LazyLock};

use crewline_protocol::{
    opening::{Principal, PrincipalKind},
    operations::message::{self, Author, Message},
    value::{MessageId, Millis, Revision, RunId, SessionId, WorkspaceId, encode},
};

use super::{SessionRow, noun};
use crate::{entity, query::Noun};

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
        /// The run that said it, or that it was said to.
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

impl MessageRow {
    /// Something that a principal says now.
    pub fn said(id: MessageId, session: &SessionRow, principal: &Principal, text: String, now: Millis) -> Self {
        Self {
            id,
            workspace_id: session.workspace_id,
            revision: Revision(0),
            created_at: now,
            updated_at: now,
            session_id: session.id,
            author_kind: principal.kind,
            author_id: principal.id.clone(),
            author_name: principal.name.clone(),
            text,
            run_id: None,
        }
    }

    /// As the wire has it.
    pub fn message(&self) -> Message {
        self.at(self.revision)
    }

    /// The same, written at this revision.
    pub fn at(&self, revision: Revision) -> Message {
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
