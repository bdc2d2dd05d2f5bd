use crewline_protocol::value::RecordId;

use super::*;
use crate::apps::{App, Files};

const NOTES: &str = "\
title: Notes
title_field: text
schema:
  type: object
  required: [text, status, after]
  properties:
    text: {type: string}
    status: {enum: [new, seen, gone]}
    after: {type: string}
    tags: {type: array, items: {type: string}}
    due_at: {type: [integer, 'null']}
references: {after: notes}
indexes: [text, [status, -created_at], due_at]
access: {read: [viewer], update: [admin, own], delete: []}
transitions:
  field: status
  initial: [new]
  moves:
    - {from: new, to: seen}
    - {from: seen, to: gone, roles: [admin, own]}
";

/// A pair of files, checked with an app that has nothing wrong.
fn app(notes: &str, seed: &str) -> Result<App, Vec<String>> {
    let kept = |path: &str| path == "app.yaml" || path.starts_with("crews/review/");
    let mut files: Files = App::built_in().files.into_iter().filter(|(path, _)| kept(path)).collect();
    files.insert("collections/notes.yaml".into(), notes.into());
    files.insert("seed.yaml".into(), seed.into());
    App::from_files(files).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

/// What is wrong with the notes when a part of them reads otherwise.
fn with(from: &str, to: &str) -> Vec<String> {
    let text = NOTES.replacen(from, to, 1);
    assert_ne!(text, NOTES, "`{from}` is not there");
    let problems = app(&text, "{}").unwrap_err();
    problems.into_iter().map(|problem| problem.replacen("collections/notes.yaml:", "", 1)).collect()
}

/// What is wrong with this seed.
fn seeded(seed: &str) -> Vec<String> {
    app(NOTES, seed).unwrap_err().into_iter().map(|problem| problem.replacen("seed.yaml:", "", 1)).collect()
}

#[test]
fn a_collection_is_what_its_file_says() {
    let app = app(NOTES, "{}").unwrap();
    let notes = &app.collections["notes"];
    let sorted: Vec<&str> = notes.fields.iter().filter(|field| field.sortable).map(|field| field.name.as_ref()).collect();
    assert_eq!(sorted, ["text", "status", "due_at"]);
    let after = notes.field("after").unwrap();
    assert_eq!((after.kind, after.refers.as_deref(), after.optional), (crewline_protocol::noun::FieldKind::Id, Some("notes"), false));
    assert_eq!(
        notes.indexes[1],
        [IndexField { field: "status".into(), descending: false }, IndexField { field: "created_at".into(), descending: true }]
    );
    let rights = Rights {
        read: Allowed::from(Role::Viewer),
        create: Allowed::from(Role::Member),
        update: Allowed { from: Some(Role::Admin), own: true },
        delete: Allowed { from: None, own: false },
    };
    assert_eq!(notes.rights, rights);
    let gone = Move { from: "seen".into(), to: "gone".into(), roles: Some(rights.update) };
    let transitions = notes.transitions.as_ref().unwrap();
    assert_eq!((transitions.initial.as_slice(), &transitions.moves[1]), (["new".to_owned()].as_slice(), &gone));
    assert_eq!((notes.title_field.as_deref(), notes.singleton), (Some("text"), None));
}

#[test]
fn own_is_for_members_and_a_role_for_those_above_it_too() {
    let allowed = Allowed { from: Some(Role::Admin), own: true };
    let table = [
        (Role::Owner, false, true),
        (Role::Admin, false, true),
        (Role::Member, false, false),
        (Role::Member, true, true),
        (Role::Viewer, true, false),
        (Role::Worker, true, false),
    ];
    for (role, own, may) in table {
        assert_eq!(allowed.allows(role, own), may, "{role:?}, {own}");
    }
    assert_eq!(allowed.names(), ["admin", "own"]);
}

#[test]
fn what_is_wrong_in_a_collection_is_told_where_it_stands() {
    let cases = [
        ("type: object", "type: array", "4:3: `schema` describes a record's data: write `type: object`"),
        (
            "text: {type: string}",
            "text: {type: strin}",
            "7:18: `schema` is no JSON Schema: \"strin\" is not valid under any of the schemas listed in the 'anyOf' keyword",
        ),
        (
            "    tags:",
            "    Tags:",
            "10:5: `Tags` can't name a field: a lower-case letter, then up to 62 lower-case letters, digits and `_`",
        ),
        ("    tags:", "    created_by:", "10:5: every record has a `created_by` of its own: call the field otherwise"),
        ("required: [text,", "required: [txt,", "5:14: `required` names `txt`, which is none of the `properties`"),
        (
            "required: [text,",
            "required: [due_at,",
            "5:14: `due_at` is required and may be null, but what is null is absent: take one of them away",
        ),
        ("{after: notes}", "{after: memos}", "12:21: there is no collection `memos`: there are `notes`"),
        ("{after: notes}", "{due_at: notes}", "12:14: `due_at` can't refer to records: it is neither a text nor a list of texts"),
        ("{after: notes}", "{before: notes}", "12:14: `before` is none of the schema's fields"),
        ("due_at]", "due]", "13:40: `due` is none of the schema's fields"),
        (
            "status: {enum: [new, seen, gone]}",
            "status: {enum: [new, seen, gone], default: nope}",
            "8:48: the default of `status` does not fit it: the value is not one of \"new\", \"seen\" or \"gone\"",
        ),
        ("due_at]", "tags]", "13:40: `tags` can't be sorted by: it is no text, number, flag or time"),
        ("due_at]", "created_by]", "13:40: `created_by` can't be sorted by"),
        ("-created_at]", "-status]", "13:17: `status` stands twice in one index"),
        ("due_at]", "text]", "13:40: the index names nothing, or stands twice"),
        ("title_field: text", "title_field: tags", "2:14: `tags` is none of the schema's texts"),
        ("[viewer]", "[everyone]", "14:17: there is no role `everyone`: write viewer, member, admin, owner or own"),
        ("read: [viewer]", "create: [own]", "14:19: nobody owns a record before it is made: name roles alone"),
        ("field: status", "field: text", "16:10: `text` has no `enum` of texts in the schema: transitions need one"),
        ("required: [text, status,", "required: [text,", "16:10: `status` may be absent: name it under `required`"),
        ("initial: [new]", "initial: [fresh]", "17:13: `status` can't be `fresh`: there are `new`, `seen`, `gone`"),
        ("to: seen", "to: sen", "19:23: `status` can't be `sen`: there are `new`, `seen`, `gone`"),
        ("title_field: text", "singleton: team", "2:12: there is one of a `user` or of a `workspace`, not of a `team`"),
    ];
    for (from, to, expected) in cases {
        assert!(with(from, to).contains(&expected.to_owned()), "{from} → {to}:\n{}\nexpected {expected}", with(from, to).join("\n"));
    }
    let problems = with("title_field:", "titel_field:");
    assert!(problems[0].starts_with("2:1: ") && problems[0].contains("titel_field"), "{problems:?}");
}

#[test]
fn a_collections_file_must_have_a_name_that_a_collection_can_have() {
    let mut files = App::built_in().files;
    files.insert("collections/My-Notes.yaml".into(), NOTES.replace("{after: notes}", "{}"));
    let problems = App::from_files(files).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].to_string().starts_with("collections/My-Notes.yaml:1:1: `My-Notes` can't name a collection"), "{problems:?}");
}

