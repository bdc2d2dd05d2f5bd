//! Streams: contiguous offsets, read from anywhere.

use crewline_protocol::value::{Offset, Revision};

use super::{
    Database, Place, on_each_database,
    place::{append, block, make, run, workspace},
};
use crate::store::{Committed, StreamHead, Told};

on_each_database!(
    events_get_contiguous_offsets_over_all_their_blocks,
    a_log_is_read_from_the_block_that_holds_the_next_event,
    a_long_log_is_read_whole_in_pages_that_end_after_the_limit,
    a_stream_is_complete_when_an_append_says_so,
    a_commit_appends_to_several_streams_and_twice_to_one,
    what_was_written_is_told_before_it_is_answered,
);

async fn events_get_contiguous_offsets_over_all_their_blocks(place: Place) {
    let store = place.open().await;
    for (events, head) in [(&b"abc"[..], 3), (b"d", 4), (b"ef", 6)] {
        let committed = store.commit(append(run(1), events)).await.unwrap();
        assert_eq!(committed, Committed { revision: None, heads: vec![Offset(head)], reply: None });
    }
    let log = store.log_after(run(1), Offset(0), usize::MAX).await.unwrap();
    assert_eq!(log, [block(1, b"abc"), block(4, b"d"), block(5, b"ef")]);
    let heads = store.heads(&[run(1), run(2)]).await.unwrap();
    assert_eq!(heads, [(run(1), StreamHead { head: Offset(6), complete: false })]);
}

async fn a_log_is_read_from_the_block_that_holds_the_next_event(place: Place) {
    let store = place.open().await;
    let blocks = [block(1, b"abc"), block(4, b"d"), block(5, b"ef")];
    for block in &blocks {
        store.commit(append(run(1), &block.events)).await.unwrap();
        store.commit(append(run(2), b"other")).await.unwrap();
    }
    for (after, from) in [(0, 0), (1, 0), (2, 0), (3, 1), (4, 2), (5, 2), (6, 3), (7, 3), (i64::MAX, 3)] {
        assert_eq!(store.log_after(run(1), Offset(after), usize::MAX).await.unwrap(), blocks[from..], "after {after}");
    }
    assert_eq!(store.log_after(run(1), Offset(0), 0).await.unwrap(), blocks[..1]);
    assert_eq!(store.log_after(run(1), Offset(0), 3).await.unwrap(), blocks[..1]);
    assert_eq!(store.log_after(run(1), Offset(0), 4).await.unwrap(), blocks[..2]);
    assert_eq!(store.log_after(run(3), Offset(0), usize::MAX).await.unwrap(), []);
}

async fn a_long_log_is_read_whole_in_pages_that_end_after_the_limit(place: Place) {
    let store = place.open().await;
    let commits = (0..700).map(|n: u32| store.commit(append(run(1), &n.to_be_bytes())));
    for committed in futures::future::join_all(commits).await {
        committed.unwrap();
    }
    let whole = store.log_after(run(1), Offset(0), usize::MAX).await.unwrap();
    assert_eq!(whole.len(), 700);
    let mut numbers: Vec<u32> = whole.iter().map(|block| u32::from_be_bytes(block.events.as_ref().try_into().unwrap())).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..700).collect::<Vec<_>>());
    let (mut paged, mut after) = (Vec::new(), Offset(0));
    loop {
        let page = store.log_after(run(1), after, 1_000).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 250, "{} blocks of 4 bytes are more than a page", page.len());
        after = last.last();
        paged.extend(page);
    }
    assert_eq!(paged, whole);
}

async fn a_stream_is_complete_when_an_append_says_so(place: Place) {
    let store = place.open().await;
    let last = |of, events: &[u8]| {
        let mut commit = append(of, events);
        commit.events[0].complete = true;
        commit
    };
    store.commit(append(run(1), b"a")).await.unwrap();
    let committed = store.commit(last(run(1), b"bc")).await.unwrap();
    assert_eq!(committed.heads, [Offset(3)]);
    assert_eq!(store.heads(&[run(1)]).await.unwrap(), [(run(1), StreamHead { head: Offset(3), complete: true })]);
    assert_eq!(store.commit(last(run(2), b"")).await.unwrap().heads, [Offset(0)]);
    assert_eq!(store.heads(&[run(2)]).await.unwrap(), [(run(2), StreamHead { head: Offset(0), complete: true })]);
    assert_eq!(store.log_after(run(2), Offset(0), usize::MAX).await.unwrap(), []);
}

async fn a_commit_appends_to_several_streams_and_twice_to_one(place: Place) {
    let store = place.open().await;
    let mut commit = append(run(1), b"ab");
    commit.events.extend(append(run(2), b"x").events);
    commit.events.extend(append(run(1), b"c").events);
    assert_eq!(store.commit(commit).await.unwrap().heads, [Offset(2), Offset(1), Offset(3)]);
    assert_eq!(store.log_after(run(1), Offset(0), usize::MAX).await.unwrap(), [block(1, b"ab"), block(3, b"c")]);
}

async fn what_was_written_is_told_before_it_is_answered(place: Place) {
    let store = place.open().await;
    store.commit(make(workspace(1))).await.unwrap();
    let told: Vec<_> = place
        .told()
        .into_iter()
        .map(|told| match told {
            Told::Rows { workspace, changes } => (workspace, changes.len()),
            Told::Stream { .. } => panic!("no stream was written: {told:?}"),
        })
        .collect();
    assert_eq!(told, [(Some((workspace(1), Revision(1))), 1)]);
    store.commit(append(run(1), b"abc")).await.unwrap();
    store.commit(append(run(1), b"d")).await.unwrap();
    let told = |block| Told::Stream { run: run(1), block, complete: false };
    assert_eq!(place.told(), [told(block(1, b"abc")), told(block(4, b"d"))]);
}
