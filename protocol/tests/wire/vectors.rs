//! The frames that every client is tested against, read and written by this crate.

use crewline_protocol::{
    Fault, FaultCode, Operation,
    frame::{Body, ClientFrame, Malformed, ServerFrame},
    operations::{artifact, auth, run},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::reference::read;

#[derive(Deserialize)]
struct Document {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    from: String,
    hex: String,
    frames: Vec<Value>,
    #[serde(default)]
    canonical: bool,
    #[serde(default)]
    malformed: bool,
    invalid: Option<Invalid>,
}

#[derive(Deserialize, Debug, PartialEq)]
struct Invalid {
    path: String,
    code: String,
}

/// What this crate makes of a vector.
#[derive(Debug, PartialEq, Default)]
struct Seen {
    frames: Vec<Value>,
    malformed: bool,
    invalid: Option<Invalid>,
    written: Vec<u8>,
}

#[test]
fn every_vector_is_read_and_written_as_it_says() {
    let document = include_str!("../../vectors/frames.json");
    let document: Document = serde_json::from_str(document).unwrap();
    assert!(document.vectors.len() >= 60);
    for vector in document.vectors {
        let bytes = unhex(&vector.hex);
        let mut seen = if vector.from == "client" { from_client(&bytes) } else { from_server(&bytes) };
        if !vector.canonical {
            seen.written.clear();
        }
        let written = if vector.canonical { bytes } else { Vec::new() };
        let expected = Seen { frames: vector.frames, malformed: vector.malformed, invalid: vector.invalid, written };
        assert_eq!(seen, expected, "{}", vector.name);
    }
}

fn from_client(bytes: &[u8]) -> Seen {
    let mut seen = Seen::default();
    let mut rest = bytes;
    loop {
        let frame = match ClientFrame::read(&mut rest) {
            Ok(frame) => frame,
            Err(Malformed(_)) => {
                seen.malformed = true;
                return seen;
            }
        };
        frame.write(&mut seen.written);
        seen.invalid = invalid(&frame);
        seen.frames.push(match frame {
            ClientFrame::Hello(body) => json!([1, value(body)]),
            ClientFrame::Request { id, operation, .. } if seen.invalid.is_some() => json!([3, id, operation]),
            ClientFrame::Request { id, operation, input, options } => with(json!([3, id, operation, value(input)]), options),
            ClientFrame::Cancel { id } => json!([6, id]),
            ClientFrame::Subscribe { sub, target, options } => with(json!([10, sub, value(target)]), options),
            ClientFrame::Credit { sub, bytes } => json!([15, sub, bytes]),
            ClientFrame::Unsubscribe { sub } => json!([16, sub]),
            ClientFrame::Presence { sub, state } => json!([20, sub, value(state)]),
            ClientFrame::Ping(nonce) => json!([30, value(nonce)]),
            ClientFrame::Pong(nonce) => json!([31, value(nonce)]),
        });
        if rest.is_empty() {
            return seen;
        }
    }
}

fn from_server(bytes: &[u8]) -> Seen {
    let mut seen = Seen::default();
    let mut rest = bytes;
    loop {
        match ServerFrame::read(&mut rest) {
            Ok(Some(frame)) => {
                frame.write(&mut seen.written);
                seen.frames.push(server_json(frame));
            }
            Ok(None) => {}
            Err(Malformed(_)) => {
                seen.malformed = true;
                return seen;
            }
        }
        if rest.is_empty() {
            return seen;
        }
    }
}

fn server_json(frame: ServerFrame<'_>) -> Value {
    match frame {
        ServerFrame::Welcome(body) => json!([2, value(body)]),
        ServerFrame::Reply { id, output, options } => with(json!([4, id, value(output)]), options),
        ServerFrame::Fault { id, fault } => json!([5, id, value(fault)]),
        ServerFrame::Subscribed { sub, body } => json!([11, sub, value(body)]),
        ServerFrame::Events { sub, offset, span, events } => json!([12, sub, offset, span, value(events)]),
        ServerFrame::Snapshot { sub, offset, value: snapshot } => json!([13, sub, offset, value(snapshot)]),
        ServerFrame::Ended { sub, offset, body } => json!([14, sub, offset, value(body)]),
        ServerFrame::Presence { sub, member, state } => json!([20, sub, value(member), value(state)]),
        ServerFrame::Ping(nonce) => json!([30, value(nonce)]),
        ServerFrame::Pong(nonce) => json!([31, value(nonce)]),
        ServerFrame::Notice(body) => json!([32, value(body)]),
        ServerFrame::Goaway(body) => json!([33, value(body)]),
    }
}

fn invalid(frame: &ClientFrame<'_>) -> Option<Invalid> {
    let ClientFrame::Request { operation, input, .. } = frame else { return None };
    let fault = match *operation {
        auth::Me::NAME => input.decode::<auth::Me>().err(),
        auth::Login::NAME => input.decode::<auth::Login>().err(),
        run::Get::NAME => input.decode::<run::Get>().err(),
        run::List::NAME => input.decode::<run::List>().err(),
        run::Cancel::NAME => input.decode::<run::Cancel>().err(),
        artifact::Create::NAME => input.decode::<artifact::Create>().err().filter(|_| input.flaw().is_some()),
        _ => None,
    };
    fault.map(|Fault { code, fields, .. }| {
        assert_eq!((code, fields.len()), (FaultCode::Invalid, 1));
        Invalid { path: fields[0].path.clone(), code: fields[0].code.clone() }
    })
}

fn with(mut frame: Value, options: Option<Body<'_>>) -> Value {
    if let (Value::Array(elements), Some(options)) = (&mut frame, options) {
        elements.push(value(options));
    }
    frame
}

fn value(body: Body<'_>) -> Value {
    read(&mut body.bytes()).expect("the scan has passed it").json()
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|place| u8::from_str_radix(&hex[place..place + 2], 16).unwrap()).collect()
}
