//! Tools' arguments and results in few words: what a person would want to see of any JSON value.

use serde_json::{Map, Value};

use super::style::{printable, shortened};

/// Elements of a list that are named.
const NAMED: usize = 5;
/// Facts of a result that are shown.
const FACTS: usize = 24;
/// Columns of one value.
const COLUMNS: usize = 160;

/// A tool's arguments in one line, as `input: page, limit: 3`.
pub(super) fn arguments(input: &Value, columns: usize) -> String {
    let text = match input {
        Value::Object(map) => map.iter().map(|(key, value)| format!("{key}: {}", brief(value))).collect::<Vec<_>>().join(", "),
        other => brief(other),
    };
    shortened(&printable(&text), columns)
}

/// A result's facts, label and value; one without a label for what is no object.
pub(super) fn facts(output: &Value) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    match output {
        Value::Object(map) => {
            gather("", map, &mut rows);
            // What it is, then how much, then of what: keys come in no order that means anything.
            rows.sort_by_key(|(rank, _)| *rank);
        }
        other => rows.push((0, vec![value_text(other)])),
    }
    let mut rows: Vec<Vec<String>> = rows.into_iter().map(|(_, row)| row).collect();
    let more = rows.len().saturating_sub(FACTS);
    rows.truncate(FACTS);
    if more > 0 {
        rows.push(vec!["…".into(), format!("{more} more")]);
    }
    rows
}

fn gather(prefix: &str, map: &Map<String, Value>, rows: &mut Vec<(u8, Vec<String>)>) {
    for (key, value) in map {
        let label = printable(&format!("{prefix}{}", key.replace('_', " ")));
        match value {
            Value::Null => {}
            Value::Object(inner) if prefix.is_empty() => gather(&format!("{label}, "), inner, rows),
            other => {
                let rank = match other {
                    Value::String(_) => 0,
                    Value::Array(_) | Value::Object(_) => 2,
                    Value::Null | Value::Bool(_) | Value::Number(_) => 1,
                };
                rows.push((rank, vec![label, value_text(other)]));
            }
        }
    }
}

fn value_text(value: &Value) -> String {
    let text = match value {
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => {
            let named: Vec<String> = items.iter().take(NAMED).map(brief).collect();
            let more = if items.len() > NAMED { ", …" } else { "" };
            format!("{}: {}{more}", items.len(), named.join(", "))
        }
        other => brief(other),
    };
    shortened(&printable(&text), COLUMNS)
}

/// A value in a few words: of an object its first text, and its count where it has one.
fn brief(value: &Value) -> String {
    match value {
        Value::String(text) => shortened(text, COLUMNS),
        Value::Object(map) => {
            let name = map.values().find_map(Value::as_str);
            let count = map.get("count").and_then(Value::as_u64);
            match (name, count) {
                (Some(name), Some(count)) => format!("{} ×{count}", shortened(name, COLUMNS)),
                (Some(name), None) => shortened(name, COLUMNS),
                (None, _) => format!("{{{} fields}}", map.len()),
            }
        }
        Value::Array(items) => format!("[{} items]", items.len()),
        Value::Null => "none".into(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_result_is_told_in_labels_and_values() {
        let output = json!({
            "words": 812, "reading_ease": 61.2, "title": "Hello", "meta_description": null, "links": {"external": 2, "internal": 3},
            "keywords": [{"word": "crew", "count": 9}, {"word": "agent", "count": 4}], "headings": [], "deep": {"a": {"b": 1}},
        });
        let rows: Vec<String> = facts(&output).into_iter().map(|row| row.join(" = ")).collect();
        let expected = [
            "title = Hello",
            "words = 812",
            "reading ease = 61.2",
            "links, external = 2",
            "links, internal = 3",
            "keywords = 2: crew ×9, agent ×4",
            "headings = none",
            "deep, a = {1 fields}",
        ];
        assert_eq!(rows, expected);
        assert_eq!(facts(&json!("done\x1b[2J")), [["done [2J"]]);
        assert_eq!(arguments(&json!({"input": "page", "limit": 3}), 80), "input: page, limit: 3");
    }
}
