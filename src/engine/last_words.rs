//! What a run leaves in its session when it ends: words that were meant for it and reached no agent any more.

use std::collections::HashMap;

use crewline_protocol::{
    opening::PrincipalKind,
    value::{MessageId, Revision, UserId},
};
use tracing::warn;

use super::{
    people::{People, Said, Steer},
    read,
};
use crate::{
    access::User,
    context::Services,
    runs::RunRow,
    sessions::MessageRow,
    store::{Commit, StoreError},
};

/// What is written with a run's end.
pub(super) async fn kept(services: &Services, run: &RunRow, people: &People) -> Commit {
    let steers = people.look(|said| said.steers.clone());
    left(services, run, steers, Commit::default()).await
}

/// The same for a run that a worker executes, as its log has it, in a commit with what else is written.
///
/// # Errors
/// Where the log can't be read.
pub async fn unread(services: &Services, run: &RunRow, commit: Commit) -> Result<Commit, StoreError> {
    let mut said = Said::default();
    read::each_said(&services.store, run.id, |event| said.hear(event)).await?;
    Ok(left(services, run, said.steers, commit).await)
}

/// Whether the words were said as a message, which has their id: the session has them.
async fn is_a_message(services: &Services, steer: &Steer) -> bool {
    matches!(services.store.get::<MessageRow>(MessageId::same_as(steer.id)).await, Ok(Some(_)))
}

async fn left(services: &Services, run: &RunRow, steers: impl IntoIterator<Item = Steer>, mut commit: Commit) -> Commit {
    let mut names: HashMap<UserId, String> = HashMap::new();
    for steer in steers {
        if is_a_message(services, &steer).await {
            continue;
        }
        let name = match names.get(&steer.by) {
            Some(name) => name.clone(),
            None => name_of(services, steer.by).await,
        };
        names.insert(steer.by, name.clone());
        commit = commit.insert(&MessageRow {
            id: services.clock.id(MessageId::new),
            workspace_id: run.workspace_id,
            revision: Revision(0),
            created_at: steer.at,
            updated_at: steer.at,
            session_id: run.session_id,
            author_kind: PrincipalKind::User,
            author_id: steer.by.to_string(),
            author_name: name,
            text: steer.text,
            run_id: Some(run.id),
        });
    }
    commit
}

/// What a user is called; nothing where that can't be told now: their words are worth more than their name.
async fn name_of(services: &Services, user: UserId) -> String {
    match services.store.get::<User>(user).await {
        Ok(user) => user.map(|user| user.name).unwrap_or_default(),
        Err(error) => {
            warn!(%user, %error, "a user's name can't be read");
            String::new()
        }
    }
}
