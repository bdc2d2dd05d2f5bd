//! What comes from outside, made fit for a log: no text has U+0000 in it, which nothing on the wire may have, and no result is longer than a
//! conversation takes.

use std::borrow::Cow;

use serde_json::{Value, json};

/// A text with U+FFFD for each U+0000.
pub(super) fn text(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// The same for all texts of a value.
pub(super) fn value(value: Value) -> Value {
    match value {
        Value::String(words) => Value::String(text(words)),
        Value::Array(items) => items.into_iter().map(self::value).collect(),
        Value::Object(fields) => Value::Object(fields.into_iter().map(|(name, field)| (text(name), self::value(field))).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

/// A value of at most so many bytes of JSON: where it is longer, its longest texts are cut, and then its lists. What was cut says so.
pub(super) fn shortened(value: Value, most: usize) -> Value {
    let bytes = |value: &Value| value.to_string().len();
    if bytes(&value) <= most {
        return value;
    }
    let mut cut = value;
    let mut longest = most / 2;
    while longest >= 64 {
        cut = texts_cut(cut, longest);
        if bytes(&cut) <= most {
            return cut;
        }
        longest /= 2;
    }
    let mut items = 64;
    while items > 0 {
        cut = lists_cut(cut, items);
        if bytes(&cut) <= most {
            return cut;
        }
        items /= 2;
    }
    json!({"cut": format!("the result is left out: it has {} bytes, and {most} are the most; ask for less", bytes(&cut))})
}

fn texts_cut(value: Value, most: usize) -> Value {
    match value {
        Value::String(text) => Value::String(text_cut(&text, most).into_owned()),
        Value::Array(items) => items.into_iter().map(|item| texts_cut(item, most)).collect(),
        Value::Object(fields) => Value::Object(fields.into_iter().map(|(name, field)| (name, texts_cut(field, most))).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

/// What was cut already keeps its one remark.
fn text_cut(text: &str, most: usize) -> Cow<'_, str> {
    const REMARK: &str = " … [cut: ask for this alone to read more]";
    let words = text.strip_suffix(REMARK).unwrap_or(text);
    if words.len() <= most {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{}{REMARK}", &words[..words.floor_char_boundary(most)]))
}

fn lists_cut(value: Value, most: usize) -> Value {
    match value {
        Value::Array(items) => items.into_iter().take(most).map(|item| lists_cut(item, most)).collect(),
        Value::Object(fields) => {
            let is_cut = fields.values().any(|field| field.as_array().is_some_and(|items| items.len() > most));
            let mut fields: serde_json::Map<String, Value> =
                fields.into_iter().map(|(name, field)| (name, lists_cut(field, most))).collect();
            if is_cut {
                fields.insert("cut".to_owned(), format!("of each list the first {most} are given: ask for less at once").into());
            }
            Value::Object(fields)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_has_a_nul_in_it() {
        assert_eq!(text("a\0b".into()), "a\u{fffd}b");
        assert_eq!(value(json!({"a\0": ["\0", 1, {"b": "c\0"}]})), json!({"a\u{fffd}": ["\u{fffd}", 1, {"b": "c\u{fffd}"}]}));
    }

    #[test]
    fn what_is_too_long_is_cut_where_it_is_longest_and_says_so() {
        let page = |n: usize| json!({"id": n, "text": "ä".repeat(10_000)});
        let pages = json!({"items": (0..6).map(page).collect::<Value>(), "next": "more"});
        assert_eq!(shortened(pages.clone(), 1 << 20), pages);
        let cut = shortened(pages, 64 << 10);
        assert!(cut.to_string().len() <= 64 << 10, "{}", cut.to_string().len());
        assert_eq!(cut["items"].as_array().map(Vec::len), Some(6));
        assert_eq!((&cut["items"][5]["id"], &cut["next"]), (&json!(5), &json!("more")));
        let text = cut["items"][5]["text"].as_str().unwrap();
        assert!(text.starts_with("ää") && text.ends_with("[cut: ask for this alone to read more]") && text.matches("cut").count() == 1);

        let many = json!({"items": (0..9_000).map(|n| json!({"id": n, "name": "n"})).collect::<Value>()});
        let cut = shortened(many, 2_000);
        assert!(cut.to_string().len() <= 2_000);
        assert_eq!(cut["items"][0], json!({"id": 0, "name": "n"}));
        assert!(cut["cut"].as_str().unwrap().starts_with("of each list the first "));
        assert!(shortened(json!({"a": {"b": 1}, "c": (0..99).map(|n| (n.to_string(), json!(n))).collect::<serde_json::Map<_, _>>()}), 100)["cut"].is_string());
    }
}
