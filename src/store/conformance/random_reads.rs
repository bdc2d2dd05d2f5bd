//! Whatever is asked of whatever rows, both databases answer as the evaluator does.

use crewline_protocol::value::Revision;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Map, Value as Json, json};

use super::{
    Database, Place,
    place::workspace,
    records::{Record, ascending, column, descending, fill, items, key, record, sure},
};
use crate::store::{
    Aggregate, Bucket, Comparison, Entity, GroupBy, Kind, Measure, Measured, Order, Predicate, Read, Row, Snapshot, Term, Value, evaluate,
};

/// Questions on each database, in so many sets of rows.
const QUESTIONS: usize = 10_000;
const SETS: u64 = 10;
const ROWS: u32 = 80;

/// Texts that have broken somebody's quoting, ordering or encoding.
const TEXTS: [&str; 20] = [
    "",
    " ",
    "a",
    "A",
    "b",
    "aa",
    "ä",
    "Ä",
    "\u{e000}",
    "\u{ffff}",
    "𝕏",
    "👩‍👩‍👧",
    "'; DROP TABLE records; --",
    "a\"b\\c",
    "%_",
    "\u{202e}abc",
    "\n\r\t\u{1}",
    "null",
    "1",
    "{\"a\": [1]}",
];
const INTEGERS: [i64; 10] = [0, 1, 2, 3, -1, -2, 10, 1_000, 9_007_199_254_740_991, -9_007_199_254_740_991];
const REALS: [f64; 14] = [
    0.0,
    -0.0,
    1.0,
    0.1,
    0.2,
    -0.3,
    2.5,
    1e300,
    1e-9,
    1.0 / 3.0,
    -2.0 / 7.0,
    123_456.789,
    98_765.432_109_876_54,
    0.000_123_456_789_012_345_67,
];
const DAY_MS: i64 = 86_400_000;

#[tokio::test]
async fn sqlite_answers_ten_thousand_random_reads_as_the_evaluator_does() {
    compare(Database::Sqlite).await;
}

#[tokio::test]
async fn postgres_answers_ten_thousand_random_reads_as_the_evaluator_does() {
    compare(Database::Postgres).await;
}

async fn compare(database: Database) {
    for seed in 0..SETS {
        let place = Place::new(database).await;
        let store = place.open().await;
        let mut dice = StdRng::seed_from_u64(seed);
        let mut records = random_records(&mut dice);
        fill(&store, &records).await;
        for record in &mut records {
            record.revision = Revision(2);
        }
        let rows: Vec<Row> = records.iter().map(|record| Row::new(Record::TABLE, record.to_values())).collect();
        let mut snapshot = store.snapshot().await.unwrap();
        for question in 0..QUESTIONS / usize::try_from(SETS).unwrap() {
            ask(&mut snapshot, &mut dice, &rows, &format!("{database:?}, seed {seed}, question {question}")).await;
        }
    }
}

async fn ask(snapshot: &mut Snapshot, dice: &mut StdRng, rows: &[Row], which: &str) {
    match dice.random_range(0..10) {
        0 => {
            let predicate = items(random_predicate(dice, 3));
            let expected = rows.iter().filter(|row| evaluate::matches(&predicate, row)).count();
            let got = snapshot.count(Record::TABLE, &predicate).await;
            let got = got.unwrap_or_else(|error| panic!("{which}: {error}: {predicate:?}"));
            assert_eq!(got, expected as u64, "{which}: {predicate:#?}");
        }
        1..=3 => {
            let aggregate = random_aggregate(dice);
            let expected = evaluate::aggregate(&aggregate, rows.iter());
            let got = snapshot.aggregate(&aggregate).await;
            let got = got.unwrap_or_else(|error| panic!("{which}: {error}: {aggregate:?}"));
            assert!(alike(&got, &expected), "{which}: {aggregate:#?}\ngot {got:#?}\nbut the evaluator {expected:#?}");
        }
        _ => {
            let read = random_read(dice, rows);
            let expected: Vec<_> = evaluate::read(&read, rows.iter()).into_iter().map(|row| row.values().to_vec()).collect();
            let got = snapshot.read(&read).await;
            let got = got.unwrap_or_else(|error| panic!("{which}: {error}: {read:?}"));
            assert!(got == expected, "{which}: {read:#?}\ngot {got:#?}\nbut the evaluator {expected:#?}");
        }
    }
}

