//! Lists from many records are read along an index, from where they begin: what the databases say of their plans.

use std::borrow::Cow;

use crewline_protocol::value::Millis;

use super::{
    driver::{Connection, Options, Purpose, Query},
    read::{self, Dialect},
};
use crate::store::{
    ColumnKind, Entity, Index, Kind, Location, Order, Predicate, Read, Row, Value,
    conformance::{
        place::{Database, Place, workspace},
        records::{Record, ascending, column, descending, items, key, record, sure},
    },
    evaluate,
};

/// So many that no plan but the right one is cheap.
const RECORDS: u32 = 30_000;

/// A filter and an order.
type List = (Predicate, Vec<Order>);

/// An index, and lists that it must serve.
fn lists() -> Vec<(Index, Vec<List>)> {
    let index = |order: Vec<Order>| Index { table: Record::TABLE, part: Some("items".to_owned()), order };
    let (n, part, note) = (|| key("n", Kind::Integer), || key("part", Kind::Integer), || sure("note", Kind::Text));
    let (all, seven) = (Predicate::default, || Predicate::equal(key("part", Kind::Integer), 7_i64));
    vec![
        (index(vec![descending(n())]), vec![(all(), vec![descending(n())])]),
        (index(vec![ascending(n())]), vec![(all(), vec![ascending(n())])]),
        (index(vec![ascending(note())]), vec![(all(), vec![ascending(note())]), (Predicate::equal(note(), "note 7"), vec![])]),
        (
            index(vec![ascending(part()), descending(column("created_at", Kind::Integer))]),
            vec![
                (seven(), vec![descending(column("created_at", Kind::Integer))]),
                (all(), vec![ascending(part()), descending(column("created_at", Kind::Integer))]),
            ],
        ),
    ]
}

#[tokio::test]
async fn sqlite_reads_lists_along_their_indexes() {
    let place = Place::new(Database::Sqlite).await;
    let Location::Sqlite(file) = &place.location else { panic!("not a file") };
    let data = "json_object('n', nullif(i % 1000, 0), 'part', nullif(i % 180, 0), 'note', 'note ' || (i % 999))";
    let fill = format!(
        "WITH RECURSIVE numbers (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {RECORDS}) \
         INSERT INTO records SELECT printf('00000000-0000-7000-8000-%012d', i), '{}', 'items', 1, i, i, 'someone', {data} FROM numbers",
        workspace(1)
    );
    hold(&place, Options::sqlite(file), &fill, "EXPLAIN QUERY PLAN ").await;
}

#[tokio::test]
async fn postgres_reads_lists_along_their_indexes() {
    let place = Place::new(Database::Postgres).await;
    let Location::Postgres(url) = &place.location else { panic!("not a URL") };
    let data =
        "jsonb_strip_nulls(jsonb_build_object('n', nullif(i % 1000, 0), 'part', nullif(i % 180, 0), 'note', 'note ' || (i % 999)))::text";
    let fill = format!(
        "INSERT INTO records SELECT '00000000-0000-7000-8000-' || lpad(i::text, 12, '0'), '{}', 'items', 1, i, i, 'someone', {data} \
         FROM generate_series(1, {RECORDS}) AS i",
        workspace(1)
    );
    let options = Options::postgres(url).unwrap();
    hold(&place, options.clone(), &fill, "EXPLAIN ").await;
    // A million records in a workspace were guessed to be few, and sorted, until PostgreSQL came to look at them by itself.
    let looked = "SELECT COUNT(*) FROM pg_stats WHERE schemaname = current_schema() AND tablename = 'records'";
    let query = Query { sql: looked.into(), args: Vec::new(), kinds: Cow::Borrowed(&[ColumnKind::Integer]) };
    let columns = options.connect(Purpose::Read).await.unwrap().run(&query).await.unwrap();
    assert_eq!(columns, [[Value::Integer(8)]]);
}

/// Fills the table, then holds every list to its index.
async fn hold(place: &Place, options: Options, fill: &str, explain: &str) {
    let store = place.open_telling(std::sync::Arc::new(|_| {})).await.unwrap();
    let mut connection = options.connect(Purpose::Write).await.unwrap();
    connection.run(&Query { sql: fill.into(), args: Vec::new(), kinds: Cow::Borrowed(&[]) }).await.unwrap();
    for (index, lists) in lists() {
        store.index(std::slice::from_ref(&index)).await.unwrap();
        // A connection that only explains never looks whether there are other indexes since it was opened.
        let mut connection = options.connect(Purpose::Read).await.unwrap();
        let (name, _) = read::index(options.dialect(), &index).unwrap();
        for (predicate, order) in lists {
            // The first page, and those after a row in the midst and after one whose first value is absent.
            let middle = Row::new(Record::TABLE, row(r#"{"n":500,"part":90,"note":"note 500"}"#));
            let absent = Row::new(Record::TABLE, row(r#"{"note":"note 500"}"#));
            for after in [None, Some(evaluate::key(&order, &middle)), Some(evaluate::key(&order, &absent))] {
                let read = Read { table: Record::TABLE, predicate: items(predicate.clone()), order: order.clone(), after, limit: 50 };
                for statement in 0..read::statements(&read) {
                    let query = read::read(options.dialect(), &read, statement, 50).unwrap();
                    let plan = plan(&mut connection, explain, &query, options.dialect()).await;
                    let sorted = ["TEMP B-TREE", "Sort", "Bitmap", "SCAN"].iter().any(|word| plan.contains(word));
                    assert!(plan.contains(&name) && !sorted, "{statement:?}\n{}\n{:?}\n{plan}", query.sql, query.args);
                }
            }
        }
    }
}

fn row(data: &str) -> Vec<Value> {
    let row = record(15_000, data);
    let id = "00000000-0000-7000-8000-000000015000".parse().unwrap();
    Record { id, created_at: Millis(15_000), ..row }.to_values()
}

async fn plan(connection: &mut Connection, explain: &str, query: &Query<'_>, dialect: Dialect) -> String {
    let kinds: &[ColumnKind] = match dialect {
        Dialect::Sqlite => &[ColumnKind::Integer, ColumnKind::Integer, ColumnKind::Integer, ColumnKind::Text],
        Dialect::Postgres => &[ColumnKind::Text],
    };
    let asked = Query { sql: format!("{explain}{}", query.sql).into(), args: query.args.clone(), kinds: Cow::Borrowed(kinds) };
    let lines = connection.run(&asked).await.unwrap().into_iter().filter_map(|mut row| match row.pop() {
        Some(Value::Text(line)) => Some(line),
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}
