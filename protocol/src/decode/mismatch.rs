//! What a decoder says of bytes that are not the type they should be: at which field, and what is wrong with it, in the wire's
//! words instead of Rust's.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use crate::{fault::FieldFault, frame::Malformed};

/// Bytes that are not the type they should be, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Innermost first.
    steps: Vec<Step>,
    code: &'static str,
    message: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl Mismatch {
    pub(super) fn new(code: &'static str, message: String) -> Self {
        Self { steps: Vec::new(), code, message }
    }
    fn at(code: &'static str, key: &str, message: String) -> Self {
        Self { steps: vec![Step::Key(key.into())], code, message }
    }
    pub(super) fn under(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// As a fault names it.
    pub fn into_field(self) -> FieldFault {
        FieldFault { path: self.path(), code: self.code.into(), message: self.message }
    }

    /// Where: as `items[2].name`; empty for the whole.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for step in self.steps.iter().rev() {
            match step {
                Step::Key(key) if path.is_empty() => path.push_str(key),
                Step::Key(key) => path.extend([".", key]),
                Step::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path() {
            path if path.is_empty() => f.write_str(&self.message),
            path => write!(f, "`{path}` {}", self.message),
        }
    }
}

impl std::error::Error for Mismatch {}

impl From<Malformed> for Mismatch {
    fn from(malformed: Malformed) -> Self {
        Self::new("type", malformed.0.into())
    }
}

impl de::Error for Mismatch {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new("format", format!("is {message}"))
    }
    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new("type", format!("must be {}, not {}", plain(expected), found_plain(found)))
    }
    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new("range", format!("must be {}, not {}", plain(expected), found_plain(found)))
    }
    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::new("length", format!("must be {}, and has {length} elements", plain(expected)))
    }
    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new("enum", format!("is `{variant}`, and must be {}", one_of(expected)))
    }
    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let known = if expected.is_empty() { "there are none".into() } else { format!("there may be {}", one_of(expected)) };
        Self::at("unknown", field, format!("is not a field here; {known}"))
    }
    fn missing_field(field: &'static str) -> Self {
        Self::at("required", field, "is missing".into())
    }
    fn duplicate_field(field: &'static str) -> Self {
        Self::at("duplicate", field, "stands twice in the same map".into())
    }
}

/// What was expected, in the wire's words instead of Rust's.
fn plain(expected: &dyn Expected) -> String {
    match expected.to_string() {
        text if text.starts_with("struct ") || text == "a map" => "a map".into(),
        text if text == "a string" || text.contains("variant identifier") => "a text".into(),
        text if text.starts_with("enum ") || text.starts_with("internally tagged enum ") => "one of its variants".into(),
        text => match text.as_bytes() {
            [b'u' | b'i', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => format!("an integer ({text})"),
            [b'f', b'3' | b'6', ..] => "a number".into(),
            _ => text,
        },
    }
}

fn found_plain(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Str(_) => "a text".into(),
        Unexpected::Bytes(_) => "binary".into(),
        Unexpected::Seq => "an array".into(),
        Unexpected::Unit | Unexpected::Option => "nil".into(),
        other => other.to_string(),
    }
}

fn one_of(names: &[&str]) -> String {
    match names {
        [] => "nothing".into(),
        [only] => format!("`{only}`"),
        [first @ .., last] => format!("`{}` or `{last}`", first.join("`, `")),
    }
}
