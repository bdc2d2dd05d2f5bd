//! Workers on their sockets: what they see, and what ends when they lose it.

use crewline_protocol::{
    close::CloseCode,
    fault::FaultCode,
    follow::EndedWhy,
    live::LiveChange,
    operations::{api_key, auth, lease, run, session, worker},
};
use tokio::io::DuplexStream;

use super::*;
use crate::testing::{Heard, Peer, Stage};

/// A stage, and the secret of a key in its person's workspace.
async fn stage() -> (Stage, api_key::Created) {
    let stage = Stage::new(settings()).await;
    let key = stage.signed_in().await.call(&api_key::Create { id: None, name: "box".into() }).await.unwrap();
    (stage, key)
}

async fn connect(stage: &Stage, key: &api_key::Created) -> Peer<DuplexStream> {
    let mut peer = stage.connect().await;
    let welcome = peer.hello(Some(&key.secret)).await;
    assert_eq!(welcome.reconnect.max_ms, LEASE_MS.unsigned_abs() / 3, "it is back before its leases end");
    assert_eq!(welcome.principal.unwrap().role, Role::Worker);
    peer
}

fn hello(name: &str) -> worker::Register {
    Register { crews: vec![serves("hello")], ..far(name, 1) }
}

/// A run of the crew that the worker brings, assigned.
async fn assigned(stage: &Stage) -> Run {
    let start = Start { crew: "hello".into(), ..Start::default() };
    let run = stage.signed_in().await.call(&start).await.unwrap();
    round(&stage.node.services).await.unwrap();
    run
}

