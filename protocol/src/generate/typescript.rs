//! The TypeScript of the wire: types, the operations by name, frames, and the tables that a client decides by.

use std::fmt::Write;

use crewline_protocol::{
    MESSAGE_BYTES, MESSAGE_BYTES_BEFORE_SIGN_IN, OPERATIONS, ROW_BYTES, RunEvent, SUBPROTOCOL,
    follow::{CONNECTION_CREDIT_CAP_BYTES, CREDIT_BYTES, CREDIT_CAP_BYTES},
    scan::DEPTH,
    typescript::TypeScript,
};

use crate::{
    document::word,
    frames::{FRAMES, Frame, From, Place},
    tables,
};

pub(crate) fn text() -> String {
    let mut types = TypeScript::default();
    for operation in OPERATIONS {
        (operation.typescript)(&mut types);
    }
    let frames: String = FRAMES.iter().map(|frame| declare(frame, &mut types)).collect();
    assert!(types.clashes.is_empty(), "two types have one name: {:?}", types.clashes);

    let mut text =
        String::from("// Generated from the protocol's types; do not edit. `cargo run -p crewline-protocol --bin generate` writes it.\n\n");
    for declaration in types.declarations.values() {
        text.push_str(&tidy(declaration));
        text.push('\n');
    }
    text.push_str(&operations(&types));
    text.push_str(&frames);
    for from in [From::Client, From::Server] {
        let names: Vec<String> = FRAMES.iter().filter(|frame| frame.from == from).map(type_name).collect();
        let _ =
            writeln!(text, "/** What a {} sends. */\nexport type {}Frame = {};\n", from.word(), capital(from.word()), names.join(" | "));
    }
    text.push_str(&constants());
    text
}

/// A declaration a line a field, with comments of a line where they have one.
fn tidy(declaration: &str) -> String {
    let lines = declaration.replace("{ \"type\"", "{\n\"type\"").replace(", };", ",\n};").replace(", } | {", ",\n} | {");
    let lines: Vec<&str> = lines.lines().map(str::trim).collect();
    let mut text = String::new();
    let mut inside = false;
    let mut place = 0;
    while let Some(line) = lines.get(place) {
        inside &= !line.starts_with('}');
        let indent = if inside { "  " } else { "" };
        match lines[place..] {
            ["/**", only, "*/", ..] => {
                let _ = writeln!(text, "{indent}/** {} */", only.trim_start_matches("* "));
                place += 3;
            }
            _ => {
                let star = if line.starts_with('*') { " " } else { "" };
                let _ = writeln!(text, "{indent}{star}{line}");
                place += 1;
            }
        }
        inside |= line.ends_with('{');
    }
    text
}

fn operations(types: &TypeScript) -> String {
    let mut text =
        String::from("/** Every operation: its input and output, and what sending it again does. */\nexport type Operations = {\n");
    for (name, kind, input, output) in &types.operations {
        let live = OPERATIONS.iter().any(|operation| operation.name == *name && operation.live);
        let _ = writeln!(text, "  \"{name}\": {{ kind: \"{}\", live: {live}, input: {input}, output: {output} }},", word(kind));
    }
    text.push_str("};\n\n/** What sending each operation again does: a `mutation` carries a key. */\nexport const OPERATION_KINDS = {\n");
    for (name, kind, ..) in &types.operations {
        let _ = writeln!(text, "  \"{name}\": \"{}\",", word(kind));
    }
    text.push_str("} as const satisfies { [Name in keyof Operations]: Operations[Name][\"kind\"] };\n\n");
    text.push_str("/** What the reads of each noun may name: in a filter, and in `sort`. */\nexport const NOUNS = {\n");
    for noun in tables::nouns() {
        let _ = writeln!(text, "  {}: {{", noun.name);
        for field in noun.fields {
            let _ = writeln!(text, "    {}: {},", field.name, tables::field(field));
        }
        text.push_str("  },\n");
    }
    text.push_str("} as const;\n\n");
    text
}

fn declare(frame: &Frame, types: &mut TypeScript) -> String {
    let mut places = vec![format!("kind: {}", frame.kind)];
    for (name, place) in frame.places {
        let is = match place {
            Place::Integer(_) => "number".into(),
            Place::Name => "string".into(),
            Place::Body(shape) => (shape.typescript)(types),
        };
        places.push(format!("{name}: {is}"));
    }
    format!("/** {} */\nexport type {} = [{}];\n\n", frame.about, type_name(frame), places.join(", "))
}

fn type_name(frame: &Frame) -> String {
    let words: String = frame.key().split('_').map(capital).collect();
    format!("{words}Frame")
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

fn constants() -> String {
    let mut text = format!("/** The WebSocket subprotocol. */\nexport const SUBPROTOCOL = \"{SUBPROTOCOL}\";\n\n");
    text.push_str("/** The number that each frame begins with. */\nexport const KINDS = {\n");
    let mut kinds: Vec<(u8, &str)> = FRAMES.iter().map(|frame| (frame.kind, frame.name)).collect();
    kinds.dedup();
    for (kind, name) in kinds {
        let _ = writeln!(text, "  {name}: {kind},");
    }
    text.push_str(
        "} as const;\n\n/** What a client does after each fault, unless the fault says otherwise. */\nexport const FAULT_RETRY = {\n",
    );
    for (code, retry, when) in tables::faults() {
        let _ = writeln!(text, "  /** {when} */\n  {code}: \"{retry}\",");
    }
    text.push_str("} as const satisfies Record<FaultCode, Retry>;\n\n");
    text.push_str("/**\n * What a client does after each close. Others: 4100 to 4199 `sign_in`, 4200 to 4299 `stop`, and all else `reconnect`.\n */\n");
    text.push_str("export const CLOSES = {\n");
    for (code, after, fault, reason) in tables::closes() {
        let fault = fault.map_or_else(|| "null".into(), |fault| format!("\"{fault}\""));
        let _ = writeln!(text, "  /** {reason} */\n  {code}: {{ after: \"{after}\", fault: {fault} }},");
    }
    text.push_str("} as const;\n\n/** Every type of a run's event. */\nexport const RUN_EVENT_TYPES = [\n");
    for name in RunEvent::TYPES {
        let _ = writeln!(text, "  \"{name}\",");
    }
    text.push_str(
        "] as const satisfies readonly RunEvent[\"type\"][];\n\n/** Bounds that hold for every connection. */\nexport const LIMITS = {\n",
    );
    for (name, about, value) in [
        ("message_bytes", "Bytes of a message.", MESSAGE_BYTES as i64),
        ("message_bytes_before_sign_in", "Bytes of a client's message before it has signed in.", MESSAGE_BYTES_BEFORE_SIGN_IN as i64),
        ("row_bytes", "Bytes of a row or an event.", ROW_BYTES as i64),
        ("depth", "How deep a frame may be nested, itself counted as 1.", DEPTH as i64),
        ("credit_bytes", "Credit that a subscription starts with when its options name none.", CREDIT_BYTES),
        ("credit_cap_bytes", "The most credit of a subscription.", CREDIT_CAP_BYTES),
        ("connection_credit_cap_bytes", "The most credit of a connection.", CONNECTION_CREDIT_CAP_BYTES),
    ] {
        let _ = writeln!(text, "  /** {about} */\n  {name}: {value},");
    }
    text.push_str("} as const;\n");
    text
}
