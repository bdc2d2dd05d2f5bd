//! The Python of the wire: types from the JSON Schema, and the operations by name. A value stays the dictionary that it is on the wire;
//! the types are for whoever checks them.

use std::{collections::BTreeSet, fmt::Write};

use crewline_protocol::OPERATIONS;
use serde_json::{Map, Value};

use crate::{document::word, schema};

const HEAD: &str = r#""""The protocol's types, and its operations by name.

Generated from the protocol's types; do not edit. `cargo run -p crewline-protocol --bin generate` writes it.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, overload

if TYPE_CHECKING:
    # Known to whoever checks types, and no dependency.
    from typing_extensions import NotRequired

"#;

/// Words that can't name a field of a class.
const KEYWORDS: [&str; 10] = ["and", "as", "class", "for", "from", "global", "import", "in", "is", "not"];

pub(crate) fn text() -> String {
    let document = schema::document();
    let mut types = Types { names: members(&document["$defs"]).map(|(name, _)| name.clone()).collect(), ..Types::default() };
    for (name, schema) in members(&document["$defs"]) {
        types.declare(name, schema);
    }
    format!("{HEAD}{}\n{}", types.text, operations(&document["operations"]))
}

/// Declarations.
#[derive(Default)]
struct Types {
    text: String,
    /// Names that are taken.
    names: BTreeSet<String>,
}

impl Types {
    fn declare(&mut self, name: &str, schema: &Value) {
        if is_row(schema) {
            self.row(name, schema);
            return;
        }
        let is = self.of(schema, name);
        let _ = writeln!(self.text, "{name}: TypeAlias = {}", quoted(&is));
        self.text.push_str(&doc(schema, ""));
        self.text.push('\n');
    }

    /// A map with fields of its own.
    fn row(&mut self, name: &str, schema: &Value) {
        let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let fields: Vec<(&String, String, &Value)> = members(&schema["properties"])
            .map(|(field, schema)| {
                let is = self.of(schema, &format!("{name}{}", camel(field)));
                (field, if required.contains(&field.as_str()) { is } else { format!("NotRequired[{is}]") }, schema)
            })
            .collect();
        if fields.iter().any(|(field, ..)| KEYWORDS.contains(&field.as_str())) {
            let fields: Vec<String> = fields.iter().map(|(field, is, _)| format!("\"{field}\": {}", quoted(is))).collect();
            let _ = writeln!(self.text, "{name} = TypedDict(\"{name}\", {{{}}})", fields.join(", "));
            self.text.push_str(&doc(schema, ""));
            self.text.push('\n');
            return;
        }
        let _ = writeln!(self.text, "class {name}(TypedDict):");
        self.text.push_str(&doc(schema, "    "));
        if !fields.is_empty() && schema["description"].is_string() {
            self.text.push('\n');
        }
        for (field, is, schema) in &fields {
            let _ = writeln!(self.text, "    {field}: {is}");
            self.text.push_str(&doc(schema, "    "));
        }
        if fields.is_empty() && !schema["description"].is_string() {
            self.text.push_str("    pass\n");
        }
        self.text.push_str("\n\n");
    }

    /// A type as Python writes it. What has fields and no name of its own gets this one.
    fn of(&mut self, schema: &Value, name: &str) -> String {
        if let Some(reference) = schema["$ref"].as_str() {
            return reference.trim_start_matches("#/$defs/").to_owned();
        }
        if let Some(constant) = schema.get("const") {
            return format!("Literal[{}]", literal(constant));
        }
        if let Some(values) = schema["enum"].as_array() {
            return format!("Literal[{}]", values.iter().map(literal).collect::<Vec<_>>().join(", "));
        }
        let choices = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
        if let Some(choices) = choices.filter(|_| !schema["properties"].is_object()) {
            if let Some(words) = choices.iter().map(|choice| choice.get("const")).collect::<Option<Vec<_>>>() {
                return format!("Literal[{}]", words.into_iter().map(literal).collect::<Vec<_>>().join(", "));
            }
            let mut each: Vec<String> = Vec::new();
            for (place, choice) in choices.iter().enumerate() {
                let is = self.of(choice, &format!("{name}{}", distinction(choice, place)));
                if !each.contains(&is) {
                    each.push(is);
                }
            }
            return each.join(" | ");
        }
        match &schema["type"] {
            Value::String(kind) => self.simple(kind, schema, name),
            Value::Array(kinds) => {
                let each: Vec<String> = kinds.iter().filter_map(Value::as_str).map(|kind| self.simple(kind, schema, name)).collect();
                each.join(" | ")
            }
            _ => "Any".to_owned(),
        }
    }

