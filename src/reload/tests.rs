use crewline_protocol::{follow::EndedWhy, operations::record::Create};
use serde_json::{Value, json};
use tokio::io::DuplexStream;

use super::*;
use crate::{
    apps::Files,
    settings::Settings,
    store::{Location, Store},
    testing::{
        Heard, Peer, Stage,
        crews::{self, Node},
    },
};

/// An app with one collection of notes whose text may have this many characters.
fn notes(longest: u32) -> App {
    let mut files: Files = crews::app().files;
    let schema = format!("{{type: object, required: [text], properties: {{text: {{type: string, maxLength: {longest}}}}}}}");
    files.insert("collections/notes.yaml".into(), format!("title: Notes\nindexes: [text]\nschema: {schema}\n"));
    App::from_files(files).unwrap()
}

async fn note(node: &Node, text: &str) {
    let ada = node.someone(&format!("{}@example.com", text.len())).await;
    let serde_json::Value::Object(data) = serde_json::json!({ "text": text }) else { panic!() };
    let create = Create { id: None, collection: "notes".into(), data };
    records::create(node.context(Some(&ada)), create).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_schema_that_stored_records_would_break_is_refused_with_their_count() {
    let node = Node::new(notes(10), Settings::default()).await;
    for text in ["1", "12345", "123456789"] {
        note(&node, text).await;
    }
    let mut changes = node.services.apps.changes();
    let before = node.services.apps.current().version.clone();
    let refused = take(notes(4), &node.services).await.unwrap_err().to_string();
    assert!(refused.contains("2 records do not fit the new schema of `notes`"), "{refused}");
    assert_eq!((node.services.apps.current().version.as_str(), changes.has_changed().unwrap()), (before.as_str(), false));
    let Err(at_start) = begin(notes(8), &node.services.store, &node.services.clock).await else { panic!() };
    assert!(at_start.to_string().contains("1 record does not fit the new schema of `notes`"), "{at_start}");
    take(notes(9), &node.services).await.unwrap();
    assert_eq!((changes.has_changed().unwrap(), &changes.borrow_and_update().version), (true, &notes(9).version));
}

#[tokio::test(start_paused = true)]
async fn the_version_that_was_served_last_is_known_after_a_restart() {
    let store = Store::open(&Location::Memory, Arc::new(|_| {})).await.unwrap();
    let clock = Clock::simulated(1, crate::testing::START);
    assert!(Apps::served_last(&store).await.unwrap().is_none());
    let (first, second) = (notes(1), notes(2));
    let first_at = begin(notes(1), &store, &clock).await.unwrap().current().first_served_at;
    tokio::time::advance(Duration::from_millis(5)).await;
    begin(second, &store, &clock).await.unwrap();
    tokio::time::advance(Duration::from_millis(5)).await;
    assert_eq!(begin(notes(1), &store, &clock).await.unwrap().current().first_served_at, first_at);
    assert_eq!(Apps::served_last(&store).await.unwrap().unwrap().version, first.version);
}

#[test]
fn a_change_is_taken_once_and_not_while_it_is_being_saved() {
    let mut watched = Watched::new(notes(1).version);
    let problem = || Err(App::from_files(Files::new()).unwrap_err());
    let told = |changed: Option<Result<Box<App>, Vec<Problem>>>| changed.map(|found| found.map(|app| app.version).map_err(|_| ()));
    let looks = [
        Ok(notes(1)),
        Ok(notes(2)),
        problem(),
        Ok(notes(3)),
        Ok(notes(3)),
        Ok(notes(3)),
        problem(),
        problem(),
        problem(),
        Ok(notes(3)),
        Ok(notes(3)),
    ];
    let found: Vec<_> = looks.into_iter().map(|look| told(watched.changed(look))).collect();
    let third = || Some(Ok(notes(3).version));
    assert_eq!(found, [None, None, None, None, third(), None, None, Some(Err(())), None, None, third()]);
}

#[tokio::test]
async fn a_change_in_the_folder_is_served_without_a_restart_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let write = |app: &App| {
        for (path, text) in &app.files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    };
    write(&notes(1));
    let node = Node::new(App::read(folder.path()).unwrap(), Settings { app_poll_ms: 50, ..Settings::default() }).await;
    let mut changes = node.services.apps.changes();
    let reloading = tokio::spawn(reload_forever(folder.path().to_owned(), node.services.clone()));
    std::fs::write(folder.path().join("app.yaml"), "name: [").unwrap();
    write(&notes(2));
    changes.changed().await.unwrap();
    assert_eq!(changes.borrow_and_update().version, notes(2).version);
    reloading.abort();
}

async fn snapshot(peer: &mut Peer<DuplexStream>) -> Value {
    let Heard::Asked(..) = peer.hear_said().await else { panic!("not subscribed") };
    match peer.hear_said().await {
        Heard::Snapshot(_, _, value) => value,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_followed_is_asked_again_when_the_app_changes() {
    let stage = Stage::new(Settings::default()).await;
    let mut reader = stage.signed_in().await;
    reader.watch(1, "collection.list", &json!({ "sort": [{ "field": "name" }] }), json!({})).await;
    let before = snapshot(&mut reader).await;
    reader.watch(2, "record.list", &json!({ "collection": "notes" }), json!({})).await;
    assert!(matches!(reader.hear_said().await, Heard::Ended(2, _, ended) if ended.why == EndedWhy::Refused));
    let mut files = stage.node.services.apps.current().files.clone();
    let notes = "title: Notes\nschema: {type: object, properties: {text: {type: string}}}\n";
    files.insert("collections/notes.yaml".into(), notes.into());
    take(App::from_files(files.clone()).unwrap(), &stage.node.services).await.unwrap();
    let Heard::Snapshot(1, _, after) = reader.hear_said().await else { panic!("no other collections") };
    let count = |page: &Value| page["items"].as_array().unwrap().len();
    assert_eq!(count(&after), count(&before) + 1);

    reader.watch(3, "record.list", &json!({ "collection": "notes" }), json!({})).await;
    assert_eq!(snapshot(&mut reader).await, json!({ "items": [] }));
    files.remove("collections/notes.yaml");
    take(App::from_files(files).unwrap(), &stage.node.services).await.unwrap();
    let heard = [reader.hear_said().await, reader.hear_said().await];
    assert!(heard.iter().any(|heard| matches!(heard, Heard::Snapshot(1, _, page) if *page == before)), "{heard:?}");
    assert!(heard.iter().any(|heard| matches!(heard, Heard::Ended(3, _, ended) if ended.why == EndedWhy::Forbidden)), "{heard:?}");
}
