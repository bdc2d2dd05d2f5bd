//! Who acts, and whether they may: principals, tokens, passwords, and the one policy that every operation and subscription passes.

mod agent;
mod api_key;
mod doubt;
mod key;
mod passwords;
pub mod policy;
mod refresh;
mod register;
mod ring;
mod rows;
mod sign_in;
mod standing;
#[cfg(test)]
pub(crate) mod testing;
mod tokens;

pub use agent::Agent;
pub use api_key::{ApiKeyRow, KeyToken};
pub use doubt::Doubts;
pub use key::{FILE as KEY_FILE, SigningKey};
pub use passwords::{Cost, PasswordHash, Threads};
pub use register::{Furnish, NewUser, address};
pub use rows::{Member, SignIn, User, Workspace};
pub use sign_in::{Denied, Grant, normal_email};

use std::{io, path::Path, sync::Arc};

use crewline_protocol::{
    close::CloseCode,
    fault::Fault,
    opening::Principal,
    value::{InvitationId, Millis, SignInId, UserId, WorkerId, WorkspaceId},
};

use crate::{clock::Clock, settings::Settings, store::Store};
use passwords::Passwords;
use tokens::Tokens;

/// Who is signed in on a connection, where they act, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// As the wire shows it.
    pub principal: Principal,
    /// The user; of a worker its key's id, which no user has.
    pub user: UserId,
    /// The workspace that the connection acts in.
    pub workspace: WorkspaceId,
    /// The sign-in that the token came from; of a worker its key's id again.
    pub sign_in: SignInId,
    /// When the access token ends.
    pub expires_at: Millis,
    /// The worker that the connection acts as, once it has registered.
    pub worker: Option<WorkerId>,
}

impl Identity {
    /// Whether it ends by itself: an API key's does not.
    pub fn ends(&self) -> bool {
        self.expires_at != api_key::NEVER
    }
}

/// Why somebody is not let in, or not any more: a fault, and the close code for a connection.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// What the peer is told.
    pub fault: Fault,
    /// With which code a connection is closed for it.
    pub close: CloseCode,
}

/// Signs people in and knows who they are.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    tokens: Tokens,
    passwords: Passwords,
    settings: Settings,
}

impl Access {
    /// Reads the signing key from the data folder, or makes it.
    ///
    /// # Errors
    /// Where the key's file can't be read or made, or holds something else.
    pub async fn open(data: &Path, store: Store, clock: Clock, settings: &Settings) -> io::Result<Self> {
        let data = data.to_owned();
        let key = tokio::task::spawn_blocking(move || SigningKey::open(&data)).await.map_err(io::Error::other)??;
        Self::with_key(&key, Cost::STRONG, Threads::Own, store, clock, settings)
    }

    /// The same with a key, a cost of hashing and its threads of one's own: in simulated time a key from a seed and
    /// [`Threads::None`] make every run alike.
    ///
    /// # Errors
    /// A cost below what argon2 can do.
    pub fn with_key(key: &SigningKey, cost: Cost, threads: Threads, store: Store, clock: Clock, settings: &Settings) -> io::Result<Self> {
        let tokens = Tokens::new(key, i64::try_from(settings.clock_skew_ms).unwrap_or(i64::MAX));
        let passwords = Passwords::new(cost, threads, clock.clone(), settings)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, format!("the cost of hashing: {error}")))?;
        Ok(Self(Arc::new(Inner { store, clock, tokens, passwords, settings: settings.clone() })))
    }

    /// The token by which an invitation is accepted.
    pub fn invitation_token(&self, id: InvitationId) -> String {
        self.0.tokens.invitation(id)
    }

    /// Which invitation a token is of; `None` for what is no such token.
    pub fn read_invitation(&self, token: &str) -> Option<InvitationId> {
        self.0.tokens.read_invitation(token)
    }
}
