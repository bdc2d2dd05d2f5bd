use std::time::Duration;

use crewline_protocol::{
    close::CloseCode,
    frame::ClientFrame,
    opening::PrincipalKind,
    operations::session::Create,
    value::{ConnectionId, MutationKey},
};
use serde_json::json;
use tokio::io::DuplexStream;

use super::*;
use crate::{
    settings::Settings,
    testing::{Heard, Peer, Stage, register},
};

/// A session of the stage's workspace.
async fn session(stage: &Stage) -> SessionId {
    let mut peer = stage.signed_in().await;
    let key = stage.node.services.clock.id(MutationKey::new);
    peer.ask(&Create { id: None, title: "Here".into(), crew: None }, Some(key)).await;
    let Heard::Reply(_, session, _) = peer.hear().await else { panic!("the session is made") };
    session["id"].as_str().unwrap().parse().unwrap()
}

/// A connection of the stage's person, and what others see of it.
async fn someone(stage: &Stage) -> (Peer<DuplexStream>, Member) {
    let mut peer = stage.connect().await;
    let connection_id = peer.hello(Some(&stage.person.access_token)).await.connection_id;
    (peer, member(stage, connection_id))
}

fn member(stage: &Stage, connection_id: ConnectionId) -> Member {
    let id = stage.person.principal.id.clone();
    Member { connection_id, principal: MemberPrincipal { kind: PrincipalKind::User, id, name: "Ada".into() } }
}

async fn come(peer: &mut Peer<DuplexStream>, sub: u64, session: SessionId) {
    let target = encode(&json!({ "presence": { "session_id": session } }));
    peer.say(&[ClientFrame::Subscribe { sub, target: Body::own(&target), options: None }]).await;
}

async fn say(peer: &mut Peer<DuplexStream>, sub: u64, state: &Value) {
    peer.say(&[ClientFrame::Presence { sub, state: Body::own(&encode(state)) }]).await;
}

fn here(sub: u64, member: &Member, state: Value) -> Heard {
    Heard::Presence(sub, Box::new(member.clone()), Some(state))
}

fn left(sub: u64, member: &Member) -> Heard {
    Heard::Presence(sub, Box::new(member.clone()), None)
}

fn ended(sub: u64, why: EndedWhy, fault: Option<Fault>) -> Heard {
    Heard::Ended(sub, Default::default(), Box::new(Ended { why, fault }))
}

#[tokio::test(start_paused = true)]
async fn two_connections_of_one_person_are_two_members_who_see_each_other_and_not_themselves() {
    let stage = Stage::new(Settings::default()).await;
    let session = session(&stage).await;
    let ((mut phone, on_phone), (mut laptop, on_laptop)) = (someone(&stage).await, someone(&stage).await);
    come(&mut phone, 1, session).await;
    assert_eq!(phone.hear().await, Heard::Here(1));
    say(&mut phone, 1, &json!({ "typing": true })).await;
    come(&mut laptop, 7, session).await;
    assert_eq!(laptop.hear().await, Heard::Here(7));
    assert_eq!(laptop.hear().await, here(7, &on_phone, json!({ "typing": true })));
    assert_eq!(phone.hear().await, here(1, &on_laptop, json!({})));
    say(&mut laptop, 7, &json!({ "cursor": [1, 2] })).await;
    assert_eq!(phone.hear().await, here(1, &on_laptop, json!({ "cursor": [1, 2] })));
    say(&mut phone, 1, &Value::Null).await;
    assert_eq!(laptop.hear().await, left(7, &on_phone));
    come(&mut phone, 2, session).await;
    assert_eq!(phone.hear().await, Heard::Here(2));
    assert_eq!(phone.hear().await, here(2, &on_laptop, json!({ "cursor": [1, 2] })));
    assert_eq!(laptop.hear().await, here(7, &on_phone, json!({})));
    phone.say(&[ClientFrame::Unsubscribe { sub: 2 }]).await;
    assert_eq!(laptop.hear().await, left(7, &on_phone));
    come(&mut phone, 3, session).await;
    assert_eq!(laptop.hear().await, here(7, &on_phone, json!({})));
    drop(phone);
    assert_eq!(laptop.hear().await, left(7, &on_phone), "its socket is gone");
}

