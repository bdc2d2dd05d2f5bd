//! Fan-out within a node: from what is followed to who follows it. Only hints travel here; a reader that gets one reads the log
//! after its own cursor, so that a lost, late or doubled hint can neither lose nor double an event.

mod presence;

pub use presence::{Change, Changes, Present};

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use crewline_protocol::{
    close::CloseCode,
    fault::Fault,
    value::{ConnectionId, Offset, RunId, SessionId, SignInId, UserId, WorkerId},
};
use dashmap::DashMap;
use tokio::sync::Notify;

use self::presence::Here;
use crate::{
    access::{Doubts, Identity},
    store::Told,
    stream::Tail,
};

/// Who follows what on this node, and which connections there are.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    streams: DashMap<RunId, Followed>,
    /// Who is present where.
    places: DashMap<SessionId, Vec<Here>>,
    connections: DashMap<ConnectionId, Member>,
    /// How often rights came into doubt.
    doubts: AtomicU64,
    /// Woken when runs may be waiting for this node's engine.
    queued: Notify,
    /// Woken when runs may be waiting for workers, or workers for runs.
    assigns: Notify,
    /// Workers whose connections have ended.
    left: Mutex<Vec<WorkerId>>,
    tail_bytes: usize,
}

struct Followed {
    tail: Arc<Tail>,
    followers: Vec<Follower>,
}

#[derive(Clone)]
struct Follower {
    mailbox: Arc<Mailbox>,
    sub: u64,
}

#[derive(Clone)]
struct Member {
    mailbox: Arc<Mailbox>,
    identity: Option<Arc<Identity>>,
}

/// What reaches a task from the rest of the node. It is bounded by what its owner follows: a hint that is there already is not
/// put in twice.
#[derive(Debug, Default)]
pub struct Mailbox {
    letters: Mutex<Letters>,
    /// It stays here until it can be sent, so that it can be overwritten.
    presence: Mutex<Changes>,
    /// Set before anything is told that was committed after the change of rights; who reads it after what it is about to send, and
    /// finds it unset, may send that.
    doubted: AtomicBool,
    arrived: Notify,
}

/// What was in a mailbox.
#[derive(Debug, Default)]
pub struct Letters {
    /// Subscriptions whose stream has grown.
    pub grown: Vec<u64>,
    /// Subscriptions to the presence of a session that is deleted.
    pub gone: Vec<u64>,
    /// Nouns may be others by now: what live queries asked for is to be asked again.
    pub ask_again: bool,
    /// Runs that the worker that the connection acts as holds no more.
    pub lost: Vec<RunId>,
    /// The worker that the connection acts as acts on another from now on.
    pub superseded: bool,
    /// The connection is to end.
    pub close: Option<(CloseCode, Fault)>,
    /// The server leaves.
    pub drain: Option<Duration>,
}

