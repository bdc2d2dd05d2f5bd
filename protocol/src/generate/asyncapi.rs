//! The socket as an AsyncAPI 3 document: one channel, a message for each frame, and for each operation its request and reply.

use crewline_protocol::{OPERATIONS, OperationSpec, SUBPROTOCOL, scan::DEPTH};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{
    document::{render, word},
    frames::{FRAMES, Frame, From},
    tables,
};

const CHANNEL: &str = "socket";

pub(crate) fn text() -> String {
    // AsyncAPI's own schemas are draft 7 with more words.
    let settings = SchemaSettings::draft07().with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    let mut messages = Map::new();
    let mut operations = Map::new();
    for frame in FRAMES {
        let (places, required) = frame.places_schema(&mut generator);
        messages.insert(frame.key(), message(frame.about, &frame.layout(), &places, required));
        operations.insert(format!("frame.{}", frame.key()), frame_operation(frame));
    }
    for operation in OPERATIONS {
        let (request, reply) = exchange(operation, &mut generator);
        messages.insert(format!("{}.request", operation.name), request);
        messages.insert(format!("{}.reply", operation.name), reply);
        operations.insert(operation.name.into(), requested(operation, &mut generator));
    }
    let in_channel: Map<String, Value> =
        messages.keys().map(|key| (key.clone(), json!({"$ref": format!("#/components/messages/{key}")}))).collect();
    render(json!({
        "asyncapi": "3.1.0",
        "info": {
            "title": "Crewline",
            "version": "1.0.0",
            "description": about(),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/msgpack",
        "servers": {
            "own": {
                "host": "{host}",
                "protocol": "ws",
                "description": "A server of one's own; `wss` where it speaks TLS.",
                "variables": {"host": {"default": "localhost", "description": "Name and port."}},
            },
        },
        "channels": {
            CHANNEL: {
                "address": "/ws",
                "title": "The socket",
                "description": format!("One WebSocket with the subprotocol `{SUBPROTOCOL}`."),
                "messages": in_channel,
                "bindings": {
                    "ws": {
                        "method": "GET",
                        "headers": {
                            "type": "object",
                            "properties": {"Sec-WebSocket-Protocol": {"type": "string", "const": SUBPROTOCOL}},
                            "required": ["Sec-WebSocket-Protocol"],
                        },
                        "bindingVersion": "0.1.0",
                    },
                },
            },
        },
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": generator.take_definitions(true),
        },
    }))
}

fn about() -> String {
    let mut text = format!(
        "The socket between a front end and its crew of agents. Binary messages only; a message is one or more MessagePack arrays, \
         one after another, each of which is a frame, nested at most {DEPTH} deep. Operations are told from the server's side: it \
         receives requests and sends replies.\n\n| fault | retry | when |\n| --- | --- | --- |\n"
    );
    for (code, retry, when) in tables::faults() {
        text.push_str(&format!("| `{code}` | {retry} | {when} |\n"));
    }
    text.push_str("\n| close | the client | fault before it | why |\n| --- | --- | --- | --- |\n");
    for (code, after, fault, reason) in tables::closes() {
        text.push_str(&format!("| {code} | {after} | {} | {reason} |\n", fault.unwrap_or("none")));
    }
    text
}

fn message(about: &str, title: &str, places: &[Value], required: usize) -> Value {
    json!({
        "title": title,
        "summary": about,
        "contentType": "application/msgpack",
        "payload": {"type": "array", "items": places, "minItems": required},
    })
}

fn frame_operation(frame: &Frame) -> Value {
    let action = match frame.from {
        From::Client => "receive",
        From::Server => "send",
    };
    json!({
        "action": action,
        "channel": {"$ref": format!("#/channels/{CHANNEL}")},
        "title": frame.layout(),
        "summary": frame.about,
        "messages": [of_channel(&frame.key())],
    })
}

/// An operation's request and reply: those frames with its own input and output.
fn exchange(operation: &OperationSpec, generator: &mut SchemaGenerator) -> (Value, Value) {
    let frame = |name: &str, generator: &mut SchemaGenerator| {
        let frame = FRAMES.iter().find(|frame| frame.name == name).expect("the table has requests and replies");
        (frame.layout(), frame.places_schema(generator))
    };
    let (title, (mut places, required)) = frame("request", generator);
    places[2] = json!({"const": operation.name});
    places[3] = (operation.input_schema)(generator).to_value();
    let request = message(&format!("Asks for `{}`.", operation.name), &title, &places, required);
    let (title, (mut places, required)) = frame("reply", generator);
    places[2] = (operation.output_schema)(generator).to_value();
    (request, message(&format!("Answers `{}`.", operation.name), &title, &places, required))
}

fn requested(operation: &OperationSpec, generator: &mut SchemaGenerator) -> Value {
    let _ = (operation.input_schema)(generator);
    let documentation = operation.documentation();
    let (summary, description) = documentation.split_once("\n\n").unwrap_or((&documentation, ""));
    json!({
        "action": "receive",
        "channel": {"$ref": format!("#/channels/{CHANNEL}")},
        "title": operation.name,
        "summary": summary,
        "description": description,
        "tags": [{"name": operation.noun()}],
        "x-kind": word(operation.kind),
        "x-access": word(operation.access),
        "x-rate": word(operation.rate),
        "x-live": operation.live,
        "messages": [of_channel(&format!("{}.request", operation.name))],
        "reply": {
            "channel": {"$ref": format!("#/channels/{CHANNEL}")},
            "messages": [of_channel(&format!("{}.reply", operation.name)), of_channel("fault")],
        },
    })
}

fn of_channel(message: &str) -> Value {
    json!({"$ref": format!("#/channels/{CHANNEL}/messages/{message}")})
}
