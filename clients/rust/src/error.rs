//! What can go wrong, and what to do about each.

use std::time::Duration;

use crewline_protocol::{CloseCode, Fault, value::MutationKey};

/// The address is none that this client can connect to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// TLS is not built in.
    #[error("{0}: this client speaks ws:// only; for wss:// give it a Connector that brings TLS, or a TLS proxy on this machine")]
    Tls(String),
    /// It is no WebSocket URL.
    #[error("`{0}` is no address of a server: give one like ws://127.0.0.1:7410/ws")]
    Malformed(String),
}

/// A connection could not be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConnectError {
    /// Nothing answers there.
    #[error("can't connect to {address}: {error}; is the server running there?")]
    Unreachable {
        /// Where.
        address: String,
        /// What the operating system said.
        error: String,
    },
    /// Something answers, and it is no Crewline server or does not want this client.
    #[error("{address} refused the connection: {error}")]
    Refused {
        /// Where.
        address: String,
        /// What it said.
        error: String,
    },
    /// No `welcome` came.
    #[error("the server did not welcome the connection: {0}")]
    NotWelcomed(String),
    /// There was a connection, and it ended.
    #[error("{0}")]
    Lost(String),
    /// There is no token.
    #[error(transparent)]
    Token(#[from] crate::AuthError),
    /// The client has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// The client has stopped for good: trying again would end the same way.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}", describe(.code, .fault.as_ref()))]
pub struct Stopped {
    /// The close code, where the server closed the connection.
    pub code: Option<u16>,
    /// What the server said before.
    pub fault: Option<Fault>,
}

fn describe(code: &Option<u16>, fault: Option<&Fault>) -> String {
    let known = code.and_then(CloseCode::from_code);
    let what = match (fault, known) {
        // A fault says itself what to do.
        (Some(fault), _) => fault.message.trim_end_matches('.').to_owned(),
        (None, Some(known)) => format!("{}{}", known.reason().trim_end_matches('.').to_lowercase(), advice(known)),
        (None, None) => "the client was closed".to_owned(),
    };
    code.map_or(what.clone(), |code| format!("{what} ({code})"))
}

const fn advice(close: CloseCode) -> &'static str {
    match close {
        CloseCode::TokenRefused | CloseCode::SignInRevoked | CloseCode::SignedOut => ": sign in again",
        CloseCode::Disabled => ": ask an admin of the workspace",
        CloseCode::UnsupportedClient | CloseCode::ProtocolError => ": update this client",
        CloseCode::NoWorkspace => ": leave the workspace out, or name one that you are a member of",
        CloseCode::TooLarge => ": send less at once",
        CloseCode::Normal
        | CloseCode::GoingAway
        | CloseCode::Shutdown
        | CloseCode::Internal
        | CloseCode::Heartbeat
        | CloseCode::Stalled
        | CloseCode::TooManyConnections
        | CloseCode::Silent => "",
    }
}

/// A call has no reply.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CallError {
    /// The server refused it; nothing happened.
    #[error("{0}")]
    Fault(Fault),
    /// No answer came in time. Whether a mutation happened is not known: call again with the same key to learn it.
    #[error("no answer to {operation} within {after:?}: the connection may be down; call again{}", .key.map_or(String::new(), |key| format!(" with the key {key}, which tells whether it happened")))]
    TimedOut {
        /// Which operation.
        operation: String,
        /// How long was waited.
        after: Duration,
        /// The mutation's key.
        key: Option<MutationKey>,
    },
    /// It does not fit into a message.
    #[error("{operation} has {bytes} bytes, more than the {limit} that the server takes{}", if *.limit <= crewline_protocol::MESSAGE_BYTES_BEFORE_SIGN_IN { " before one has signed in" } else { "" })]
    TooLarge {
        /// Which operation.
        operation: String,
        /// The request's length.
        bytes: usize,
        /// The longest that the server takes now.
        limit: usize,
    },
    /// The answer is of another shape than this client expects.
    #[error("the server's answer to {operation} can't be read ({error}): update this client or the server")]
    Unreadable {
        /// Which operation.
        operation: String,
        /// Where it differs.
        error: String,
    },
    /// The client has stopped for good.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// A run, a query or a session's presence is followed no longer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FollowError {
    /// It was never begun.
    #[error("it can't be followed: {0}")]
    Refused(Fault),
    /// The right to it was taken away.
    #[error("you may not follow this any longer: ask an admin of the workspace")]
    Forbidden,
    /// It was deleted.
    #[error("what was followed is deleted")]
    Deleted,
    /// What came can't be read.
    #[error("what came of it can't be read ({0}): update this client or the server")]
    Unreadable(String),
    /// The client has stopped for good.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}
