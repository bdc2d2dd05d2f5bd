//! The JSON Schema of everything on the wire: operations with their inputs and outputs, frames, and the types that they use.

use crewline_protocol::{
    OPERATIONS,
    http::{Health, TokenError, TokenRequest, TokenResponse},
};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::{
    document::{render, word},
    frames::FRAMES,
    tables,
};

pub(crate) fn text() -> String {
    render(document())
}

pub(crate) fn document() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let operations: Map<String, Value> = OPERATIONS
        .iter()
        .map(|operation| {
            let spec = json!({
                "kind": word(operation.kind),
                "access": word(operation.access),
                "rate": word(operation.rate),
                "live": operation.live,
                "input": (operation.input_schema)(&mut generator),
                "output": (operation.output_schema)(&mut generator),
            });
            (operation.name.to_owned(), spec)
        })
        .collect();
    let frames: Map<String, Value> = FRAMES
        .iter()
        .map(|frame| {
            let (places, required) = frame.places_schema(&mut generator);
            let schema = json!({
                "type": "array",
                "description": format!("{} From the {}.", frame.about, frame.from.word()),
                "prefixItems": places,
                "minItems": required,
            });
            (frame.key(), schema)
        })
        .collect();
    let nouns: Map<String, Value> = tables::nouns()
        .map(|noun| {
            let fields: Map<String, Value> = noun.fields.iter().map(|field| (field.name.to_string(), tables::field(field))).collect();
            let mut described = json!({"row": (noun.row)(&mut generator), "fields": fields});
            described.as_object_mut().expect("an object").extend(noun.parent.map(|parent| ("parent".to_owned(), json!(parent))));
            (noun.name.to_owned(), described)
        })
        .collect();
    generator.subschema_for::<(Health, TokenRequest, TokenResponse, TokenError)>();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The Crewline wire, version 1",
        "description": "Types by name in $defs; `operations` and `frames` say which of them stand where, and `nouns` what reads may name.",
        "$defs": generator.take_definitions(true),
        "operations": operations,
        "frames": frames,
        "nouns": nouns,
    })
}
