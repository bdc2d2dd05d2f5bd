//! What a read asks for, as it stands on the wire.

use std::fmt::Debug;

use crewline_protocol::{
    frame::Body,
    operations::{message, record, run},
    read::{Bucket, Filter, Group, Measure, Page, Read, ReadOperation, Scalar, Sort, Test, What},
    value::{Millis, SessionId, decode, encode},
};
use garde::Validate;
use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// The fault's path and code, and its message.
#[expect(clippy::needless_pass_by_value, reason = "a literal is written where it is asked for")]
fn refused<T: DeserializeOwned + Debug>(value: Value) -> (String, String, String) {
    let fault = Body::own(&encode(&value)).decode::<T>().unwrap_err();
    let field = fault.fields.into_iter().next().unwrap();
    (field.path, field.code, field.message)
}

#[expect(clippy::needless_pass_by_value, reason = "a literal is written where it is asked for")]
#[track_caller]
fn stands_as<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, wire: Value) {
    assert_eq!(serde_json::to_value(value).unwrap(), wire);
    assert_eq!(&serde_json::from_value::<T>(wire.clone()).unwrap(), value, "from JSON");
    assert_eq!(&decode::<T>(&encode(&wire)).unwrap(), value, "from MessagePack");
}

fn is(field: &str, test: Test) -> Filter {
    Filter::Is { field: field.into(), test }
}

#[test]
fn filters_stand_as_the_protocol_has_them() {
    let text = |text: &str| Scalar::Text(text.into());
    stands_as(&is("status", Test::Eq(text("done"))), json!({"field": "status", "eq": "done"}));
    stands_as(&is("status", Test::Ne(Scalar::Nil)), json!({"field": "status", "ne": null}));
    stands_as(&is("score", Test::Gte(Scalar::Number(0.5))), json!({"field": "score", "gte": 0.5}));
    stands_as(&is("n", Test::In(vec![Scalar::Integer(-1), Scalar::Boolean(true)])), json!({"field": "n", "in": [-1, true]}));
    stands_as(
        &Filter::All(vec![
            Filter::Any(vec![]),
            Filter::Not(Box::new(is("title", Test::Contains(text("ü"))))),
            is("n", Test::Lt(Scalar::Integer(3))),
        ]),
        json!({"all": [{"any": []}, {"not": {"field": "title", "contains": "ü"}}, {"field": "n", "lt": 3}]}),
    );
}

