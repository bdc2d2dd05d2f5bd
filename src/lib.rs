//! Crewline's server. Its rooms import downwards only; ARCHITECTURE.md tells the way of the data through them.

#![deny(clippy::unwrap_used)]

pub mod access;
pub mod approvals;
pub mod apps;
pub mod artifacts;
pub mod auth;
pub mod budgets;
pub mod clock;
pub mod connection;
pub mod context;
pub mod control;
pub mod crews;
pub mod dispatch;
pub mod door;
pub mod endings;
pub mod engine;
#[cfg(test)]
mod entities;
pub mod hub;
pub mod keys;
pub mod leases;
pub mod limits;
pub mod lines;
pub mod members;
pub mod query;
pub mod records;
pub mod reload;
pub mod runs;
pub mod server;
pub mod sessions;
pub mod settings;
#[cfg(test)]
mod simulation;
pub mod store;
pub mod stream;
pub mod sweep;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod truth;
pub mod workers;
pub mod workspaces;
