//! Presence: who is here, and one's own state, over any number of connections.

use crewline_protocol::{
    Fault, FaultCode,
    follow::{EndedWhy, Place, Target},
    frame::{Body, ServerFrame},
    opening::PrincipalKind,
    presence::{Member, MemberPrincipal},
    value::{ConnectionId, Millis, SessionId, encode},
};
use serde_json::{Value, json};

use super::peer::{Peer, Said, client};
use crate::{FollowError, NoToken, Presence};

fn session() -> SessionId {
    SessionId::new(Millis(7), [7; 10])
}
fn member(number: u8) -> Member {
    let principal = MemberPrincipal { kind: PrincipalKind::User, id: "u".into(), name: format!("member {number}") };
    Member { connection_id: ConnectionId::new(Millis(1), [number; 10]), principal }
}
async fn subscribed(peer: &mut Peer) -> u64 {
    let Some(Said::Subscribe { sub, target, from: None, credit: None }) = peer.next().await else { panic!("subscribe") };
    assert_eq!(target, Target::Presence { presence: Place { session_id: session() } });
    sub
}
async fn begins(peer: &mut Peer, sub: u64) {
    peer.say(&[ServerFrame::Subscribed { sub, body: Body::own(&encode(&json!({}))) }]).await;
}
async fn says(peer: &mut Peer, sub: u64, number: u8, state: Value) {
    let (member, state) = (encode(&member(number)), encode(&state));
    peer.say(&[ServerFrame::Presence { sub, member: Body::own(&member), state: Body::own(&state) }]).await;
}
/// Waits until the others' states are these.
async fn until(presence: &mut Presence, states: &[Value]) {
    let mut seen: Vec<Value> = presence.members().into_values().map(|present| present.state).collect();
    while seen != states {
        seen = presence.changed().await.unwrap().into_values().map(|present| present.state).collect();
    }
}

#[tokio::test(start_paused = true)]
async fn the_others_come_change_and_go() {
    let (client, mut listener) = client(1, NoToken);
    let mut presence = client.presence(session()).await.unwrap();
    let mut peer = listener.welcome().await;
    let sub = subscribed(&mut peer).await;
    begins(&mut peer, sub).await;
    says(&mut peer, sub, 1, json!({})).await;
    says(&mut peer, sub, 2, json!({"typing": true})).await;
    until(&mut presence, &[json!({}), json!({"typing": true})]).await;
    says(&mut peer, sub, 1, json!(null)).await;
    says(&mut peer, sub, 2, json!({"typing": false})).await;
    until(&mut presence, &[json!({"typing": false})]).await;
    assert_eq!(presence.members().into_values().map(|present| present.member).collect::<Vec<_>>(), [member(2)]);
}

#[tokio::test(start_paused = true)]
async fn ones_state_is_told_once_the_subscription_has_begun_and_again_on_the_next_connection() {
    let (client, mut listener) = client(2, NoToken);
    let mut presence = client.presence(session()).await.unwrap();
    presence.set(&json!({"typing": true}));
    let mut first = listener.welcome().await;
    let sub = subscribed(&mut first).await;
    presence.set(&json!({"viewing": "run"}));
    begins(&mut first, sub).await;
    assert_eq!(first.next().await, Some(Said::Presence { sub, state: json!({"viewing": "run"}) }), "what was said before is overwritten");
    presence.set(&json!({}));
    assert_eq!(first.next().await, Some(Said::Presence { sub, state: json!({}) }));
    says(&mut first, sub, 1, json!({})).await;
    until(&mut presence, &[json!({})]).await;
    first.cut();

    let mut second = listener.welcome().await;
    let sub = subscribed(&mut second).await;
    begins(&mut second, sub).await;
    assert_eq!(second.next().await, Some(Said::Presence { sub, state: json!({}) }));
    until(&mut presence, &[]).await;
}

#[tokio::test(start_paused = true)]
async fn leaving_unsubscribes_and_being_sent_away_is_told() {
    let (client, mut listener) = client(3, NoToken);
    let presence = client.presence(session()).await.unwrap();
    let mut other = client.presence(session()).await.unwrap();
    let mut peer = listener.welcome().await;
    let (first, second) = (subscribed(&mut peer).await, subscribed(&mut peer).await);
    drop(presence);
    assert_eq!(peer.next().await, Some(Said::Unsubscribe(first)));
    let fault = Fault::new(FaultCode::TooLarge, "a state has at most 1 KiB");
    peer.ended(second, EndedWhy::Refused, Some(fault.clone())).await;
    assert_eq!(other.changed().await, Err(FollowError::Refused(fault)));
}
