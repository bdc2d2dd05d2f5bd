use crewline_protocol::{
    fault::{FaultCode, Reason},
    follow::EndedWhy,
    frame::{Body, ClientFrame},
    opening::PrincipalKind,
    operations::{
        message::{Author, Message, Post},
        run::{Cancel, Start},
    },
    value::{MessageId, encode},
};
use serde_json::json;

use super::*;
use crate::{
    settings::{Settings, store::CLEARED_MESSAGES},
    sweep::sweep,
    testing::{Heard, Peer, Stage, register},
};

type Connected = Peer<tokio::io::DuplexStream>;

async fn session(peer: &mut Connected) -> Session {
    peer.call(&Create { id: None, title: "Here".into(), crew: None }).await.unwrap()
}

fn post(session: SessionId, text: &str) -> Post {
    Post { id: None, session_id: session, text: text.into(), inputs: serde_json::Map::new(), on_busy: None }
}

fn delete(id: SessionId) -> Delete {
    Delete { id, revision: None }
}

fn state(fault: &Fault) -> (FaultCode, Option<Reason>) {
    (fault.code, fault.reason)
}

const CONFLICT: FaultCode = FaultCode::Conflict;

#[tokio::test(start_paused = true)]
async fn sessions_are_counted_by_the_names_of_who_made_them() {
    let stage = Stage::new(Settings::default()).await;
    let mut ada = stage.signed_in().await;
    session(&mut ada).await;
    session(&mut ada).await;
    let by_maker: session::Aggregate =
        serde_json::from_value(json!({ "groups": [{ "ref": "created_by" }], "measures": [{ "name": "made", "count": true }] })).unwrap();
    let rows = ada.call(&by_maker).await.unwrap().rows;
    assert_eq!(serde_json::to_value(rows).unwrap(), json!([{ "groups": ["Ada"], "made": 2 }]));
}

