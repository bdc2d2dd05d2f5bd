//! What the client promises, in paused time against a scripted peer.

mod live;
mod peer;
mod presence;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use crewline_protocol::{
    CloseCode, Fault, FaultCode, RunEvent,
    fault::Retry,
    follow::EndedWhy,
    frame::{Body, ServerFrame},
    opening::{Goaway, GoawayWhy, Notice},
    operations::{auth::Me, session},
    value::{Millis, Offset, RunId, encode},
};
use futures::StreamExt;
use serde_json::json;
use tokio::time::Instant;

use self::peer::{Peer, Said, client, welcome};
use crate::{AuthReason, CallError, CallOptions, Client, FollowError, FollowOptions, Followed, NoToken, RunStream, State, Stopped, Token};

fn run_id() -> RunId {
    RunId::new(Millis(7), [7; 10])
}
fn delta(text: &str) -> RunEvent {
    RunEvent::TextDelta { at: Millis(1), part: "p".into(), text: text.into() }
}
fn session() -> session::Create {
    session::Create { id: None, title: "a session".into(), crew: None }
}
async fn request(peer: &mut Peer) -> (u64, String, Option<String>) {
    match peer.next().await {
        Some(Said::Request { id, operation, key, .. }) => (id, operation, key),
        other => panic!("{other:?} instead of a request"),
    }
}
async fn subscribe(peer: &mut Peer) -> (u64, i64, i64) {
    match peer.next().await {
        Some(Said::Subscribe { sub, from, credit, .. }) => (sub, from.unwrap(), credit.unwrap()),
        other => panic!("{other:?} instead of subscribe"),
    }
}
async fn follow(client: &Client, options: FollowOptions) -> RunStream {
    client.follow_run(run_id(), options).await.unwrap()
}
/// The texts of what comes next, with positions as `@4`.
async fn read(stream: &mut RunStream, items: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..items {
        texts.push(match stream.next().await {
            Some(Ok(Followed::Event(RunEvent::TextDelta { text, .. }))) => text,
            Some(Ok(Followed::Position(offset))) => format!("@{offset}"),
            Some(Ok(Followed::Attached { from, head })) => format!("from {from} to {head}"),
            other => format!("{other:?}"),
        });
    }
    texts
}