    fn simple(&mut self, kind: &str, schema: &Value, name: &str) -> String {
        match kind {
            // A field may be called as the type is.
            "string" if schema["format"] == "binary" => "builtins.bytes".to_owned(),
            "string" => "str".to_owned(),
            "integer" => "int".to_owned(),
            "number" => "float".to_owned(),
            "boolean" => "bool".to_owned(),
            "null" => "None".to_owned(),
            "array" => format!("list[{}]", self.of(&schema["items"], &format!("{name}Item"))),
            "object" if is_row(schema) => {
                let numbered = (1..).map(|n| if n == 1 { name.to_owned() } else { format!("{name}{n}") });
                let name = numbered.into_iter().find(|name| self.names.insert(name.clone())).expect("numbers do not end");
                self.row(&name, schema);
                name
            }
            "object" => match &schema["additionalProperties"] {
                values @ Value::Object(_) => format!("dict[str, {}]", self.of(values, &format!("{name}Value"))),
                _ => "dict[str, Any]".to_owned(),
            },
            _ => "Any".to_owned(),
        }
    }
}

/// Whether a schema's fields are known by name, all of them.
fn is_row(schema: &Value) -> bool {
    schema["type"] == "object" && schema["properties"].is_object() && !schema["oneOf"].is_array()
}

/// What tells one of several shapes from the others: the word that it is tagged with, or its place.
fn distinction(schema: &Value, place: usize) -> String {
    let tag = members(&schema["properties"]).find_map(|(_, field)| field["const"].as_str());
    let only = schema["required"].as_array().and_then(|required| required.first()).and_then(Value::as_str);
    tag.or(only).map_or_else(|| (place + 1).to_string(), camel)
}

fn operations(operations: &Value) -> String {
    let mut kinds = String::from("KINDS: dict[str, Literal[\"read\", \"mutation\", \"idempotent\"]] = {\n");
    let mut calls = String::from(
        "class Calls:\n    \"\"\"Asking for operations, with their types.\"\"\"\n\n    async def request(self, op: str, input: dict[str, Any], *, key: str | None = None, timeout: float | None = None) -> Any:\n        \"\"\"Asks for an operation.\"\"\"\n        raise NotImplementedError\n\n",
    );
    for operation in OPERATIONS {
        let (name, spec) = (operation.name, &operations[operation.name]);
        let _ = writeln!(kinds, "    \"{name}\": \"{}\",", word(operation.kind));
        let (input, output) = (Types::default().of(&spec["input"], "Any"), Types::default().of(&spec["output"], "Any"));
        let _ = writeln!(
            calls,
            "    @overload\n    async def call(self, op: Literal[\"{name}\"], input: {input}, *, key: str | None = None, timeout: float | None = None) -> {output}: ...\n"
        );
    }
    kinds.push_str("}\n\"\"\"Which operations need a key: mutations do.\"\"\"\n\n\n");
    calls.push_str(
        "    async def call(self, op: str, input: Any, *, key: str | None = None, timeout: float | None = None) -> Any:\n        \"\"\"Asks for an operation. A mutation happens once, however often it is sent; `timeout` is in seconds. Raises `Refused` and `Gone`.\"\"\"\n        return await self.request(op, input, key=key, timeout=timeout)\n",
    );
    kinds + &calls
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn literal(value: &Value) -> String {
    match value {
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        other => other.to_string(),
    }
}

/// A type as text, for what is not declared yet.
fn quoted(is: &str) -> String {
    format!("'{is}'")
}

fn camel(word: &str) -> String {
    let parts = word.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    parts.map(|part| part[..1].to_uppercase() + &part[1..]).collect()
}

fn doc(schema: &Value, indent: &str) -> String {
    let Some(description) = schema["description"].as_str() else { return String::new() };
    let words = description.split_whitespace().collect::<Vec<_>>().join(" ").replace('\\', "\\\\");
    let ends = if words.ends_with('"') { " " } else { "" };
    format!("{indent}\"\"\"{words}{ends}\"\"\"\n")
}
