use std::{sync::atomic::Ordering, time::Duration};

use crewline_protocol::{
    event::RunEvent,
    operation::Role,
    operations::{
        auth::{Logout, Me, Refresh, SignedIn},
        member::{Remove, Update},
        run::Start,
        session,
    },
    value::{MemberId, RunId, encode},
};
use serde_json::json;
use tokio::time::Instant;

use super::*;
use crate::{
    access::Member,
    settings::Settings,
    store::Select,
    sweep::sweep,
    testing::{Heard, START, Stage},
};

/// A run of the stage's workspace, whose log these tests write.
async fn run(stage: &Stage) -> RunId {
    let inputs = json!({ "page": "A page.", "name": "page.txt" }).as_object().unwrap().clone();
    let start = Start { crew: "review".into(), inputs, ..Start::default() };
    stage.signed_in().await.call(&start).await.unwrap().id
}

fn delta(text: &str) -> RunEvent {
    RunEvent::TextDelta { at: START, part: "p".into(), text: text.into() }
}

async fn membership(stage: &Stage, person: &SignedIn) -> MemberId {
    let workspace = person.principal.workspace.id;
    let members = stage.node.services.store.select::<Member>(&Select::by("workspace_id", workspace)).await.unwrap();
    members.into_iter().find(|member| member.user_id.to_string() == person.principal.id).unwrap().id
}

#[tokio::test(start_paused = true)]
async fn nothing_committed_after_a_removal_is_delivered_and_the_connection_is_closed() {
    let stage = Stage::new(Settings::default()).await;
    let (run, ben) = (run(&stage).await, stage.joins("ben@example.com", Role::Viewer).await);
    let id = membership(&stage, &ben).await;
    let (mut ada, mut peer) = (stage.signed_in().await, stage.connect_as(&ben).await);
    peer.follow(1, run, json!({})).await;
    assert!(matches!(peer.hear().await, Heard::Subscribed(1, _)));
    stage.append(run, &[delta("before")]).await;
    assert!(matches!(peer.hear().await, Heard::Events { sub: 1, .. }));
    ada.call(&Remove { id }).await.unwrap();
    stage.append(run, &[delta("after")]).await;
    let closed = [peer.hear().await, peer.hear().await];
    assert!(matches!(&closed[0], Heard::Fault(0, _)), "{closed:?}");
    assert_eq!(closed[1], Heard::Closed(Some(CloseCode::SignInRevoked)));
}

#[tokio::test(start_paused = true)]
async fn a_removal_whose_hint_was_lost_is_found_by_the_next_sweep() {
    let stage = Stage::new(Settings::default()).await;
    let ben = stage.joins("ben@example.com", Role::Viewer).await;
    let id = membership(&stage, &ben).await;
    let (mut ada, mut peer) = (stage.signed_in().await, stage.connect_as(&ben).await);
    stage.hints.store(false, Ordering::Relaxed);
    ada.call(&Remove { id }).await.unwrap();
    assert!(peer.call(&Me {}).await.is_ok());
    sweep(&stage.node.services).await;
    assert_eq!(peer.hear_end().await.1, Some(CloseCode::SignInRevoked));
}