/// Sums of floats depend in their last digits on the order in which a database adds them up.
fn alike(got: &[Vec<Value>], expected: &[Vec<Value>]) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0);
    let same = |(got, expected): (&Value, &Value)| match (got, expected) {
        (Value::Real(got), Value::Real(expected)) => near(*got, *expected),
        _ => got == expected,
    };
    got.len() == expected.len()
        && got.iter().zip(expected).all(|(got, expected)| got.len() == expected.len() && got.iter().zip(expected).all(same))
}

fn random_records(dice: &mut StdRng) -> Vec<Record> {
    let mut random = |number| {
        let row = record(number, Json::Object(random_data(dice)).to_string());
        match dice.random_range(0..12) {
            0 => Record { collection: "others".to_owned(), ..row },
            1 => Record { workspace_id: workspace(2), ..row },
            _ => row,
        }
    };
    (0..ROWS).map(&mut random).collect()
}

fn random_data(dice: &mut StdRng) -> Map<String, Json> {
    let mut data = Map::new();
    data.insert("title".to_owned(), json!(TEXTS.choose(dice)));
    data.insert("rank".to_owned(), json!(INTEGERS.choose(dice)));
    let text = json!(TEXTS.choose(dice));
    // A float may stand where an integer is meant, and an integer where a float is.
    let integer = if dice.random_bool(0.2) { json!(f64::from(dice.random_range(-3_i8..4))) } else { json!(INTEGERS.choose(dice)) };
    let real = match dice.random_range(0..4) {
        0 => json!(dice.random_range(-3..4)),
        1 => json!(dice.random_range(-1e6..1e6)),
        _ => json!(REALS.choose(dice)),
    };
    let list: Vec<&str> = (0..dice.random_range(0..4)).filter_map(|_| TEXTS.choose(dice).copied()).collect();
    let due = random_time(dice);
    let optional = [
        ("note", text),
        ("count", integer),
        ("score", real),
        ("done", json!(dice.random_bool(0.5))),
        ("tags", json!(list)),
        ("due", json!(due)),
    ];
    for (name, value) in optional {
        match dice.random_range(0..8) {
            0 | 1 => {}
            2 => {
                data.insert(name.to_owned(), Json::Null);
            }
            _ => {
                data.insert(name.to_owned(), value);
            }
        }
    }
    data
}

fn random_time(dice: &mut StdRng) -> i64 {
    match dice.random_range(0..4) {
        // On a border, or a millisecond beside it.
        0 => dice.random_range(-40_000..40_000) * DAY_MS + dice.random_range(-1..2),
        1 => *INTEGERS.choose(dice).unwrap(),
        _ => dice.random_range(-3_000_000_000_000..3_000_000_000_000),
    }
}

fn random_term(dice: &mut StdRng) -> Term {
    match dice.random_range(0..11) {
        0 => sure("title", Kind::Text),
        1 => sure("rank", Kind::Integer),
        2 => key("note", Kind::Text),
        3 => key("count", Kind::Integer),
        4 => key("score", Kind::Real),
        5 => key("done", Kind::Boolean),
        6 => key("due", Kind::Integer),
        7 => key("absent", Kind::Text),
        8 => column("created_at", Kind::Integer),
        9 => column("created_by", Kind::Text),
        _ => column("id", Kind::Text),
    }
}

fn random_value(dice: &mut StdRng, term: &Term) -> Value {
    match term.kind {
        Kind::Text | Kind::List => Value::from(*TEXTS.choose(dice).unwrap()),
        Kind::Integer if dice.random_bool(0.3) => Value::Integer(random_time(dice)),
        Kind::Integer => Value::Integer(*INTEGERS.choose(dice).unwrap()),
        Kind::Real => Value::Real(*REALS.choose(dice).unwrap()),
        Kind::Boolean => Value::Integer(dice.random_range(0..2)),
    }
}

