//! Following queries: what is asked for, and how changes are applied.

use crewline_protocol::{
    follow::{Input, Place, Query, Target},
    frame::Body,
    live::{Live, LiveChange},
    operations::run,
    read::Page,
    value::{Millis, RunId, SessionId, decode, encode},
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn page(ids: &[&str]) -> Page<Value> {
    Page { items: ids.iter().map(|id| json!({ "id": id })).collect(), next: None, total: None }
}

fn ids(page: &Page<Value>) -> Vec<&str> {
    page.items.iter().filter_map(|row| row["id"].as_str()).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "a literal is written where it is asked for")]
fn changes(wire: Value) -> Vec<LiveChange<Value, Page<Value>>> {
    decode(&encode(&wire)).unwrap()
}

#[test]
fn a_target_is_told_by_its_key() {
    let run = RunId::new(Millis(1), [1; 10]);
    let session = SessionId::new(Millis(1), [2; 10]);
    let input = json!({"limit": 3});
    for (wire, target) in [
        (json!({"run": run, "only": ["text.delta"]}), Target::Run { run, only: Some(vec!["text.delta".into()]) }),
        (json!({"run": run, "later": 1}), Target::Run { run, only: None }),
        (
            json!({"query": {"op": "run.list", "input": input}}),
            Target::Query { query: Query { op: "run.list".into(), input: Input::of(&input) } },
        ),
        (json!({"presence": {"session_id": session}}), Target::Presence { presence: Place { session_id: session } }),
    ] {
        assert_eq!(decode::<Target>(&encode(&wire)).unwrap(), target);
        assert_eq!(decode::<Target>(&encode(&target)).unwrap(), target, "as this side writes it");
    }
    for wrong in [json!({}), json!({"only": []}), json!({"run": run, "presence": {"session_id": session}}), json!({"query": {"op": "a"}})] {
        assert!(decode::<Target>(&encode(&wrong)).is_err(), "{wrong}");
    }
}

#[test]
fn a_query_s_input_decodes_as_its_operation_with_faults_by_path() {
    let target = encode(&json!({"query": {"op": "run.list", "input": {"limit": "x"}}}));
    let Ok(Target::Query { query }) = Body::own(&target).decode() else { panic!("a query") };
    assert_eq!(query.input.body().decode::<run::List>().unwrap_err().fields[0].path, "limit");
}

#[test]
fn changes_are_applied_in_order() {
    let mut page = page(&["a", "b", "c"]);
    page.apply(changes(json!([
        {"remove": "a"},
        {"put": {"id": "d"}, "before": "b"},
        {"put": {"id": "e"}, "before": null},
        {"put": {"id": "c", "n": 1}, "before": "d"},
        {"next": "cursor"},
        {"total": 9},
        {"remove": "gone already"},
    ])))
    .unwrap();
    assert_eq!(ids(&page), ["c", "d", "b", "e"]);
    assert_eq!((page.items[0]["n"].as_i64(), page.next.as_deref(), page.total), (Some(1), Some("cursor"), Some(9)));
    page.apply(changes(json!([{"next": null}]))).unwrap();
    assert_eq!(page.next, None);
    let misfit = page.apply(changes(json!([{"put": {"id": "x"}, "before": "not there"}]))).unwrap_err();
    assert_eq!(misfit.to_string(), "a change does not fit what is there: row x is to stand before not there, which is not there");
}

#[test]
fn a_put_always_says_before_what() {
    let change = encode(&json!([{"put": {"id": "a"}}]));
    assert!(decode::<Vec<LiveChange<Value, Page<Value>>>>(&change).is_err());
    let written = serde_json::to_value(LiveChange::<Value>::Put { put: json!({"id": "a"}), before: None }).unwrap();
    assert_eq!(written, json!({"put": {"id": "a"}, "before": null}));
}

#[test]
fn what_is_no_list_is_replaced() {
    let mut value = json!({"rows": []});
    value.apply(decode(&encode(&json!([{"value": {"rows": [1]}}, {"value": {"rows": [2]}}]))).unwrap()).unwrap();
    assert_eq!(value, json!({"rows": [2]}));
}

proptest! {
    /// From any list to any other by removing what is gone and putting the rest from the last to the first.
    #[test]
    fn removes_and_puts_lead_from_any_list_to_any_other(
        old in prop::collection::btree_set(0..20_u8, 0..12).prop_map(|set| set.into_iter().collect::<Vec<_>>()).prop_shuffle(),
        new in prop::collection::btree_set(0..20_u8, 0..12).prop_map(|set| set.into_iter().collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let name = |id: &u8| format!("r{id:02}");
        let mut page = Page { items: old.iter().map(|id| json!({"id": name(id)})).collect(), next: None, total: None };
        let gone = old.iter().filter(|id| !new.contains(id)).map(|id| LiveChange::Remove { remove: name(id) });
        let put = new.iter().enumerate().rev().map(|(place, id)| {
            LiveChange::Put { put: json!({"id": name(id)}), before: new.get(place + 1).map(name) }
        });
        page.apply(gone.chain(put).collect()).unwrap();
        prop_assert_eq!(ids(&page), new.iter().map(name).collect::<Vec<_>>());
    }
}
