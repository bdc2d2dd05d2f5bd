use std::sync::Arc;

use crewline_protocol::{
    operations::session,
    value::{Millis, Revision, SessionId, UserId, WorkspaceId},
};
use proptest::prelude::*;

use super::*;
use crate::{
    query::Noun,
    sessions::SessionRow,
    store::{Comparison, Direction, Entity, Order, Predicate, Read, Term},
};

fn plan(shape: Shape, wanted: Predicate) -> Plan {
    let noun = Noun::of::<SessionRow>(&session::NOUN, |row: SessionRow| crewline_protocol::value::encode(&row.title));
    Plan {
        noun: Arc::new(noun),
        workspace: WorkspaceId::new(Millis(1), [1; 10]),
        hidden: Vec::new(),
        visible: Predicate::default(),
        wanted,
        shape,
        parent: None,
        referred: Vec::new(),
        name: String::new(),
    }
}

fn row(id: u8, title: u8, revision: i64) -> Arc<Row> {
    let row = SessionRow {
        id: SessionId::new(Millis(1), [id; 10]),
        workspace_id: WorkspaceId::new(Millis(1), [1; 10]),
        revision: Revision(revision),
        created_at: Millis(1),
        updated_at: Millis(1),
        title: title.to_string(),
        created_by: UserId::new(Millis(1), [1; 10]),
        archived_at: None,
        crew: None,
    };
    Arc::new(Row::new(SessionRow::TABLE, row.to_values()))
}

fn title() -> Term {
    Term::text("title")
}

/// The answer as a read of all rows would have it.
fn afresh(plan: &Plan, list: &List, rows: &[Option<Arc<Row>>]) -> Output {
    let rows: Vec<Arc<Row>> = rows.iter().flatten().cloned().collect();
    let total = rows.iter().filter(|row| matches(plan, row)).count() as u64;
    let read =
        Read { table: SessionRow::TABLE, predicate: plan.predicate(), order: list.order.clone(), after: None, limit: list.limit + 1 };
    let found = evaluate::read(&read, rows.iter().map(AsRef::as_ref));
    let more = found.len() > list.limit;
    let items = found.into_iter().take(list.limit).map(|row| item(plan, row, &list.order).unwrap()).collect();
    Output::List { items, more, total: list.count.then_some(total) }
}

#[derive(Debug, Clone)]
struct Step {
    id: u8,
    title: Option<u8>,
    looked: bool,
}

fn step() -> impl Strategy<Value = Step> {
    (0u8..8, prop::option::weighted(0.8, 0u8..6), any::<bool>()).prop_map(|(id, title, looked)| Step { id, title, looked })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn changes_lead_to_the_answer_that_a_read_would_give(
        batches in prop::collection::vec(prop::collection::vec(step(), 1..4), 1..12),
        limit in 1usize..5,
        count in any::<bool>(),
        descending in any::<bool>(),
        most in 2u8..7,
    ) {
        let direction = if descending { Direction::Descending } else { Direction::Ascending };
        let list = List { order: vec![Order { term: title(), direction }], after: None, limit, count };
        let wanted = Predicate::Compare(title(), Comparison::Less, Value::from(most.to_string()));
        let plan = plan(Shape::List(list.clone()), wanted);
        let mut rows: Vec<Option<Arc<Row>>> = vec![None; 8];
        let mut answer = afresh(&plan, &list, &rows);
        let mut revision = 0;
        for batch in batches {
            let mut changes = Vec::new();
            for Step { id, title, looked } in batch {
                revision += 1;
                let place = usize::from(id);
                let after = title.map(|title| row(id, title, revision));
                let before = match (&rows[place], looked) {
                    (None, _) => Before::Absent,
                    (Some(row), true) => Before::Row(row.clone()),
                    (Some(_), false) => Before::Unknown,
                };
                let id = Value::from(SessionId::new(Millis(1), [id; 10]));
                changes.push(Change { table: SessionRow::TABLE, id, before, after: after.clone() });
                rows[place] = after;
            }
            let changes: Vec<(&str, &Change)> = changes.iter().map(|change| ("sessions", change)).collect();
            let expected = afresh(&plan, &list, &rows);
            match apply(&plan, &answer, &changes).unwrap() {
                Applied::Unchanged => prop_assert_eq!(&answer, &expected),
                Applied::Changed(output) => prop_assert_eq!(&output, &expected),
                // It says so rather than guess: then the database is asked.
                Applied::Unknown => {}
                Applied::Ended(why) => prop_assert!(false, "{why:?}"),
            }
            answer = expected;
        }
    }
}

#[test]
fn a_row_that_moves_within_the_list_needs_no_read() {
    let list = List { order: vec![Order { term: title(), direction: Direction::Descending }], after: None, limit: 2, count: true };
    let plan = plan(Shape::List(list.clone()), Predicate::default());
    let mut rows = [Some(row(1, 1, 1)), Some(row(2, 2, 2)), Some(row(3, 3, 3))];
    let before = afresh(&plan, &list, &rows);
    let moved = row(1, 9, 4);
    let id = Value::from(SessionId::new(Millis(1), [1; 10]));
    let change = Change { table: SessionRow::TABLE, id, before: Before::Row(row(1, 1, 1)), after: Some(moved.clone()) };
    rows[0] = Some(moved);
    assert_eq!(apply(&plan, &before, &[("sessions", &change)]).unwrap(), Applied::Changed(afresh(&plan, &list, &rows)));
}
