//! JSON Schema in TypeScript's words. What TypeScript can't say, such as a length or a pattern, the server alone checks; what is not
//! known here is `unknown`, never wrong.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::Value;

/// How deep schemas are written out: one that refers to itself has no end.
const DEPTH: usize = 12;

/// An interface for the objects that a schema describes, with more to say of some of its properties.
pub(super) fn interface(name: &str, documentation: &str, schema: &Value, notes: &BTreeMap<&str, String>) -> String {
    let printer = Printer { root: schema };
    let comment = comment(documentation.trim(), "");
    if schema["properties"].is_object() {
        return format!("\n{comment}export interface {name} {}\n", printer.object(schema, "", notes, 0));
    }
    format!("\n{comment}export type {name} = {};\n", printer.print(schema, "", 0))
}

/// A documentation comment; nothing for no words.
pub(super) fn comment(text: &str, indent: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| line.trim().replace("*/", "*\\/")).filter(|line| !line.is_empty()).collect();
    match &lines[..] {
        [] => String::new(),
        [line] => format!("{indent}/** {line} */\n"),
        lines => {
            let body: String = lines.iter().map(|line| format!("{indent} * {line}\n")).collect();
            format!("{indent}/**\n{body}{indent} */\n")
        }
    }
}

/// A property's name, quoted where it must be.
pub(super) fn key(name: &str) -> String {
    let plain =
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if plain { name.to_owned() } else { Value::from(name).to_string() }
}

struct Printer<'a> {
    /// Where `$ref` leads.
    root: &'a Value,
}

impl Printer<'_> {
    /// The type of a schema's values. Every part of a schema narrows it, so that parts are joined by `&`.
    fn print(&self, schema: &Value, indent: &str, depth: usize) -> String {
        if schema == &Value::Bool(false) {
            return "never".into();
        }
        if depth > DEPTH {
            return "unknown".into();
        }
        let mut parts = Vec::new();
        if let Some(referred) = schema["$ref"].as_str().and_then(|to| self.root.pointer(to.strip_prefix('#')?)) {
            parts.push(self.print(referred, indent, depth + 1));
        }
        if let Some(choices) = schema["enum"].as_array() {
            parts.push(union(choices.iter().map(Value::to_string)));
        } else if let Some(only) = schema.get("const") {
            parts.push(only.to_string());
        } else {
            match &schema["type"] {
                Value::String(name) => parts.push(self.named(name, schema, indent, depth)),
                Value::Array(names) => {
                    let names = names.iter().filter_map(Value::as_str);
                    parts.push(union(names.map(|name| self.named(name, schema, indent, depth))));
                }
                _ if schema["properties"].is_object() => parts.push(self.object(schema, indent, &BTreeMap::new(), depth)),
                _ => {}
            }
        }
        for word in ["anyOf", "oneOf"] {
            if let Some(schemas) = schema[word].as_array() {
                parts.push(union(schemas.iter().map(|schema| self.print(schema, indent, depth + 1))));
            }
        }
        parts.extend(schema["allOf"].as_array().into_iter().flatten().map(|schema| self.print(schema, indent, depth + 1)));
        parts.retain(|part| part != "unknown");
        match &parts[..] {
            [] => "unknown".into(),
            [part] => part.clone(),
            parts => parts.iter().map(|part| whole(part)).collect::<Vec<_>>().join(" & "),
        }
    }

    fn named(&self, name: &str, schema: &Value, indent: &str, depth: usize) -> String {
        match name {
            "string" | "boolean" | "null" => name.to_owned(),
            "integer" | "number" => "number".into(),
            "array" => self.array(schema, indent, depth),
            "object" => self.object(schema, indent, &BTreeMap::new(), depth),
            _ => "unknown".into(),
        }
    }

    fn array(&self, schema: &Value, indent: &str, depth: usize) -> String {
        if let Some(first) = schema["prefixItems"].as_array() {
            let mut places: Vec<String> = first.iter().map(|schema| self.print(schema, indent, depth + 1)).collect();
            if schema["items"] != Value::Bool(false) {
                places.push(format!("...{}[]", whole(&self.print(&schema["items"], indent, depth + 1))));
            }
            return format!("[{}]", places.join(", "));
        }
        format!("{}[]", whole(&self.print(&schema["items"], indent, depth + 1)))
    }

    fn object(&self, schema: &Value, indent: &str, notes: &BTreeMap<&str, String>, depth: usize) -> String {
        let more = &schema["additionalProperties"];
        let Some(properties) = schema["properties"].as_object().filter(|properties| !properties.is_empty()) else {
            return match more {
                Value::Bool(false) => "Record<string, never>".into(),
                more => format!("Record<string, {}>", self.print(more, indent, depth + 1)),
            };
        };
        let inner = format!("{indent}  ");
        let mut out = String::from("{\n");
        for (name, property) in properties {
            let note = notes.get(name.as_str()).map_or("", String::as_str);
            let said = format!("{} {note}", property["description"].as_str().unwrap_or_default());
            let required = schema["required"].as_array().is_some_and(|required| required.iter().any(|known| known == name));
            let mark = if required { "" } else { "?" };
            let r#type = self.print(property, &inner, depth + 1);
            // A text that can't be written to is no text.
            let _ = writeln!(out, "{}{inner}{}{mark}: {type};", comment(said.trim(), &inner), key(name));
        }
        if more != &Value::Bool(false) {
            let _ = writeln!(out, "{inner}[key: string]: unknown;");
        }
        out.push_str(indent);
        out.push('}');
        out
    }
}