#[test]
fn groups_and_measures_stand_as_the_protocol_has_them() {
    let field = || "created_at".to_owned();
    stands_as(&Group::Field { field: field() }, json!({"field": "created_at"}));
    stands_as(&Group::Bucket { field: field(), bucket: Bucket::Week }, json!({"field": "created_at", "bucket": "week"}));
    stands_as(&Group::Bounds { field: field(), bounds: vec![0.0, 1.5] }, json!({"field": "created_at", "bounds": [0.0, 1.5]}));
    stands_as(&Group::Ref { r#ref: "session_id".into() }, json!({"ref": "session_id"}));
    let measure = |what, only| Measure { name: "m".into(), what, only };
    stands_as(&measure(What::Count(None), None), json!({"name": "m", "count": true}));
    stands_as(&measure(What::Count(Some("email".into())), None), json!({"name": "m", "count": "email"}));
    stands_as(
        &measure(What::P95("ms".into()), Some(is("ms", Test::Gt(Scalar::Integer(0))))),
        json!({"name": "m", "p95": "ms", "where": {"field": "ms", "gt": 0}}),
    );
}

#[test]
fn a_fault_names_the_key_that_is_wrong() {
    let list = |filter: Value| refused::<run::List>(json!({ "filter": filter }));
    let at = |path: &str, code: &str, message: &str| (path.to_owned(), code.to_owned(), message.to_owned());
    assert_eq!(
        list(json!({"all": [{"all": []}, {"field": "a", "eq": 1, "gt": 2}]})),
        at("filter.all[1]", "format", "is two things at once: `gt` stands beside another of its kind")
    );
    assert_eq!(list(json!({"any": [], "all": []})).0, "filter",);
    assert_eq!(
        list(json!({"field": "a", "lt": null})),
        at("filter.lt", "type", "must be a text, a number, true or false; `nil` goes with `eq` and `ne`, not nil")
    );
    assert_eq!(list(json!({})), at("filter", "format", "is empty: a filter has `field` and a test, or one of `all`, `any` and `not`"));
    let aggregate = |measure: Value| refused::<run::Aggregate>(json!({ "measures": [measure] }));
    assert_eq!(aggregate(json!({"count": true})), at("measures[0].name", "required", "is missing"));
    assert_eq!(aggregate(json!({"name": "n", "count": false})).0, "measures[0]");
    assert_eq!(aggregate(json!({"name": "n", "count": true, "where": {"field": 1}})).0, "measures[0].where.field");
    assert_eq!(refused::<run::Aggregate>(json!({"groups": [{"ref": "a", "field": "b"}], "measures": []})).0, "groups[0]");
}

/// The paths that validation finds fault with.
fn invalid<T: Validate<Context = ()>>(value: &T) -> Vec<String> {
    value.validate().err().map_or_else(Vec::new, |report| report.iter().map(|(path, _)| path.to_string()).collect())
}

#[test]
fn what_is_too_much_for_a_filter_is_said_where_it_stands() {
    let nested = |depth: usize| (1..depth).fold(is("a", Test::Eq(Scalar::Nil)), |inner, _| Filter::Not(Box::new(inner)));
    let list = |filter| run::List { filter: Some(filter), ..run::List::default() };
    assert_eq!(invalid(&list(nested(8))), [""; 0]);
    assert_eq!(invalid(&list(nested(9))), ["filter.not.not.not.not.not.not.not.not"]);
    let within = |values: usize| Filter::All(vec![is("a", Test::In(vec![Scalar::Integer(1); values]))]);
    assert_eq!(invalid(&list(within(200))), [""; 0]);
    assert_eq!(invalid(&list(within(201))), ["filter.all[0].in"]);
    let wide = |parts: usize| Filter::Any(vec![Filter::All(Vec::new()); parts]);
    assert_eq!(invalid(&list(wide(199))), [""; 0]);
    assert_eq!(invalid(&list(wide(2000))), ["filter.any[199]"], "said once");
}

#[test]
fn what_is_wrong_with_an_aggregate_is_said_where_it_stands() {
    let count = |name: &str| Measure { name: name.into(), what: What::Count(None), only: None };
    let aggregate = |groups, measures| run::Aggregate { groups, measures, filter: None };
    let bounds = |bounds: &[f64]| Group::Bounds { field: "progress".into(), bounds: bounds.to_vec() };
    assert_eq!(invalid(&aggregate(vec![bounds(&[0.0, 1.0])], vec![count("a"), count("b")])), [""; 0]);
    assert_eq!(invalid(&aggregate(vec![bounds(&[0.0, 0.0])], vec![count("a")])), ["groups[0].bounds"]);
    assert_eq!(invalid(&aggregate(vec![bounds(&[])], vec![count("groups")])), ["groups[0].bounds", "measures[0].name"]);
    assert_eq!(invalid(&aggregate(vec![], vec![count("a"), count("a")])), ["measures"]);
    assert_eq!(invalid(&aggregate(vec![], vec![])), ["measures"]);
}

#[test]
fn a_read_says_what_it_asks_without_its_type() {
    let session = SessionId::new(Millis(1), [1; 10]);
    let input = json!({"session_id": session, "limit": 3, "sort": [{"field": "created_at", "descending": true}], "count": true});
    let asked = decode::<message::List>(&encode(&input)).unwrap().asked();
    assert_eq!((asked.noun, asked.parent), ("message", Some(session.to_string())));
    let sort = vec![Sort { field: "created_at".into(), descending: true }];
    assert_eq!(asked.read, Read::List { filter: None, sort, limit: Some(3), cursor: None, count: true });
    let get = json!({"collection": "pages", "id": session});
    let asked = decode::<record::Get>(&encode(&get)).unwrap().asked();
    assert_eq!((asked.noun, asked.parent, asked.read), ("record", Some("pages".into()), Read::Get { id: session.to_string() }));
}

#[test]
fn a_page_leaves_out_what_it_has_not() {
    stands_as(&Page::<Value> { items: vec![], next: None, total: None }, json!({"items": []}));
    stands_as(
        &Page { items: vec![json!({"id": "a"})], next: Some("c".into()), total: Some(7) },
        json!({"items": [{"id": "a"}], "next": "c", "total": 7}),
    );
}

fn filters() -> impl Strategy<Value = Filter> {
    let scalar = prop_oneof![
        any::<bool>().prop_map(Scalar::Boolean),
        any::<i32>().prop_map(|n| Scalar::Integer(n.into())),
        "\\PC{0,6}".prop_map(Scalar::Text),
    ];
    let test = prop_oneof![
        scalar.clone().prop_map(Test::Eq),
        Just(Test::Ne(Scalar::Nil)),
        scalar.clone().prop_map(Test::Lt),
        prop::collection::vec(scalar.clone(), 0..4).prop_map(Test::In),
        scalar.prop_map(Test::Contains),
    ];
    let leaf = ("[a-z_]{1,8}", test).prop_map(|(field, test)| Filter::Is { field, test });
    leaf.prop_recursive(6, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::All),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::Any),
            inner.prop_map(|inner| Filter::Not(Box::new(inner))),
        ]
    })
}

proptest! {
    #[test]
    fn any_filter_comes_back_as_it_was(filter in filters()) {
        prop_assert_eq!(&decode::<Filter>(&encode(&filter)).unwrap(), &filter);
        prop_assert_eq!(serde_json::from_value::<Filter>(serde_json::to_value(&filter).unwrap()).unwrap(), filter);
    }
}
