//! Each close code and each limit, at n and at n + 1, in paused time.

use std::{sync::atomic::Ordering, time::Duration};

use crewline_protocol::{
    MESSAGE_BYTES, MESSAGE_BYTES_BEFORE_SIGN_IN,
    close::CloseCode,
    event::{RunEvent, TextRole, Usage},
    fault::{Fault, FaultCode},
    follow::{EndedWhy, SubscribedRun},
    frame::{Body, ClientFrame},
    opening::{Goaway, GoawayWhy, Notice},
    operations::{
        auth::{Logout, Me},
        run::{Start, Status},
        session::Create,
    },
    value::{Millis, MutationKey, Offset, RunId, encode},
};
use serde_json::json;
use tokio::time::{Instant, advance};
use tokio_tungstenite::tungstenite::{Message, protocol::CloseFrame};

use super::Place;
use crate::{
    settings::Settings,
    sweep::sweep,
    testing::{Heard, Peer, START, Stage, hello},
};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The fault's code and the close code with which a connection ended.
async fn ended<S>(peer: &mut Peer<S>) -> (Option<FaultCode>, Option<CloseCode>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let (fault, code) = peer.hear_end().await;
    (fault.map(|fault| fault.code), code)
}

fn end(code: CloseCode) -> (Option<FaultCode>, Option<CloseCode>) {
    (code.fault(), Some(code))
}

#[tokio::test(start_paused = true)]
async fn who_says_no_hello_is_closed_after_five_seconds_and_not_before() {
    let stage = Stage::new(Settings::default()).await;
    let started = Instant::now();
    let mut peer = stage.connect().await;
    assert_eq!(ended(&mut peer).await, end(CloseCode::Silent));
    assert_eq!(started.elapsed(), ms(5_000));
}

#[tokio::test(start_paused = true)]
async fn who_only_pings_is_closed_after_a_minute() {
    let stage = Stage::new(Settings::default()).await;
    let mut peer = stage.connect().await;
    let welcome = peer.hello(None).await;
    assert_eq!((welcome.principal, welcome.heartbeat_ms), (None, 15_000));
    let started = Instant::now();
    for _ in 0..5 {
        advance(ms(10_000)).await;
        peer.say(&[ClientFrame::Ping(Body::own(&[7]))]).await;
        assert_eq!(peer.hear_said().await, Heard::Pong(vec![7]));
    }
    assert_eq!(ended(&mut peer).await, end(CloseCode::Silent));
    assert_eq!(started.elapsed(), ms(60_000));
}

#[tokio::test(start_paused = true)]
async fn frames_that_break_the_protocol_close_with_4203_and_say_so() {
    let stage = Stage::new(Settings::default()).await;
    let request = |id| ClientFrame::Request { id, operation: "auth.me", input: Body::own(&[0x80]), options: None };
    let hello = hello(Some(&stage.person.access_token));
    let hello = ClientFrame::Hello(Body::own(&hello));
    let bytes = |frames: &[ClientFrame<'_>]| {
        let mut message = Vec::new();
        frames.iter().for_each(|frame| frame.write(&mut message));
        message
    };
    let cases: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("no hello first", vec![bytes(&[request(1)])]),
        ("hello twice", vec![bytes(&[hello, hello])]),
        ("an empty message", vec![bytes(&[hello]), vec![]]),
        ("a hello without a client", vec![vec![0x92, 1, 0x80]]),
        ("a kind of the server", vec![bytes(&[hello]), vec![0x92, 2, 0x80]]),
        ("an unknown kind", vec![bytes(&[hello]), vec![0x91, 99]]),
        ("no array", vec![bytes(&[hello]), vec![0x01]]),
        ("half a frame", vec![bytes(&[hello]), vec![0x94, 3, 1]]),
        ("an id again", vec![bytes(&[hello, request(2), request(2)])]),
        ("an id before the last", vec![bytes(&[hello, request(2), request(1)])]),
        ("id 0", vec![bytes(&[hello, request(0)])]),
        ("no credit", vec![bytes(&[hello, ClientFrame::Credit { sub: 0, bytes: 0 }])]),
    ];
    for (case, messages) in cases {
        let mut peer = stage.connect().await;
        for message in messages {
            peer.say_bytes(message).await;
        }
        assert_eq!(ended(&mut peer).await, end(CloseCode::ProtocolError), "{case}");
    }
    let mut peer = stage.signed_in().await;
    peer.say_message(Message::Text("hello".into())).await;
    assert_eq!(ended(&mut peer).await, end(CloseCode::ProtocolError), "a text message");
}