#[tokio::test(start_paused = true)]
async fn a_client_connects_when_there_is_something_to_say_and_leaves_when_nobody_is_left() {
    let (client, mut listener) = client(1, NoToken);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(listener.is_quiet());
    let asked = tokio::spawn({
        let client = client.clone();
        async move { client.call_raw("auth.me", &json!({}), CallOptions::default()).await }
    });
    let mut peer = listener.welcome().await;
    assert_eq!(request(&mut peer).await, (1, "auth.me".into(), None));
    peer.reply(1, &json!({"name": "Ada"})).await;
    assert_eq!(asked.await.unwrap(), Ok(json!({"name": "Ada"})));
    drop(client);
    assert_eq!(peer.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_mutation_keeps_its_key_over_faults_and_lost_connections() {
    let (client, mut listener) = client(2, NoToken);
    let asked = tokio::spawn({
        let client = client.clone();
        async move { client.call(session()).await }
    });
    let mut first = listener.welcome().await;
    let (id, operation, key) = request(&mut first).await;
    assert_eq!((id, &*operation), (1, "session.create"));
    assert!(key.is_some());
    first.fault(id, &Fault::new(FaultCode::Unavailable, "the database is away")).await;
    assert_eq!(request(&mut first).await, (2, operation.clone(), key.clone()), "again, on the same connection");
    first.cut();
    let mut second = listener.welcome().await;
    assert_eq!(request(&mut second).await, (1, operation, key), "again, on the next connection");
    second.fault(1, &Fault::conflict(crewline_protocol::fault::Reason::Taken, "is there already")).await;
    let Err(CallError::Fault(fault)) = asked.await.unwrap() else { panic!("a fault that asks for nothing is the answer") };
    assert_eq!((fault.code, fault.retry), (FaultCode::Conflict, Retry::Refetch));
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_names_a_time_is_waited_out_and_one_that_stays_is_the_answer() {
    let (client, mut listener) = client(3, NoToken);
    let asked = tokio::spawn(async move { client.call(Me {}).await });
    let mut peer = listener.welcome().await;
    let limited = Fault::new(FaultCode::RateLimited, "too many requests").after_ms(2_000);
    let mut before = Instant::now() - Duration::from_secs(2);
    for id in 1..=7 {
        assert_eq!(request(&mut peer).await.0, id);
        assert!(before.elapsed() >= Duration::from_secs(2), "try {id} came too early");
        before = Instant::now();
        peer.fault(id, &limited).await;
    }
    assert_eq!(asked.await.unwrap().unwrap_err(), CallError::Fault(limited));
}

#[tokio::test(start_paused = true)]
async fn dropping_a_call_cancels_it_and_a_late_answer_is_told_with_the_key() {
    let (client, mut listener) = client(4, NoToken);
    let options = CallOptions { timeout: Some(Duration::from_secs(5)), key: None };
    let asked = tokio::spawn({
        let client = client.clone();
        async move { client.call_with(session(), options).await }
    });
    let mut peer = listener.welcome().await;
    let (id, operation, key) = request(&mut peer).await;
    let Err(CallError::TimedOut { key: kept, after, .. }) = asked.await.unwrap() else { panic!("a timeout") };
    assert_eq!((kept.map(|key| key.to_string()), after), (key.clone(), Duration::from_secs(5)));
    assert_eq!(peer.next().await, Some(Said::Cancel(id)));
    let again = tokio::spawn({
        let client = client.clone();
        async move { client.call_with(session(), CallOptions { timeout: None, key: kept }).await.map(|session| session.title) }
    });
    assert_eq!(request(&mut peer).await, (id + 1, operation, key), "the same key tells whether it happened");
    again.abort();
    assert_eq!(peer.next().await, Some(Said::Cancel(id + 1)));
}

#[tokio::test(start_paused = true)]
async fn a_run_resumes_by_offset_and_every_event_comes_once() {
    let (client, mut listener) = client(5, NoToken);
    let mut stream = follow(&client, FollowOptions { from: Offset(2), ..FollowOptions::default() }).await;
    let mut first = listener.welcome().await;
    let (sub, from, credit) = subscribe(&mut first).await;
    assert_eq!((sub, from, credit), (1, 2, 256 << 10));
    first.subscribed(1, 2, 9).await;
    first.events(1, 5, 3, &[delta("merged of three")]).await;
    first.events(1, 5, 3, &[delta("merged of three")]).await;
    first.events(1, 4, 1, &[delta("ends before")]).await;
    first.events(1, 6, 1, &[delta("six")]).await;
    assert_eq!(read(&mut stream, 5).await, ["from 2 to 9", "merged of three", "@5", "six", "@6"]);
    first.cut();

    let mut second = listener.welcome().await;
    assert_eq!(subscribe(&mut second).await.1, 6, "resumes after what was given");
    second.subscribed(1, 6, 9).await;
    second.events(1, 7, 1, &[]).await;
    second.events(1, 9, 1, &[delta("after a gap")]).await;
    let sub = loop {
        match second.next().await {
            Some(Said::Credit { .. }) => {}
            Some(Said::Unsubscribe(1)) => break subscribe_after_credit(&mut second).await,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(sub, (2, 7), "subscribes again from what it has");
    second.events(1, 8, 1, &[delta("of the subscription that was left")]).await;
    second.events(2, 9, 2, &[delta("eight"), delta("nine")]).await;
    second.ended(2, EndedWhy::Complete, None).await;
    assert_eq!(read(&mut stream, 5).await, ["from 6 to 9", "@7", "eight", "nine", "@9"]);
    assert_eq!(stream.next().await, None);
    assert_eq!(stream.next().await, None);
}
async fn subscribe_after_credit(peer: &mut Peer) -> (u64, i64) {
    loop {
        match peer.next().await {
            Some(Said::Credit { .. }) => {}
            Some(Said::Subscribe { sub, from, .. }) => return (sub, from.unwrap()),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn credit_is_given_for_what_was_read_and_never_for_what_was_not() {
    let (client, mut listener) = client(6, NoToken);
    let mut stream = follow(&client, FollowOptions { credit: Some(100), ..FollowOptions::default() }).await;
    let mut first = listener.welcome().await;
    assert_eq!(subscribe(&mut first).await, (1, 0, 100));
    let bytes = first.events(1, 1, 1, &[delta("one")]).await + first.events(1, 2, 1, &[delta("two")]).await;
    assert!(bytes >= 50, "reaches half the window: {bytes}");
    tokio::time::sleep(Duration::from_secs(10)).await;
    first.say(&[ServerFrame::Ping(Body::own(&encode(&1)))]).await;
    assert_eq!(first.next().await, Some(Said::Pong(1)), "nothing was read: no credit came before");
    assert_eq!(read(&mut stream, 4).await, ["one", "@1", "two", "@2"]);
    assert!(futures::poll!(stream.next()).is_pending(), "asking for more says that these are done with");
    assert_eq!(first.next().await, Some(Said::Credit { sub: 1, bytes }));
    assert_eq!(first.next().await, Some(Said::Credit { sub: 0, bytes }));

    let unread = first.events(1, 3, 1, &[delta("three")]).await;
    first.say(&[ServerFrame::Ping(Body::own(&encode(&2)))]).await;
    assert_eq!(first.next().await, Some(Said::Pong(2)));
    first.cut();
    let mut second = listener.welcome().await;
    assert_eq!(subscribe(&mut second).await, (1, 3, 100 - unread), "what is unread still takes its room");
    let stray = second.events(9, 1, 1, &[delta("of nothing that is followed")]).await;
    assert_eq!(second.next().await, Some(Said::Credit { sub: 0, bytes: stray }));
    drop(stream);
    assert_eq!(second.next().await, Some(Said::Unsubscribe(1)));
}

#[tokio::test(start_paused = true)]
async fn windows_beyond_the_connections_credit_raise_it_so_that_no_reader_holds_up_another() {
    let (client, mut listener) = client(7, NoToken);
    let _large = follow(&client, FollowOptions { credit: Some(1 << 20), ..FollowOptions::default() }).await;
    let mut peer = listener.welcome().await;
    assert_eq!(subscribe(&mut peer).await.0, 1);
    let _small = follow(&client, FollowOptions { credit: Some(1_000), ..FollowOptions::default() }).await;
    assert_eq!(subscribe(&mut peer).await.0, 2);
    assert_eq!(peer.next().await, Some(Said::Credit { sub: 0, bytes: 1_000 }));
}

#[tokio::test(start_paused = true)]
async fn another_epoch_forgets_positions_and_says_so() {
    let (client, mut listener) = client(8, NoToken);
    let mut stream = follow(&client, FollowOptions::default()).await;
    let mut first = listener.welcome().await;
    subscribe(&mut first).await;
    first.events(1, 3, 3, &[delta("before the restore")]).await;
    assert_eq!(read(&mut stream, 2).await, ["before the restore", "@3"]);
    first.cut();
    let (mut second, _) = listener.accept().await;
    second.say(&[ServerFrame::Welcome(Body::own(&encode(&welcome("second"))))]).await;
    assert_eq!(subscribe(&mut second).await.1, 0);
    second.events(1, 1, 1, &[delta("after it")]).await;
    assert_eq!(stream.next().await, Some(Ok(Followed::Restarted)));
    assert_eq!(read(&mut stream, 2).await, ["after it", "@1"]);
}

#[tokio::test(start_paused = true)]
async fn how_a_subscription_ended_decides_whether_it_is_made_again() {
    let refused = Fault::not_found();
    for (why, fault, expected) in [
        (EndedWhy::Refused, Some(refused.clone()), FollowError::Refused(refused)),
        (EndedWhy::Forbidden, None, FollowError::Forbidden),
        (EndedWhy::Deleted, None, FollowError::Deleted),
    ] {
        let (client, mut listener) = client(9, NoToken);
        let mut stream = follow(&client, FollowOptions::default()).await;
        let mut peer = listener.welcome().await;
        subscribe(&mut peer).await;
        peer.ended(1, EndedWhy::Server, None).await;
        assert_eq!(subscribe(&mut peer).await.0, 2);
        peer.ended(2, EndedWhy::Refused, Some(Fault::new(FaultCode::TooMany, "too many").after_ms(1))).await;
        assert_eq!(subscribe(&mut peer).await.0, 3);
        peer.ended(3, why, fault).await;
        assert_eq!(stream.next().await, Some(Err(expected)));
        assert_eq!(stream.next().await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn events_of_unknown_types_are_left_out_and_broken_ones_end_the_stream() {
    let (client, mut listener) = client(10, NoToken);
    let mut stream = follow(&client, FollowOptions::default()).await;
    let mut peer = listener.welcome().await;
    subscribe(&mut peer).await;
    let newer = encode(&json!([{"type": "mood.changed", "at": 1}, delta("known")]));
    peer.say(&[ServerFrame::Events { sub: 1, offset: 2, span: 2, events: Body::own(&newer) }]).await;
    assert_eq!(read(&mut stream, 2).await, ["known", "@2"]);
    let broken = encode(&json!([{"type": "text.delta", "at": 1}]));
    peer.say(&[ServerFrame::Events { sub: 1, offset: 3, span: 1, events: Body::own(&broken) }]).await;
    assert!(matches!(stream.next().await, Some(Err(FollowError::Unreadable(_)))));
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_asked_for_anew_and_the_same_one_twice_stops_the_client() {
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let provider = {
        let reasons = reasons.clone();
        move |reason: AuthReason| {
            let mut reasons = reasons.lock().unwrap();
            reasons.push(reason);
            // The second and third are the same.
            let token = Token::new(format!("token-{}", reasons.len().min(2)));
            async move { Ok(Some(token)) }
        }
    };
    let (client, mut listener) = client(11, provider);
    let asked = tokio::spawn(async move { client.call(Me {}).await });
    for (connection, token) in ["token-1", "token-2", "token-2"].into_iter().enumerate() {
        let (mut peer, hello) = listener.accept().await;
        assert_eq!(hello.access_token.as_deref(), Some(token), "connection {connection}");
        peer.fault(0, &Fault::new(FaultCode::Unauthenticated, "the token was refused")).await;
        peer.close(CloseCode::TokenRefused).await;
    }
    let Err(CallError::Stopped(stopped)) = asked.await.unwrap() else { panic!("stopped") };
    assert_eq!(stopped.to_string(), "the token was refused (4100)");
    assert_eq!(*reasons.lock().unwrap(), [AuthReason::Initial, AuthReason::Rejected, AuthReason::Rejected]);
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_over_the_socket_is_kept_renewed_in_place_and_used_again() {
    let (client, mut listener) = client(12, NoToken);
    let signing_in = tokio::spawn({
        let client = client.clone();
        async move { client.login("ada@example.com", "long enough").await.map(|signed_in| signed_in.access_token) }
    });
    let mut first = listener.welcome().await;
    assert_eq!(request(&mut first).await, (1, "auth.login".into(), None));
    first.reply(1, &signed_in("access-1", "refresh-1")).await;
    assert_eq!(signing_in.await.unwrap(), Ok("access-1".into()));

    let notice = encode(&Notice::TokenExpiring { expires_at: Millis(1) });
    first.say(&[ServerFrame::Notice(Body::own(&notice))]).await;
    let Some(Said::Request { id, operation, input, .. }) = first.next().await else { panic!("a request") };
    assert_eq!((&*operation, input), ("auth.refresh", json!({"refresh_token": "refresh-1"})));
    first.reply(id, &signed_in("access-2", "refresh-2")).await;
    let _stream = follow(&client, FollowOptions::default()).await;
    subscribe(&mut first).await;
    first.close(CloseCode::Internal).await;

    let (second, hello) = listener.accept().await;
    assert_eq!(hello.access_token.as_deref(), Some("access-2"));
    assert_eq!(hello.last_close.map(|close| close.code), Some(4002));
    second.close(CloseCode::TokenRefused).await;

    let (mut third, hello) = listener.accept().await;
    assert_eq!(hello.access_token, None, "what was refused is not shown again");
    third.say(&[ServerFrame::Welcome(Body::own(&encode(&welcome("first"))))]).await;
    let Some(Said::Request { id, operation, input, .. }) = third.next().await else { panic!("a request") };
    assert_eq!((&*operation, input), ("auth.refresh", json!({"refresh_token": "refresh-2"})));
    third.reply(id, &signed_in("access-3", "refresh-3")).await;
    assert_eq!(subscribe(&mut third).await.0, 1, "only after it is signed in");
}
fn signed_in(access: &str, refresh: &str) -> serde_json::Value {
    json!({
        "access_token": access, "access_expires_at": 1, "refresh_token": refresh, "refresh_expires_at": 2,
        "principal": {
            "kind": "user", "id": "u", "name": "Ada", "role": "owner",
            "workspace": {"id": crewline_protocol::value::WorkspaceId::new(Millis(1), [1; 10]), "name": "Ada's"},
        },
    })
}

#[tokio::test(start_paused = true)]
async fn a_close_that_nothing_mends_stops_the_client_and_everything_says_why() {
    let (client, mut listener) = client(13, NoToken);
    let mut stream = follow(&client, FollowOptions::default()).await;
    let mut peer = listener.welcome().await;
    subscribe(&mut peer).await;
    peer.close(CloseCode::SignedOut).await;
    let stopped = Stopped { code: Some(4201), fault: None };
    assert_eq!(stream.next().await, Some(Err(FollowError::Stopped(stopped.clone()))));
    assert_eq!(client.call(Me {}).await.unwrap_err(), CallError::Stopped(stopped.clone()));
    assert_eq!(*client.state().borrow(), State::Stopped(stopped));
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(listener.is_quiet());
}

#[tokio::test(start_paused = true)]
async fn reconnects_wait_a_random_time_up_to_a_bound_that_doubles_to_the_servers_maximum() {
    let (client, mut listener) = client(14, NoToken);
    let _stream = follow(&client, FollowOptions::default()).await;
    let mut waits = Vec::new();
    let mut cut_at = Instant::now();
    for _ in 0..12 {
        let peer = listener.welcome().await;
        waits.push(cut_at.elapsed());
        peer.cut();
        cut_at = Instant::now();
    }
    for (tries, wait) in waits[1..].iter().enumerate() {
        let bound = Duration::from_millis(200).saturating_mul(1 << tries).min(Duration::from_secs(10));
        assert!(*wait <= bound + Duration::from_millis(1), "{wait:?} after {tries} tries");
    }
    assert!(waits[7..].iter().any(|wait| *wait > Duration::from_secs(1)), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn two_heartbeats_without_a_byte_end_a_connection_and_any_byte_keeps_it() {
    let (client, mut listener) = client(15, NoToken);
    let _stream = follow(&client, FollowOptions::default()).await;
    let mut peer = listener.welcome().await;
    subscribe(&mut peer).await;
    for nonce in 0..4 {
        tokio::time::sleep(Duration::from_millis(29_900)).await;
        peer.say(&[ServerFrame::Ping(Body::own(&encode(&nonce)))]).await;
        assert_eq!(peer.next().await, Some(Said::Pong(nonce)));
    }
    let heard = Instant::now();
    assert_eq!(peer.next().await, None);
    assert_eq!(heard.elapsed().as_secs(), 30);
    listener.welcome().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_goes_away_is_left_within_its_window_and_what_is_open_goes_on_elsewhere() {
    let (client, mut listener) = client(16, NoToken);
    let asked = tokio::spawn(async move { client.call(session()).await.map(|session| session.title) });
    let mut old = listener.welcome().await;
    let (_, _, key) = request(&mut old).await;
    let goaway = encode(&Goaway { why: GoawayWhy::Upgrade, reconnect_within_ms: 5_000, drain_ms: 10_000 });
    old.say(&[ServerFrame::Goaway(Body::own(&goaway))]).await;
    let asked_to_leave = Instant::now();
    assert_eq!(old.next().await, None);
    assert!(asked_to_leave.elapsed() <= Duration::from_secs(5), "{:?}", asked_to_leave.elapsed());
    let mut new = listener.welcome().await;
    assert_eq!(request(&mut new).await, (1, "session.create".into(), key));
    asked.abort();
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_before_sign_in_is_refused_here() {
    let (client, mut listener) = client(17, NoToken);
    let large = json!({"email": "a@example.com", "password": "x".repeat(17_000)});
    let asked = tokio::spawn({
        let client = client.clone();
        async move { client.call_raw("auth.login", &large, CallOptions::default()).await }
    });
    listener.welcome().await;
    let Err(CallError::TooLarge { limit, .. }) = asked.await.unwrap() else { panic!("too large") };
    assert_eq!(limit, 16 << 10);
}

#[tokio::test(start_paused = true)]
async fn a_first_try_that_fails_is_told_to_who_asked_to_connect() {
    let (client, listener) = client(18, NoToken);
    drop(listener);
    let error = client.connect().await.unwrap_err();
    assert_eq!(error.to_string(), "can't connect to the test: has ended; is the server running there?");
}
