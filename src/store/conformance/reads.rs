//! Reads: what holds is found, in order, in pages, in figures; and who waits for rows is told when they changed.

use crewline_protocol::value::Revision;

use super::{
    Database, Place, on_each_database,
    place::{Workspace, make, session, workspace},
    records::{Record, ascending, descending, fill, items, key, numbers, record, sure},
};
use crate::store::{
    Aggregate, Before, Bucket, Change, Commit, CommitError, Comparison, Entity, GroupBy, Index, Kind, Measure, Measured, Order, Predicate,
    Read, Row, Store, Told, Value,
};

on_each_database!(
    predicates_are_true_or_false_of_what_is_absent_too,
    text_compares_by_code_point_and_contains_minds_case,
    pages_follow_one_another_and_what_is_absent_comes_last_in_both_directions,
    a_page_goes_on_after_rows_that_came_or_went_meanwhile,
    figures_are_over_groups_and_conditions_of_their_own,
    spans_of_time_begin_in_utc_also_before_the_epoch,
    sums_of_integers_are_exact_and_never_too_large,
    a_key_that_is_no_name_is_refused,
    topics_say_the_last_commit_that_touched_them,
    changes_are_told_with_what_was_before_and_is_after,
    a_row_that_changed_is_not_replaced_and_a_new_one_takes_no_ones_place,
    indexes_are_made_once_and_go_when_nobody_wants_them,
);

async fn found(store: &Store, predicate: Predicate) -> Vec<i64> {
    page(store, predicate, vec![], None, 100).await
}

async fn page(store: &Store, predicate: Predicate, order: Vec<Order>, after: Option<Vec<Value>>, limit: usize) -> Vec<i64> {
    let read = Read { table: Record::TABLE, predicate: items(predicate), order, after, limit };
    numbers(store.snapshot().await.unwrap().read(&read).await.unwrap())
}

fn not(predicate: Predicate) -> Predicate {
    Predicate::Not(Box::new(predicate))
}

