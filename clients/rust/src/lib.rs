#![deny(clippy::unwrap_used)]
#![doc = include_str!("../README.md")]

mod auth;
mod calls;
mod client;
mod clock;
mod connector;
mod driver;
mod error;
mod follows;
mod link;
mod presence;
mod reading;
mod run_stream;
mod subject;
#[cfg(test)]
mod tests;
mod turns;
mod watch;

pub use auth::{AuthError, AuthProvider, AuthReason, NoToken, Token};
pub use client::{CallOptions, Client, ClientBuilder, FollowOptions, State};
pub use clock::Clock;
pub use connector::{Connector, Tcp};
pub use crewline_protocol as protocol;
pub use error::{CallError, ConnectError, FollowError, Stopped, UrlError};
pub use presence::{Presence, Present};
pub use run_stream::{Followed, RunStream};
pub use watch::{Update, Watch};
