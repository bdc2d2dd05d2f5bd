//! Live queries as a client sees them: frames in, frames out.

use crewline_protocol::{
    fault::Fault,
    follow::{EndedWhy, SubscribedQuery},
    frame::{Body, ClientFrame},
    live::{Live, LiveChange},
    operation::Role,
    operations::{
        message,
        session::{self, Create, List, Session},
    },
    read::Page,
    value::{MutationKey, Revision, decode, encode},
};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::DuplexStream;

use crate::{
    query::{Next, Plan},
    settings::Settings,
    store::Predicate,
    testing::{Heard, Peer, Stage},
};

/// Makes a session and gives its row.
async fn make(peer: &mut Peer<DuplexStream>, stage: &Stage, title: &str) -> Session {
    let key = stage.node.services.clock.id(MutationKey::new);
    peer.ask(&Create { id: None, title: title.into(), crew: None }, Some(key)).await;
    match peer.hear_said().await {
        Heard::Reply(_, row, _) => serde_json::from_value(row).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// What the list says when it is read.
async fn afresh(peer: &mut Peer<DuplexStream>, input: &List) -> Value {
    peer.ask(input, None).await;
    match peer.hear_said().await {
        Heard::Reply(_, page, _) => page,
        other => panic!("{other:?}"),
    }
}

async fn snapshot(peer: &mut Peer<DuplexStream>) -> (Revision, Value) {
    let Heard::Asked(_, SubscribedQuery { snapshot: true, .. }) = peer.hear_said().await else { panic!("no snapshot is to come") };
    match peer.hear_said().await {
        Heard::Snapshot(_, revision, value) => (revision, value),
        other => panic!("{other:?}"),
    }
}

fn newest_first() -> List {
    serde_json::from_value(json!({ "sort": [{ "field": "created_at", "descending": true }], "limit": 2, "count": true })).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_followed_list_becomes_what_is_written() {
    let stage = Stage::new(Settings::default()).await;
    let (mut writer, mut reader) = (stage.signed_in().await, stage.signed_in().await);
    let input = newest_first();
    reader.watch(1, "session.list", &json!(input), json!({})).await;
    let (mut position, first) = snapshot(&mut reader).await;
    assert_eq!(first, json!({ "items": [], "total": 0 }));
    let mut followed: Page<Value> = serde_json::from_value(first).unwrap();
    for title in ["one", "two", "three"] {
        tokio::time::advance(std::time::Duration::from_millis(1)).await;
        let row = make(&mut writer, &stage, title).await;
        let Heard::Changes { offset, span, changes, .. } = reader.hear_said().await else { panic!("no changes") };
        assert_eq!((Revision(offset.0 - span), offset), (position, row.revision));
        position = offset;
        followed.apply(decode(&encode(&changes)).unwrap()).unwrap();
        assert_eq!(json!(followed), afresh(&mut writer, &input).await, "after {title}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_the_answer_is_told_so_without_a_snapshot() {
    let stage = Stage::new(Settings::default()).await;
    let (mut writer, mut reader) = (stage.signed_in().await, stage.signed_in().await);
    let one = make(&mut writer, &stage, "one").await;
    let from = json!({ "from": one.revision });
    reader.watch(1, "session.list", &json!({}), from.clone()).await;
    assert_eq!(reader.hear_said().await, Heard::Asked(1, SubscribedQuery { revision: one.revision, snapshot: false }));
    // What nobody else follows is read meanwhile, so that what changes next is known to be a change.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let two = make(&mut writer, &stage, "two").await;
    let changes = vec![LiveChange::Put { put: json!(two), before: None }];
    assert_eq!(reader.hear_said().await, Heard::Changes { sub: 1, offset: two.revision, span: two.revision.0 - one.revision.0, changes });
    // Another who comes with what the first had is told what changed since, while somebody follows.
    reader.watch(2, "session.list", &json!({}), from).await;
    assert_eq!(reader.hear_said().await, Heard::Asked(2, SubscribedQuery { revision: one.revision, snapshot: false }));
    assert!(matches!(reader.hear_said().await, Heard::Changes { sub: 2, offset, .. } if offset == two.revision));
    // A revision that is yet to come is nothing that anybody has.
    reader.watch(3, "session.list", &json!({}), json!({ "from": two.revision.0 + 1 })).await;
    assert!(matches!(reader.hear_said().await, Heard::Asked(3, SubscribedQuery { snapshot: true, .. })));
}

#[tokio::test(start_paused = true)]
async fn who_grants_nothing_costs_nothing_and_gets_the_answer_as_it_is_by_then() {
    let stage = Stage::new(Settings { live_history_bytes: 600, ..Settings::default() }).await;
    let (mut writer, mut reader) = (stage.signed_in().await, stage.signed_in().await);
    reader.watch(1, "session.list", &json!({}), json!({ "credit": 1 })).await;
    snapshot(&mut reader).await;
    for number in 0..10 {
        make(&mut writer, &stage, &format!("session {number}")).await;
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    }
    reader.say(&[ClientFrame::Ping(Body::own(&[7]))]).await;
    assert_eq!(reader.hear_said().await, Heard::Pong(vec![7]), "nothing was sent without credit");
    reader.say(&[ClientFrame::Credit { sub: 1, bytes: 1_000 }]).await;
    let Heard::Snapshot(1, _, value) = reader.hear_said().await else { panic!("no snapshot") };
    assert_eq!(value["items"].as_array().unwrap().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_message_goes_with_its_session() {
    let stage = Stage::new(Settings::default()).await;
    let (mut writer, mut reader) = (stage.signed_in().await, stage.signed_in().await);
    let session = make(&mut writer, &stage, "one").await;
    let other = make(&mut writer, &stage, "two").await;
    let post = message::Post { id: None, session_id: session.id, text: "Hello".into(), inputs: serde_json::Map::new(), on_busy: None };
    let posted = writer.call(&post).await.unwrap();
    reader.watch(1, "message.get", &json!({ "id": posted.id }), json!({})).await;
    snapshot(&mut reader).await;
    writer.call(&session::Delete { id: other.id, revision: None }).await.unwrap();
    writer.call(&session::Delete { id: session.id, revision: None }).await.unwrap();
    let Heard::Ended(1, _, body) = reader.hear_said().await else { panic!("it did not end") };
    assert_eq!(body.why, EndedWhy::Deleted);
    assert_eq!(writer.call(&message::Get { id: posted.id }).await, Err(Fault::not_found()));
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_seen_no_more_ends_as_forbidden() {
    let stage = Stage::new(Settings::default()).await;
    let member = stage.joins("ben@example.com", Role::Member).await;
    let (mut writer, mut reader) = (stage.signed_in().await, stage.connect_as(&member).await);
    let session = make(&mut writer, &stage, "one").await;
    reader.watch(1, "session.get", &json!({ "id": session.id }), json!({})).await;
    snapshot(&mut reader).await;
    // The same question comes to a plan that sees nothing of it.
    let identity = stage.node.services.access.authenticate(&member.access_token, None).await.map(Arc::new).unwrap();
    let asked = session::Get { id: session.id };
    let mut plan =
        Plan::clone(&stage.node.router.plan(&stage.node.services, Some(&identity), "session.get", Body::own(&encode(&asked))).unwrap());
    plan.visible = Predicate::Any(Vec::new());
    plan.name.push_str(" unseen");
    let watching = stage.node.services.live.follow(Arc::new(plan), &Arc::default(), 1);
    let refused = stage.node.services.live.begin(&watching, None).await.unwrap_err();
    assert_eq!((refused, watching.next(None)), (Fault::not_found(), Next::Ended(EndedWhy::Forbidden)));
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_followed_is_refused_and_says_why() {
    let stage = Stage::new(Settings::default()).await;
    let mut reader = stage.signed_in().await;
    let refused = [
        ("auth.me", json!({}), "query.op"),
        ("none.list", json!({}), "query.op"),
        ("session.list", json!({ "limit": 501 }), "query.input.limit"),
        ("session.list", json!({ "filter": { "field": "secret", "eq": 1 } }), "query.input.filter.field"),
        ("session.list", json!({ "filter": { "all": [{ "field": "title", "eq": 1 }] } }), "query.input.filter.all[0].eq"),
        ("session.list", json!({ "sort": [{ "field": "none" }] }), "query.input.sort[0].field"),
        ("session.list", json!({ "cursor": "x" }), "query.input.cursor"),
    ];
    for (sub, (op, input, path)) in (1..).zip(refused) {
        reader.watch(sub, op, &input, json!({})).await;
        let Heard::Ended(ended, _, body) = reader.hear_said().await else { panic!("{op} was not refused") };
        let fault = body.fault.unwrap();
        assert_eq!((ended, body.why, fault.fields[0].path.as_str()), (sub, EndedWhy::Refused, path), "{fault:?}");
    }
    reader.watch(50, "session.get", &json!({ "id": "018bcfe5-6800-7000-8000-000000000000" }), json!({})).await;
    let Heard::Ended(50, _, body) = reader.hear_said().await else { panic!("an absent row was followed") };
    assert_eq!(body.fault.unwrap(), crewline_protocol::fault::Fault::not_found());
}