#[tokio::test(start_paused = true)]
async fn another_role_is_told_and_holds_for_the_next_request() {
    let stage = Stage::new(Settings::default()).await;
    let ben = stage.joins("ben@example.com", Role::Member).await;
    let id = membership(&stage, &ben).await;
    let (mut ada, mut peer) = (stage.signed_in().await, stage.connect_as(&ben).await);
    let create = session::Create { id: None, title: "x".into(), crew: None };
    assert!(peer.call(&create).await.is_ok());
    ada.call(&Update { id, revision: None, role: Role::Viewer }).await.unwrap();
    assert_eq!(peer.call(&create).await.unwrap_err().code, FaultCode::Forbidden);
    let Heard::Notice(notice) = peer.hear().await else { panic!("it is told") };
    assert!(matches!(*notice, Notice::PrincipalChanged { principal } if principal.role == Role::Viewer));
    ada.call(&Update { id, revision: None, role: Role::Member }).await.unwrap();
    assert!(peer.call(&create).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_member_who_is_removed_is_present_no_more_and_learns_no_more_of_others() {
    let stage = Stage::new(Settings::default()).await;
    let ben = stage.joins("ben@example.com", Role::Viewer).await;
    let id = membership(&stage, &ben).await;
    let (mut ada, mut peer) = (stage.signed_in().await, stage.connect_as(&ben).await);
    let here = ada.call(&session::Create { id: None, title: "Here".into(), crew: None }).await.unwrap().id;
    let target = encode(&json!({ "presence": { "session_id": here } }));
    for peer in [&mut ada, &mut peer] {
        peer.say(&[ClientFrame::Subscribe { sub: 1, target: Body::own(&target), options: None }]).await;
        assert_eq!(peer.hear().await, Heard::Here(1));
    }
    assert!(matches!(ada.hear().await, Heard::Presence(1, _, Some(_))));
    assert!(matches!(peer.hear().await, Heard::Presence(1, _, Some(_))));
    ada.call(&Remove { id }).await.unwrap();
    ada.say(&[ClientFrame::Presence { sub: 1, state: Body::own(&encode(&json!({ "typing": true }))) }]).await;
    assert!(matches!(ada.hear().await, Heard::Presence(1, _, None)), "he has left");
    assert!(matches!(peer.hear().await, Heard::Fault(0, _)));
    assert_eq!(peer.hear().await, Heard::Closed(Some(CloseCode::SignInRevoked)));
}

#[tokio::test(start_paused = true)]
async fn who_signs_out_is_told_so_on_every_connection_also_by_the_sweep() {
    let stage = Stage::new(Settings::default()).await;
    let (mut here, mut there) = (stage.signed_in().await, stage.signed_in().await);
    stage.hints.store(false, Ordering::Relaxed);
    let identity = stage.node.services.hub.signed_in()[0].0.clone();
    // As another node would do it: nobody here is told.
    stage.node.services.access.log_out(&identity, true).await.unwrap();
    sweep(&stage.node.services).await;
    for peer in [&mut here, &mut there] {
        assert_eq!(peer.hear_end().await.1, Some(CloseCode::SignedOut));
    }
    stage.hints.store(true, Ordering::Relaxed);
    let again = stage.log_in("ada@example.com").await;
    let (mut here, mut there) = (stage.connect_as(&again).await, stage.connect_as(&again).await);
    assert!(here.call(&Logout::default()).await.is_ok(), "it is answered");
    for peer in [&mut here, &mut there] {
        assert_eq!(peer.hear_end().await.1, Some(CloseCode::SignedOut));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_learned_of_a_principal_does_not_shorten_a_token_that_was_refreshed() {
    let stage = Stage::new(Settings { heartbeat_ms: 300_000, ..Settings::default() }).await;
    let ben = stage.joins("ben@example.com", Role::Member).await;
    let id = membership(&stage, &ben).await;
    let (mut ada, mut peer) = (stage.signed_in().await, stage.connect_as(&ben).await);
    tokio::time::advance(Duration::from_secs(60)).await;
    let refreshed = peer.call(&Refresh { refresh_token: ben.refresh_token.clone() }).await.unwrap();
    ada.call(&Update { id, revision: None, role: Role::Viewer }).await.unwrap();
    let Heard::Notice(_) = peer.hear_said().await else { panic!("another role") };
    drop(ada);
    let started = Instant::now();
    let left = refreshed.access_expires_at.since(stage.node.services.clock.now());
    assert_eq!(peer.hear_said().await, Heard::Notice(Box::new(Notice::TokenExpiring { expires_at: refreshed.access_expires_at })));
    assert_eq!(started.elapsed().as_millis(), u128::try_from(left - 60_000).unwrap());
}
