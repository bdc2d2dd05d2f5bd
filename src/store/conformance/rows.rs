//! Rows: read as they were written, found by what they hold.

use crewline_protocol::value::{Millis, SessionId};

use super::{
    Database, Place, on_each_database,
    place::{Session, User, id, make, session, user, workspace},
};
use crate::store::{Commit, Condition, Direction, Select, Value};

on_each_database!(
    rows_are_read_as_they_were_written_then_replaced_then_deleted,
    conditions_select_alike_on_every_database,
    rows_come_in_the_order_asked_for_with_absent_ones_last,
    many_rows_are_written_in_one_commit,
    a_snapshot_does_not_see_what_is_written_after_it,
);

const NAUGHTY: [&str; 8] = ["", "'; DROP TABLE users; --", "a\"b\\c%_", "ÄÖÜß", "𝕏 emoji 👩‍👩‍👧", "\u{202e}right", "\n\r\t\u{1}", "null"];

async fn rows_are_read_as_they_were_written_then_replaced_then_deleted(place: Place) {
    let store = place.open().await;
    for (number, text) in (1..).zip(NAUGHTY) {
        let written = User { name: text.to_owned(), ..user(number, text) };
        store.commit(Commit::default().put(&written)).await.unwrap();
        assert_eq!(store.get::<User>(written.id).await.unwrap(), Some(written.clone()));
        assert_eq!(store.select::<User>(&Select::by("email", text)).await.unwrap(), [written]);
    }
    let changed = User { operator: true, disabled_at: Some(Millis(i64::MAX)), ..user(1, "x") };
    store.commit(Commit::default().put(&changed)).await.unwrap();
    assert_eq!(store.get::<User>(changed.id).await.unwrap(), Some(changed.clone()));
    store.commit(Commit::default().delete::<User>(changed.id)).await.unwrap();
    assert_eq!(store.get::<User>(changed.id).await.unwrap(), None);
    store.commit(Commit::default().delete::<User>(changed.id)).await.unwrap();
    assert_eq!(store.select::<User>(&Select::default()).await.unwrap().len(), NAUGHTY.len() - 1);
}

async fn conditions_select_alike_on_every_database(place: Place) {
    let store = place.open().await;
    // By code point, capitals come before small letters and umlauts last, whatever the language.
    for (number, email) in (1..).zip(["b", "B", "a", "ä", "é", "Z", "z"]) {
        let row = User { disabled_at: (number % 2 == 0).then_some(Millis(i64::from(number))), ..user(number, email) };
        store.commit(Commit::default().put(&row)).await.unwrap();
    }
    let find = async |condition: Condition| {
        let rows = store.select::<User>(&Select::default().and(condition).order_by("email", Direction::Ascending)).await.unwrap();
        rows.into_iter().map(|row| row.email).collect::<String>()
    };
    let text = |text: &str| Value::from(text);
    assert_eq!(find(Condition::Greater("email", text("Z"))).await, "abzäé");
    assert_eq!(find(Condition::Less("email", text("b"))).await, "BZa");
    assert_eq!(find(Condition::In("email", vec![text("z"), text("b"), text("b"), Value::Null])).await, "bz");
    assert_eq!(find(Condition::In("email", vec![])).await, "");
    assert_eq!(find(Condition::Equals("disabled_at", Value::Null)).await, "abzé");
    assert_eq!(find(Condition::Equals("disabled_at", Value::Integer(4))).await, "ä");
    assert_eq!(find(Condition::Less("disabled_at", Value::Integer(6))).await, "Bä");
    assert_eq!(find(Condition::Greater("disabled_at", Value::Null)).await, "");
    let both = Select::by("operator", Value::Integer(0)).and(Condition::Greater("id", user(5, "").id.into()));
    assert_eq!(store.select::<User>(&both).await.unwrap().into_iter().map(|row| row.email).collect::<String>(), "Zz");
}

async fn rows_come_in_the_order_asked_for_with_absent_ones_last(place: Place) {
    let store = place.open().await;
    for (number, disabled_at) in [(4, Some(2)), (1, None), (3, Some(1)), (2, Some(2)), (5, None)] {
        let row = User { disabled_at: disabled_at.map(Millis), ..user(number, &number.to_string()) };
        store.commit(Commit::default().put(&row)).await.unwrap();
    }
    let order = async |select: Select| {
        let rows = store.select::<User>(&select).await.unwrap();
        rows.into_iter().map(|row| row.email).collect::<String>()
    };
    assert_eq!(order(Select::default()).await, "12345");
    assert_eq!(order(Select::default().limit(2)).await, "12");
    assert_eq!(order(Select::default().order_by("id", Direction::Descending).limit(3)).await, "543");
    assert_eq!(order(Select::default().order_by("disabled_at", Direction::Ascending)).await, "32415");
    assert_eq!(order(Select::default().order_by("disabled_at", Direction::Descending)).await, "24315");
}

async fn many_rows_are_written_in_one_commit(place: Place) {
    let store = place.open().await;
    store.commit(make(workspace(1))).await.unwrap();
    let rows: Vec<Session> = (0..1_000).map(|number| session(number, workspace(1), "s")).collect();
    let commit = rows.iter().fold(Commit::in_workspace(workspace(1)), Commit::put);
    let revision = store.commit(commit).await.unwrap().revision.unwrap();
    let expected: Vec<Session> = rows.into_iter().map(|row| Session { revision, ..row }).collect();
    assert_eq!(store.select::<Session>(&Select::by("workspace_id", workspace(1))).await.unwrap(), expected);
    let ids: Vec<Value> = (0..1_000).map(|number| Value::from(id(SessionId::new, number))).collect();
    let some = Select::default().and(Condition::In("id", ids[..300].to_vec()));
    assert_eq!(store.select::<Session>(&some).await.unwrap(), expected[..300]);
    let commit = ids.into_iter().take(999).fold(Commit::default(), Commit::delete::<Session>);
    store.commit(commit).await.unwrap();
    assert_eq!(store.select::<Session>(&Select::default()).await.unwrap(), expected[999..]);
}

async fn a_snapshot_does_not_see_what_is_written_after_it(place: Place) {
    let store = place.open().await;
    store.commit(make(workspace(1)).put(&session(1, workspace(1), "before"))).await.unwrap();
    let mut snapshot = store.snapshot().await.unwrap();
    let revision = snapshot.revision(workspace(1)).await.unwrap();
    let before = snapshot.get::<Session>(id(SessionId::new, 1)).await.unwrap();
    let renamed = session(1, workspace(1), "after");
    store.commit(Commit::in_workspace(workspace(1)).put(&renamed).put(&session(2, workspace(1), "new"))).await.unwrap();
    assert_eq!(snapshot.get::<Session>(id(SessionId::new, 1)).await.unwrap(), before);
    assert_eq!(snapshot.select::<Session>(&Select::default()).await.unwrap(), Vec::from_iter(before));
    assert_eq!(snapshot.revision(workspace(1)).await.unwrap(), revision);
    assert_eq!(snapshot.revision(workspace(2)).await.unwrap().0, 0);
    drop(snapshot);
    let mut snapshot = store.snapshot().await.unwrap();
    assert_eq!(snapshot.revision(workspace(1)).await.unwrap().0, 2);
    assert_eq!(snapshot.select::<Session>(&Select::default()).await.unwrap().len(), 2);
}
