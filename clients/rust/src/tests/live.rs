//! Live queries: what a reader sees is what the server said, over any number of connections.

use crewline_protocol::{
    CloseCode, Fault,
    follow::{EndedWhy, Input, Query, Target},
    live::LiveChange,
    operations::run,
    read::Page,
};
use serde_json::{Value, json};

use super::peer::{Listener, Peer, Said, client, welcome};
use crate::{Client, FollowError, NoToken, Update, Watch};

fn row(id: &str, n: i64) -> Value {
    json!({"id": id, "n": n})
}
fn page(rows: &[Value]) -> Value {
    json!({ "items": rows })
}
async fn pages(client: &Client) -> Watch<Page<Value>> {
    client.watch_raw("record.list", &json!({"collection": "pages"})).await.unwrap()
}
async fn subscribed(peer: &mut Peer) -> (u64, Option<i64>) {
    loop {
        match peer.next().await {
            Some(Said::Subscribe { sub, from, .. }) => return (sub, from),
            Some(Said::Credit { .. } | Said::Unsubscribe(_)) => {}
            other => panic!("{other:?} instead of subscribe"),
        }
    }
}
/// A watch that has its first snapshot, of rows a and b at revision 10.
async fn begun(seed: u64) -> (Client, Listener, Peer, Watch<Page<Value>>) {
    let (client, mut listener) = client(seed, NoToken);
    let mut watch = pages(&client).await;
    let mut peer = listener.welcome().await;
    assert_eq!(subscribed(&mut peer).await, (1, None), "nothing is there yet");
    peer.subscribed_query(1, 10, true).await;
    peer.snapshot(1, 10, &page(&[row("a", 1), row("b", 1)])).await;
    assert_eq!(seen(&mut watch).await, (10, vec![row("a", 1), row("b", 1)]));
    (client, listener, peer, watch)
}
async fn seen(watch: &mut Watch<Page<Value>>) -> (i64, Vec<Value>) {
    let rows = watch.next().await.unwrap().items.clone();
    (watch.revision().0, rows)
}

#[tokio::test(start_paused = true)]
async fn a_query_asks_for_what_its_operation_says() {
    let (client, mut listener) = client(1, NoToken);
    let input = run::List { limit: Some(3), ..run::List::default() };
    let _watch = client.watch(input).await.unwrap();
    let mut peer = listener.welcome().await;
    let Some(Said::Subscribe { target, from, credit, .. }) = peer.next().await else { panic!("subscribe") };
    let query = Query { op: "run.list".into(), input: Input::of(&json!({"limit": 3})) };
    assert_eq!((target, from, credit), (Target::Query { query }, None, Some(256 << 10)));
}

