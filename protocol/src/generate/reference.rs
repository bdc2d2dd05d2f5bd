//! The reference page: every operation, type, frame, fault and close, for people to read.

use std::fmt::Write;

use crewline_protocol::{OPERATIONS, OperationSpec, RunEvent};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use crate::{document::word, frames::FRAMES, tables};

pub(crate) fn text() -> String {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut page = String::from(
        "# The Crewline protocol: reference\n\nGenerated from the protocol's types; do not edit. \
         `cargo run -p crewline-protocol --bin generate` writes it.\n\n",
    );
    let references: Vec<(&OperationSpec, Value, Value)> = OPERATIONS
        .iter()
        .map(|operation| {
            let input = (operation.input_schema)(&mut generator).to_value();
            (operation, input, (operation.output_schema)(&mut generator).to_value())
        })
        .collect();
    for frame in FRAMES {
        frame.places_schema(&mut generator);
    }
    let definitions = generator.take_definitions(true);

    let _ = writeln!(page, "## Operations\n\n| operation | kind | who | rate | live |\n| --- | --- | --- | --- | --- |");
    for (operation, ..) in &references {
        let (name, live) = (operation.name, if operation.live { "yes" } else { "" });
        let (kind, access, rate) = (word(operation.kind), word(operation.access), word(operation.rate));
        let _ = writeln!(page, "| [`{name}`](#{}) | {kind} | {access} | {rate} | {live} |", anchor(name));
    }
    for (operation, input, output) in &references {
        let fields = named(input).and_then(|name| definitions.get(name)).unwrap_or(input);
        let _ = writeln!(page, "\n### {}\n\n{}\n", operation.name, operation.documentation());
        let _ = match table(fields) {
            Some(table) => writeln!(page, "{table}"),
            None => writeln!(page, "It takes no fields.\n"),
        };
        let _ = writeln!(page, "Answers {}.", written(output));
    }
    page.push_str(&nouns());
    page.push_str(&frames());
    page.push_str(&events(&definitions));
    page.push_str(&faults_and_closes());
    page.push_str(&types(&definitions));
    page
}

/// Each noun's fields, as filters, sorting and aggregates may name them.
fn nouns() -> String {
    let mut text = String::from(
        "\n## Fields\n\nWhat the reads of each noun may name: in a filter, a group or a measure, and in `sort`. \
         A record's own fields are its collection's.\n",
    );
    for noun in tables::nouns() {
        let _ = writeln!(text, "\n### {}\n\n| field | is | filter | sort | |\n| --- | --- | --- | --- | --- |", noun.name);
        for field in noun.fields {
            let mark = if field.optional { "?" } else { "" };
            let yes = |is: bool| if is { "yes" } else { "" };
            let refers = field.refers.as_ref().map(|other| format!("refers to {other}"));
            let seen = field.seen_by.map(|role| format!("seen by {} and above", role.as_str()));
            let parent = (noun.parent == Some(&field.name)).then(|| "the parent, which a list takes".to_owned());
            let about: Vec<String> = [parent, refers, seen].into_iter().flatten().collect();
            let (name, kind, about) = (&field.name, field.kind.as_str(), about.join("; "));
            let _ = writeln!(text, "| `{name}{mark}` | {kind} | {} | {} | {about} |", yes(field.filterable), yes(field.sortable));
        }
    }
    text
}

fn frames() -> String {
    let mut text = String::from("\n## Frames\n\n| kind | name | from | layout | |\n| --- | --- | --- | --- | --- |\n");
    for frame in FRAMES {
        let (layout, from) = (frame.layout(), frame.from.word());
        let _ = writeln!(text, "| {} | {} | {from} | `{layout}` | {} |", frame.kind, frame.name, cell(frame.about));
    }
    text
}

fn events(definitions: &Map<String, Value>) -> String {
    let mut text = String::from("\n## Events of a run\n\nEach has `type` and `at`.\n\n| type | fields | |\n| --- | --- | --- |\n");
    let variants = definitions["RunEvent"]["oneOf"].as_array().map_or(&[][..], Vec::as_slice);
    for name in RunEvent::TYPES {
        let Some(variant) = variants.iter().find(|variant| variant["properties"]["type"]["const"] == **name) else { continue };
        let fields: Vec<String> = fields(variant)
            .filter(|field| !["type", "at"].contains(&field.name))
            .map(|field| format!("`{}` {}", field.label(), field.is()))
            .collect();
        let _ = writeln!(text, "| `{name}` | {} | {} |", fields.join(", "), cell(description(variant)));
    }
    text
}

fn faults_and_closes() -> String {
    let mut text = String::from("\n## Faults\n\n| code | retry | when |\n| --- | --- | --- |\n");
    for (code, retry, when) in tables::faults() {
        let _ = writeln!(text, "| `{code}` | {retry} | {} |", cell(when));
    }
    text.push_str("\n## Closes\n\n| close | the client | fault before it | why |\n| --- | --- | --- | --- |\n");
    for (code, after, fault, reason) in tables::closes() {
        let fault = fault.map_or_else(String::new, |fault| format!("`{fault}`"));
        let _ = writeln!(text, "| {code} | {after} | {fault} | {} |", cell(reason));
    }
    text.push_str("\nOf others, 4100 to 4199 mean `sign_in`, 4200 to 4299 `stop`, and all else `reconnect`.\n");
    text
}