async fn predicates_are_true_or_false_of_what_is_absent_too(place: Place) {
    let store = place.open().await;
    let data = ["{}", r#"{"n":1,"done":true}"#, r#"{"n":2,"done":false}"#, r#"{"n":3.0,"done":null}"#];
    fill(&store, &(0..).zip(data).map(|(number, data)| record(number, data)).collect::<Vec<_>>()).await;
    let n = || key("n", Kind::Integer);
    let compare = |comparison, value: i64| Predicate::Compare(n(), comparison, value.into());
    assert_eq!(found(&store, Predicate::All(vec![])).await, [0, 1, 2, 3]);
    assert_eq!(found(&store, Predicate::Any(vec![])).await, Vec::<i64>::new());
    assert_eq!(found(&store, compare(Comparison::Less, 3)).await, [1, 2]);
    assert_eq!(found(&store, not(compare(Comparison::Less, 3))).await, [0, 3]);
    assert_eq!(found(&store, not(compare(Comparison::Equal, 3))).await, [0, 1, 2]);
    assert_eq!(found(&store, Predicate::Absent(n())).await, [0]);
    assert_eq!(found(&store, not(Predicate::Absent(key("done", Kind::Boolean)))).await, [1, 2]);
    assert_eq!(found(&store, Predicate::equal(key("done", Kind::Boolean), 0_i64)).await, [2]);
    assert_eq!(found(&store, Predicate::In(n(), vec![Value::Integer(2), Value::Null])).await, [2]);
    assert_eq!(found(&store, not(Predicate::In(n(), vec![Value::Integer(2), Value::Null]))).await, [0, 1, 3]);
    assert_eq!(found(&store, Predicate::In(n(), vec![])).await, Vec::<i64>::new());
    assert_eq!(found(&store, not(Predicate::equal(n(), Value::Null))).await, [0, 1, 2, 3]);
    let count = store.snapshot().await.unwrap().count(Record::TABLE, &items(compare(Comparison::Greater, 1))).await.unwrap();
    assert_eq!(count, 2);
}

async fn text_compares_by_code_point_and_contains_minds_case(place: Place) {
    let store = place.open().await;
    let texts = ["b", "B", "ä", "\u{ffff}", "𝕏", "100%_\\'\""];
    let data = (0..).zip(texts).map(|(number, text)| record(number, serde_json::json!({ "t": text, "l": ["x", text] }).to_string()));
    fill(&store, &data.collect::<Vec<_>>()).await;
    let text = || sure("t", Kind::Text);
    assert_eq!(page(&store, Predicate::default(), vec![ascending(text())], None, 9).await, [5, 1, 0, 2, 3, 4]);
    let contains = |term, part: &str| Predicate::Contains(term, part.into());
    assert_eq!(found(&store, contains(text(), "b")).await, [0]);
    assert_eq!(found(&store, contains(text(), "%_\\'")).await, [5]);
    assert_eq!(found(&store, contains(text(), "")).await, [0, 1, 2, 3, 4, 5]);
    let list = || key("l", Kind::List);
    assert_eq!(found(&store, contains(list(), "B")).await, [1]);
    assert_eq!(found(&store, contains(list(), "100%_\\'\"")).await, [5]);
    assert_eq!(found(&store, contains(list(), "")).await, Vec::<i64>::new());
    assert_eq!(found(&store, not(contains(key("none", Kind::List), "x"))).await, [0, 1, 2, 3, 4, 5]);
}

async fn pages_follow_one_another_and_what_is_absent_comes_last_in_both_directions(place: Place) {
    let store = place.open().await;
    let values = [Some(2), None, Some(1), Some(2), None, Some(3)];
    let data = (0..).zip(values).map(|(number, n)| record(number, serde_json::json!({ "n": n, "even": number % 2 == 0 }).to_string()));
    fill(&store, &data.collect::<Vec<_>>()).await;
    let n = || key("n", Kind::Integer);
    for (order, expected) in [
        (vec![], [0, 1, 2, 3, 4, 5]),
        (vec![ascending(n())], [2, 0, 3, 5, 1, 4]),
        (vec![descending(n())], [5, 0, 3, 2, 1, 4]),
        (vec![ascending(sure("even", Kind::Boolean)), descending(n())], [5, 3, 1, 0, 2, 4]),
        (vec![descending(n()), ascending(sure("even", Kind::Boolean))], [5, 3, 0, 2, 1, 4]),
    ] {
        for limit in 1..4 {
            let (mut after, mut paged) = (None, Vec::new());
            loop {
                let read = Read { table: Record::TABLE, predicate: items(Predicate::default()), order: order.clone(), after, limit };
                let rows = store.snapshot().await.unwrap().read(&read).await.unwrap();
                let Some(last) = rows.last() else { break };
                after = Some(crate::store::evaluate::key(&order, &Row::new(Record::TABLE, last.clone())));
                paged.extend(numbers(rows));
            }
            assert_eq!(paged, expected, "{order:?} by {limit}");
        }
    }
}

async fn a_page_goes_on_after_rows_that_came_or_went_meanwhile(place: Place) {
    let store = place.open().await;
    let of = |number: u32, n: i64| record(number, format!(r#"{{"n":{n}}}"#));
    fill(&store, &(0..6).map(|number| of(number, i64::from(number) * 10)).collect::<Vec<_>>()).await;
    let after = vec![Value::Integer(20), of(2, 0).id.into()];
    let order = || vec![ascending(sure("n", Kind::Integer))];
    let change = Commit::in_workspace(workspace(1)).delete::<Record>(of(2, 0).id).insert(&of(6, 5)).insert(&of(7, 25)).insert(&of(8, 20));
    store.commit(change).await.unwrap();
    assert_eq!(page(&store, Predicate::default(), order(), Some(after), 3).await, [8, 7, 3]);
}

async fn figures_are_over_groups_and_conditions_of_their_own(place: Place) {
    let store = place.open().await;
    let rows = [
        (Some("a"), Some(4), Some(0.5)),
        (Some("a"), Some(1), None),
        (Some("a"), None, Some(2.5)),
        (Some("B"), Some(9), Some(-1.0)),
        (None, Some(3), None),
    ];
    let data = (0..).zip(rows).map(|(number, (s, n, r))| record(number, serde_json::json!({ "s": s, "n": n, "r": r }).to_string()));
    fill(&store, &data.collect::<Vec<_>>()).await;
    let (s, n, r) = (|| key("s", Kind::Text), || key("n", Kind::Integer), || key("r", Kind::Real));
    let figures = async |predicate: Predicate, groups: Vec<GroupBy>, measures: Vec<Measure>, only: Option<Predicate>, limit| {
        let measures = measures.into_iter().map(|measure| Measured { measure, only: only.clone() }).collect();
        let aggregate = Aggregate { table: Record::TABLE, predicate: items(predicate), groups, measures, limit };
        store.snapshot().await.unwrap().aggregate(&aggregate).await.unwrap()
    };
    let (integer, real, text, null) = (Value::Integer, Value::Real, |text: &str| Value::from(text), Value::Null);
    let measures =
        || vec![Measure::Count, Measure::Sum(n()), Measure::Avg(n()), Measure::Min(r()), Measure::Max(s()), Measure::Percentile(n(), 50)];
    assert_eq!(
        figures(Predicate::default(), vec![], measures(), None, 9).await,
        [vec![integer(5), integer(17), real(4.25), real(-1.0), text("a"), integer(3)]]
    );
    assert_eq!(
        figures(Predicate::default(), vec![GroupBy::Term(s())], measures(), None, 9).await,
        [
            vec![text("B"), integer(1), integer(9), real(9.0), real(-1.0), text("B"), integer(9)],
            vec![text("a"), integer(3), integer(5), real(2.5), real(0.5), text("a"), integer(1)],
            vec![null.clone(), integer(1), integer(3), real(3.0), null.clone(), null.clone(), integer(3)],
        ]
    );
    // A figure's own condition leaves the groups as they are.
    let large = Predicate::Compare(n(), Comparison::Greater, Value::Integer(3));
    assert_eq!(
        figures(Predicate::default(), vec![GroupBy::Term(s())], vec![Measure::Count, Measure::Percentile(n(), 95)], Some(large), 2).await,
        [vec![text("B"), integer(1), integer(9)], vec![text("a"), integer(1), integer(4)]]
    );
    let nothing = vec![Measure::Count, Measure::Sum(r()), Measure::Avg(n()), Measure::Max(n()), Measure::Percentile(r(), 50)];
    let none = Predicate::Any(vec![]);
    assert_eq!(
        figures(none.clone(), vec![], nothing.clone(), None, 9).await,
        [vec![integer(0), null.clone(), null.clone(), null.clone(), null.clone()]]
    );
    assert_eq!(figures(none, vec![GroupBy::Term(s())], nothing, None, 9).await, Vec::<Vec<Value>>::new());
    assert_eq!(
        figures(Predicate::default(), vec![GroupBy::Bounds(n(), vec![1.0, 3.5])], vec![Measure::Count], None, 9).await,
        [vec![integer(1), integer(2)], vec![integer(2), integer(2)], vec![null, integer(1)]]
    );
}

async fn sums_of_integers_are_exact_and_never_too_large(place: Place) {
    const MOST: i64 = (1 << 53) - 1;
    let store = place.open().await;
    let data = (0..1_100).map(|number| record(number, format!(r#"{{"n":{MOST},"m":{}}}"#, i64::from(number) - 600)));
    fill(&store, &data.collect::<Vec<_>>()).await;
    let (n, m) = (|| key("n", Kind::Integer), || key("m", Kind::Integer));
    let measures = [Measure::Sum(n()), Measure::Avg(n()), Measure::Sum(m()), Measure::Avg(m())];
    let measures = measures.map(|measure| Measured { measure, only: None }).to_vec();
    let aggregate = Aggregate { table: Record::TABLE, predicate: items(Predicate::default()), groups: vec![], measures, limit: 9 };
    let figures = store.snapshot().await.unwrap().aggregate(&aggregate).await.unwrap();
    let real = Value::Real;
    let sum = (i128::from(MOST) * 1_100) as f64;
    assert_eq!(figures, [vec![real(sum), real(sum / 1_100.0), Value::Integer(-55_550), real(-50.5)]]);
}

async fn spans_of_time_begin_in_utc_also_before_the_epoch(place: Place) {
    let store = place.open().await;
    // A leap day's last millisecond; the last one before the epoch; 1600 and the year 9999, at their ends.
    let times = [951_868_799_999_i64, -1, -11_644_473_600_001, 253_402_300_799_999];
    let data = (0..).zip(times).map(|(number, at)| record(number, format!(r#"{{"at":{at}}}"#)));
    fill(&store, &data.collect::<Vec<_>>()).await;
    for (bucket, expected) in [
        (Bucket::Hour, [-11_644_477_200_000, -3_600_000, 951_865_200_000, 253_402_297_200_000]),
        (Bucket::Day, [-11_644_560_000_000, -86_400_000, 951_782_400_000, 253_402_214_400_000]),
        (Bucket::Week, [-11_645_078_400_000, -259_200_000, 951_696_000_000, 253_401_868_800_000]),
        (Bucket::Month, [-11_647_152_000_000, -2_678_400_000, 949_363_200_000, 253_399_622_400_000]),
    ] {
        let measures = vec![Measured { measure: Measure::Count, only: None }];
        let groups = vec![GroupBy::Bucket(sure("at", Kind::Integer), bucket)];
        let aggregate = Aggregate { table: Record::TABLE, predicate: items(Predicate::default()), groups, measures, limit: 9 };
        let rows = store.snapshot().await.unwrap().aggregate(&aggregate).await.unwrap();
        assert_eq!(rows, expected.map(|begin| vec![Value::Integer(begin), Value::Integer(1)]), "{bucket:?}");
    }
}

async fn a_key_that_is_no_name_is_refused(place: Place) {
    let store = place.open().await;
    fill(&store, &[record(1, "{}")]).await;
    let long = "a".repeat(64);
    for name in ["", "a'b", "a\"b", "a b", "A", "$", "a.b", "é", long.as_str()] {
        let read =
            Read { table: Record::TABLE, predicate: items(Predicate::Absent(key(name, Kind::Text))), order: vec![], after: None, limit: 1 };
        let answer = store.snapshot().await.unwrap().read(&read).await;
        // Memory has no statement that a name could break out of.
        assert!(answer.is_err() || place.database() == Database::Memory, "{name:?} gave {answer:?}");
    }
}

async fn topics_say_the_last_commit_that_touched_them(place: Place) {
    let store = place.open().await;
    fill(&store, &[record(1, "{}")]).await;
    let touched = async |names: &[&str]| {
        let topics: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let alone = store.touched(workspace(1), &topics).await.unwrap();
        assert_eq!(store.snapshot().await.unwrap().touched(workspace(1), &topics).await.unwrap(), alone);
        alone.0
    };
    assert_eq!(touched(&["records/items"]).await, 2);
    assert_eq!(touched(&["workspaces"]).await, 1);
    assert_eq!(touched(&["records", "records/others", "sessions"]).await, 0);
    let commits = [
        Commit::in_workspace(workspace(1)).insert(&Record { collection: "others".to_owned(), ..record(2, "{}") }),
        Commit::in_workspace(workspace(1)).put(&session(1, workspace(1), "a")),
        Commit::in_workspace(workspace(1)),
    ];
    for commit in commits {
        store.commit(commit).await.unwrap();
    }
    assert_eq!([touched(&["records/others"]).await, touched(&["sessions"]).await, touched(&["records/items"]).await], [3, 4, 2]);
    let row = store.get::<Record>(record(1, "").id).await.unwrap().unwrap();
    store.commit(Commit::in_workspace(workspace(1)).remove(&row)).await.unwrap();
    assert_eq!(touched(&["records/items", "sessions"]).await, 6);
    // Of a group each topic has the last that touched it.
    let put = |number| store.commit(Commit::in_workspace(workspace(1)).put(&session(number, workspace(1), "s")));
    futures::future::join_all((0..20).map(put)).await;
    assert_eq!(touched(&["sessions"]).await, 26);
    assert_eq!(store.touched(workspace(2), &["sessions".to_owned()]).await.unwrap(), Revision(0));
    // What moves no revision tells no topic.
    store.commit(Commit::default().put(&record(1, "{}"))).await.unwrap();
    assert_eq!(touched(&["records/items"]).await, 6);
}

async fn changes_are_told_with_what_was_before_and_is_after(place: Place) {
    let store = place.open().await;
    store.commit(make(workspace(1))).await.unwrap();
    place.told();
    let at = |revision, row: Record| Record { revision: Revision(revision), ..row };
    let row = |record: &Record| std::sync::Arc::new(Row::new(Record::TABLE, record.to_values()));
    let (first, second) = (record(1, r#"{"n":1}"#), record(1, r#"{"n":2}"#));
    store.commit(Commit::in_workspace(workspace(1)).insert(&first)).await.unwrap();
    store.commit(Commit::in_workspace(workspace(1)).replace(&at(2, first.clone()), &second)).await.unwrap();
    store.commit(Commit::in_workspace(workspace(1)).remove(&at(3, second.clone()))).await.unwrap();
    let change =
        |before, after: Option<Record>| Change { table: Record::TABLE, id: first.id.into(), before, after: after.as_ref().map(row) };
    let told = |revision, change: Change| {
        assert_eq!(change.topic(), "records/items");
        Told::Rows { workspace: Some((workspace(1), Revision(revision))), changes: [change].into() }
    };
    assert_eq!(
        place.told(),
        [
            told(2, change(Before::Absent, Some(at(2, first.clone())))),
            told(3, change(Before::Row(row(&at(2, first.clone()))), Some(at(3, second.clone())))),
            told(4, change(Before::Row(row(&at(3, second.clone()))), None)),
        ]
    );
}

async fn a_row_that_changed_is_not_replaced_and_a_new_one_takes_no_ones_place(place: Place) {
    let store = place.open().await;
    fill(&store, &[record(1, "{}")]).await;
    let stale = Record { revision: Revision(1), ..record(1, "{}") };
    let replace = Commit::in_workspace(workspace(1)).replace(&stale, &record(1, r#"{"n":1}"#));
    assert!(matches!(store.commit(replace).await, Err(CommitError::Guard(0))));
    assert!(matches!(store.commit(Commit::in_workspace(workspace(1)).remove(&stale)).await, Err(CommitError::Guard(0))));
    assert_eq!(store.get::<Record>(stale.id).await.unwrap(), Some(Record { revision: Revision(2), ..record(1, "{}") }));
    // A workspace's counter moves with all that is written in it; its own row has not changed with that.
    let row: Workspace = store.get(workspace(1)).await.unwrap().unwrap();
    assert_eq!((row.revision, row.changed_revision), (Revision(2), Revision(1)));
    let renamed = Workspace { name: "Renamed".to_owned(), ..row };
    store.commit(Commit::in_workspace(workspace(1)).put(&renamed)).await.unwrap();
    let row: Workspace = store.get(workspace(1)).await.unwrap().unwrap();
    assert_eq!((row.revision, row.changed_revision), (Revision(3), Revision(3)));
}

async fn indexes_are_made_once_and_go_when_nobody_wants_them(place: Place) {
    let store = place.open().await;
    let data = (0..20).map(|number| record(number, serde_json::json!({ "n": number % 3, "t": "x" }).to_string()));
    fill(&store, &data.collect::<Vec<_>>()).await;
    let index = |order| Index { table: Record::TABLE, part: Some("items".to_owned()), order };
    let n = index(vec![descending(key("n", Kind::Integer))]);
    let t = index(vec![ascending(sure("t", Kind::Text)), descending(key("n", Kind::Integer))]);
    for wanted in [vec![n.clone()], vec![n.clone(), t.clone()], vec![n.clone(), t.clone()], vec![t.clone()], vec![]] {
        store.index(&wanted).await.unwrap();
        let made = place.indexes().await.into_iter().filter(|name| name.starts_with("live_")).count();
        assert_eq!(made, if place.database() == Database::Memory { 0 } else { wanted.len() });
        let newest = page(&store, Predicate::default(), n.order.clone(), None, 3).await;
        assert_eq!(newest, [2, 5, 8]);
    }
    // Several nodes that start at once make the same.
    let both = [n, t];
    let made = futures::future::join_all((0..4).map(|_| store.index(&both))).await;
    assert!(made.iter().all(Result::is_ok), "{made:?}");
}
