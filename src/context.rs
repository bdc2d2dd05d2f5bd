//! What a handler is given: the services, who asks, and the one way to write.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use crewline_protocol::{
    fault::{Fault, FaultCode, Reason},
    value::{Millis, MutationKey, Revision, decode, encode},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    access::{Access, Identity},
    apps::Apps,
    clock::Clock,
    hub::Hub,
    limits::Limits,
    lines::Lines,
    query::{Live, ReadError},
    settings::Settings,
    store::{Commit, CommitError, Entity, Guard, KeyedReply, Store, StoreError, StoredReply, Value},
};

/// Everything that a node's rooms share.
pub struct Services {
    /// Limits and intervals.
    pub settings: Settings,
    /// Time and chance.
    pub clock: Clock,
    /// The truth.
    pub store: Store,
    /// Who follows what.
    pub hub: Hub,
    /// Live queries.
    pub live: Live,
    /// Who acts.
    pub access: Access,
    /// What crews there are.
    pub apps: Apps,
    /// How often somebody may ask.
    pub limits: Limits,
    /// Who writes next to a worker's run.
    pub lines: Lines,
}

/// One request's surroundings.
#[derive(Clone)]
pub struct Context {
    /// What the node's rooms share.
    pub services: Arc<Services>,
    /// Who asks.
    pub identity: Option<Arc<Identity>>,
    /// From which address.
    pub address: IpAddr,
    /// Under which key, for a mutation.
    pub key: Option<Arc<RequestKey>>,
}

/// A mutation's key, and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey {
    /// Whose.
    pub principal: String,
    /// The key.
    pub key: MutationKey,
    /// The operation's name.
    pub operation: &'static str,
    /// SHA-256 of the decoded input, encoded again.
    pub digest: [u8; 32],
}

impl RequestKey {
    /// What was kept under this key: the encoded output, and the revision at which it is true.
    ///
    /// # Errors
    /// `key_reused` when it was kept for another operation or input.
    pub fn answered(&self, kept: StoredReply) -> Result<(Bytes, Option<Revision>), Fault> {
        if self.operation != kept.operation || self.digest != kept.digest {
            return Err(key_reused());
        }
        Ok((kept.reply, (kept.revision.0 > 0).then_some(kept.revision)))
    }
}

/// A handler's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<O> {
    /// The operation's output.
    pub output: O,
    /// The revision at which it is true.
    pub as_of: Option<Revision>,
    /// Who the connection is signed in as from now on.
    pub signs_in: Option<Arc<Identity>>,
}

impl<O> From<O> for Answer<O> {
    fn from(output: O) -> Self {
        Self { output, as_of: None, signs_in: None }
    }
}

impl<O> Answer<O> {
    /// An output that is true at a revision.
    pub fn at(revision: Revision, output: O) -> Self {
        Self { output, as_of: Some(revision), signs_in: None }
    }
    /// The same, signing the connection in.
    #[must_use]
    pub fn signing_in(mut self, identity: Arc<Identity>) -> Self {
        self.signs_in = Some(identity);
        self
    }
}

/// Why a handler did not answer.
#[derive(Debug)]
pub enum Failure {
    /// The peer is told this.
    Fault(Fault),
    /// What it had loaded changed before it could write: it is run again, and when that doesn't help the peer is told this.
    Stale(Fault),
    /// A defect, or the database is away: logged, and never shown.
    Error(Box<dyn std::error::Error + Send + Sync>),
    /// The database is away: the same may succeed later.
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::Unavailable(Box::new(error)),
            StoreError::Failed(_) | StoreError::Malformed { .. } => Self::Error(Box::new(error)),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Fault(fault) => fault.into(),
            ReadError::Store(error) => error.into(),
        }
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Store(error) => error.into(),
            CommitError::Guard(_) => Self::Stale(stale()),
            CommitError::Taken(_) => Self::Fault(taken()),
            CommitError::KeyUsed(_) => Self::Fault(key_reused()),
            CommitError::NoWorkspace => Self::Fault(Fault::not_found()),
        }
    }
}