#[tokio::test(start_paused = true)]
async fn a_state_is_a_map_of_at_most_a_kibibyte() {
    let stage = Stage::new(Settings::default()).await;
    let session = session(&stage).await;
    let ((mut ada, _), (mut other, on_other)) = (someone(&stage).await, someone(&stage).await);
    come(&mut ada, 1, session).await;
    assert_eq!(ada.hear().await, Heard::Here(1));
    // A map of one, its key, and a text with its length in three bytes.
    let state = |bytes: usize| json!({ "at": "x".repeat(bytes - 1 - 3 - 3) });
    for (sub, wrong, code) in
        [(1, state(STATE_BYTES + 1), FaultCode::TooLarge), (2, json!("typing"), FaultCode::Invalid), (3, json!([]), FaultCode::Invalid)]
    {
        come(&mut other, sub, session).await;
        assert_eq!(other.hear().await, Heard::Here(sub));
        assert!(matches!(other.hear().await, Heard::Presence(..)));
        assert_eq!(ada.hear().await, here(1, &on_other, json!({})));
        say(&mut other, sub, &wrong).await;
        let Heard::Ended(of, _, ended) = other.hear().await else { panic!("{wrong}") };
        assert_eq!((of, ended.why, ended.fault.map(|fault| fault.code)), (sub, EndedWhy::Refused, Some(code)));
        assert_eq!(ada.hear().await, left(1, &on_other));
    }
    come(&mut other, 4, session).await;
    assert_eq!(ada.hear().await, here(1, &on_other, json!({})));
    say(&mut other, 4, &state(STATE_BYTES)).await;
    assert_eq!(ada.hear().await, here(1, &on_other, state(STATE_BYTES)));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_present_twice_or_in_what_they_may_not_see() {
    let stage = Stage::new(Settings::default()).await;
    let session = session(&stage).await;
    let mut ada = stage.signed_in().await;
    come(&mut ada, 1, session).await;
    assert_eq!(ada.hear().await, Heard::Here(1));
    come(&mut ada, 2, session).await;
    assert_eq!(ada.hear().await, ended(2, EndedWhy::Refused, Some(here_already())));

    let eve = register(&stage.node, "eve@example.com").await;
    let mut peer = stage.connect().await;
    peer.hello(Some(&eve.access_token)).await;
    let absent = stage.node.services.clock.id(SessionId::new);
    for (sub, session) in [(1, session), (2, absent)] {
        come(&mut peer, sub, session).await;
        assert_eq!(peer.hear().await, ended(sub, EndedWhy::Refused, Some(Fault::not_found())));
    }
    say(&mut peer, 1, &json!({})).await;
    peer.say(&[ClientFrame::Ping(Body::own(&[1]))]).await;
    assert_eq!(peer.hear().await, Heard::Pong(vec![1]), "a state for what was refused is ignored");
    ada.say(&[ClientFrame::Ping(Body::own(&[1]))]).await;
    assert_eq!(ada.hear().await, Heard::Pong(vec![1]), "she was shown nobody");
}

#[tokio::test(start_paused = true)]
async fn who_reads_slowly_is_told_the_latest_and_not_all() {
    let stage = Stage::new(Settings { heartbeat_ms: 300_000, stalled_ms: 600_000, ..Settings::default() }).await;
    let session = session(&stage).await;
    let ((mut slow, _), (mut fast, on_fast)) = (someone(&stage).await, someone(&stage).await);
    come(&mut slow, 1, session).await;
    assert_eq!(slow.hear().await, Heard::Here(1));
    come(&mut fast, 1, session).await;
    assert_eq!(fast.hear().await, Heard::Here(1));
    let states = 2_000;
    for number in 0..states {
        say(&mut fast, 1, &json!({ "at": number, "fill": "x".repeat(900) })).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (mut heard, mut last) = (0, json!({}));
    while last["at"] != json!(states - 1) {
        let Heard::Presence(1, member, Some(state)) = slow.hear().await else { panic!() };
        assert_eq!(*member, on_fast);
        assert!(state["at"].as_i64() >= last["at"].as_i64());
        (heard, last) = (heard + 1, state);
    }
    assert!(heard < states / 4, "{heard} of {states}");
}

#[tokio::test(start_paused = true)]
async fn presence_ends_with_its_session_and_counts_among_the_subscriptions() {
    let stage = Stage::new(Settings { subscriptions: 1, ..Settings::default() }).await;
    let (first, second) = (session(&stage).await, session(&stage).await);
    let mut ada = stage.signed_in().await;
    come(&mut ada, 1, first).await;
    assert_eq!(ada.hear().await, Heard::Here(1));
    come(&mut ada, 2, second).await;
    let Heard::Ended(2, _, refused) = ada.hear().await else { panic!() };
    assert_eq!(refused.fault.map(|fault| fault.code), Some(FaultCode::TooMany));
    stage.node.services.hub.session_gone(first);
    assert_eq!(ada.hear().await, ended(1, EndedWhy::Deleted, None));
    come(&mut ada, 3, second).await;
    assert_eq!(ada.hear().await, Heard::Here(3));
    stage.node.services.hub.drain(Duration::from_millis(10));
    assert_eq!(ada.hear_end().await.1, Some(CloseCode::Shutdown));
    assert_eq!(stage.node.services.hub.places(), []);
}
