//! Commits: whole or not at all, under their conditions, once a key.

use std::sync::Arc;

use bytes::Bytes;
use crewline_protocol::value::{Millis, Offset, Revision, SessionId};

use super::{
    Database, Place, on_each_database,
    place::{Session, User, Workspace, append, id, keyed, make, run, session, user, workspace},
};
use crate::store::{Commit, CommitError, Committed, Guard, KeyedReply, Select, StoreError, StoredReply, Value};

on_each_database!(
    every_commit_in_a_workspace_raises_its_revision_by_one_and_marks_its_rows,
    putting_a_workspaces_row_never_moves_its_counter_back,
    a_commit_in_a_workspace_that_is_not_there_is_refused,
    a_guard_that_does_not_hold_is_named_and_nothing_is_written,
    guards_hold_against_what_the_same_group_has_written,
    a_reply_is_kept_under_its_key_and_the_key_is_used_once,
    a_kept_reply_goes_after_a_day,
    a_reply_that_cannot_be_made_fails_its_own_commit_alone,
    a_taken_unique_value_fails_its_own_commit_alone,
    everything_is_there_after_reopening,
    after_closing_commits_are_refused_and_say_so,
);

async fn every_commit_in_a_workspace_raises_its_revision_by_one_and_marks_its_rows(place: Place) {
    let store = place.open().await;
    assert_eq!(store.commit(make(workspace(1))).await.unwrap().revision, Some(Revision(1)));
    assert_eq!(store.commit(make(workspace(2))).await.unwrap().revision, Some(Revision(1)));
    let commit = Commit::in_workspace(workspace(1)).put(&session(1, workspace(1), "a")).put(&session(2, workspace(1), "b"));
    assert_eq!(store.commit(commit).await.unwrap().revision, Some(Revision(2)));
    assert_eq!(store.commit(Commit::in_workspace(workspace(1))).await.unwrap().revision, Some(Revision(3)));
    let unmoved = Commit::default().put(&Session { revision: Revision(2), ..session(2, workspace(1), "c") });
    assert_eq!(store.commit(unmoved).await.unwrap(), Committed::default());
    let rows = store.select::<Session>(&Select::default()).await.unwrap();
    assert_eq!(rows.iter().map(|row| (row.title.as_str(), row.revision.0)).collect::<Vec<_>>(), [("a", 2), ("c", 2)]);
    let mut revisions = store.revisions(&[workspace(1), workspace(2), workspace(3)]).await.unwrap();
    revisions.sort();
    assert_eq!(revisions, [(workspace(1), Revision(3)), (workspace(2), Revision(1))]);
}

async fn putting_a_workspaces_row_never_moves_its_counter_back(place: Place) {
    let store = place.open().await;
    store.commit(make(workspace(1))).await.unwrap();
    store.commit(Commit::in_workspace(workspace(1))).await.unwrap();
    let stale = Workspace { name: "Renamed".to_owned(), revision: Revision(1), ..store.get(workspace(1)).await.unwrap().unwrap() };
    assert_eq!(store.commit(Commit::in_workspace(workspace(1)).put(&stale)).await.unwrap().revision, Some(Revision(3)));
    store.commit(Commit::default().put(&stale)).await.unwrap();
    let row: Workspace = store.get(workspace(1)).await.unwrap().unwrap();
    assert_eq!((row.name.as_str(), row.revision), ("Renamed", Revision(3)));
    // In one group, too: each sees where those before it have moved the counter.
    let commits = [Commit::in_workspace(workspace(1)), Commit::in_workspace(workspace(1)).put(&stale), Commit::in_workspace(workspace(1))];
    let committed = futures::future::join_all(commits.into_iter().map(|commit| store.commit(commit))).await;
    let revisions: Vec<_> = committed.into_iter().map(|committed| committed.unwrap().revision.unwrap().0).collect();
    assert_eq!(revisions, [4, 5, 6]);
    assert_eq!(store.get::<Workspace>(workspace(1)).await.unwrap().unwrap().revision, Revision(6));
}

async fn a_commit_in_a_workspace_that_is_not_there_is_refused(place: Place) {
    let store = place.open().await;
    let commit = Commit::in_workspace(workspace(1)).put(&session(1, workspace(1), "a")).append(run(1), &[]);
    assert!(matches!(store.commit(commit).await, Err(CommitError::NoWorkspace)));
    assert_eq!(store.select::<Session>(&Select::default()).await.unwrap(), []);
    assert_eq!(store.heads(&[run(1)]).await.unwrap(), []);
    store.commit(make(workspace(1))).await.unwrap();
    store.commit(Commit::in_workspace(workspace(1)).delete::<Workspace>(workspace(1))).await.unwrap();
    assert!(matches!(store.commit(Commit::in_workspace(workspace(1))).await, Err(CommitError::NoWorkspace)));
}