impl Context {
    /// The time now.
    pub fn now(&self) -> Millis {
        self.services.clock.now()
    }

    /// Who asks.
    ///
    /// # Errors
    /// `unauthenticated` when nobody is signed in.
    pub fn identity(&self) -> Result<&Arc<Identity>, Fault> {
        self.identity.as_ref().ok_or_else(|| Fault::new(FaultCode::Unauthenticated, "sign in first: nobody is signed in here"))
    }

    /// The id of a new row: the client's own where no row has it, which the commit then makes sure of, or else a new one.
    ///
    /// # Errors
    /// `conflict`, `taken` for one that a row has.
    pub async fn id<E: Entity, I: Copy + Into<Value>>(
        &self,
        own: Option<I>,
        new: fn(Millis, [u8; 10]) -> I,
        commit: Commit,
    ) -> Result<(I, Commit), Failure> {
        match own {
            Some(id) if self.services.store.get::<E>(id).await?.is_some() => Err(taken().into()),
            Some(id) => Ok((id, commit.guard(Guard::absent::<E>(id)))),
            // Nobody has it: looking for it would cost more than making it.
            None => Ok((self.services.clock.id(new), commit)),
        }
    }

    /// Writes, and answers with what `output` makes of the revision. For a mutation the reply is kept under its key in the same
    /// transaction; where one was kept before, that is the answer and nothing is written.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn commit<O>(&self, commit: Commit, output: impl Fn(Revision) -> O + Send + Sync + 'static) -> Result<Answer<O>, Failure>
    where
        O: Serialize + DeserializeOwned,
    {
        let output = Arc::new(output);
        let make = output.clone();
        let key = self.key.as_deref().map(|key| KeyedReply {
            principal: key.principal.clone(),
            key: key.key,
            operation: key.operation,
            digest: key.digest,
            at: self.now(),
            reply: Arc::new(move |revision| encode(&make(revision))),
        });
        match self.services.store.commit(Commit { key, ..commit }).await {
            Ok(committed) => match committed.revision {
                Some(revision) => Ok(Answer::at(revision, output(revision))),
                None => Ok(output(Revision(0)).into()),
            },
            Err(CommitError::KeyUsed(kept)) => {
                let (output, as_of) = self.key.as_deref().ok_or_else(key_reused)?.answered(kept)?;
                let output = decode(&output).map_err(|error| Failure::Error(Box::new(error)))?;
                Ok(Answer { output, as_of, signs_in: None })
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The fault for an id or name that is there already, here or in a workspace that the peer can't see.
pub fn taken() -> Fault {
    Fault::conflict(Reason::Taken, "there is one with this id or name already: make a new one")
}

/// Passes a client whose copy of a row is the row as it is, and one that does not say which copy it has.
///
/// # Errors
/// `conflict`, `revision`, with the row.
pub fn unchanged<R: Serialize>(has: Option<Revision>, is: Revision, row: impl FnOnce() -> R) -> Result<(), Fault> {
    match has {
        Some(has) if has != is => {
            let message = format!("it has changed since revision {has}: look at `current` and decide again");
            Err(Fault { current: serde_json::to_value(row()).ok(), ..Fault::conflict(Reason::Revision, message) })
        }
        _ => Ok(()),
    }
}

/// The fault for what a row's state does not allow, with the row.
pub fn not_now<R: Serialize>(message: &'static str, row: R) -> Fault {
    Fault { current: serde_json::to_value(row).ok(), ..Fault::conflict(Reason::State, message) }
}

fn key_reused() -> Fault {
    Fault::new(FaultCode::KeyReused, "this key was used for another operation or input: make a new one for each mutation")
}

fn stale() -> Fault {
    Fault::conflict(Reason::Revision, "it changed while this was being done, several times: read it again and decide")
}
