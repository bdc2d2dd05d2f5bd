//! The wire, seen from outside the crate.

mod frames;
mod reference;
mod scan;
mod tables;
mod vectors;
