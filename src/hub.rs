//! Fan-out within a node: from what is followed to who follows it. Only hints travel here; a reader that gets one reads the log
//! after its own cursor, so that a lost, late or doubled hint can neither lose nor double an event.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crewline_protocol::{
    close::CloseCode,
    fault::Fault,
    value::{ConnectionId, Offset, RunId, SignInId, UserId},
};
use dashmap::DashMap;
use tokio::sync::Notify;

use crate::{access::Identity, store::Told, stream::Tail};

/// Who follows what on this node, and which connections there are.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    streams: DashMap<RunId, Followed>,
    connections: DashMap<ConnectionId, Member>,
    /// Woken when runs may be waiting for someone to execute them.
    queued: Notify,
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
    arrived: Notify,
}

/// What was in a mailbox.
#[derive(Debug, Default)]
pub struct Letters {
    /// Subscriptions whose stream has grown.
    pub grown: Vec<u64>,
    /// The principal is another now.
    pub identity: Option<Arc<Identity>>,
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
    /// Says that the principal is another now.
    pub fn changed(&self, identity: Arc<Identity>) {
        self.lock().identity = Some(identity);
        self.arrived.notify_one();
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
    fn lock(&self) -> std::sync::MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.hub.0.connections.remove(&self.connection);
    }
}

impl Hub {
    /// A hub that keeps up to `tail_bytes` of each followed stream in memory.
    pub fn new(tail_bytes: usize) -> Self {
        Self(Arc::new(Inner { streams: DashMap::new(), connections: DashMap::new(), queued: Notify::new(), tail_bytes }))
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

    /// Closes every connection of a sign-in.
    pub fn close_sign_in(&self, sign_in: SignInId, code: CloseCode, fault: &Fault) {
        self.close_where(|identity| identity.sign_in == sign_in, code, fault);
    }

    /// Closes every connection of a user.
    pub fn close_user(&self, user: UserId, code: CloseCode, fault: &Fault) {
        self.close_where(|identity| identity.user == user, code, fault);
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
    }

    /// Waits until a run may be waiting. One waiter a node: who assigns runs.
    pub async fn runs_queued(&self) {
        self.0.queued.notified().await;
    }

    fn close_where(&self, matches: impl Fn(&Identity) -> bool, code: CloseCode, fault: &Fault) {
        for member in &self.0.connections {
            if member.identity.as_deref().is_some_and(&matches) {
                member.mailbox.close(code, fault.clone());
            }
        }
    }
}
