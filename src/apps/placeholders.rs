//! `{name}` in an agent's and a task's texts, with CrewAI's meaning: `\{([A-Za-z_][A-Za-z0-9_\-]*)\}` and nothing else, so that the
//! braces of JSON stay what they are.

use crewline_protocol::operations::run::Inputs;
use serde_json::Value;

/// The names in a text's placeholders, in their order.
pub fn names(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).filter_map(|piece| match piece {
        Piece::Name(name) => Some(name),
        Piece::Text(_) => None,
    })
}

/// The text with its placeholders filled from the inputs. A name that they lack stays as it is: runs with such are refused before
/// they begin.
pub fn fill(text: &str, inputs: &Inputs) -> String {
    let mut filled = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Name(name) => match inputs.get(name) {
                Some(Value::String(value)) => filled.push_str(value),
                Some(value) => filled.push_str(&value.to_string()),
                None => filled.extend(["{", name, "}"]),
            },
        }
    }
    filled
}

enum Piece<'a> {
    Text(&'a str),
    Name(&'a str),
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some(name) = placeholder(rest) {
            rest = &rest[name.len() + 2..];
            return Some(Piece::Name(name));
        }
        let mut starts = rest.match_indices('{').map(|(place, _)| place).filter(|place| *place > 0);
        let end = starts.find(|place| placeholder(&rest[*place..]).is_some()).unwrap_or(rest.len());
        let (text, more) = rest.split_at(end);
        rest = more;
        Some(Piece::Text(text))
    })
}

/// The name, where the text begins with a placeholder.
fn placeholder(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('{')?;
    let (name, _) = inner.split_once('}')?;
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let others = bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    (first && others).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_in_braces_are_placeholders() {
        let text = r#"{name} {"a": {b-1}} {} {1x} {{_y}} { z } {open"#;
        assert_eq!(names(text).collect::<Vec<_>>(), ["name", "b-1", "_y"]);
        let inputs = serde_json::json!({"name": "Ada {b-1}", "b-1": 2, "_y": null});
        let Value::Object(inputs) = inputs else { panic!() };
        assert_eq!(fill(text, &inputs), r#"Ada {b-1} {"a": 2} {} {1x} {null} { z } {open"#);
    }

    #[test]
    fn text_without_placeholders_stays_byte_for_byte() {
        for text in ["", "plain", "é{ü}é", "{", "}", "{}{}", "a{b c}d"] {
            assert_eq!(fill(text, &Inputs::new()), text);
        }
    }
}
