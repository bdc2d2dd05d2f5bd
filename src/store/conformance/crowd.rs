//! Many writers at once, on one node and on two.

use std::collections::BTreeMap;

use crewline_protocol::value::{Millis, Offset, Revision, RunId, SessionId, WorkspaceId};

use super::{
    Database, Place, on_each_database,
    place::{Session, append, id, keyed, make, run, session, workspace},
};
use crate::store::{Commit, CommitError, Guard, Select, Store, Told, Value};

on_each_database!(
    sixty_four_writers_get_revisions_and_offsets_without_gap_and_in_order,
    of_many_that_change_the_same_row_each_sees_what_the_one_before_wrote,
    readers_see_rows_and_revision_of_one_moment,
);

const WRITERS: u8 = 64;
const EACH: u8 = 12;

async fn sixty_four_writers_get_revisions_and_offsets_without_gap_and_in_order(place: Place) {
    let store = place.open().await;
    store.commit(make(workspace(1))).await.unwrap();
    let written = write_from_everywhere(std::slice::from_ref(&store)).await;
    assert_eq!(written.revisions, (2..=1 + i64::from(WRITERS) * i64::from(EACH)).collect::<Vec<_>>());
    check_logs(&store, &written).await;
    check_told(place.told(), &written);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_write_the_same_workspace_and_streams_leave_no_gap() {
    let place = Place::new(Database::Postgres).await;
    let stores = [place.open().await, place.open().await];
    stores[0].commit(make(workspace(1))).await.unwrap();
    let written = write_from_everywhere(&stores).await;
    assert_eq!(written.revisions, (2..=1 + i64::from(WRITERS) * i64::from(EACH)).collect::<Vec<_>>());
    check_logs(&stores[1], &written).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_use_a_key_once_and_a_row_is_made_once() {
    let place = Place::new(Database::Postgres).await;
    let stores = [place.open().await, place.open().await];
    stores[0].commit(make(workspace(1))).await.unwrap();
    for number in 0..20 {
        let commit = || {
            let commit = Commit::in_workspace(workspace(1)).put(&session(number, workspace(1), "s"));
            Commit { key: Some(keyed("user:1", number, Millis(5))), ..commit.guard(Guard::absent::<Session>(id(SessionId::new, number))) }
        };
        let loose = || {
            Commit::default()
                .put(&session(100 + number, workspace(1), "s"))
                .guard(Guard::absent::<Session>(id(SessionId::new, 100 + number)))
        };
        let (a, b, c, d) =
            tokio::join!(stores[0].commit(commit()), stores[1].commit(commit()), stores[0].commit(loose()), stores[1].commit(loose()));
        let kept = |result: &Result<_, CommitError>| matches!(result, Err(CommitError::KeyUsed(_)));
        assert!((a.is_ok() && kept(&b)) || (b.is_ok() && kept(&a)), "{a:?} {b:?}");
        let failed = |result: &Result<_, CommitError>| matches!(result, Err(CommitError::Guard(0)));
        assert!((c.is_ok() && failed(&d)) || (d.is_ok() && failed(&c)), "{c:?} {d:?}");
    }
}

async fn of_many_that_change_the_same_row_each_sees_what_the_one_before_wrote(place: Place) {
    let stores = match place.location {
        crate::store::Location::Postgres(_) => vec![place.open().await, place.open().await],
        _ => vec![place.open().await],
    };
    stores[0].commit(make(workspace(1)).put(&session(1, workspace(1), "0"))).await.unwrap();
    let tasks = (0..16).map(|writer: usize| {
        let store = stores[writer % stores.len()].clone();
        tokio::spawn(async move {
            for _ in 0..8 {
                while !count_up(&store).await {}
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let row: Session = stores[0].get(id(SessionId::new, 1)).await.unwrap().unwrap();
    assert_eq!((row.title.as_str(), row.revision), ("128", Revision(129)));
}

async fn readers_see_rows_and_revision_of_one_moment(place: Place) {
    let store = place.open().await;
    store.commit(make(workspace(1)).put(&session(1, workspace(1), "0")).put(&session(2, workspace(1), "0"))).await.unwrap();
    let writers = (0..4).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..40 {
                let both = Commit::in_workspace(workspace(1)).put(&session(1, workspace(1), "s")).put(&session(2, workspace(1), "s"));
                store.commit(both).await.unwrap();
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let readers = (0..4).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut seen = Revision(0);
            while seen < Revision(161) {
                let mut snapshot = store.snapshot().await.unwrap();
                let rows = snapshot.select::<Session>(&Select::default()).await.unwrap();
                let revision = snapshot.revision(workspace(1)).await.unwrap();
                assert!(revision >= seen, "{revision} after {seen}");
                assert_eq!(rows.iter().map(|row| row.revision).collect::<Vec<_>>(), [revision, revision]);
                seen = revision;
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    for task in writers.into_iter().chain(readers) {
        task.await.unwrap();
    }
}

/// Reads the row, and writes one more under the guard that it is still the same; false when it was not.
async fn count_up(store: &Store) -> bool {
    let row: Session = store.get(id(SessionId::new, 1)).await.unwrap().unwrap();
    let guard = Guard::revision::<Session>(Value::from(row.id), row.revision);
    let more = Session { title: (row.title.parse::<u32>().unwrap() + 1).to_string(), ..row };
    match store.commit(Commit::in_workspace(workspace(1)).put(&more).guard(guard)).await {
        Ok(_) => true,
        Err(CommitError::Guard(0)) => false,
        Err(error) => panic!("{error}"),
    }
}

/// What the writers were answered.
struct Written {
    /// Sorted.
    revisions: Vec<i64>,
    /// Who wrote the event at each offset.
    events: BTreeMap<RunId, BTreeMap<Offset, u8>>,
}

/// Each writer changes a row of the one workspace and appends to one of four streams, at once with all others.
async fn write_from_everywhere(stores: &[Store]) -> Written {
    let tasks = (0..WRITERS).map(|writer| {
        let store = stores[usize::from(writer) % stores.len()].clone();
        tokio::spawn(async move {
            let mut answers = Vec::new();
            for n in 0..EACH {
                let run = run(1 + u32::from(writer) % 4);
                let committed = if n % 3 == 2 {
                    store.commit(append(run, &[writer])).await.unwrap()
                } else {
                    let row = session(writer.into(), workspace(1), &n.to_string());
                    let commit = Commit { events: append(run, &[writer]).events, ..Commit::in_workspace(workspace(1)).put(&row) };
                    store.commit(commit).await.unwrap()
                };
                if n % 3 == 2 {
                    answers.push((store.commit(Commit::in_workspace(workspace(1))).await.unwrap().revision, run, committed.heads[0]));
                } else {
                    answers.push((committed.revision, run, committed.heads[0]));
                }
            }
            assert!(answers.is_sorted_by_key(|(revision, ..)| *revision), "a writer's later commit has the later revision");
            (writer, answers)
        })
    });
    let mut written = Written { revisions: Vec::new(), events: BTreeMap::new() };
    for task in tasks.collect::<Vec<_>>() {
        let (writer, answers) = task.await.unwrap();
        for (revision, run, head) in answers {
            written.revisions.push(revision.unwrap().0);
            assert_eq!(written.events.entry(run).or_default().insert(head, writer), None, "an offset was given twice");
        }
    }
    written.revisions.sort_unstable();
    written
}

async fn check_logs(store: &Store, written: &Written) {
    for (run, events) in &written.events {
        let log = store.log_after(*run, Offset(0), usize::MAX).await.unwrap();
        let stored: Vec<(Offset, u8)> = log.iter().map(|block| (block.first, block.events[0])).collect();
        assert_eq!(stored, events.iter().map(|(offset, writer)| (*offset, *writer)).collect::<Vec<_>>());
        assert_eq!(stored.iter().map(|(offset, _)| offset.0).collect::<Vec<_>>(), (1..=stored.len() as i64).collect::<Vec<_>>());
    }
}

fn check_told(told: Vec<Told>, written: &Written) {
    let mut last: BTreeMap<WorkspaceId, Revision> = BTreeMap::new();
    let mut streams: BTreeMap<RunId, Vec<i64>> = BTreeMap::new();
    for told in told {
        match told {
            Told::Rows { workspace: Some((id, revision)), .. } => assert!(last.insert(id, revision) < Some(revision)),
            Told::Rows { .. } => {}
            Told::Stream { run, block, .. } => streams.entry(run).or_default().push(block.first.0),
        }
    }
    assert_eq!(last, BTreeMap::from([(workspace(1), Revision(*written.revisions.last().unwrap()))]));
    for (run, offsets) in streams {
        assert_eq!(offsets, (1..=written.events[&run].len() as i64).collect::<Vec<_>>());
    }
}