fn random_predicate(dice: &mut StdRng, depth: u32) -> Predicate {
    let several = |dice: &mut StdRng| (0..dice.random_range(0..4)).map(|_| random_predicate(dice, depth - 1)).collect();
    match dice.random_range(if depth == 0 { 3 } else { 0 }..10) {
        0 => Predicate::All(several(dice)),
        1 => Predicate::Any(several(dice)),
        2 => Predicate::Not(Box::new(random_predicate(dice, depth - 1))),
        3 => Predicate::Absent(if dice.random_bool(0.2) { key("tags", Kind::List) } else { random_term(dice) }),
        4 => {
            let term = random_term(dice);
            let values = (0..dice.random_range(0..6)).map(|_| if dice.random_bool(0.1) { Value::Null } else { random_value(dice, &term) });
            Predicate::In(term.clone(), values.collect())
        }
        5 => {
            let term = [sure("title", Kind::Text), key("note", Kind::Text), key("tags", Kind::List)].choose(dice).unwrap().clone();
            Predicate::Contains(term.clone(), random_value(dice, &term))
        }
        _ => {
            let comparisons =
                [Comparison::Equal, Comparison::Less, Comparison::LessOrEqual, Comparison::Greater, Comparison::GreaterOrEqual];
            let term = random_term(dice);
            let value = if dice.random_bool(0.05) { Value::Null } else { random_value(dice, &term) };
            Predicate::Compare(term, *comparisons.choose(dice).unwrap(), value)
        }
    }
}

fn random_read(dice: &mut StdRng, rows: &[Row]) -> Read {
    let order: Vec<Order> = (0..dice.random_range(0..4))
        .map(|_| if dice.random_bool(0.5) { ascending(random_term(dice)) } else { descending(random_term(dice)) })
        .collect();
    // After a row that is found or not, or that has gone.
    let after = dice.random_bool(0.6).then(|| {
        let mut key = evaluate::key(&order, rows.choose(dice).unwrap());
        if dice.random_bool(0.2)
            && let Some((value, order)) = key.iter_mut().zip(&order).next()
        {
            *value = random_value(dice, &order.term);
        }
        key
    });
    let predicate = items(random_predicate(dice, 3));
    Read { table: Record::TABLE, predicate, order, after, limit: *[0, 1, 2, 7, 50, 500].choose(dice).unwrap() }
}

fn random_aggregate(dice: &mut StdRng) -> Aggregate {
    let groups = (0..dice.random_range(0..3)).map(|_| match dice.random_range(0..4) {
        0 => {
            let bucket = *[Bucket::Hour, Bucket::Day, Bucket::Week, Bucket::Month].choose(dice).unwrap();
            GroupBy::Bucket([key("due", Kind::Integer), column("created_at", Kind::Integer)].choose(dice).unwrap().clone(), bucket)
        }
        1 => {
            let term = [key("score", Kind::Real), key("count", Kind::Integer), sure("rank", Kind::Integer)].choose(dice).unwrap().clone();
            GroupBy::Bounds(term, [&[0.0][..], &[-1.0, 0.1, 2.5], &[0.5, 1e9]].choose(dice).unwrap().to_vec())
        }
        _ => GroupBy::Term(random_term(dice)),
    });
    let groups = groups.collect();
    let measures = (0..dice.random_range(1..5)).map(|_| {
        let number =
            [key("count", Kind::Integer), key("score", Kind::Real), sure("rank", Kind::Integer), column("created_at", Kind::Integer)];
        let number = number.choose(dice).unwrap().clone();
        let measure = match dice.random_range(0..6) {
            0 => Measure::Count,
            1 => Measure::Sum(number),
            2 => Measure::Avg(number),
            3 => Measure::Min(random_term(dice)),
            4 => Measure::Max(random_term(dice)),
            _ => Measure::Percentile(number, *[1, 50, 95, 100].choose(dice).unwrap()),
        };
        Measured { measure, only: dice.random_bool(0.3).then(|| random_predicate(dice, 2)) }
    });
    let measures = measures.collect();
    Aggregate {
        table: Record::TABLE,
        predicate: items(random_predicate(dice, 2)),
        groups,
        measures,
        limit: *[1, 3, 500].choose(dice).unwrap(),
    }
}