#[tokio::test(start_paused = true)]
async fn changes_of_a_frame_are_seen_at_once_and_in_order() {
    let (_client, _listener, mut peer, mut watch) = begun(2).await;
    let changes = json!([{"remove": "a"}, {"put": row("c", 1), "before": "b"}, {"put": row("b", 2), "before": null}, {"total": 7}]);
    peer.changes(1, 12, 2, &changes).await;
    peer.changes(1, 20, 8, &json!([])).await;
    peer.changes(1, 21, 1, &json!([{"remove": "c"}])).await;
    assert_eq!(seen(&mut watch).await, (12, vec![row("c", 1), row("b", 2)]));
    assert_eq!(watch.value().and_then(|page| page.total), Some(7));
    assert_eq!(seen(&mut watch).await, (21, vec![row("b", 2)]), "a frame without changes moves the position alone");
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_resumed_by_revision_and_nothing_is_seen_twice() {
    let (_client, mut listener, mut first, mut watch) = begun(3).await;
    first.changes(1, 12, 2, &json!([{"remove": "a"}])).await;
    first.changes(1, 12, 2, &json!([{"remove": "b"}])).await;
    assert_eq!(seen(&mut watch).await, (12, vec![row("b", 1)]), "what ends where one stands is dropped");
    first.cut();

    let mut second = listener.welcome().await;
    assert_eq!(subscribed(&mut second).await, (1, Some(12)));
    second.subscribed_query(1, 12, false).await;
    second.changes(1, 14, 2, &json!([{"put": row("d", 1), "before": null}])).await;
    assert_eq!(seen(&mut watch).await, (14, vec![row("b", 1), row("d", 1)]));
    second.changes(1, 19, 3, &json!([{"remove": "b"}])).await;
    assert_eq!(subscribed(&mut second).await, (2, Some(14)), "a gap: subscribed to again from what was applied");
    second.subscribed_query(2, 30, true).await;
    second.snapshot(2, 30, &page(&[row("z", 9)])).await;
    assert_eq!(seen(&mut watch).await, (30, vec![row("z", 9)]), "a snapshot takes the place of everything");
}

#[tokio::test(start_paused = true)]
async fn another_epoch_begins_with_a_new_snapshot() {
    let (_client, mut listener, first, mut watch) = begun(4).await;
    first.cut();
    let (mut second, _) = listener.accept().await;
    second.welcomed(&welcome("second")).await;
    assert_eq!(subscribed(&mut second).await, (1, None));
    second.subscribed_query(1, 3, true).await;
    second.snapshot(1, 3, &page(&[])).await;
    assert_eq!(seen(&mut watch).await, (3, vec![]));
}

#[tokio::test(start_paused = true)]
async fn credit_is_given_for_what_was_applied_and_never_for_what_was_not() {
    let (_client, _listener, mut peer, mut watch) = begun(5).await;
    let large = "x".repeat(100 << 10);
    let bytes = peer.changes(1, 11, 1, &json!([{"put": {"id": "a", "text": large}, "before": "b"}])).await;
    peer.changes(1, 12, 1, &json!([{"put": {"id": "b", "text": large}, "before": null}])).await;
    assert_eq!(seen(&mut watch).await.0, 11);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(seen(&mut watch).await.0, 12);
    let Some(Said::Credit { sub: 1, bytes: granted }) = peer.next().await else { panic!("credit") };
    assert!(granted > 2 * bytes - 100, "both frames and the snapshot before them, in one grant of {granted}");
    assert_eq!(peer.next().await, Some(Said::Credit { sub: 0, bytes: granted }));
}

#[tokio::test(start_paused = true)]
async fn how_a_query_ended_is_told_and_the_server_may_end_it_to_begin_anew() {
    let (_client, _listener, mut peer, mut watch) = begun(6).await;
    peer.ended(1, EndedWhy::Server, None).await;
    assert_eq!(subscribed(&mut peer).await, (2, Some(10)));
    peer.ended(2, EndedWhy::Forbidden, None).await;
    assert_eq!(watch.next().await, Err(FollowError::Forbidden));
    let (client, mut listener) = client(7, NoToken);
    let mut watch = pages(&client).await;
    let mut peer = listener.welcome().await;
    subscribed(&mut peer).await;
    let fault = Fault::invalid("filter.field", "unknown", "is not a field here");
    peer.ended(1, EndedWhy::Refused, Some(fault.clone())).await;
    assert_eq!(watch.next().await, Err(FollowError::Refused(fault)));
}

#[tokio::test(start_paused = true)]
async fn updates_tell_what_changed_and_the_value_follows() {
    let (_client, _listener, mut peer, mut watch) = begun(8).await;
    peer.changes(1, 11, 1, &json!([{"remove": "a"}])).await;
    assert_eq!(watch.next_update().await, Ok(Update::Changes(vec![LiveChange::Remove { remove: "a".into() }])));
    assert_eq!(watch.value().map(|page| page.items.clone()), Some(vec![row("b", 1)]));
    peer.changes(1, 12, 1, &json!([{"put": row("x", 1), "before": "not there"}])).await;
    assert!(matches!(watch.next_update().await, Err(FollowError::Unreadable(_))));
    assert_eq!(peer.next().await, Some(Said::Unsubscribe(1)), "what can't be read is not read on");
    peer.close(CloseCode::Normal).await;
}

#[tokio::test(start_paused = true)]
async fn dropping_a_watch_ends_its_subscription() {
    let (_client, _listener, mut peer, watch) = begun(9).await;
    drop(watch);
    assert_eq!(peer.next().await, Some(Said::Unsubscribe(1)));
}