async fn change(peer: &mut Peer<DuplexStream>) -> LiveChange {
    match peer.hear_said().await {
        Heard::Changes { mut changes, .. } if changes.len() == 1 => changes.remove(0),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_is_told_what_it_holds_and_follows_that_and_nothing_else() {
    let (stage, key) = stage().await;
    let mut peer = connect(&stage, &key).await;
    peer.watch(1, "lease.list", &json!({"mine": true}), json!({})).await;
    let Heard::Ended(1, _, ended) = peer.hear_said().await else { panic!() };
    assert_eq!((ended.why, ended.fault.unwrap().code), (EndedWhy::Refused, FaultCode::Conflict), "nobody has registered");
    peer.call(&hello("w")).await.unwrap();
    peer.watch(2, "lease.list", &json!({"mine": true}), json!({})).await;
    assert!(matches!(peer.hear_said().await, Heard::Asked(2, _)));
    assert!(matches!(peer.hear_said().await, Heard::Snapshot(2, ..)));
    let run = assigned(&stage).await;
    let LiveChange::Put { put, .. } = change(&mut peer).await else { panic!() };
    let lease: lease::Lease = serde_json::from_value(put).unwrap();
    assert_eq!((lease.run_id, lease.epoch, lease.crew.as_str(), lease.history_head), (run.id, 1, "hello", Offset(1)));

    peer.follow(3, run.id, json!({"from": 1})).await;
    assert!(matches!(peer.hear_said().await, Heard::Subscribed(3, _)));
    let mut ada = stage.signed_in().await;
    ada.call(&Steer { id: run.id, text: "go on".into() }).await.unwrap();
    let Heard::Events { events, .. } = peer.hear_said().await else { panic!() };
    assert_eq!(types(&events), ["steer.received"]);

    let other = ada.call(&Start { crew: "hello".into(), ..Start::default() }).await.unwrap();
    peer.follow(4, other.id, json!({})).await;
    let Heard::Ended(4, _, ended) = peer.hear_said().await else { panic!() };
    assert_eq!(ended.fault.unwrap().code, FaultCode::NotFound, "another run is as if it were not there");
    for refused in [
        peer.call(&session::List::default()).await.map(drop),
        peer.call(&run::Get { id: run.id }).await.map(drop),
        peer.call(&auth::Logout::default()).await.map(drop),
        peer.call(&worker::List::default()).await.map(drop),
    ] {
        assert_eq!(refused.unwrap_err().code, FaultCode::Forbidden);
    }

    let finish = Finish { run_id: run.id, lease_epoch: 1, status: Outcome::Succeeded, output: Some("hi".into()), fault: None };
    peer.call(&finish).await.unwrap();
    let (mut removed, mut complete) = (false, false);
    while !(removed && complete) {
        match peer.hear_said().await {
            Heard::Changes { changes, .. } => removed |= changes == [LiveChange::Remove { remove: lease.id.to_string() }],
            Heard::Ended(3, _, ended) => complete = ended.why == EndedWhy::Complete,
            Heard::Events { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_loses_a_run_sees_no_more_of_it() {
    let (stage, key) = stage().await;
    let mut peer = connect(&stage, &key).await;
    peer.call(&hello("w")).await.unwrap();
    let run = assigned(&stage).await;
    peer.follow(1, run.id, json!({"from": 1})).await;
    assert!(matches!(peer.hear_said().await, Heard::Subscribed(1, _)));
    tokio::time::sleep(std::time::Duration::from_millis(LEASE_MS.unsigned_abs() + 1)).await;
    round(&stage.node.services).await.unwrap();
    let Heard::Ended(1, _, ended) = peer.hear_said().await else { panic!() };
    assert_eq!(ended.why, EndedWhy::Forbidden);
    let fault = peer.call(&run::Append { run_id: run.id, lease_epoch: 1, seq: 1, events: vec![line("1")] }).await.unwrap_err();
    assert!(lost(&fault));
}

#[tokio::test(start_paused = true)]
async fn an_older_connection_of_the_same_worker_is_told_that_it_is_over() {
    let (stage, key) = stage().await;
    let mut older = connect(&stage, &key).await;
    older.call(&hello("w")).await.unwrap();
    let run = assigned(&stage).await;
    older.watch(1, "lease.list", &json!({"mine": true}), json!({})).await;
    assert!(matches!(older.hear_said().await, Heard::Asked(1, _)));
    assert!(matches!(older.hear_said().await, Heard::Snapshot(1, ..)));
    let mut newer = connect(&stage, &key).await;
    let held = vec![Held { run_id: run.id, lease_epoch: 1 }];
    let again = newer.call(&Register { held: held.clone(), ..hello("w") }).await.unwrap();
    assert_eq!(again.held, [HeldSince { run_id: run.id, lease_epoch: 1, seq: 0 }]);
    let Heard::Ended(1, _, ended) = older.hear_said().await else { panic!() };
    assert_eq!(ended.why, EndedWhy::Server);
    let append = run::Append { run_id: run.id, lease_epoch: 1, seq: 1, events: vec![line("1")] };
    assert!(lost(&older.call(&append).await.unwrap_err()));
    assert!(lost(&older.call(&Renew { held }).await.unwrap_err()));
    assert_eq!(newer.call(&append).await.unwrap().seq, 1);
}

async fn state_of(stage: &Stage) -> State {
    stage.signed_in().await.call(&worker::List::default()).await.unwrap().items[0].state
}

async fn is_held(stage: &Stage, run: &Run) -> bool {
    hold_of(&stage.node.services.store, run.id).await.unwrap().is_some()
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_connection_has_ended_is_given_nothing_until_it_is_back() {
    let (stage, key) = stage().await;
    let mut peer = connect(&stage, &key).await;
    peer.call(&hello("w")).await.unwrap();
    let other = connect(&stage, &key).await;
    drop(other);
    drop(peer);
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    let run = assigned(&stage).await;
    assert_eq!((state_of(&stage).await, is_held(&stage, &run).await), (State::Offline, false));

    let mut older = connect(&stage, &key).await;
    older.call(&hello("w")).await.unwrap();
    let mut newer = connect(&stage, &key).await;
    newer.call(&hello("w")).await.unwrap();
    drop(older);
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    round(&stage.node.services).await.unwrap();
    assert_eq!((state_of(&stage).await, is_held(&stage, &run).await), (State::Online, true), "the older one's end is not the worker's");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_by_a_server_that_was_away_where_its_worker_comes_back_in_time() {
    let (stage, key) = stage().await;
    let mut peer = connect(&stage, &key).await;
    peer.call(&hello("w")).await.unwrap();
    let run = assigned(&stage).await;
    let lease = std::time::Duration::from_millis(LEASE_MS.unsigned_abs());
    tokio::time::sleep(2 * lease).await;
    let assigning = tokio::spawn(assign_forever(stage.node.services.clone()));
    tokio::time::sleep(lease / 2).await;
    assert_eq!((state_of(&stage).await, is_held(&stage, &run).await), (State::Offline, true));
    let mut back = connect(&stage, &key).await;
    let held = vec![Held { run_id: run.id, lease_epoch: 1 }];
    assert_eq!(back.call(&Register { held, ..hello("w") }).await.unwrap().held.len(), 1);
    assert_eq!(state_of(&stage).await, State::Online);
    tokio::time::sleep(lease * 2 / 3).await;
    assert!(is_held(&stage, &run).await);
    tokio::time::sleep(lease).await;
    let again = stage.signed_in().await.call(&run::Get { id: run.id }).await.unwrap();
    assert_eq!((again.status, is_held(&stage, &run).await), (Status::Queued, false));
    assigning.abort();
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_taken_back_closes_its_connections_at_once() {
    let (stage, key) = stage().await;
    let mut peer = connect(&stage, &key).await;
    peer.call(&hello("w")).await.unwrap();
    stage.signed_in().await.call(&api_key::Revoke { id: key.key.id }).await.unwrap();
    let (fault, code) = peer.hear_end().await;
    assert_eq!((fault.unwrap().code, code), (FaultCode::Unauthenticated, Some(CloseCode::SignInRevoked)));
    let mut again = stage.connect().await;
    again
        .say(&[crewline_protocol::frame::ClientFrame::Hello(crewline_protocol::frame::Body::own(&testing::hello(Some(&key.secret))))])
        .await;
    assert_eq!(again.hear_end().await.1, Some(CloseCode::SignInRevoked));
}

#[tokio::test(start_paused = true)]
async fn a_key_shows_its_secret_once_and_lists_without_it() {
    let (stage, key) = stage().await;
    let mut ada = stage.signed_in().await;
    let page = ada.call(&api_key::List::default()).await.unwrap();
    assert_eq!(page.items, std::slice::from_ref(&key.key));
    assert!(!serde_json::to_string(&page.items).unwrap().contains("crk_"));
    let mut peer = stage.connect().await;
    peer.hello(None).await;
    let signed_in = peer.call(&auth::Authenticate { access_token: key.secret.clone() }).await.unwrap();
    assert_eq!((signed_in.principal.id, signed_in.access_expires_at), (key.key.id.to_string(), None));
    let as_ada = peer.call(&auth::Authenticate { access_token: stage.person.access_token.clone() }).await.unwrap_err();
    assert_eq!(as_ada.code, FaultCode::Conflict);
}
