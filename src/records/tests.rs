use crewline_protocol::{
    fault::{Fault, FaultCode, Reason},
    operation::Role,
    operations::collection,
    operations::record::{Aggregate, Batch, Create, Data, Delete, Get, List, Record, Update, Write, Written},
    value::{RecordId, Revision},
};
use serde_json::{Value, json};
use std::sync::Arc;

use super::*;
use crate::{
    access::{Identity, Member},
    apps::Files,
    dispatch,
    settings::Settings,
    store::{Condition, Select},
    testing::{
        crews::{self, Node},
        fault,
    },
};

const FILES: &[(&str, &str)] = &[
    (
        "collections/notes.yaml",
        "title: Notes
title_field: text
indexes: [text]
schema:
  type: object
  additionalProperties: false
  required: [text, status]
  properties:
    text: {type: string, maxLength: 300000}
    status: {enum: [new, seen, gone], default: new}
    mood: {type: string}
    pages: {type: integer}
    weights: {type: array, items: {type: number}}
    about: {type: string}
    others: {type: array, items: {type: string}}
references: {about: notes, others: notes}
access: {read: [viewer], create: [member], update: [admin, own], delete: [admin, own]}
transitions:
  field: status
  initial: [new]
  moves:
    - {from: new, to: seen}
    - {from: seen, to: gone, roles: [admin]}
",
    ),
    (
        "collections/diaries.yaml",
        "title: Diaries
singleton: user
schema: {type: object, required: [text], properties: {text: {type: string}}}
access: {read: [own], update: [own], delete: [own]}
",
    ),
    (
        "collections/rules.yaml",
        "title: Rules
singleton: workspace
schema: {type: object, properties: {text: {type: string}}}
",
    ),
    (
        "seed.yaml",
        "notes:\n  first: {text: First, status: seen}\n  second: {text: Second, about: first, others: [first, second]}\nrules:\n  ours: {text: Be kind}\n",
    ),
];

async fn node() -> Node {
    let mut files: Files = crews::app().files;
    files.extend(FILES.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())));
    Node::new(crate::apps::App::from_files(files).unwrap(), Settings::default()).await
}

fn data(value: Value) -> Data {
    let Value::Object(data) = value else { panic!("{value} is no object") };
    data
}

/// Somebody in Ada's workspace with this role.
async fn beside(node: &Node, ada: &Arc<Identity>, email: &str, role: Role) -> Arc<Identity> {
    let other = node.someone(email).await;
    let mut identity = Identity::clone(&other);
    identity.workspace = ada.workspace;
    identity.principal.role = role;
    Arc::new(identity)
}

struct Notes<'a> {
    node: &'a Node,
    who: &'a Arc<Identity>,
}

impl Notes<'_> {
    fn cx(&self) -> Context {
        self.node.context(Some(self.who))
    }
    async fn create(&self, collection: &str, value: Value) -> Result<Record, Fault> {
        let create = Create { id: None, collection: collection.into(), data: data(value) };
        super::create(self.cx(), create).await.map(|answer| answer.output).map_err(fault)
    }
    async fn update(&self, record: &Record, revision: Option<Revision>, value: Value) -> Result<Record, Fault> {
        let update = Update { collection: record.collection.clone(), id: record.id, revision, data: data(value) };
        super::update(self.cx(), update).await.map(|answer| answer.output).map_err(fault)
    }
    async fn delete(&self, record: &Record, revision: Option<Revision>) -> Result<(), Fault> {
        let delete = Delete { collection: record.collection.clone(), id: record.id, revision };
        super::delete(self.cx(), delete).await.map(drop).map_err(fault)
    }
    async fn batch(&self, operations: Vec<Write>, atomic: Option<bool>) -> Result<Vec<Written>, Fault> {
        super::batch(self.cx(), Batch { operations, atomic }).await.map(|answer| answer.output.results).map_err(fault)
    }
    async fn stored(&self, id: RecordId) -> Option<Record> {
        self.node.services.store.get::<RecordRow>(id).await.unwrap().map(|row| row.record())
    }
}

fn created(id: RecordId, value: Value) -> Write {
    Write::Create(Create { id: Some(id), collection: "notes".into(), data: data(value) })
}