async fn a_guard_that_does_not_hold_is_named_and_nothing_is_written(place: Place) {
    let store = place.open().await;
    store.commit(make(workspace(1)).put(&session(1, workspace(1), "a"))).await.unwrap();
    let session_1 = || Value::from(id(SessionId::new, 1));
    let holds = [
        Guard::revision::<Session>(session_1(), Revision(1)),
        Guard::absent::<Session>(id(SessionId::new, 2)),
        Guard::columns::<Session>(session_1(), vec![("title", "a".into()), ("created_at", Value::Integer(1))]),
        Guard::revision::<Workspace>(workspace(1), Revision(1)),
        Guard::columns::<Session>(session_1(), vec![]),
    ];
    let fails = [
        Guard::revision::<Session>(session_1(), Revision(2)),
        Guard::absent::<Session>(session_1()),
        Guard::columns::<Session>(session_1(), vec![("title", "a".into()), ("created_at", Value::Integer(2))]),
        Guard::columns::<Session>(id(SessionId::new, 2), vec![]),
        Guard::columns::<Session>(session_1(), vec![("no_such_column", Value::Null)]),
    ];
    for failing in fails {
        let change = Commit::in_workspace(workspace(1)).put(&session(3, workspace(1), "never"));
        let change = Commit { events: append(run(1), b"never").events, ..change };
        let change = holds.iter().cloned().fold(change, Commit::guard).guard(failing.clone());
        let error = store.commit(change).await.unwrap_err();
        assert!(matches!(error, CommitError::Guard(5)), "{failing:?} gave {error}");
    }
    assert_eq!(store.revisions(&[workspace(1)]).await.unwrap(), [(workspace(1), Revision(1))]);
    assert_eq!(store.get::<Session>(id(SessionId::new, 3)).await.unwrap(), None);
    assert_eq!(store.heads(&[run(1)]).await.unwrap(), []);
    let change = holds.into_iter().fold(Commit::in_workspace(workspace(1)).put(&session(3, workspace(1), "now")), Commit::guard);
    assert_eq!(store.commit(change).await.unwrap().revision, Some(Revision(2)));
}

async fn guards_hold_against_what_the_same_group_has_written(place: Place) {
    let store = place.open().await;
    store.commit(make(workspace(1)).put(&session(1, workspace(1), "a"))).await.unwrap();
    let session_1 = || Value::from(id(SessionId::new, 1));
    let rename = |title| Commit::in_workspace(workspace(1)).put(&session(1, workspace(1), title));
    let commits = [
        rename("b").guard(Guard::revision::<Session>(session_1(), Revision(1))),
        rename("c").guard(Guard::revision::<Session>(session_1(), Revision(1))),
        rename("d").guard(Guard::revision::<Session>(session_1(), Revision(2))),
        Commit::in_workspace(workspace(1))
            .delete::<Session>(session_1())
            .guard(Guard::columns::<Session>(session_1(), vec![("title", "d".into())])),
        rename("e").guard(Guard::revision::<Session>(session_1(), Revision(3))),
        rename("f").guard(Guard::absent::<Session>(session_1())),
        rename("g").guard(Guard::absent::<Session>(session_1())),
        Commit::in_workspace(workspace(1)).guard(Guard::revision::<Workspace>(workspace(1), Revision(5))),
    ];
    let results = futures::future::join_all(commits.into_iter().map(|commit| store.commit(commit))).await;
    let results: Vec<_> = results.into_iter().map(|result| result.ok().map(|committed| committed.revision.unwrap().0)).collect();
    assert_eq!(results, [Some(2), None, Some(3), Some(4), None, Some(5), None, Some(6)]);
    let row: Session = store.get(session_1()).await.unwrap().unwrap();
    assert_eq!((row.title.as_str(), row.revision), ("f", Revision(5)));
}

async fn a_reply_is_kept_under_its_key_and_the_key_is_used_once(place: Place) {
    let store = place.open().await;
    store.commit(make(workspace(1))).await.unwrap();
    let commit = || Commit { key: Some(keyed("user:1", 1, Millis(5))), ..Commit::in_workspace(workspace(1)) };
    let committed = store.commit(commit()).await.unwrap();
    let reply = Bytes::from_static(b"2");
    assert_eq!(committed, Committed { revision: Some(Revision(2)), heads: vec![], reply: Some(reply.clone()) });
    let kept = StoredReply { operation: "session.create".to_owned(), digest: [7; 32], revision: Revision(2), reply };
    let key = keyed("", 1, Millis(0)).key;
    assert_eq!(store.reply("user:1", key).await.unwrap(), Some(kept.clone()));
    assert_eq!(store.reply("user:2", key).await.unwrap(), None);
    // A key that was used comes before a guard that would not hold, since its first use may have made that so.
    let again = commit().guard(Guard::absent::<Workspace>(workspace(1)));
    assert!(matches!(store.commit(again).await, Err(CommitError::KeyUsed(stored)) if stored == kept));
    let other = Commit { key: Some(keyed("user:2", 1, Millis(5))), ..Commit::default() };
    assert_eq!(store.commit(other).await.unwrap().reply, Some(Bytes::from_static(b"0")));
    // Fifty at once: one is carried out, and the others get its reply.
    let commit = || Commit { key: Some(keyed("user:1", 2, Millis(6))), ..Commit::in_workspace(workspace(1)) };
    let results = futures::future::join_all((0..50).map(|_| store.commit(commit()))).await;
    let replies: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok().map(|committed| committed.reply.clone())).collect();
    assert_eq!(replies, [Some(Bytes::from_static(b"3"))]);
    let joined = results.iter().filter(|result| matches!(result, Err(CommitError::KeyUsed(stored)) if stored.reply == "3"));
    assert_eq!(joined.count(), 49);
    assert_eq!(store.revisions(&[workspace(1)]).await.unwrap(), [(workspace(1), Revision(3))]);
}

