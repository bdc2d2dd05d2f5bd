//! From one answer to the next, as the changes that a follower applies in order.

use std::collections::{HashMap, HashSet};

use crewline_protocol::rows::Changes;

use crate::query::{Item, List, Output, output};

/// The changes that lead from one answer to another of the same plan.
pub(super) fn diff(before: &Output, after: &Output, list: Option<&List>) -> Changes {
    let mut changes = Changes::default();
    match (before, after) {
        (Output::List { items: old, more: had_more, total: had_total }, Output::List { items: new, more, total }) => {
            rows(&mut changes, old, new);
            let cursor = |items: &[Item], more: bool| if more { output::next(items, list) } else { None };
            let (old_next, next) = (cursor(old, *had_more), cursor(new, *more));
            if old_next != next {
                changes.next(next.as_deref());
            }
            if let Some(total) = total.filter(|_| total != had_total) {
                changes.total(total);
            }
        }
        (before, after) if before == after => {}
        (_, after) => changes.value(&after.encode(list)),
    }
    changes
}

fn rows(changes: &mut Changes, old: &[Item], new: &[Item]) {
    let old_places: HashMap<&str, usize> = old.iter().enumerate().map(|(place, item)| (item.id.as_str(), place)).collect();
    let stays: HashSet<&str> = new.iter().map(|item| item.id.as_str()).collect();
    for item in old.iter().filter(|item| !stays.contains(item.id.as_str())) {
        changes.remove(&item.id);
    }
    let unmoved = longest_rise(&new.iter().map(|item| old_places.get(item.id.as_str()).copied()).collect::<Vec<_>>());
    // From the end: the row before which one is placed is where it belongs already.
    for (place, item) in new.iter().enumerate().rev() {
        let same = old_places.get(item.id.as_str()).is_some_and(|place| old[*place].body == item.body);
        if !same || !unmoved.contains(&place) {
            changes.put(&item.body, new.get(place + 1).map(|next| next.id.as_str()));
        }
    }
}

/// The places of a longest part of these that rises, by patience sorting: the rows that need not move.
fn longest_rise(values: &[Option<usize>]) -> HashSet<usize> {
    // The place of the smallest last value of a rise of each length, and before each place the one before it in its rise.
    let (mut lasts, mut earlier): (Vec<usize>, Vec<Option<usize>>) = (Vec::new(), vec![None; values.len()]);
    for (place, value) in values.iter().enumerate() {
        let Some(value) = value else { continue };
        let length = lasts.partition_point(|last| values[*last].is_some_and(|last| last < *value));
        earlier[place] = length.checked_sub(1).map(|before| lasts[before]);
        if length == lasts.len() {
            lasts.push(place);
        } else {
            lasts[length] = place;
        }
    }
    std::iter::successors(lasts.last().copied(), |place| earlier[*place]).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;
    use crewline_protocol::value::{decode, encode};

    fn items(rows: &[(u8, u8)]) -> Vec<Item> {
        let item = |(id, value): &(u8, u8)| Item {
            id: id.to_string(),
            key: Vec::new(),
            body: encode(&json!({"id": id.to_string(), "value": value})).into(),
        };
        rows.iter().map(item).collect()
    }

    /// Applies changes as the protocol tells a client to.
    fn applied(old: &[Item], changes: &[u8]) -> Vec<Json> {
        let mut rows: Vec<Json> = old.iter().map(|item| decode(&item.body).unwrap()).collect();
        for change in decode::<Vec<Json>>(changes).unwrap() {
            if let Some(id) = change.get("remove") {
                rows.retain(|row| row["id"] != *id);
            } else if let Some(put) = change.get("put") {
                rows.retain(|row| row["id"] != put["id"]);
                let before = rows.iter().position(|row| row["id"] == change["before"]);
                assert!(before.is_some() || change["before"].is_null(), "{change} names a row that is not there");
                rows.insert(before.unwrap_or(rows.len()), put.clone());
            }
        }
        rows
    }

    fn distinct(rows: Vec<(u8, u8)>) -> Vec<(u8, u8)> {
        let mut seen = HashSet::new();
        rows.into_iter().filter(|(id, _)| seen.insert(*id)).collect()
    }

    proptest! {
        #[test]
        fn a_follower_who_applies_the_changes_has_the_new_rows_in_their_order(
            old in prop::collection::vec((0u8..12, 0u8..3), 0..12).prop_map(distinct),
            new in prop::collection::vec((0u8..12, 0u8..3), 0..12).prop_map(distinct),
        ) {
            let (old, new) = (items(&old), items(&new));
            let mut changes = Changes::default();
            rows(&mut changes, &old, &new);
            let expected: Vec<Json> = new.iter().map(|item| decode(&item.body).unwrap()).collect();
            prop_assert_eq!(applied(&old, &changes.finish()), expected);
        }
    }

    #[test]
    fn a_row_that_moves_is_the_only_one_that_is_sent() {
        let (old, new) = (items(&[(1, 0), (2, 0), (3, 0), (4, 0)]), items(&[(4, 0), (1, 0), (2, 0), (3, 0)]));
        let mut changes = Changes::default();
        rows(&mut changes, &old, &new);
        let sent: Vec<Json> = decode(&changes.finish()).unwrap();
        assert_eq!(sent, [json!({"put": {"id": "4", "value": 0}, "before": "1"})]);
    }
}