#[tokio::test(start_paused = true)]
async fn frames_before_a_bad_one_are_carried_out() {
    let stage = Stage::new(Settings::default()).await;
    let mut peer = stage.signed_in().await;
    let mut message = Vec::new();
    ClientFrame::Request { id: 1, operation: "auth.me", input: Body::own(&[0x80]), options: None }.write(&mut message);
    message.push(0xc1);
    peer.say_bytes(message).await;
    let Heard::Reply(1, me, _) = peer.hear().await else { panic!("the request before the bad frame is answered") };
    assert_eq!(me["email"], "ada@example.com");
    assert_eq!(ended(&mut peer).await, end(CloseCode::ProtocolError));
}

#[tokio::test(start_paused = true)]
async fn a_message_has_16_kib_before_sign_in_and_1_mib_after() {
    let stage = Stage::new(Settings::default()).await;
    // An unknown operation's input is filled up so that the message has the wanted size.
    let message = |size: usize, id: u64| {
        let frame = |fill: usize| {
            let mut message = Vec::new();
            let input = encode(&json!({ "fill": "x".repeat(fill) }));
            ClientFrame::Request { id, operation: "no.such", input: Body::own(&input), options: None }.write(&mut message);
            message
        };
        let (mut low, mut high) = (0, size);
        while low < high {
            let middle = (low + high).div_ceil(2);
            if frame(middle).len() <= size { low = middle } else { high = middle - 1 }
        }
        frame(low)
    };
    let mut peer = stage.connect().await;
    peer.hello(None).await;
    peer.say_bytes(message(MESSAGE_BYTES_BEFORE_SIGN_IN, 1)).await;
    assert!(matches!(peer.hear().await, Heard::Fault(1, fault) if fault.code == FaultCode::UnknownOperation));
    peer.say_bytes([message(MESSAGE_BYTES_BEFORE_SIGN_IN, 2), vec![0]].concat()).await;
    assert_eq!(ended(&mut peer).await, end(CloseCode::TooLarge));

    let mut peer = stage.signed_in().await;
    peer.say_bytes(message(MESSAGE_BYTES, 1)).await;
    assert!(matches!(peer.hear().await, Heard::Fault(1, fault) if fault.code == FaultCode::UnknownOperation));
    peer.say_bytes([message(MESSAGE_BYTES, 2), vec![0]].concat()).await;
    assert_eq!(ended(&mut peer).await, end(CloseCode::TooLarge));
}