#[tokio::test(start_paused = true)]
async fn a_session_is_renamed_put_away_and_taken_out_again() {
    let stage = Stage::new(Settings::default()).await;
    let mut ada = stage.signed_in().await;
    let made = session(&mut ada).await;
    let stored = async || stage.node.services.store.get::<SessionRow>(made.id).await.unwrap().unwrap().session();
    let renamed = ada.call(&Update { id: made.id, revision: Some(made.revision), title: Some("There".into()), crew: None }).await.unwrap();
    assert_eq!(renamed, Session { title: "There".into(), revision: renamed.revision, ..made.clone() });
    let archive = |archived| Archive { id: made.id, revision: None, archived };
    let away = ada.call(&archive(None)).await.unwrap();
    assert_eq!((away.archived_at, &away), (Some(made.created_at), &stored().await));
    assert_eq!(ada.call(&archive(Some(true))).await, Ok(away.clone()), "it is so already");
    let back = ada.call(&archive(Some(false))).await.unwrap();
    assert_eq!((back.archived_at, &back), (None, &stored().await));
    let same = ada.call(&Update { id: made.id, revision: None, title: None, crew: None }).await;
    assert_eq!(same, Ok(back.clone()), "nothing was asked for");

    let stale = Some(made.revision);
    let faults = [
        ada.call(&Update { id: made.id, revision: stale, title: None, crew: None }).await.unwrap_err(),
        ada.call(&Archive { id: made.id, revision: stale, archived: None }).await.unwrap_err(),
        ada.call(&Delete { id: made.id, revision: stale }).await.unwrap_err(),
    ];
    for fault in faults {
        assert_eq!(state(&fault), (CONFLICT, Some(Reason::Revision)));
        assert_eq!(fault.current, serde_json::to_value(&back).ok());
    }
    for title in [String::new(), "x".repeat(201)] {
        let fault = ada.call(&Update { id: made.id, revision: None, title: Some(title), crew: None }).await.unwrap_err();
        assert_eq!((fault.code, fault.fields[0].path.as_str()), (FaultCode::Invalid, "title"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_is_said_by_who_posts_it_in_a_session_that_is_in_use() {
    let stage = Stage::new(Settings::default()).await;
    let mut ada = stage.signed_in().await;
    let here = session(&mut ada).await;
    let said = ada.call(&post(here.id, "Hello\u{1F600}")).await.unwrap();
    let author = Author { kind: PrincipalKind::User, id: stage.person.principal.id.clone(), name: "Ada".into() };
    let expected = Message { session_id: here.id, author, text: "Hello\u{1F600}".into(), run_id: None, ..said.clone() };
    assert_eq!((&said, said.revision > here.revision), (&expected, true));
    let stored = stage.node.services.store.get::<MessageRow>(said.id).await.unwrap().unwrap();
    assert_eq!(stored.message(), said);

    assert!(ada.call(&post(here.id, &"ü".repeat(16_000))).await.is_ok());
    for text in [String::new(), "ü".repeat(16_001)] {
        let fault = ada.call(&post(here.id, &text)).await.unwrap_err();
        assert_eq!((fault.code, fault.fields[0].path.as_str()), (FaultCode::Invalid, "text"));
    }
    let again = ada.call(&Post { id: Some(said.id), ..post(here.id, "x") }).await.unwrap_err();
    assert_eq!(state(&again), (CONFLICT, Some(Reason::Taken)));
    let away = ada.call(&Archive { id: here.id, revision: None, archived: None }).await.unwrap();
    let fault = ada.call(&post(here.id, "x")).await.unwrap_err();
    assert_eq!((state(&fault), fault.current), ((CONFLICT, Some(Reason::State)), serde_json::to_value(away).ok()));
}

#[tokio::test(start_paused = true)]
async fn what_is_another_workspaces_reads_as_absent() {
    let stage = Stage::new(Settings::default()).await;
    let here = session(&mut stage.signed_in().await).await.id;
    let mut eve = stage.connect_as(&register(&stage.node, "eve@example.com").await).await;
    for id in [here, stage.node.services.clock.id(SessionId::new)] {
        assert_eq!(eve.call(&Update { id, revision: None, title: None, crew: None }).await, Err(Fault::not_found()));
        assert_eq!(eve.call(&Archive { id, revision: None, archived: None }).await, Err(Fault::not_found()));
        assert_eq!(eve.call(&delete(id)).await, Err(Fault::not_found()));
        assert_eq!(eve.call(&post(id, "x")).await, Err(Fault::not_found()));
    }
    assert!(stage.node.services.store.get::<SessionRow>(here).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_session_is_deleted_when_its_runs_have_ended_and_is_gone_at_once() {
    let stage = Stage::new(Settings::default()).await;
    let mut ada = stage.signed_in().await;
    let here = session(&mut ada).await;
    let inputs = json!({ "page": "A page.", "name": "page.txt" }).as_object().unwrap().clone();
    let run = ada.call(&Start { crew: "review".into(), inputs, session_id: Some(here.id), ..Start::default() }).await.unwrap();
    let busy = ada.call(&delete(here.id)).await.unwrap_err();
    let used = ada.call(&session::Get { id: here.id }).await.unwrap();
    assert_eq!((state(&busy), busy.current), ((CONFLICT, Some(Reason::State)), serde_json::to_value(&used).ok()));
    ada.call(&Cancel { id: run.id, mode: None }).await.unwrap();

    let mut there = stage.signed_in().await;
    let target = encode(&json!({ "presence": { "session_id": here.id } }));
    there.say(&[ClientFrame::Subscribe { sub: 1, target: Body::own(&target), options: None }]).await;
    assert_eq!(there.hear().await, Heard::Here(1));
    ada.call(&delete(here.id)).await.unwrap();
    let Heard::Ended(1, _, ended) = there.hear().await else { panic!("its presence ends") };
    assert_eq!(ended.why, EndedWhy::Deleted);
    assert_eq!(ada.call(&post(here.id, "x")).await, Err(Fault::not_found()));
    assert_eq!(ada.call(&delete(here.id)).await, Err(Fault::not_found()));
}

#[tokio::test(start_paused = true)]
async fn a_presence_whose_sessions_end_was_not_told_ends_with_the_next_sweep() {
    let stage = Stage::new(Settings::default()).await;
    let mut ada = stage.signed_in().await;
    let here = session(&mut ada).await;
    let mut there = stage.signed_in().await;
    let target = encode(&json!({ "presence": { "session_id": here.id } }));
    there.say(&[ClientFrame::Subscribe { sub: 1, target: Body::own(&target), options: None }]).await;
    assert_eq!(there.hear().await, Heard::Here(1));
    stage.hints.store(false, std::sync::atomic::Ordering::Relaxed);
    ada.call(&delete(here.id)).await.unwrap();
    sweep(&stage.node.services).await;
    assert!(matches!(there.hear().await, Heard::Ended(1, _, ended) if ended.why == EndedWhy::Deleted));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_sessions_messages_are_cleared_away_a_part_at_a_time() {
    let stage = Stage::new(Settings::default()).await;
    let services = &stage.node.services;
    let mut ada = stage.signed_in().await;
    let (here, other) = (session(&mut ada).await, session(&mut ada).await);
    let kept = ada.call(&post(other.id, "stays")).await.unwrap();
    let first = ada.call(&post(here.id, "0")).await.unwrap();
    let row = services.store.get::<MessageRow>(first.id).await.unwrap().unwrap();
    let mut commit = Commit::in_workspace(row.workspace_id);
    for _ in 0..CLEARED_MESSAGES {
        commit = commit.insert(&MessageRow { id: services.clock.id(MessageId::new), ..row.clone() });
    }
    services.store.commit(commit).await.unwrap();
    ada.call(&delete(here.id)).await.unwrap();
    let left = async || {
        let messages = services.store.select::<MessageRow>(&Select::by("session_id", here.id)).await.unwrap().len();
        (messages, services.store.select::<Deleted>(&Select::default()).await.unwrap().len())
    };
    assert_eq!(left().await, (CLEARED_MESSAGES + 1, 1));
    sweep(services).await;
    assert_eq!(left().await, (1, 1));
    sweep(services).await;
    assert_eq!(left().await, (0, 0));
    assert!(services.store.get::<MessageRow>(kept.id).await.unwrap().is_some());
}
