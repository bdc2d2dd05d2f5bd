//! Crewline's server. Its rooms import downwards only; ARCHITECTURE.md tells the way of the data through them.

pub mod access;
pub mod apps;
pub mod auth;
pub mod clock;
pub mod context;
pub mod door;
pub mod engine;
pub mod hub;
pub mod leases;
pub mod limits;
pub mod runs;
pub mod sessions;
pub mod settings;
pub mod store;
pub mod stream;

#[cfg(test)]
mod entities;
