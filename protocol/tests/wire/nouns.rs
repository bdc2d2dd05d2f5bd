//! Every noun is what its rows are.

use std::collections::BTreeSet;

use crewline_protocol::noun::{FieldKind, NOUNS, Noun};
use schemars::SchemaGenerator;
use serde_json::Value;

/// The schema of a noun's rows, references followed.
fn row(noun: &Noun) -> (Value, Value) {
    let mut generator = SchemaGenerator::default();
    let reference = (noun.row)(&mut generator).to_value();
    let definitions = Value::Object(generator.take_definitions(true));
    (resolved(&reference, &definitions).clone(), definitions)
}

fn resolved<'a>(schema: &'a Value, definitions: &'a Value) -> &'a Value {
    let reference = schema["$ref"].as_str().or_else(|| schema["anyOf"][0]["$ref"].as_str());
    reference.and_then(|reference| reference.rsplit('/').next()).map_or(schema, |name| &definitions[name])
}

#[test]
fn a_noun_s_fields_are_those_of_its_rows() {
    for noun in NOUNS {
        let (row, _) = row(noun);
        let described: BTreeSet<&str> = noun.fields.iter().map(|field| field.name.as_ref()).collect();
        let there: BTreeSet<&str> = row["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(described, there, "{}", noun.name);
        assert_eq!(described.len(), noun.fields.len(), "{}: a field stands twice", noun.name);
        let needed: BTreeSet<&str> = noun.fields.iter().filter(|field| !field.optional).map(|field| field.name.as_ref()).collect();
        let required: BTreeSet<&str> = row["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(needed, required, "{}", noun.name);
    }
}

#[test]
fn a_field_s_kind_is_that_of_its_values() {
    for noun in NOUNS {
        let (row, definitions) = row(noun);
        for field in noun.fields {
            let schema = resolved(&row["properties"][field.name.as_ref()], &definitions);
            let is = match &schema["type"] {
                Value::Array(kinds) => kinds[0].as_str(),
                kind => kind.as_str(),
            };
            // An enum's variants may each have their own word.
            let is = is.or_else(|| schema["oneOf"][0]["type"].as_str());
            let expected: &[Option<&str>] = match field.kind {
                FieldKind::Id | FieldKind::Text => &[Some("string")],
                FieldKind::Integer | FieldKind::Time => &[Some("integer")],
                FieldKind::Number => &[Some("number")],
                FieldKind::Boolean => &[Some("boolean")],
                FieldKind::List => &[Some("array")],
                FieldKind::Other => &[Some("object"), Some("array"), None],
            };
            assert!(expected.contains(&is), "{}.{} is {schema} and no {}", noun.name, field.name, field.kind.as_str());
            assert_eq!(field.kind == FieldKind::Id, schema["format"] == "uuid", "{}.{}", noun.name, field.name);
            assert_eq!(field.kind == FieldKind::Time, field.name.ends_with("_at"), "{}.{}", noun.name, field.name);
        }
    }
}

#[test]
fn what_a_noun_names_is_there() {
    for noun in NOUNS {
        for name in noun.parent.iter().chain(&noun.title) {
            assert!(noun.field(name).is_some_and(|field| field.filterable), "{}.{name}", noun.name);
        }
        for other in noun.fields.iter().filter_map(|field| field.refers.as_deref()) {
            assert!(crewline_protocol::noun::find(other).is_some(), "{} refers to {other}", noun.name);
        }
        for field in noun.fields {
            assert!(!field.sortable || field.filterable, "{}.{}", noun.name, field.name);
        }
    }
}
