//! A run's log on its way out: what is near the head comes from memory, the rest from the store, and both are merged alike.

mod page;
mod tail;

pub use page::{Wanted, merge};
pub use tail::{Tail, TailBlock};
