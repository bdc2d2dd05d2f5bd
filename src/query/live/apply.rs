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
    if let (Shape::Row(_), Some(parent)) = (&plan.shape, &plan.noun.parent)
        && changes.iter().any(|(topic, change)| *topic == parent.noun.topic && change.after.is_none())
    {
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
mod tests;
