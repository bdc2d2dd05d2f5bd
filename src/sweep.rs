//! What stands behind hints: every node asks the database now and then for the heads of what its connections follow, and for rights
//! that changed. A lost hint costs at most one round. What deleted sessions left is cleared away on the way, and
//! questions that nobody answered in time are ended.

use std::{sync::Arc, time::Duration};

use tokio::time::MissedTickBehavior;
use tracing::warn;

use crate::{approvals, context::Services, sessions};

/// Sweeps until it is dropped.
pub async fn sweep_forever(services: Arc<Services>) {
    let mut rounds = tokio::time::interval(Duration::from_millis(services.settings.sweep_ms));
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        sweep(&services).await;
        services.limits.forget_idle();
    }
}

/// One round. When the database is away nothing is known, and nothing changes.
pub async fn sweep(services: &Services) {
    match services.store.heads(&services.hub.followed()).await {
        Ok(heads) => {
            for (run, head) in heads {
                services.hub.reached(run, head.head, head.complete);
            }
        }
        Err(error) => warn!(%error, "the heads of followed streams can't be read; the next round tries again"),
    }
    let feeds = services.live.feeds();
    match services.store.revisions(&feeds.workspaces()).await {
        Ok(revisions) => {
            for (workspace, revision) in revisions {
                feeds.reached(workspace, revision);
            }
        }
        Err(error) => warn!(%error, "the revisions of followed workspaces can't be read; the next round tries again"),
    }
    match sessions::missing(&services.store, &services.hub.places()).await {
        Ok(missing) => missing.into_iter().for_each(|session| services.hub.session_gone(session)),
        Err(error) => warn!(%error, "the sessions in which somebody is present can't be read; the next round tries again"),
    }
    if let Err(error) = sessions::clear(&services.store).await {
        warn!(%error, "what deleted sessions left can't be cleared away; the next round tries again");
    }
    if let Err(error) = approvals::expire(services).await {
        warn!(%error, "questions that nobody answered in time can't be ended; the next round tries again");
    }
    let (identities, mailboxes): (Vec<_>, Vec<_>) = services.hub.signed_in().into_iter().unzip();
    match services.access.standings(&identities).await {
        Ok(standings) => {
            for ((identity, mailbox), standing) in identities.iter().zip(mailboxes).zip(standings) {
                // The connection asks itself: what was read for it here may be about a sign-in that it has no more.
                if standing.as_ref() != Ok(&**identity) {
                    mailbox.doubt();
                }
            }
        }
        Err(fault) => warn!(%fault, "rights can't be read; the next round tries again"),
    }
}