#[test]
fn seed_records_are_held_to_their_schemas_and_to_each_other() {
    assert_eq!(seeded("memos: {}"), ["1:1: there is no collection `memos`: there are `notes`"]);
    let wrong = "notes:\n  a: {text: 1, status: new, after: a}\n  b: {text: x, status: new, after: c}\n  d: [x]\n";
    let expected = [
        "4:6: the data of `d` is no map",
        "2:13: notes `a`: `text`: the value is not of type \"string\"",
        "3:36: `notes` has no seed record \"c\": there are `a`, `b`",
    ];
    assert_eq!(seeded(wrong), expected);
    assert!(seeded("notes: {a: {}, a: {}}")[0].starts_with("1:16: duplicate mapping key"));
    assert_eq!(seeded("notes:\n  a: {status: new, after: a}\n"), ["2:6: notes `a`: `text`: it is required"]);
}

#[test]
fn seed_records_refer_to_each_other_by_the_ids_that_they_get() {
    let app = app(NOTES, "notes:\n  b: {text: x, status: new, after: a}\n  a: {text: y, status: seen, after: b}\n").unwrap();
    let mut made = 0;
    let id = |number| RecordId::new(crewline_protocol::value::Millis(1), [number; 10]);
    let records = app.seed.records(&app.collections, |_| {
        made += 1;
        id(made)
    });
    let told: Vec<_> =
        records.iter().map(|(record, id, data)| (record.name.as_str(), *id, data["after"].as_str().unwrap().to_owned())).collect();
    assert_eq!(told, [("b", id(1), id(2).to_string()), ("a", id(2), id(1).to_string())]);
}
