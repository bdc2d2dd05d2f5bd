//! A JSON Schema's properties as fields: what filters, sorting and aggregates may ask of a record.

use crewline_protocol::noun::{Field, FieldKind};
use serde_json::{Map, Value};

/// The fields of the data that an object schema describes, by name. What they refer to, and which are sorted by, the collection's
/// other parts say.
pub(super) fn of(schema: &Value) -> Vec<Field> {
    let Some(properties) = schema["properties"].as_object() else { return Vec::new() };
    let required = |name: &str| schema["required"].as_array().is_some_and(|required| required.iter().any(|known| known == name));
    let field = |(name, property): (&String, &Value)| {
        let (kind, nullable) = kind(name, property);
        let field = Field::new(name.clone().into(), kind).unsorted();
        if nullable || !required(name) { field.optional() } else { field }
    };
    properties.iter().map(field).collect()
}

/// What the schema gives to data that lacks it.
pub(super) fn defaults(schema: &Value) -> Map<String, Value> {
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties.filter_map(|(name, property)| Some((name.clone(), property.get("default")?.clone()))).collect()
}

/// The texts that a property may be, where it names them.
pub(super) fn choices(property: &Value) -> Option<Vec<&str>> {
    property["enum"].as_array()?.iter().map(Value::as_str).collect()
}

/// Whether the property may be null.
pub(super) fn nullable(property: &Value) -> bool {
    types(property).contains(&"null")
}

/// What a property holds, and whether it may be null.
fn kind(name: &str, property: &Value) -> (FieldKind, bool) {
    let types = types(property);
    let some: Vec<&str> = types.iter().copied().filter(|known| *known != "null").collect();
    let kind = match some[..] {
        ["string"] => FieldKind::Text,
        ["integer"] if name.ends_with("_at") => FieldKind::Time,
        ["integer"] => FieldKind::Integer,
        ["number"] => FieldKind::Number,
        ["boolean"] => FieldKind::Boolean,
        ["array"] if self::types(&property["items"])[..] == ["string"] => FieldKind::List,
        [] if choices(property).is_some() || property["const"].is_string() => FieldKind::Text,
        _ => FieldKind::Other,
    };
    (kind, some.len() < types.len())
}

fn types(property: &Value) -> Vec<&str> {
    match &property["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_property_is_the_field_that_its_type_says() {
        let schema = json!({"required": ["a", "b"], "properties": {
            "a": {"type": "string"},
            "b": {"enum": ["x", "y"]},
            "c": {"type": ["integer", "null"]},
            "d_at": {"type": "integer"},
            "e": {"type": "number", "default": 1.5},
            "f": {"type": "boolean"},
            "g": {"type": "array", "items": {"type": "string"}},
            "h": {"type": "array", "items": {"type": "integer"}},
            "i": {"type": ["string", "integer"]},
            "j": {"type": "object"},
        }});
        let kinds = [
            FieldKind::Text,
            FieldKind::Text,
            FieldKind::Integer,
            FieldKind::Time,
            FieldKind::Number,
            FieldKind::Boolean,
            FieldKind::List,
            FieldKind::Other,
            FieldKind::Other,
            FieldKind::Other,
        ];
        let fields = of(&schema);
        assert_eq!(fields.iter().map(|field| field.kind).collect::<Vec<_>>(), kinds);
        assert_eq!(fields.iter().map(|field| field.optional).collect::<Vec<_>>(), [[false; 2].as_slice(), &[true; 8]].concat());
        assert!(fields.iter().all(|field| field.filterable == (field.kind != FieldKind::Other) && !field.sortable));
        assert_eq!(Value::Object(defaults(&schema)), json!({"e": 1.5}));
    }
}