impl Mailbox {
    /// Waits until something is there. Cancelling it loses nothing.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }
    /// Takes what is there.
    pub fn take(&self) -> Letters {
        std::mem::take(&mut self.lock())
    }
    /// Says that a subscription's stream has grown.
    pub fn grown(&self, sub: u64) {
        let mut letters = self.lock();
        if !letters.grown.contains(&sub) {
            letters.grown.push(sub);
        }
        drop(letters);
        self.arrived.notify_one();
    }
    /// Says that nouns may be others by now.
    pub fn ask_again(&self) {
        self.lock().ask_again = true;
        self.arrived.notify_one();
    }
    /// Says that the worker that the connection acts as holds a run no more.
    pub fn lost(&self, run: RunId) {
        self.lock().lost.push(run);
        self.arrived.notify_one();
    }
    /// Says that the worker that the connection acts as acts on another from now on.
    pub fn superseded(&self) {
        self.lock().superseded = true;
        self.arrived.notify_one();
    }
    /// Takes what is to be told of other members.
    pub fn take_presence(&self) -> Changes {
        std::mem::take(&mut self.lock_presence())
    }
    /// Says where a member is now, over what was said of it before; `first`: this is the first that is said of it.
    pub fn present(&self, sub: u64, connection: ConnectionId, member: &Bytes, state: Option<&Bytes>, first: bool) {
        self.lock_presence().put(sub, connection, member, state, first);
        self.arrived.notify_one();
    }
    /// Says that the session in which this subscription is present is gone.
    pub fn gone(&self, sub: u64) {
        let mut letters = self.lock();
        if !letters.gone.contains(&sub) {
            letters.gone.push(sub);
        }
        drop(letters);
        self.arrived.notify_one();
    }
    /// Says that the rights of whoever is signed in are in doubt: they are to be asked for again.
    pub fn doubt(&self) {
        self.doubted.store(true, Ordering::SeqCst);
        self.arrived.notify_one();
    }
    /// Whether they are in doubt.
    pub fn doubted(&self) -> bool {
        self.doubted.load(Ordering::SeqCst)
    }
    /// Says that they are about to be asked for; gives whether they are in doubt.
    pub fn take_doubt(&self) -> bool {
        self.doubted.swap(false, Ordering::SeqCst)
    }
    /// Says that the connection is to end; the first reason stands.
    pub fn close(&self, code: CloseCode, fault: Fault) {
        self.lock().close.get_or_insert((code, fault));
        self.arrived.notify_one();
    }
    /// Says that the server leaves in this time.
    pub fn drain(&self, within: Duration) {
        self.lock().drain = Some(within);
        self.arrived.notify_one();
    }
    fn lock(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn lock_presence(&self) -> MutexGuard<'_, Changes> {
        self.presence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Following a run's stream ends when this is dropped.
pub struct Following {
    hub: Hub,
    run: RunId,
    follower: Follower,
    /// The end of the log in memory.
    pub tail: Arc<Tail>,
}

impl Drop for Following {
    fn drop(&mut self) {
        let (mailbox, sub) = (&self.follower.mailbox, self.follower.sub);
        self.hub.0.streams.remove_if_mut(&self.run, |_, followed| {
            followed.followers.retain(|other| !(other.sub == sub && Arc::ptr_eq(&other.mailbox, mailbox)));
            followed.followers.is_empty()
        });
    }
}

/// A connection is known to the hub until this is dropped.
pub struct Registered {
    hub: Hub,
    connection: ConnectionId,
}

impl Registered {
    /// Says who is signed in on it.
    pub fn signed_in(&self, identity: Arc<Identity>) {
        if let Some(mut member) = self.hub.0.connections.get_mut(&self.connection) {
            member.identity = Some(identity);
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let member = self.hub.0.connections.remove(&self.connection);
        if let Some(worker) = member.and_then(|(_, member)| member.identity?.worker) {
            self.hub.lock_left().push(worker);
            self.hub.0.assigns.notify_one();
        }
    }
}

impl Hub {
    /// A hub that keeps up to `tail_bytes` of each followed stream in memory.
    pub fn new(tail_bytes: usize) -> Self {
        let (streams, places, connections) = (DashMap::new(), DashMap::new(), DashMap::new());
        let (doubts, queued, assigns, left) = (AtomicU64::new(0), Notify::new(), Notify::new(), Mutex::default());
        Self(Arc::new(Inner { streams, places, connections, doubts, queued, assigns, left, tail_bytes }))
    }

    /// Follows a run's stream: its growth is put into the mailbox as `sub`. Follow first, then read the head: nothing falls between.
    pub fn follow(&self, run: RunId, mailbox: &Arc<Mailbox>, sub: u64) -> Following {
        let follower = Follower { mailbox: mailbox.clone(), sub };
        let mut followed = self.0.streams.entry(run).or_insert_with(|| Followed { tail: Arc::default(), followers: Vec::new() });
        followed.followers.push(follower.clone());
        let tail = followed.tail.clone();
        drop(followed);
        Following { hub: self.clone(), run, follower, tail }
    }

    /// Passes on what the store has written.
    pub fn told(&self, told: Vec<Told>) {
        for told in told {
            if let Told::Stream { run, block, complete } = told
                && let Some(followed) = self.0.streams.get(&run)
            {
                followed.tail.push(&block, complete, self.0.tail_bytes);
                for follower in &followed.followers {
                    follower.mailbox.grown(follower.sub);
                }
            }
        }
    }

    /// Passes on where a stream stands, as the sweep found it; those who know already are left alone.
    pub fn reached(&self, run: RunId, head: Offset, complete: bool) {
        if let Some(followed) = self.0.streams.get(&run)
            && followed.tail.head() < (head, complete)
        {
            followed.tail.reached(head, complete);
            for follower in &followed.followers {
                follower.mailbox.grown(follower.sub);
            }
        }
    }

    /// The runs that are followed on this node.
    pub fn followed(&self) -> Vec<RunId> {
        self.0.streams.iter().map(|entry| *entry.key()).collect()
    }

    /// Makes a connection known.
    pub fn register(&self, connection: ConnectionId, mailbox: Arc<Mailbox>) -> Registered {
        self.0.connections.insert(connection, Member { mailbox, identity: None });
        Registered { hub: self.clone(), connection }
    }

    /// Everyone who is signed in on this node, with their mailboxes.
    pub fn signed_in(&self) -> Vec<(Arc<Identity>, Arc<Mailbox>)> {
        let members = self.0.connections.iter();
        members.filter_map(|member| member.identity.clone().map(|identity| (identity, member.mailbox.clone()))).collect()
    }

    /// Says whose rights are in doubt, before anything that was committed later is told.
    pub fn doubt(&self, doubts: &Doubts) {
        if doubts.is_empty() {
            return;
        }
        // Who signs in at this moment finds the count raised, or is found here.
        self.0.doubts.fetch_add(1, Ordering::SeqCst);
        for member in &self.0.connections {
            if member.identity.as_ref().is_some_and(|identity| doubts.about(identity.user)) {
                member.mailbox.doubt();
            }
        }
    }

    /// How often rights came into doubt: where it was another before somebody's rights were read, those may be old.
    pub fn doubts(&self) -> u64 {
        self.0.doubts.load(Ordering::SeqCst)
    }

    /// Closes every connection of a sign-in.
    pub fn close_sign_in(&self, sign_in: SignInId, code: CloseCode, fault: &Fault) {
        self.close_where(|identity| identity.sign_in == sign_in, code, fault);
    }

    /// Closes every connection of a user.
    pub fn close_user(&self, user: UserId, code: CloseCode, fault: &Fault) {
        self.close_where(|identity| identity.user == user, code, fault);
    }

    /// Tells every connection that nouns may be others by now, for the app changed.
    pub fn ask_again(&self) {
        for member in &self.0.connections {
            member.mailbox.ask_again();
        }
    }

    /// Tells every connection that the server leaves in this time.
    pub fn drain(&self, within: Duration) {
        for member in &self.0.connections {
            member.mailbox.drain(within);
        }
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.0.connections.len()
    }

    /// Says that a run may be waiting for someone to execute it.
    pub fn run_queued(&self) {
        self.0.queued.notify_one();
        self.0.assigns.notify_one();
    }

    /// Says that a worker may have room for a run.
    pub fn worker_free(&self) {
        self.0.assigns.notify_one();
    }

    /// Waits until there may be something to assign to workers. One waiter a node: who assigns it.
    pub async fn assigns(&self) {
        self.0.assigns.notified().await;
    }

    /// Says that a worker acts on another connection from now on, which is whose identity this is.
    pub fn superseded(&self, worker: WorkerId, by: &Arc<Identity>) {
        for mut member in self.0.connections.iter_mut() {
            let other = member.identity.as_ref().filter(|identity| identity.worker == Some(worker) && !Arc::ptr_eq(identity, by));
            if let Some(other) = other {
                // Its end is not the worker's.
                member.identity = Some(Arc::new(Identity { worker: None, ..Identity::clone(other) }));
                member.mailbox.superseded();
            }
        }
    }

    /// Takes the workers whose connections have ended since this was asked, and which act on no other here.
    pub fn workers_left(&self) -> Vec<WorkerId> {
        let mut left = std::mem::take(&mut *self.lock_left());
        let acts = |worker: &WorkerId| {
            self.0.connections.iter().any(|member| member.identity.as_ref().is_some_and(|who| who.worker == Some(*worker)))
        };
        left.retain(|worker| !acts(worker));
        left
    }

    /// Says that a worker holds a run no more.
    pub fn lost(&self, worker: WorkerId, run: RunId) {
        for member in &self.0.connections {
            if member.identity.as_ref().is_some_and(|identity| identity.worker == Some(worker)) {
                member.mailbox.lost(run);
            }
        }
    }

    /// Waits until a run may be waiting. One waiter a node: its engine.
    pub async fn runs_queued(&self) {
        self.0.queued.notified().await;
    }

    fn lock_left(&self) -> MutexGuard<'_, Vec<WorkerId>> {
        self.0.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close_where(&self, matches: impl Fn(&Identity) -> bool, code: CloseCode, fault: &Fault) {
        for member in &self.0.connections {
            if member.identity.as_deref().is_some_and(&matches) {
                member.mailbox.close(code, fault.clone());
            }
        }
    }
}
