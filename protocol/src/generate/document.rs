//! What the JSON documents share: a type's schema, and a text that is the same on every machine.

use crewline_protocol::typescript::TypeScript;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value};
use ts_rs::TS;

/// A type of a body, as generators need it.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) schema: fn(&mut SchemaGenerator) -> Schema,
    pub(crate) typescript: fn(&mut TypeScript) -> String,
}

impl Shape {
    pub(crate) const fn of<T: JsonSchema + TS + 'static>() -> Self {
        Self { schema: |generator| generator.subschema_for::<T>(), typescript: TypeScript::named::<T> }
    }
    /// Any value: what it is depends on the operation, or is the client's own.
    pub(crate) const fn any() -> Self {
        Self { schema: |_| Schema::default(), typescript: |_| "unknown".into() }
    }
}

/// One of two types: which depends on what was asked for.
macro_rules! either {
    ($first:ty, $($other:ty),+) => {
        Shape {
            schema: |generator| schemars::json_schema!({
                "anyOf": [generator.subschema_for::<$first>(), $(generator.subschema_for::<$other>()),+],
            }),
            typescript: |types| [types.named::<$first>(), $(types.named::<$other>()),+].join(" | "),
        }
    };
}
pub(crate) use either;

/// A document's text: indented, with sorted keys whatever features of serde_json the build has.
pub(crate) fn render(document: Value) -> String {
    let mut text = serde_json::to_string_pretty(&sorted(document)).expect("a JSON value serializes");
    text.push('\n');
    text
}

pub(crate) fn sorted(value: Value) -> Value {
    match value {
        Value::Array(elements) => elements.into_iter().map(sorted).collect(),
        Value::Object(entries) => {
            let mut entries: Vec<(String, Value)> = entries.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(Map::from_iter(entries))
        }
        scalar => scalar,
    }
}

/// A word as it stands on the wire, of an enum without content.
pub(crate) fn word(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        other => panic!("not a word: {other:?}"),
    }
}
