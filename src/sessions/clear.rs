//! Clearing away what deleted sessions leave: their messages, which nobody can reach any more, a bounded part at a time.

use crewline_protocol::value::{Millis, SessionId, WorkspaceId};

use super::MessageRow;
use crate::{
    entity,
    settings::store::{CLEARED_MESSAGES, CLEARED_SESSIONS},
    store::{Commit, CommitError, Select, Store, StoreError},
};

entity! {
    /// A session that was deleted, and whose messages are not all gone yet.
    pub struct Deleted in "deleted_sessions" {
        /// The session's id.
        id: SessionId,
        /// Where it was.
        workspace_id: WorkspaceId,
        /// When it was deleted.
        deleted_at: Millis,
    }
}

/// Clears a part of what deleted sessions left.
///
/// # Errors
/// Where the database fails: the next round goes on.
pub async fn clear(store: &Store) -> Result<(), StoreError> {
    for deleted in store.select::<Deleted>(&Select::default().limit(CLEARED_SESSIONS)).await? {
        let messages = store.select::<MessageRow>(&Select::by("session_id", deleted.id).limit(CLEARED_MESSAGES)).await?;
        // No revision moves: nobody could read them.
        let mut commit = Commit::default();
        for message in &messages {
            commit = commit.delete::<MessageRow>(message.id);
        }
        if messages.len() < CLEARED_MESSAGES {
            commit = commit.delete::<Deleted>(deleted.id);
        }
        // It has no guards and no key: only the database can refuse it.
        if let Err(CommitError::Store(error)) = store.commit(commit).await {
            return Err(error);
        }
    }
    Ok(())
}