#[tokio::test(start_paused = true)]
async fn a_record_is_what_was_written_at_the_revision_of_the_reply() {
    let node = node().await;
    let ada = node.someone("ada@example.com").await;
    let notes = Notes { node: &node, who: &ada };
    let naughty = "\u{feff}ÅÅ̊ 𝒳 \"\\' %_; DROP TABLE records; \u{202e}\n\r\t";
    let made = notes.create("notes", json!({"text": naughty, "mood": null})).await.unwrap();
    assert_eq!(made.data, data(json!({"text": naughty, "status": "new"})));
    assert_eq!((made.created_by, made.collection.as_str()), (ada.user, "notes"));
    assert_eq!(notes.stored(made.id).await, Some(made.clone()));
    let changed = notes.update(&made, Some(made.revision), json!({"mood": "good", "status": "seen"})).await.unwrap();
    assert_eq!(changed.data, data(json!({"text": naughty, "status": "seen", "mood": "good"})));
    assert!(changed.revision > made.revision);
    let changed = notes.update(&made, None, json!({"mood": null})).await.unwrap();
    assert_eq!(changed.data, data(json!({"text": naughty, "status": "seen"})));
    notes.delete(&made, Some(changed.revision)).await.unwrap();
    assert_eq!(notes.stored(made.id).await, None);
    assert_eq!(notes.delete(&made, None).await, Err(Fault::not_found()));
}

#[tokio::test(start_paused = true)]
async fn data_that_the_schema_refuses_is_told_by_its_paths() {
    let node = node().await;
    let ada = node.someone("ada@example.com").await;
    let notes = Notes { node: &node, who: &ada };
    let wrong = notes.create("notes", json!({"mood": 1, "others": ["x", 2], "txt": "x"})).await.unwrap_err();
    let mut fields: Vec<(&str, &str)> = wrong.fields.iter().map(|field| (field.path.as_str(), field.code.as_str())).collect();
    fields.sort_unstable();
    let expected = [("data.mood", "type"), ("data.others[1]", "type"), ("data.text", "required"), ("data.txt", "additionalProperties")];
    assert_eq!((wrong.code, fields.as_slice()), (FaultCode::Invalid, expected.as_slice()));
    let made = notes.create("notes", json!({"text": "x"})).await.unwrap();
    assert_eq!(notes.update(&made, None, json!({"text": null})).await.unwrap_err().fields[0].path, "data.text");
    let unknown = notes.create("memos", json!({})).await.unwrap_err();
    assert_eq!(unknown, Fault::invalid("collection", "unknown", "there is no collection `memos`; there are: diaries, notes, rules"));
    // The wire holds no such integer, but a float that is whole and as large is one to a schema.
    let endless = notes.create("notes", json!({"text": "x", "pages": 1e300})).await.unwrap_err();
    assert_eq!((endless.fields[0].path.as_str(), endless.fields[0].code.as_str()), ("data.pages", "range"));
    for (float, fits) in [(1e30, true), (-1e-30, true), (0.0, true), (1.1e30, false), (1.8e-109, false), (-1.7e308, false)] {
        let made = notes.create("notes", json!({"text": "x", "weights": [1.5, float]})).await;
        assert_eq!(
            made.map(drop).map_err(|fault| (fault.fields[0].path.clone(), fault.fields[0].code.clone())),
            if fits { Ok(()) } else { Err(("data.weights[1]".into(), "range".into())) },
            "{float:e}"
        );
    }
    let hostile = notes.create("notes", json!({"text": "x", "mood": "good", "weights": [], "__proto__": 1})).await.unwrap_err();
    assert!(hostile.fields.iter().all(|field| field.path == "data.__proto__"), "{hostile:?}");
    let large = notes.create("notes", json!({"text": "x".repeat(262_144)})).await.unwrap_err();
    assert_eq!(large.code, FaultCode::TooLarge);
    assert_eq!(notes.stored(made.id).await, Some(made));
}

