//! Live queries: reads that stay true. Plans with the same answer share it; it is brought up to date from what is committed, in
//! the order of the workspace's revisions, and read again where that can't tell.

mod apply;
mod diff;
mod feed;
mod shared;

pub use shared::Next;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use crewline_protocol::{
    fault::{Fault, FaultCode},
    follow::SubscribedQuery,
    value::{Revision, WorkspaceId},
};
use tokio::task::AbortHandle;

use self::{
    feed::{Bounds, Feed, Transaction},
    shared::Shared,
};
use super::Plan;
use crate::{
    hub::Mailbox,
    settings::Settings,
    store::{Store, StoreError, Told},
};

/// The topic of who is a member: when it changed, somebody may see more or less than before.
const RIGHTS: &str = "members";

/// The workspaces in which something is followed on this node. Made before the store, which tells it what is committed.
#[derive(Clone)]
pub struct Feeds(Arc<Inner>);

struct Inner {
    feeds: Mutex<HashMap<WorkspaceId, (Arc<Feed>, AbortHandle)>>,
    bounds: Bounds,
}

/// Live queries of this node.
#[derive(Clone)]
pub struct Live {
    feeds: Feeds,
    store: Store,
}

/// A subscription to a plan's answer; it ends when this is dropped.
pub struct Watching {
    feed: Arc<Feed>,
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
    sub: u64,
}

impl Feeds {
    /// Nothing is followed yet.
    pub fn new(settings: &Settings) -> Self {
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let bounds = Bounds {
            gather: Duration::from_millis(settings.gather_ms),
            history_bytes: bytes(settings.live_history_bytes),
            feed_bytes: bytes(settings.live_feed_bytes),
        };
        Self(Arc::new(Inner { feeds: Mutex::default(), bounds }))
    }

    /// Passes on what the store has written.
    pub fn told(&self, told: &[Told]) {
        for told in told {
            if let Told::Rows { workspace: Some((workspace, revision)), changes } = told
                && let Some(feed) = self.feed(*workspace)
            {
                feed.push(Transaction::new(*revision, changes), self.0.bounds);
            }
        }
    }

    /// The workspaces in which something is followed.
    pub fn workspaces(&self) -> Vec<WorkspaceId> {
        self.lock().keys().copied().collect()
    }

    /// A workspace has this revision, as the sweep found it.
    pub fn reached(&self, workspace: WorkspaceId, revision: Revision) {
        if let Some(feed) = self.feed(workspace) {
            feed.reached(revision);
        }
    }

    fn feed(&self, workspace: WorkspaceId) -> Option<Arc<Feed>> {
        self.lock().get(&workspace).map(|(feed, _)| feed.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WorkspaceId, (Arc<Feed>, AbortHandle)>> {
        self.0.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for (_, task) in self.feeds.get_mut().unwrap_or_else(PoisonError::into_inner).values() {
            task.abort();
        }
    }
}

impl Live {
    /// Live queries over this store, which tells `feeds`.
    pub fn new(feeds: Feeds, store: Store) -> Self {
        Self { feeds, store }
    }

    /// What is followed.
    pub fn feeds(&self) -> &Feeds {
        &self.feeds
    }

    /// Follows a plan's answer: that it changed is put into the mailbox as `sub`. It is registered before it is read, so that
    /// nothing falls between.
    pub fn follow(&self, plan: Arc<Plan>, mailbox: &Arc<Mailbox>, sub: u64) -> Watching {
        let workspace = plan.workspace;
        let mut feeds = self.feeds.lock();
        let (feed, _) = feeds.entry(workspace).or_insert_with(|| {
            let feed = Arc::new(Feed::new(workspace));
            let keeping = keep(Arc::downgrade(&self.feeds.0), feed.clone(), self.store.clone());
            (feed, tokio::spawn(keeping).abort_handle())
        });
        let feed = feed.clone();
        let shared = {
            let mut answers = feed.answers();
            let shared = answers.entry(plan.name.clone()).or_insert_with(|| Arc::new(Shared::new(plan.clone())));
            if shared.has_ended() {
                *shared = Arc::new(Shared::new(plan));
            }
            shared.add(mailbox, sub);
            shared.clone()
        };
        drop(feeds);
        feed.wake();
        Watching { feed, shared, mailbox: mailbox.clone(), sub }
    }

    /// How a subscription begins: with a snapshot, or with what changed since `from`, the revision that the client has.
    ///
    /// # Errors
    /// The fault with which it is refused: the read's own, or `unavailable`.
    pub fn begin(
        &self,
        watching: &Watching,
        from: Option<Revision>,
    ) -> impl Future<Output = Result<SubscribedQuery, Fault>> + Send + 'static {
        let (shared, store, workspace) = (watching.shared.clone(), self.store.clone(), watching.feed.workspace);
        async move {
            if let Some(from) = from {
                let unchanged = async {
                    let rights = store.touched(workspace, &[RIGHTS.to_owned()]).await?;
                    if rights > from {
                        return Ok(false);
                    }
                    if let Some(reaches) = shared.reaches(from) {
                        return Ok(reaches);
                    }
                    // Nothing was read yet: when nothing was touched nothing need be.
                    let touched = store.touched(workspace, &shared.topics).await?;
                    let revision = store.revisions(&[workspace]).await?.first().map_or(Revision(0), |(_, revision)| *revision);
                    Ok::<_, StoreError>(touched <= from && from <= revision)
                };
                if unchanged.await.map_err(|error| away(&error))? {
                    return Ok(SubscribedQuery { revision: from, snapshot: false });
                }
            }
            let revision = shared.answered().await?;
            Ok(SubscribedQuery { revision, snapshot: true })
        }
    }
}

impl Watching {
    /// What a follower takes who has the answer of this revision, or none.
    pub fn next(&self, position: Option<Revision>) -> Next {
        self.shared.next(position)
    }
    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.shared.plan
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        if self.shared.remove(&self.mailbox, self.sub) {
            self.feed.wake();
        }
    }
}

/// Keeps a workspace's answers until nobody follows any.
async fn keep(feeds: Weak<Inner>, feed: Arc<Feed>, store: Store) {
    loop {
        let Some(bounds) = feeds.upgrade().map(|inner| inner.bounds) else { return };
        feed.keep(&store, bounds).await;
        let Some(inner) = feeds.upgrade() else { return };
        let mut feeds = inner.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever follows does so under the same lock.
        if feed.answers().is_empty() {
            feeds.remove(&feed.workspace);
            return;
        }
    }
}

fn away(error: &StoreError) -> Fault {
    tracing::warn!(%error, "what a live query has missed can't be read");
    Fault::new(FaultCode::Unavailable, "the database is away: subscribe again")
}
