//! Tools' arguments and results in few words: what a person would want to see of any JSON value.

use serde_json::{Map, Value};

use super::style::{printable, shortened, width};

/// Elements of a list that are named.
const NAMED: usize = 5;
/// Facts of a result that are shown.
const FACTS: usize = 24;
/// Columns of one value.
const COLUMNS: usize = 160;
/// Columns of a value beside others in a line.
const BESIDE: usize = 40;
/// By what people know a row, whatever else it has.
const NAMES: [&str; 4] = ["title", "name", "text", "summary"];

/// A tool's arguments in one line, as `input: page, limit: 3`.
pub(super) fn arguments(input: &Value, columns: usize) -> String {
    let text = match input {
        Value::Object(map) => {
            arguments_of(map).into_iter().map(|(key, value)| format!("{key}: {}", brief(value))).collect::<Vec<_>>().join(", ")
        }
        other => brief(other),
    };
    shortened(&printable(&text), columns)
}

/// A tool's arguments as rows of label and value, nothing left out: what a person decides on.
pub(super) fn whole(input: &Value) -> Vec<Vec<String>> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let row = |(key, value): (&str, &Value)| vec![printable(key), printable(&text(value))];
    match input {
        Value::Object(map) => arguments_of(map).into_iter().map(row).collect(),
        other => vec![vec![printable(&text(other))]],
    }
}

/// Arguments by their keys, those in `data` among them, for it only says that they are a row's; ids last, for they say nothing.
fn arguments_of(map: &Map<String, Value>) -> Vec<(&str, &Value)> {
    let (mut told, mut ids) = (Vec::new(), Vec::new());
    for (key, value) in map {
        match value {
            Value::Object(data) if key == "data" => told.extend(data.iter().map(|(key, value)| (key.as_str(), value))),
            other => told.push((key.as_str(), other)),
        }
    }
    told.retain(|(key, value)| {
        let keep = !is_id(value) && *key != "revision";
        if !keep {
            ids.push((*key, *value));
        }
        keep
    });
    told.extend(ids);
    told
}

/// Whether a value is a UUID.
fn is_id(value: &Value) -> bool {
    let digits = |part: &str, count| part.len() == count && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parts = value.as_str().map(|text| text.split('-').collect::<Vec<_>>()).unwrap_or_default();
    parts.len() == 5 && parts.iter().zip([8, 4, 4, 4, 12]).all(|(part, count)| digits(part, count))
}

/// A row in a line: by what people know it, then what it says in few words.
fn row_in_short(row: &Value) -> Option<String> {
    let data = row["data"].as_object().filter(|_| row["revision"].is_number())?;
    let name = NAMES.iter().find_map(|name| Some((*name, data.get(*name)?.as_str()?)));
    let mut more = Vec::new();
    for (key, value) in data.iter().filter(|(key, value)| !is_id(value) && name.is_none_or(|(name, _)| name != *key)) {
        match value {
            Value::String(text) if width(text) > BESIDE || text.starts_with("http") => {}
            Value::Array(_) | Value::Object(_) | Value::Null => {}
            other => more.push(format!("{} {}", key.replace('_', " "), brief(other))),
        }
    }
    let name = name.map(|(_, text)| shortened(text, BESIDE + BESIDE / 2));
    Some(printable(&name.into_iter().chain(more).collect::<Vec<_>>().join(" · ")))
}

/// A result's facts, label and value; one without a label for what is no object.
pub(super) fn facts(output: &Value) -> Vec<Vec<String>> {
    if let Some(row) = row_in_short(output) {
        return vec![vec![row]];
    }
    if let Some(rows) = output["items"].as_array().filter(|rows| !rows.is_empty()) {
        let known: Option<Vec<Vec<String>>> = rows.iter().take(NAMED).map(|row| Some(vec![row_in_short(row)?])).collect();
        let more = rows.len().checked_sub(NAMED + 1).map(|more| vec![format!("… and {} more", more + 1)]);
        if let Some(known) = known {
            return known.into_iter().chain(more).collect();
        }
    }
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

    #[test]
    fn rows_are_told_by_their_names_and_ids_come_last() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let row = |title: &str| {
            json!({"id": id, "revision": 3, "created_at": 1, "data": {"url": "https://a.example", "title": title, "status": "read",
            "campaign_id": id, "text": "x ".repeat(100), "quality_score": 8}})
        };
        assert_eq!(facts(&row("Tea")), [["Tea · status read · quality score 8"]]);
        let list = json!({"items": (1..=7).map(|n| row(&format!("Tea {n}"))).collect::<Vec<_>>()});
        let told = facts(&list);
        assert_eq!((told.len(), told[1][0].split(" · ").next(), told[5][0].as_str()), (6, Some("Tea 2"), "… and 2 more"));
        assert_eq!(facts(&json!({"items": []})), [["items", "none"]]);
        let update = json!({"collection": "pages", "id": id, "revision": 3, "data": {"status": "read", "words": 7}});
        assert_eq!(arguments(&update, 60), "collection: pages, status: read, words: 7, id: 01890a5d-ac9…");
    }
}
