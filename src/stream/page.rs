//! What a follower is sent of a block: its events after a position, those that it wants, merged.

use bytes::Bytes;
use crewline_protocol::encoded::merge_deltas;
use tracing::error;

use crate::store::Block;

/// Which events a follower gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All.
    All,
    /// Those of these types.
    Only(Vec<String>),
}

/// An empty MessagePack array.
const NOTHING: &[u8] = &[0x90];

/// The events of a block after its first `skip`, as a MessagePack array, merged. A block that can't be read, which only a defect
/// or a damaged disk can make, gives no events: the reader's position moves past it, and the log of the server names it.
pub fn merge(block: &Block, skip: usize, wanted: &Wanted) -> Bytes {
    let only = match wanted {
        Wanted::All => None,
        Wanted::Only(types) => Some(types.as_slice()),
    };
    merge_deltas(&block.events, skip, only).unwrap_or_else(|malformed| {
        error!(first = block.first.0, count = block.count, %malformed, "a stored block of events can't be read");
        Bytes::from_static(NOTHING)
    })
}
