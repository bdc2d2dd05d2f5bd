//! Who acts, and whether they may: principals, tokens, passwords, and the one policy that every operation and subscription passes.

pub mod policy;

use std::{path::Path, sync::Arc};

use crewline_protocol::{
    close::CloseCode,
    fault::Fault,
    opening::Principal,
    value::{Millis, SignInId, UserId, WorkspaceId},
};

use crate::{clock::Clock, settings::Settings, store::Store};

/// Who is signed in on a connection, where they act, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// As the wire shows it.
    pub principal: Principal,
    /// The user.
    pub user: UserId,
    /// The workspace that the connection acts in.
    pub workspace: WorkspaceId,
    /// The sign-in that the token came from.
    pub sign_in: SignInId,
    /// When the access token ends.
    pub expires_at: Millis,
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
pub struct Access {}

#[allow(unused_variables, clippy::unused_async)]
impl Access {
    /// Reads the signing key from the data folder, or makes it.
    pub async fn open(data: &Path, store: Store, clock: Clock, settings: &Settings) -> Result<Self, std::io::Error> {
        unimplemented!()
    }

    /// Checks an access token and reads who it is from the database: role and membership are never taken from the token.
    ///
    /// # Errors
    /// 4100 for a token that is not good or has ended, 4101 for a revoked sign-in, 4202 for a disabled user, 4205 for a workspace
    /// that the user is not in; `unavailable` with 4002 where the database is away.
    pub async fn verify(&self, access_token: &str, workspace: Option<WorkspaceId>) -> Result<Identity, Refused> {
        unimplemented!()
    }

    /// Reads again, for each identity, who it is now, in a few queries for all of them: the same, changed, or refused.
    /// The outer error means that the database was away: nothing is known, nothing changes.
    pub async fn standings(&self, identities: &[Arc<Identity>]) -> Result<Vec<Result<Identity, Refused>>, Fault> {
        unimplemented!()
    }
}
