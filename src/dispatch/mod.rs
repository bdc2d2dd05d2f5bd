//! From a request to its reply: which operation, who asks, how often, under which key, with what input.

mod limits;
mod router;

pub use router::{Reply, Request, Router};