fn union(types: impl Iterator<Item = String>) -> String {
    let mut distinct: Vec<String> = Vec::new();
    for r#type in types {
        if !distinct.contains(&r#type) {
            distinct.push(r#type);
        }
    }
    if distinct.is_empty() { "never".into() } else { distinct.join(" | ") }
}

/// A type that something can be put behind.
fn whole(r#type: &str) -> String {
    let single = r#type.bytes().all(|b| b.is_ascii_alphanumeric()) || r#type.ends_with("[]") && !r#type.contains(' ');
    if single { r#type.to_owned() } else { format!("({type})") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn printed(schema: &Value) -> String {
        Printer { root: schema }.print(schema, "", 0)
    }

    #[test]
    fn a_schema_reads_as_the_type_that_its_values_have() {
        let cases = [
            (json!({"type": "string", "maxLength": 3}), "string"),
            (json!({"type": ["integer", "null"]}), "number | null"),
            (json!({"enum": ["a", "b\"c", 1, null]}), r#""a" | "b\"c" | 1 | null"#),
            (json!({"const": true}), "true"),
            (json!({"type": "array", "items": {"type": "string"}}), "string[]"),
            (json!({"type": "array", "items": {"enum": ["a", "b"]}}), r#"("a" | "b")[]"#),
            (json!({"type": "array"}), "unknown[]"),
            (json!({"type": "array", "prefixItems": [{"type": "number"}], "items": false}), "[number]"),
            (json!({"type": "object"}), "Record<string, unknown>"),
            (json!({"type": "object", "additionalProperties": {"type": "integer"}}), "Record<string, number>"),
            (json!({"type": "object", "additionalProperties": false}), "Record<string, never>"),
            (json!({"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "number"}]}), "string | number"),
            (
                json!({"allOf": [{"anyOf": [{"type": "string"}, {"type": "null"}]}, {"$ref": "#/$defs/a"}], "$defs": {"a": {"type": "string"}}}),
                "(string | null) & string",
            ),
            (json!({"not": {"type": "string"}}), "unknown"),
            (json!(true), "unknown"),
            (json!(false), "never"),
        ];
        for (schema, expected) in cases {
            assert_eq!(printed(&schema), expected, "{schema}");
        }
        let object = json!({"type": "object", "required": ["a"], "additionalProperties": false, "properties": {
            "a": {"type": "string", "description": "First. */"},
            "b-c": {"type": "object", "properties": {"d": {"type": "boolean"}}},
        }});
        let expected = "{\n  /** First. *\\/ */\n  a: string;\n  \"b-c\"?: {\n    d?: boolean;\n    [key: string]: unknown;\n  };\n}";
        assert_eq!(printed(&object), expected);
    }

    #[test]
    fn a_schema_that_refers_to_itself_comes_to_an_end() {
        let tree = json!({"type": "object", "properties": {"of": {"type": "array", "items": {"$ref": "#"}}}});
        assert!(printed(&tree).contains("of?: unknown;"));
    }
}
