//! The scan that runs before any decode: iterative, so that depth costs no stack.

/// A body that is whole but breaks a rule for values: its request gets `invalid`, the connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// A map has a key twice.
    DuplicateKey,
}