fn types(definitions: &Map<String, Value>) -> String {
    let mut text = String::from("\n## Types\n");
    let mut names: Vec<&String> = definitions.keys().collect();
    names.sort();
    // An operation's input stands with the operation, and events have their own table.
    let inputs: Vec<String> = OPERATIONS.iter().map(|operation| camel(operation.name)).collect();
    for name in names.into_iter().filter(|name| *name != "RunEvent" && !inputs.contains(name)) {
        let schema = &definitions[name];
        let _ = writeln!(text, "\n### {name}\n\n{}\n", description(schema));
        match (table(schema), variants(schema)) {
            (Some(table), _) => text.push_str(&table),
            (None, Some(variants)) => variants.iter().for_each(|variant| text.push_str(&choice(variant))),
            (None, None) => {
                let _ = writeln!(text, "{}", written(schema));
            }
        }
    }
    text
}

/// The variants of an enum, where each has something to say.
fn variants(schema: &Value) -> Option<&Vec<Value>> {
    let maps = |choices: &&Vec<Value>| choices.iter().any(|choice| choice["properties"].is_object());
    schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array().filter(maps))
}

/// A variant of an enum: a word, words, or a map told by its tag.
fn choice(variant: &Value) -> String {
    let about = description(variant);
    if let Some(word) = variant["const"].as_str() {
        return format!("- `{word}`: {about}\n");
    }
    if let Some(words) = variant["enum"].as_array() {
        return words.iter().filter_map(Value::as_str).map(|word| format!("- `{word}`\n")).collect();
    }
    let listed: Vec<String> = fields(variant).map(|field| format!("`{}` {}", field.label(), field.is())).collect();
    let within: String = variants(variant).into_iter().flatten().map(|inner| format!("  {}", choice(inner))).collect();
    format!("- {about} {}\n{within}", listed.join(", "))
}

/// A table of a map's fields; `None` where it has none.
fn table(schema: &Value) -> Option<String> {
    let mut text = String::from("| field | is | |\n| --- | --- | --- |\n");
    let mut any = false;
    for field in fields(schema) {
        any = true;
        let _ = writeln!(text, "| `{}` | {} | {} |", field.label(), field.is(), cell(description(field.schema)));
    }
    any.then_some(text)
}

struct Field<'a> {
    name: &'a str,
    required: bool,
    schema: &'a Value,
}

impl Field<'_> {
    fn label(&self) -> String {
        format!("{}{}", self.name, if self.required { "" } else { "?" })
    }
    fn is(&self) -> String {
        cell(&written(self.schema))
    }
}

/// A map's fields: the required ones in their order, then the others by name.
fn fields(schema: &Value) -> impl Iterator<Item = Field<'_>> {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object();
    let mut optional: Vec<&str> =
        properties.into_iter().flat_map(Map::keys).map(String::as_str).filter(|name| !required.contains(name)).collect();
    optional.sort_unstable();
    let count = required.len();
    required.into_iter().chain(optional).enumerate().filter_map(move |(place, name)| {
        properties.and_then(|properties| properties.get(name)).map(|schema| Field { name, required: place < count, schema })
    })
}

/// A schema in words: its type, and what bounds it.
fn written(schema: &Value) -> String {
    if let Some(name) = named(schema) {
        return format!("[{name}](#{})", anchor(name));
    }
    if let Some(word) = schema["const"].as_str() {
        return format!("`{word}`");
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        return choices.iter().filter(|choice| choice["type"] != "null").map(written).collect::<Vec<_>>().join(" or ");
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null").unwrap_or(&Value::Null),
        kind => kind,
    };
    let mut text = match kind.as_str() {
        Some("string") if schema["format"] == "uuid" => "id".into(),
        Some("string") if schema["format"] == "binary" => "bytes".into(),
        Some("string") => "text".into(),
        Some("object") => "map".into(),
        Some("array") => format!("list of {}", written(&schema["items"])),
        Some(kind) => kind.to_owned(),
        None => "any value".into(),
    };
    for (word, key) in [("at least", "minimum"), ("at most", "maximum"), ("at least", "minLength"), ("at most", "maxLength")] {
        // The widest integers say nothing that the wire's rule for integers does not.
        if let Some(bound) = schema[key].as_i64().filter(|bound| *bound != 0 && bound.abs() < i64::from(u32::MAX)) {
            let unit = if key.ends_with("Length") { " characters" } else { "" };
            let _ = write!(text, ", {word} {bound}{unit}");
        }
    }
    text
}

fn named(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next())
}

fn description(schema: &Value) -> &str {
    schema["description"].as_str().unwrap_or_default()
}

/// `run.start` as `RunStart`.
fn camel(name: &str) -> String {
    let mut letters = name.chars().scan(true, |start, letter| {
        let is_first = std::mem::replace(start, matches!(letter, '.' | '_'));
        Some(if is_first { letter.to_ascii_uppercase() } else { letter })
    });
    letters.by_ref().filter(|letter| !matches!(letter, '.' | '_')).collect()
}

fn anchor(name: &str) -> String {
    name.chars().filter(|letter| *letter != '.').collect::<String>().to_lowercase()
}

/// A text that fits a cell of a table.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}
