//! What is wrong with a body that is whole: which rule for values it breaks, and where.

use std::fmt::Write;

use crate::pack::{self, Head};

/// A body that is whole but breaks a rule for values: its request gets `invalid`, the connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flaw {
    /// Which rule.
    pub rule: Rule,
    /// Where in the body, in bytes.
    at: usize,
}

/// The rules for values. Breaking one costs the request, not the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// No map has a key twice.
    DuplicateKey,
    /// Keys are text.
    TextKey,
    /// No text holds U+0000.
    NoNul,
    /// Numbers are finite.
    Finite,
    /// Integers are within ±(2^53 − 1).
    SafeInteger,
    /// `bin` stands only where an operation says so.
    NoBinary,
    /// A body, options or a target is a map.
    Map,
}

impl Flaw {
    pub(crate) fn not_a_map() -> Self {
        Self { rule: Rule::Map, at: 0 }
    }

    /// The path of what is flawed in the body, as `items[2].name`; empty for the whole. It walks the body again: faults are rare.
    pub fn path(self, body: &[u8]) -> String {
        path(body, self.at).unwrap_or_default()
    }
}

impl Rule {
    /// The code of the field's fault.
    pub const fn code(self) -> &'static str {
        match self {
            Self::DuplicateKey => "duplicate",
            Self::TextKey | Self::NoBinary | Self::Map => "type",
            Self::NoNul => "pattern",
            Self::Finite | Self::SafeInteger => "range",
        }
    }

    /// What is wrong, for people.
    pub const fn message(self) -> &'static str {
        match self {
            Self::DuplicateKey => "stands twice in the same map",
            Self::TextKey => "a key is not text",
            Self::NoNul => "holds U+0000, which text may not",
            Self::Finite => "is not a finite number",
            Self::SafeInteger => "is an integer outside ±(2^53 − 1)",
            Self::NoBinary => "is binary, where text or another type is expected",
            Self::Map => "is not a map",
        }
    }
}

/// Keeps the first flaw found.
pub(super) fn note(flaw: &mut Option<Flaw>, rule: Rule, at: usize) {
    flaw.get_or_insert(Flaw { rule, at });
}

/// The path of the value or key at a place in the body; `None` where the body ends before it.
fn path(body: &[u8], at: usize) -> Option<String> {
    let place = |rest: &[u8]| body.len() - rest.len();
    let mut path = String::new();
    let mut rest = body;
    'inside: while place(rest) < at {
        match pack::head(&mut rest).ok()? {
            Head::Array(count) => {
                for index in 0..count {
                    let element = rest;
                    pack::skip(&mut rest).ok()?;
                    if at < place(rest) {
                        let _ = write!(path, "[{index}]");
                        rest = element;
                        continue 'inside;
                    }
                }
                return None;
            }
            Head::Map(count) => {
                for _ in 0..count {
                    let key = pack::value(&mut rest).ok()?;
                    let key_end = place(rest);
                    let value = rest;
                    pack::skip(&mut rest).ok()?;
                    if at >= place(rest) {
                        continue;
                    }
                    if let Ok(Head::Text(key)) = pack::head(&mut &*key) {
                        let dot = if path.is_empty() { "" } else { "." };
                        let _ = write!(path, "{dot}{}", String::from_utf8_lossy(key));
                    }
                    if at < key_end {
                        return Some(path);
                    }
                    rest = value;
                    continue 'inside;
                }
                return None;
            }
            _ => return None,
        }
    }
    Some(path)
}