#[tokio::test(start_paused = true)]
async fn another_revision_is_a_conflict_that_shows_the_row() {
    let node = node().await;
    let ada = node.someone("ada@example.com").await;
    let notes = Notes { node: &node, who: &ada };
    let made = notes.create("notes", json!({"text": "x"})).await.unwrap();
    let changed = notes.update(&made, None, json!({"mood": "good"})).await.unwrap();
    for refused in [
        notes.update(&made, Some(made.revision), json!({})).await.unwrap_err(),
        notes.delete(&made, Some(made.revision)).await.unwrap_err(),
    ] {
        assert_eq!((refused.code, refused.reason), (FaultCode::Conflict, Some(Reason::Revision)));
        assert_eq!(refused.current, serde_json::to_value(&changed).ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_moves_only_along_its_transitions_and_by_whom_they_name() {
    let node = node().await;
    let ada = node.someone("ada@example.com").await;
    let ben = beside(&node, &ada, "ben@example.com", Role::Member).await;
    let (owner, member) = (Notes { node: &node, who: &ada }, Notes { node: &node, who: &ben });
    let refused = member.create("notes", json!({"text": "x", "status": "gone"})).await.unwrap_err();
    assert_eq!((refused.code, refused.fields[0].path.as_str()), (FaultCode::Invalid, "data.status"));
    let made = member.create("notes", json!({"text": "x"})).await.unwrap();
    let refused = member.update(&made, None, json!({"status": "gone"})).await.unwrap_err();
    assert_eq!(
        (refused.code, refused.reason, refused.current),
        (FaultCode::Conflict, Some(Reason::State), serde_json::to_value(&made).ok())
    );
    let seen = member.update(&made, None, json!({"status": "seen"})).await.unwrap();
    assert_eq!(member.update(&made, None, json!({"status": "seen", "mood": "good"})).await.unwrap().data["mood"], "good");
    assert_eq!(member.update(&seen, None, json!({"status": "gone"})).await.unwrap_err().code, FaultCode::Forbidden);
    assert_eq!(owner.update(&seen, None, json!({"status": "gone"})).await.unwrap().data["status"], "gone");
}

#[tokio::test(start_paused = true)]
async fn who_may_not_does_nothing_and_who_may_not_see_finds_nothing() {
    let node = node().await;
    let (ada, eve) = (node.someone("ada@example.com").await, node.someone("eve@example.com").await);
    let ben = beside(&node, &ada, "ben@example.com", Role::Member).await;
    let vic = beside(&node, &ada, "vic@example.com", Role::Viewer).await;
    let of = |who| Notes { node: &node, who };
    let note = of(&ada).create("notes", json!({"text": "x"})).await.unwrap();
    let diary = of(&ada).create("diaries", json!({"text": "x"})).await.unwrap();
    let codes = [
        of(&vic).create("notes", json!({"text": "x"})).await.unwrap_err().code,
        of(&vic).update(&note, None, json!({})).await.unwrap_err().code,
        of(&ben).update(&note, None, json!({})).await.unwrap_err().code,
        of(&ben).delete(&note, None).await.unwrap_err().code,
    ];
    assert_eq!(codes, [FaultCode::Forbidden; 4]);
    for stranger in [&eve, &ben] {
        assert_eq!(of(stranger).update(&diary, None, json!({})).await, Err(Fault::not_found()));
    }
    assert_eq!(of(&eve).update(&note, None, json!({})).await, Err(Fault::not_found()));
    assert_eq!(of(&eve).delete(&note, None).await, Err(Fault::not_found()));
    let elsewhere = Record { collection: "rules".into(), ..note.clone() };
    assert_eq!(of(&ada).update(&elsewhere, None, json!({})).await, Err(Fault::not_found()));
    assert_eq!(of(&ada).stored(note.id).await, Some(note));
}

#[tokio::test(start_paused = true)]
async fn a_reference_leads_to_a_record_of_its_collection_here() {
    let node = node().await;
    let (ada, eve) = (node.someone("ada@example.com").await, node.someone("eve@example.com").await);
    let (notes, strange) = (Notes { node: &node, who: &ada }, Notes { node: &node, who: &eve });
    let there = notes.create("notes", json!({"text": "x"})).await.unwrap();
    let elsewhere = strange.create("notes", json!({"text": "x"})).await.unwrap();
    let diary = notes.create("diaries", json!({"text": "x"})).await.unwrap();
    for wrong in [elsewhere.id.to_string(), diary.id.to_string(), "x".into()] {
        let refused = notes.create("notes", json!({"text": "x", "about": wrong})).await.unwrap_err();
        assert_eq!((refused.fields[0].path.as_str(), refused.fields[0].code.as_str()), ("data.about", "reference"));
        let refused = notes.create("notes", json!({"text": "x", "others": [there.id, wrong]})).await.unwrap_err();
        assert_eq!(refused.fields[0].path, "data.others");
    }
    let referring = notes.create("notes", json!({"text": "x", "about": there.id, "others": [there.id]})).await.unwrap();
    notes.delete(&there, None).await.unwrap();
    // What it refers to went later: that is no reason to refuse a change of something else.
    assert_eq!(notes.update(&referring, None, json!({"mood": "sad"})).await.unwrap().data["mood"], "sad");
}

#[tokio::test(start_paused = true)]
async fn of_a_singleton_there_is_one_however_many_make_it_at_once() {
    let node = node().await;
    let ada = node.someone("ada@example.com").await;
    let ben = beside(&node, &ada, "ben@example.com", Role::Member).await;
    let notes = Notes { node: &node, who: &ada };
    let made = futures::future::join_all((0..5).map(|_| notes.create("diaries", json!({"text": "x"})))).await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1);
    let taken = notes.create("diaries", json!({"text": "y"})).await.unwrap_err();
    assert_eq!((taken.code, taken.reason), (FaultCode::Conflict, Some(Reason::Taken)));
    let his = Notes { node: &node, who: &ben }.create("diaries", json!({"text": "x"})).await.unwrap();
    assert_ne!(Some(his.id), made.into_iter().find_map(Result::ok).map(|made| made.id));
    let own = Create { id: Some(his.id), collection: "diaries".into(), data: data(json!({"text": "x"})) };
    assert_eq!(fault(create(notes.cx(), own).await.unwrap_err()).fields[0].path, "id");
    assert_eq!(notes.create("rules", json!({})).await.unwrap_err().reason, Some(Reason::Taken));
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_written_whole_and_each_of_it_sees_those_before() {
    let node = node().await;
    let ada = node.someone("ada@example.com").await;
    let notes = Notes { node: &node, who: &ada };
    let [first, second, third] = std::array::from_fn(|_| node.services.clock.id(RecordId::new));
    let update = |id, value| Write::Update(Update { collection: "notes".into(), id, revision: None, data: data(value) });
    let delete = |id| Write::Delete(Delete { collection: "notes".into(), id, revision: None });
    let operations = vec![
        created(first, json!({"text": "1"})),
        created(second, json!({"text": "2", "about": first})),
        update(first, json!({"status": "seen"})),
        created(third, json!({"text": "3"})),
        delete(third),
    ];
    let results = notes.batch(operations, None).await.unwrap();
    let Written::Row(updated) = &results[2] else { panic!("{results:?}") };
    assert_eq!(notes.stored(first).await.as_ref(), Some(updated));
    assert_eq!(updated.data, data(json!({"text": "1", "status": "seen"})));
    assert_eq!((notes.stored(second).await.unwrap().revision, notes.stored(third).await), (updated.revision, None));
    assert!(matches!(results[4], Written::Deleted(_)));

    let long: Vec<Write> = (0..6).map(|_| created(node.services.clock.id(RecordId::new), json!({"text": "x".repeat(200_000)}))).collect();
    let ids: Vec<RecordId> =
        long.iter().map(|write| if let Write::Create(create) = write { create.id.unwrap() } else { unreachable!() }).collect();
    assert_eq!(notes.batch(long, None).await.unwrap_err().code, FaultCode::TooLarge, "the answer is no message");
    for id in ids {
        assert_eq!(notes.stored(id).await, None);
    }

    let refused = notes.batch(vec![delete(first), created(third, json!({"text": 3}))], None).await.unwrap_err();
    assert_eq!((refused.code, refused.fields[0].path.as_str()), (FaultCode::Invalid, "operations[1].create.data.text"));
    assert_eq!(notes.stored(first).await.as_ref(), Some(updated));

    let results = notes.batch(vec![delete(first), created(third, json!({"text": 3})), delete(second)], Some(false)).await.unwrap();
    assert!(matches!(results[..], [Written::Deleted(_), Written::Refused { .. }, Written::Deleted(_)]), "{results:?}");
    assert_eq!((notes.stored(first).await, notes.stored(second).await), (None, None));
}

#[tokio::test(start_paused = true)]
async fn a_new_workspace_begins_with_the_apps_seed_records() {
    let node = node().await;
    let ada = node.someone("ada@example.com").await;
    let rows = node.services.store.select::<RecordRow>(&Select::by("workspace_id", ada.workspace)).await.unwrap();
    let told: Vec<(&str, &Data)> = rows.iter().map(|row| (row.collection.as_str(), &row.data.0)).collect();
    let first = rows.iter().find(|row| row.data.0["text"] == "First").unwrap().id;
    let second = rows.iter().find(|row| row.data.0["text"] == "Second").unwrap();
    assert_eq!(told.len(), 3, "{told:?}");
    let expected = json!({"text": "Second", "status": "new", "about": first, "others": [first, second.id]});
    assert_eq!(second.data.0, data(expected));
    assert!(rows.iter().all(|row| row.revision == Revision(1) && row.created_by == ada.user));
    let members = Select::by("workspace_id", ada.workspace).and(Condition::Equals("revision", 1_i64.into()));
    assert_eq!(node.services.store.select::<Member>(&members).await.unwrap().len(), 1, "they come with the workspace");
}

#[tokio::test(start_paused = true)]
async fn collections_are_told_as_the_apps_files_have_them() {
    let node = node().await;
    let rows = collections(&node.services.apps.current());
    assert_eq!(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["diaries", "notes", "rules"]);
    let notes = serde_json::to_value(&rows[1]).unwrap();
    assert_eq!(notes["access"], json!({"read": ["viewer"], "create": ["member"], "update": ["admin", "own"], "delete": ["admin", "own"]}));
    let moves = json!([{"from": "new", "to": "seen"}, {"from": "seen", "to": "gone", "roles": ["admin"]}]);
    assert_eq!(notes["transitions"], json!({"field": "status", "initial": ["new"], "moves": moves}));
    assert_eq!((&notes["references"], rows[0].singleton.is_some()), (&json!({"about": "notes", "others": "notes"}), true));
}

#[tokio::test(start_paused = true)]
async fn records_are_read_as_every_noun_is_and_only_by_who_may_see_them() {
    let node = node().await;
    let ada = node.someone("ada@example.com").await;
    let ben = beside(&node, &ada, "ben@example.com", Role::Member).await;
    let vic = beside(&node, &ada, "vic@example.com", Role::Viewer).await;
    let mine = Notes { node: &node, who: &ben }.create("diaries", json!({"text": "mine"})).await.unwrap();
    Notes { node: &node, who: &ada }.create("diaries", json!({"text": "hers"})).await.unwrap();
    let list = async |who, input: Value| {
        let input: List = serde_json::from_value(input).unwrap();
        dispatch::read(node.context(Some(who)), input).await.map(|answer| answer.output.items).map_err(fault)
    };
    assert_eq!(list(&ben, json!({"collection": "diaries"})).await.unwrap(), std::slice::from_ref(&mine));
    assert_eq!(list(&vic, json!({"collection": "diaries"})).await.unwrap(), []);
    let texts = |records: Vec<Record>| records.into_iter().map(|record| record.data["text"].clone()).collect::<Vec<_>>();
    let sorted = json!({"collection": "notes", "sort": [{"field": "text", "descending": true}]});
    assert_eq!(texts(list(&vic, sorted).await.unwrap()), ["Second", "First"]);
    let filtered = json!({"collection": "notes", "filter": {"field": "about", "eq": null}});
    assert_eq!(texts(list(&vic, filtered).await.unwrap()), ["First"]);
    let refused = list(&vic, json!({"collection": "notes", "sort": [{"field": "mood"}]})).await.unwrap_err();
    assert_eq!((refused.code, refused.fields[0].path.as_str()), (FaultCode::Invalid, "sort[0].field"));
    assert_eq!(list(&vic, json!({"collection": "memos"})).await.unwrap_err().fields[0].path, "collection");
    let figures = json!({"collection": "notes", "groups": [{"ref": "about"}], "measures": [{"name": "notes", "count": true}]});
    let figures: Aggregate = serde_json::from_value(figures).unwrap();
    let rows = dispatch::read(node.context(Some(&vic)), figures).await.unwrap().output.rows;
    assert_eq!(json!(rows), json!([{"groups": ["First"], "notes": 1}, {"groups": [null], "notes": 1}]));
    let get: Get = serde_json::from_value(json!({"collection": "diaries", "id": mine.id})).unwrap();
    assert_eq!(dispatch::read(node.context(Some(&ben)), get.clone()).await.unwrap().output, mine);
    assert_eq!(fault(dispatch::read(node.context(Some(&ada)), get).await.unwrap_err()), Fault::not_found());
    let named: collection::List =
        serde_json::from_value(json!({"filter": {"field": "singleton", "ne": null}, "sort": [{"field": "name"}], "count": true})).unwrap();
    let page = dispatch::read(node.context(Some(&vic)), named).await.unwrap().output;
    assert_eq!((page.items.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), page.total), (vec!["diaries", "rules"], Some(2)));
}
