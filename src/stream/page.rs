//! What a follower is sent next: a frame's worth of merged events, from memory or from the store.

use bytes::Bytes;

use crate::store::Block;

/// Which events a follower gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All.
    All,
    /// Those of these types.
    Only(Vec<String>),
}

/// The events of a block after its first `skip`, as a MessagePack array, merged.
pub fn merge(block: &Block, skip: usize, wanted: &Wanted) -> Bytes {
    let _ = (block, skip, wanted);
    unimplemented!()
}
