//! What changed rows do to an answer: a pure function of the answer before and the changes, in the order in which they were
//! committed. Where the changes can't tell, the answer is read again.

use std::cmp::Ordering;

use crewline_protocol::follow::EndedWhy;

use crate::{
    query::{
        Item, List, Output, Plan, Shape,
        read::{BYTES, item},
    },
    store::{Before, Change, Row, StoreError, Value, evaluate},
};

/// What changes come to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Applied {
    /// Nothing.
    Unchanged,
    /// Another answer.
    Changed(Output),
    /// An answer that only the database knows.
    Unknown,
    /// There is no answer any more.
    Ended(EndedWhy),
}

/// Applies changes, each with its topic, to an answer of this plan.
pub(super) fn apply(plan: &Plan, before: &Output, changes: &[(&str, &Change)]) -> Result<Applied, StoreError> {
    if let Some(why) = changes.iter().find_map(|(topic, change)| parent_gone(plan, topic, change)) {
        return Ok(Applied::Ended(why));
    }
    if plan.referred.iter().any(|referred| changes.iter().any(|(topic, _)| *topic == referred.noun.topic)) {
        return Ok(Applied::Unknown);
    }
    let own = changes.iter().filter(|(topic, _)| *topic == plan.noun.topic).map(|(_, change)| *change);
    match (&plan.shape, before) {
        (Shape::Row(id), Output::Row(row)) => apply_to_row(plan, id, row, own),
        (Shape::List(list), Output::List { items, more, total }) => {
            let bound = items.last().filter(|_| *more).map(|last| last.key.clone());
            let window = Window { plan, list, items: items.clone(), beyond: bound.is_some().into(), bound, total: *total };
            window.apply(own, before)
        }
        (Shape::Figures(_), _) => {
            let touches = |change: &Change| matches_after(plan, change) || matches_before(plan, change) != Some(false);
            Ok(if own.into_iter().any(touches) { Applied::Unknown } else { Applied::Unchanged })
        }
        (Shape::Row(_) | Shape::List(_), _) => Ok(Applied::Unknown),
    }
}

fn parent_gone(plan: &Plan, topic: &str, change: &Change) -> Option<EndedWhy> {
    let parent = plan.parent.as_ref().filter(|parent| parent.noun.topic == topic && parent.id == change.id)?;
    match &change.after {
        None => Some(EndedWhy::Deleted),
        Some(row) if !evaluate::matches(&parent.visible, row) => Some(EndedWhy::Forbidden),
        Some(_) => None,
    }
}

fn apply_to_row<'a>(plan: &Plan, id: &Value, before: &Item, changes: impl Iterator<Item = &'a Change>) -> Result<Applied, StoreError> {
    let Some(last) = changes.filter(|change| change.id == *id).last() else { return Ok(Applied::Unchanged) };
    let Some(row) = &last.after else { return Ok(Applied::Ended(EndedWhy::Deleted)) };
    if !matches(plan, row) {
        return Ok(Applied::Ended(EndedWhy::Forbidden));
    }
    let row = item(plan, row, &[])?;
    Ok(if row == *before { Applied::Unchanged } else { Applied::Changed(Output::Row(row)) })
}

/// A list's rows as far as they are known.
struct Window<'a> {
    plan: &'a Plan,
    list: &'a List,
    items: Vec<Item>,
    /// There are more rows, and all of them come after this key.
    bound: Option<Vec<Value>>,
    /// How many rows there are after it at least, less those that may have gone.
    beyond: i64,
    total: Option<u64>,
}

impl Window<'_> {
    fn apply<'a>(mut self, changes: impl Iterator<Item = &'a Change>, before: &Output) -> Result<Applied, StoreError> {
        let (known, bounded) = (self.items.len(), self.bound.is_some());
        for change in changes {
            if !self.take(change)? {
                return Ok(Applied::Unknown);
            }
        }
        let over = self.items.split_off(self.items.len().min(self.list.limit)).len();
        let more = over > 0 || bounded;
        // What comes after the bound would have to fill the gap, or may all have gone.
        if bounded && (self.items.len() < known || self.beyond + i64::try_from(over).unwrap_or(i64::MAX) < 1) {
            return Ok(Applied::Unknown);
        }
        if self.items.iter().map(|item| item.body.len()).sum::<usize>() > BYTES {
            return Ok(Applied::Unknown);
        }
        let after = Output::List { items: self.items, more, total: self.total };
        Ok(if after == *before { Applied::Unchanged } else { Applied::Changed(after) })
    }

    /// Takes a change in. `false`: it can't be told what it comes to.
    fn take(&mut self, change: &Change) -> Result<bool, StoreError> {
        let place = self.items.iter().position(|item| Value::from(item.id.as_str()) == change.id);
        let was = if place.is_some() { Some(true) } else { matches_before(self.plan, change) };
        let is = matches_after(self.plan, change);
        if was == Some(false) && !is {
            return Ok(true);
        }
        if place.is_none() && was != Some(false) {
            self.beyond -= 1;
        }
        if let Some(total) = self.total {
            let Some(was) = was else { return Ok(false) };
            self.total = Some((total + u64::from(is)).saturating_sub(u64::from(was)));
        }
        if let Some(place) = place {
            self.items.remove(place);
        }
        if let Some(row) = change.after.as_ref().filter(|_| is) {
            let order = &self.list.order;
            let key = evaluate::key(order, row);
            let beyond = |bound: &Vec<Value>| evaluate::compare(order, &key, bound) == Ordering::Greater;
            if self.bound.as_ref().is_some_and(beyond) {
                self.beyond += 1;
            } else {
                let at = self.items.partition_point(|item| evaluate::compare(order, &item.key, &key) == Ordering::Less);
                self.items.insert(at, item(self.plan, row, order)?);
            }
        }
        Ok(true)
    }
}

fn matches(plan: &Plan, row: &Row) -> bool {
    evaluate::matches(&plan.visible, row) && evaluate::matches(&plan.wanted, row)
}

fn matches_after(plan: &Plan, change: &Change) -> bool {
    change.after.as_ref().is_some_and(|row| matches(plan, row))
}

/// Whether the row was among the plan's before; `None`: nobody looked.
fn matches_before(plan: &Plan, change: &Change) -> Option<bool> {
    match &change.before {
        Before::Absent => Some(false),
        Before::Row(row) => Some(matches(plan, row)),
        Before::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
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
}
