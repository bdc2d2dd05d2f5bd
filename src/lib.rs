//! Crewline's server. Its rooms import downwards only; ARCHITECTURE.md tells the way of the data through them.

pub mod clock;
pub mod store;
