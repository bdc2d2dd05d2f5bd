//! The Crewline wire, version 1: what a client and the server say to each other.
//!
//! Everything here is data and pure functions: no runtime, no socket, no database. The server, the Rust client and the
//! generators of schemas, TypeScript and documents all read the same types, so that one change reaches them all.
//!
//! Read it in this order: [`frame`] (how bytes become frames), [`opening`] (hello and welcome), [`operation`] and
//! [`operations`] (requests and their answers), [`noun`] and [`read`] (what every noun's reads are), [`follow`] (subscriptions), [`event`] (a run's log), [`fault`] and [`close`]
//! (how things end).

#![deny(clippy::unwrap_used)]

pub mod close;
pub mod decode;
pub mod encoded;
pub mod event;
pub mod fault;
pub mod follow;
pub mod frame;
pub mod http;
mod keys;
pub mod live;
pub mod noun;
pub mod opening;
pub mod operation;
pub mod operations;
mod pack;
pub mod presence;
pub mod read;
pub mod rows;
pub mod scan;
pub mod typescript;
pub mod value;

pub use close::CloseCode;
pub use event::RunEvent;
pub use fault::{Fault, FaultCode};
pub use operation::{Operation, OperationSpec};
pub use operations::OPERATIONS;

/// The WebSocket subprotocol that both sides name in the handshake.
pub const SUBPROTOCOL: &str = "crewline.v1";

/// Bytes that a message may have, either way.
pub const MESSAGE_BYTES: usize = 1 << 20;
/// Bytes that a message from a client may have before it has signed in.
pub const MESSAGE_BYTES_BEFORE_SIGN_IN: usize = 16 << 10;
/// Bytes that one row, or one event of a run, may have when encoded.
pub const ROW_BYTES: usize = 256 << 10;