#[tokio::test(start_paused = true)]
async fn two_heartbeats_without_a_byte_end_a_connection() {
    let stage = Stage::new(Settings::default()).await;
    let mut peer = stage.signed_in().await;
    let started = Instant::now();
    assert_eq!((peer.hear().await, started.elapsed()), (Heard::Ping, ms(15_000)));
    peer.say(&[ClientFrame::Pong(Body::own(&[0]))]).await;
    assert_eq!((peer.hear().await, started.elapsed()), (Heard::Ping, ms(30_000)));
    assert_eq!(ended(&mut peer).await, end(CloseCode::Heartbeat));
    assert_eq!(started.elapsed(), ms(45_000));
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_takes_no_bytes_is_closed_and_a_slow_one_is_not() {
    let stage = Stage::new(Settings { heartbeat_ms: 300_000, read_rate: 1_000_000, ..Settings::default() }).await;
    let mut peer = stage.signed_in().await;
    let before = stage.node.services.hub.connections();
    // More replies than the pipe holds, and nobody reads.
    for _ in 0..1_000 {
        peer.ask(&Me {}, None).await;
    }
    tokio::time::sleep(ms(19_000)).await;
    assert_eq!(stage.node.services.hub.connections(), before);
    tokio::time::sleep(ms(3_000)).await;
    assert_eq!(stage.node.services.hub.connections(), before - 1);
}

#[tokio::test(start_paused = true)]
async fn a_tokens_end_is_told_a_minute_before_and_closes_half_a_minute_after() {
    let stage = Stage::new(Settings { heartbeat_ms: 300_000, ..Settings::default() }).await;
    let mut peer = stage.signed_in().await;
    let expires_at = stage.person.access_expires_at;
    let left = u64::try_from(expires_at.since(stage.node.services.clock.now())).unwrap();
    let started = Instant::now();
    assert_eq!(peer.hear_said().await, Heard::Notice(Box::new(Notice::TokenExpiring { expires_at })));
    assert_eq!(started.elapsed(), ms(left - 60_000));
    advance(ms(60_000)).await;
    let id = peer.ask(&Me {}, None).await;
    assert!(matches!(peer.hear_said().await, Heard::Fault(of, fault) if of == id && fault.code == FaultCode::Unauthenticated));
    assert_eq!(ended(&mut peer).await, end(CloseCode::TokenRefused));
    assert_eq!(started.elapsed(), ms(left + 30_000));
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_gets_a_fault_and_4100_and_no_welcome() {
    let stage = Stage::new(Settings::default()).await;
    let mut peer = stage.connect().await;
    peer.say(&[ClientFrame::Hello(Body::own(&hello(Some("no token"))))]).await;
    assert!(matches!(peer.hear().await, Heard::Fault(0, fault) if fault.code == FaultCode::Unauthenticated));
    assert_eq!(peer.hear().await, Heard::Closed(Some(CloseCode::TokenRefused)));
}

#[tokio::test(start_paused = true)]
async fn signing_out_replies_then_closes_every_connection_of_the_sign_in() {
    let stage = Stage::new(Settings::default()).await;
    let (mut here, mut there) = (stage.signed_in().await, stage.signed_in().await);
    let id = here.ask(&Logout::default(), None).await;
    assert!(matches!(here.hear().await, Heard::Reply(of, _, _) if of == id));
    assert_eq!(ended(&mut here).await, end(CloseCode::SignedOut));
    assert_eq!(ended(&mut there).await, end(CloseCode::SignedOut));
    let mut again = stage.connect().await;
    again.say(&[ClientFrame::Hello(Body::own(&hello(Some(&stage.person.access_token))))]).await;
    assert_eq!(ended(&mut again).await, end(CloseCode::SignInRevoked));
}

#[tokio::test(start_paused = true)]
async fn a_connection_over_the_cap_is_told_so_with_4006() {
    struct Full;
    impl Place for Full {
        fn refused(&self) -> Option<Fault> {
            Some(Fault::new(FaultCode::Disconnected, "full"))
        }
        fn signed_in(&mut self) {}
    }
    let stage = Stage::new(Settings::default()).await;
    assert_eq!(ended(&mut stage.connect_at(Full).await).await, end(CloseCode::TooManyConnections));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_leaves_says_so_takes_nothing_new_and_closes_with_4001() {
    let stage = Stage::new(Settings::default()).await;
    let mut peer = stage.signed_in().await;
    let started = Instant::now();
    stage.node.services.hub.drain(ms(2_000));
    let goaway = Goaway { why: GoawayWhy::Shutdown, reconnect_within_ms: 2_000, drain_ms: 2_000 };
    assert_eq!(peer.hear().await, Heard::Goaway(goaway));
    let id = peer.ask(&Me {}, None).await;
    assert!(matches!(peer.hear().await, Heard::Fault(of, fault) if of == id && fault.code == FaultCode::Unavailable));
    assert_eq!(ended(&mut peer).await, end(CloseCode::Shutdown));
    assert_eq!(started.elapsed(), ms(2_000));
}

#[tokio::test(start_paused = true)]
async fn subscriptions_are_open_up_to_their_limit_and_no_further() {
    let stage = Stage::new(Settings { subscriptions: 2, ..Settings::default() }).await;
    let run = started(&stage).await;
    let mut peer = stage.signed_in().await;
    for sub in 1..=3 {
        peer.follow(sub, run, json!({ "credit": 0 })).await;
        match (sub, peer.hear().await) {
            (1 | 2, Heard::Subscribed(of, _)) => assert_eq!(of, sub),
            (3, Heard::Ended(3, _, ended)) => {
                assert_eq!((ended.why, ended.fault.map(|fault| fault.code)), (EndedWhy::Refused, Some(FaultCode::TooMany)));
            }
            (_, other) => panic!("subscription {sub} got {other:?}"),
        }
    }
    peer.say(&[ClientFrame::Unsubscribe { sub: 1 }]).await;
    peer.follow(4, run, json!({ "credit": 0 })).await;
    assert!(matches!(peer.hear().await, Heard::Subscribed(4, _)));
}

#[tokio::test(start_paused = true)]
async fn one_more_request_than_may_be_open_is_told_to_wait() {
    let stage = Stage::new(Settings { requests: 2, ..Settings::default() }).await;
    let mut peer = stage.connect().await;
    peer.hello(Some(&stage.person.access_token)).await;
    let input = encode(&json!({ "title": "x" }));
    let keys: Vec<Vec<u8>> = (0..4_u8).map(|n| encode(&json!({ "key": MutationKey::new(START, [n; 10]).to_string() }))).collect();
    let frames: Vec<ClientFrame<'_>> = keys
        .iter()
        .zip(1..)
        .map(|(key, id)| ClientFrame::Request { id, operation: "session.create", input: Body::own(&input), options: Some(Body::own(key)) })
        .collect();
    peer.say(&frames).await;
    let (mut replies, mut refused) = (0, 0);
    for _ in 0..4 {
        match peer.hear().await {
            Heard::Reply(..) => replies += 1,
            Heard::Fault(_, fault) if fault.code == FaultCode::TooMany => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    // A store in memory may answer at once, so that fewer are open at a time; none is lost and none is answered twice.
    assert_eq!(replies + refused, 4);
    assert!(replies >= 2);
}

#[tokio::test(start_paused = true)]
async fn the_same_key_gets_the_same_reply_and_happens_once() {
    let stage = Stage::new(Settings::default()).await;
    let mut peer = stage.signed_in().await;
    let key = MutationKey::new(stage.node.services.clock.now(), [1; 10]);
    let create = |title: &str| Create { id: None, title: title.into(), crew: None };
    peer.ask(&create("one"), Some(key)).await;
    let Heard::Reply(_, first, first_options) = peer.hear().await else { panic!() };
    peer.ask(&create("one"), Some(key)).await;
    let Heard::Reply(_, second, second_options) = peer.hear().await else { panic!() };
    assert_eq!((first, first_options), (second, second_options));
    peer.ask(&create("two"), Some(key)).await;
    assert!(matches!(peer.hear().await, Heard::Fault(_, fault) if fault.code == FaultCode::KeyReused));
    peer.ask(&create("two"), None).await;
    assert!(matches!(peer.hear().await, Heard::Fault(_, fault) if fault.code == FaultCode::KeyRequired));
}

/// A run without an engine, whose log these tests write.
async fn started(stage: &Stage) -> RunId {
    let mut peer = stage.signed_in().await;
    let clock = &stage.node.services.clock;
    let key = clock.id(MutationKey::new);
    let inputs = json!({ "page": "A page.", "name": "page.txt" });
    let inputs = inputs.as_object().unwrap().clone();
    peer.ask(&Start { crew: "review".into(), inputs, ..Start::default() }, Some(key)).await;
    let Heard::Reply(_, run, _) = peer.hear().await else { panic!("the run starts") };
    run["id"].as_str().unwrap().parse().unwrap()
}

fn delta(text: &str) -> RunEvent {
    RunEvent::TextDelta { at: START, part: "p".into(), text: text.into() }
}

fn finished() -> RunEvent {
    RunEvent::RunFinished { at: START, status: Status::Succeeded, output: None, fault: None, usage: Usage::default() }
}

#[tokio::test(start_paused = true)]
async fn a_follower_gets_what_is_after_its_offset_then_what_comes_then_the_end() {
    let stage = Stage::new(Settings::default()).await;
    let run = started(&stage).await;
    let begin = RunEvent::TextStarted { at: START, part: "p".into(), task: "t".into(), agent: "a".into(), role: TextRole::Answer };
    stage.append(run, &[begin, delta("a"), delta("b")]).await;
    let mut peer = stage.signed_in().await;
    peer.follow(1, run, json!({ "from": 1 })).await;
    let subscribed = SubscribedRun { from: Offset(1), head: Offset(3), complete: false };
    assert_eq!(peer.hear().await, Heard::Subscribed(1, subscribed));
    let Heard::Events { offset, span, events, .. } = peer.hear().await else { panic!() };
    assert_eq!((offset, span, events), (Offset(3), 2, vec![delta("ab")]));
    stage.append(run, &[delta("c")]).await;
    let Heard::Events { offset, span, events, .. } = peer.hear().await else { panic!() };
    assert_eq!((offset, span, events), (Offset(4), 1, vec![delta("c")]));
    stage.append(run, &[finished()]).await;
    let Heard::Events { offset, span, .. } = peer.hear().await else { panic!() };
    assert_eq!((offset, span), (Offset(5), 1));
    let Heard::Ended(1, offset, ended) = peer.hear().await else { panic!() };
    assert_eq!((offset, ended.why), (Offset(5), EndedWhy::Complete));
    // A complete run can be followed again.
    peer.follow(2, run, json!({ "from": 5 })).await;
    assert!(matches!(peer.hear().await, Heard::Subscribed(2, SubscribedRun { complete: true, .. })));
    assert!(matches!(peer.hear().await, Heard::Ended(2, _, ended) if ended.why == EndedWhy::Complete));
}

#[tokio::test(start_paused = true)]
async fn events_stop_when_credit_is_used_up_and_go_on_when_it_is_granted() {
    let stage = Stage::new(Settings { heartbeat_ms: 300_000, ..Settings::default() }).await;
    let run = started(&stage).await;
    for n in 0..4 {
        stage.append(run, &[delta(&format!("{n:0100}"))]).await;
    }
    let mut peer = stage.signed_in().await;
    let head = stage.node.services.store.heads(&[run]).await.unwrap()[0].1.head;
    peer.follow(1, run, json!({ "from": head.0 - 4, "credit": 1 })).await;
    assert!(matches!(peer.hear().await, Heard::Subscribed(1, _)));
    let Heard::Events { offset, span: 1, bytes, .. } = peer.hear().await else { panic!("the last may take the balance below 0") };
    let next = tokio::time::timeout(ms(60_000), peer.hear()).await;
    assert!(next.is_err(), "nothing is sent on a balance below 1, but {next:?}");
    // The balance is 1 − bytes: this grant brings it to 0, the next to 1.
    let grant = i64::try_from(bytes).unwrap() - 1;
    peer.say(&[ClientFrame::Credit { sub: 1, bytes: grant }]).await;
    assert!(tokio::time::timeout(ms(60_000), peer.hear()).await.is_err());
    peer.say(&[ClientFrame::Credit { sub: 1, bytes: 1 }]).await;
    assert!(matches!(peer.hear().await, Heard::Events { offset: next, span: 1, .. } if next.0 == offset.0 + 1));
}

#[tokio::test(start_paused = true)]
async fn the_connections_credit_holds_up_all_its_streams() {
    let stage = Stage::new(Settings { connection_credit_bytes: 1_024, heartbeat_ms: 300_000, ..Settings::default() }).await;
    let run = started(&stage).await;
    for _ in 0..4 {
        stage.append(run, &[delta(&"x".repeat(600))]).await;
    }
    let mut peer = stage.signed_in().await;
    let head = stage.node.services.store.heads(&[run]).await.unwrap()[0].1.head;
    peer.follow(1, run, json!({ "from": head.0 - 4 })).await;
    assert!(matches!(peer.hear().await, Heard::Subscribed(1, _)));
    for _ in 0..2 {
        assert!(matches!(peer.hear().await, Heard::Events { .. }));
    }
    assert!(tokio::time::timeout(ms(60_000), peer.hear()).await.is_err());
    peer.say(&[ClientFrame::Credit { sub: 0, bytes: 10_000 }]).await;
    for _ in 0..2 {
        assert!(matches!(peer.hear().await, Heard::Events { .. }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscribe_that_is_wrong_is_answered_by_ended_alone() {
    let stage = Stage::new(Settings::default()).await;
    let run = started(&stage).await;
    let mut peer = stage.signed_in().await;
    let absent = RunId::new(Millis(1), [9; 10]);
    let cases = [
        (run, json!({ "from": 1_000 }), FaultCode::Invalid),
        (run, json!({ "from": -1 }), FaultCode::Invalid),
        (run, json!({ "from": "x" }), FaultCode::Invalid),
        (run, json!({ "credit": -1 }), FaultCode::Invalid),
        (absent, json!({}), FaultCode::NotFound),
    ];
    for ((run, options, code), sub) in cases.into_iter().zip(1..) {
        peer.follow(sub, run, options.clone()).await;
        let Heard::Ended(of, Offset(0), ended) = peer.hear().await else { panic!("{options}") };
        assert_eq!((of, ended.why, ended.fault.map(|fault| fault.code)), (sub, EndedWhy::Refused, Some(code)), "{options}");
    }
    let mut nobody = stage.connect().await;
    nobody.hello(None).await;
    nobody.follow(1, run, json!({})).await;
    let Heard::Ended(1, _, ended) = nobody.hear().await else { panic!() };
    assert_eq!(ended.fault.map(|fault| fault.code), Some(FaultCode::Unauthenticated));
}

#[tokio::test(start_paused = true)]
async fn the_sweep_brings_what_a_lost_hint_did_not() {
    let stage = Stage::new(Settings { heartbeat_ms: 300_000, ..Settings::default() }).await;
    let run = started(&stage).await;
    let mut peer = stage.signed_in().await;
    peer.follow(1, run, json!({})).await;
    assert!(matches!(peer.hear().await, Heard::Subscribed(1, _)));
    stage.hints.store(false, Ordering::Relaxed);
    stage.append(run, &[delta("a")]).await;
    assert!(tokio::time::timeout(ms(1_000), peer.hear()).await.is_err(), "no hint came");
    sweep(&stage.node.services).await;
    assert!(matches!(peer.hear().await, Heard::Events { span: 1, .. }));
}

#[tokio::test(start_paused = true)]
async fn a_clients_close_is_answered_with_its_own_code() {
    let stage = Stage::new(Settings::default()).await;
    for code in [CloseCode::Normal, CloseCode::GoingAway] {
        let mut peer = stage.signed_in().await;
        let frame = CloseFrame { code: code.code().into(), reason: "".into() };
        peer.say_message(Message::Close(Some(frame))).await;
        assert_eq!(peer.hear().await, Heard::Closed(Some(code)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_costs_no_credit() {
    let stage = Stage::new(Settings::default()).await;
    let run = started(&stage).await;
    stage.append(run, &[delta("a"), finished()]).await;
    let mut peer = stage.signed_in().await;
    peer.follow(1, run, json!({ "from": 2, "credit": 0 })).await;
    assert!(matches!(peer.hear().await, Heard::Subscribed(1, SubscribedRun { complete: true, .. })));
    assert!(matches!(peer.hear().await, Heard::Ended(1, Offset(2), ended) if ended.why == EndedWhy::Complete));
    // The last events take the balance below 0, and the end comes all the same.
    peer.follow(2, run, json!({ "credit": 1 })).await;
    assert!(matches!(peer.hear().await, Heard::Subscribed(2, _)));
    assert!(matches!(peer.hear().await, Heard::Events { sub: 2, offset: Offset(2), .. }));
    assert!(matches!(peer.hear().await, Heard::Ended(2, Offset(2), ended) if ended.why == EndedWhy::Complete));
}

#[tokio::test(start_paused = true)]
async fn a_subscribe_before_a_bad_frame_is_answered() {
    let stage = Stage::new(Settings::default()).await;
    let run = started(&stage).await;
    let mut peer = stage.signed_in().await;
    let target = encode(&json!({ "run": run }));
    let mut message = Vec::new();
    ClientFrame::Subscribe { sub: 1, target: Body::own(&target), options: None }.write(&mut message);
    message.push(0xc1);
    peer.say_bytes(message).await;
    assert!(matches!(peer.hear().await, Heard::Subscribed(1, _)));
    assert_eq!(ended(&mut peer).await, end(CloseCode::ProtocolError));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_what_is_wrong_with_a_target_that_only_members_may_name() {
    let stage = Stage::new(Settings::default()).await;
    let mut peer = stage.connect().await;
    peer.hello(None).await;
    let target = encode(&json!({ "run": "x" }));
    peer.say(&[ClientFrame::Subscribe { sub: 1, target: Body::own(&target), options: None }]).await;
    let Heard::Ended(1, _, ended) = peer.hear().await else { panic!() };
    assert_eq!(ended.fault.map(|fault| fault.code), Some(FaultCode::Unauthenticated));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_comes_with_a_read_is_ignored_whatever_it_is() {
    let stage = Stage::new(Settings::default()).await;
    let mut peer = stage.signed_in().await;
    for (key, id) in [json!({ "key": 5 }), json!({ "key": "x" }), json!({ "key": [] })].iter().zip(1..) {
        let options = encode(key);
        let request = ClientFrame::Request { id, operation: "auth.me", input: Body::own(&[0x80]), options: Some(Body::own(&options)) };
        peer.say(&[request]).await;
        assert!(matches!(peer.hear().await, Heard::Reply(of, ..) if of == id), "{key}");
    }
}