async fn a_kept_reply_goes_after_a_day(place: Place) {
    let store = place.open().await;
    let day = 24 * 60 * 60 * 1_000;
    for (number, at) in [(1, 0), (2, 60_000), (3, day), (4, day + 60_001)] {
        store.commit(Commit { key: Some(keyed("user:1", number, Millis(at))), ..Commit::default() }).await.unwrap();
    }
    for (number, there) in [(1, false), (2, false), (3, true), (4, true)] {
        assert_eq!(store.reply("user:1", keyed("", number, Millis(0)).key).await.unwrap().is_some(), there, "key {number}");
    }
}

async fn a_reply_that_cannot_be_made_fails_its_own_commit_alone(place: Place) {
    let store = place.open().await;
    let defect = KeyedReply { reply: Arc::new(|_| panic!("a defect of a handler")), ..keyed("user:1", 1, Millis(5)) };
    let commits = [append(run(1), b"a"), Commit { key: Some(defect), ..append(run(1), b"never") }, append(run(1), b"b")];
    let results = futures::future::join_all(commits.into_iter().map(|commit| store.commit(commit))).await;
    let heads: Vec<_> = results.iter().map(|result| result.as_ref().ok().map(|committed| committed.heads[0].0)).collect();
    assert_eq!(heads, [Some(1), None, Some(2)]);
    assert_eq!(results[1].as_ref().unwrap_err().to_string(), "the database failed: making the reply of session.create panicked");
}

async fn a_taken_unique_value_fails_its_own_commit_alone(place: Place) {
    let store = place.open().await;
    store.commit(Commit::default().put(&user(1, "a"))).await.unwrap();
    let emails = ["b", "a", "c", "b", "d", "e", "f", "a", "g"];
    let commits = (2..).zip(emails).map(|(number, email)| store.commit(Commit::default().put(&user(number, email))));
    let results = futures::future::join_all(commits).await;
    let taken: Vec<bool> = results.iter().map(|result| matches!(result, Err(CommitError::Taken(table)) if table == "users")).collect();
    let done = results.iter().filter(|result| result.is_ok()).count();
    // Either of the two "b" may come first.
    assert!(taken[1] && taken[7] && (taken[0] != taken[3]), "{taken:?}");
    assert_eq!(done, 6);
    let mut emails: Vec<String> = store.select::<User>(&Select::default()).await.unwrap().into_iter().map(|row| row.email).collect();
    emails.sort();
    assert_eq!(emails.concat(), "abcdefg");
    // A commit that makes room takes it.
    let swap = Commit::default().delete::<User>(user(1, "").id).put(&user(20, "a"));
    store.commit(swap).await.unwrap();
    assert_eq!(store.select::<User>(&Select::by("email", "a")).await.unwrap(), [user(20, "a")]);
}

async fn everything_is_there_after_reopening(place: Place) {
    let store = place.open().await;
    let epoch = store.epoch().to_owned();
    let commit = Commit { key: Some(keyed("user:1", 1, Millis(5))), events: append(run(1), b"abc").events, ..make(workspace(1)) };
    store.commit(commit).await.unwrap();
    store.close().await;
    drop(store);
    let store = place.open().await;
    assert_eq!(store.epoch(), epoch);
    assert_eq!(store.revisions(&[workspace(1)]).await.unwrap(), [(workspace(1), Revision(1))]);
    assert!(store.reply("user:1", keyed("", 1, Millis(0)).key).await.unwrap().is_some());
    assert_eq!(store.commit(append(run(1), b"d")).await.unwrap().heads, [Offset(4)]);
    assert_eq!(store.log_after(run(1), Offset(0), usize::MAX).await.unwrap().len(), 2);
    assert_eq!(store.commit(Commit::in_workspace(workspace(1))).await.unwrap().revision, Some(Revision(2)));
}

async fn after_closing_commits_are_refused_and_say_so(place: Place) {
    let store = place.open().await;
    let pending = (0..20).map(|_| store.commit(append(run(1), b"a")));
    let (results, ()) = futures::join!(futures::future::join_all(pending), store.close());
    let done = results.iter().filter(|result| result.is_ok()).count();
    let refused = store.commit(append(run(1), b"a")).await.unwrap_err();
    assert!(matches!(&refused, CommitError::Store(StoreError::Unavailable(_))), "{refused}");
    drop(store);
    let head = place.open().await.heads(&[run(1)]).await.unwrap();
    assert_eq!(head.first().map_or(0, |(_, stream)| stream.head.0), i64::try_from(done).unwrap());
}
