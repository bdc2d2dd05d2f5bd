//! The wire, seen from outside the crate.

mod frames;
mod live;
mod nouns;
mod reads;
mod reference;
mod scan;
mod tables;
mod vectors;
