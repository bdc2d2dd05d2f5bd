//! Who is next: fair over workspaces, so that one with a thousand runs does not hold up another's first; in a workspace those with the
//! highest priority, then the oldest.

use std::collections::HashMap;

use crewline_protocol::{
    operations::run::Status,
    value::{RunId, WorkspaceId},
};

use crate::{
    entity,
    store::{Comparison, Direction, Entity, Kind, Order, Predicate, Read, Source, Store, StoreError, Stored, Term},
};

entity! {
    /// As much of a run as tells whether someone must execute it: its inputs may be long.
    struct Queued in "runs" {
        id: RunId,
        workspace_id: WorkspaceId,
        status: Status,
        priority: i64,
        turn_after: Option<RunId>,
    }
}

/// Where the next look begins, so that workspaces take turns where there are more of them than places.
#[derive(Debug, Default)]
pub struct Round(Option<WorkspaceId>);

/// Runs that wait to be executed, the next first: at most so many, and with those that are held at most `each` in a workspace.
///
/// # Errors
/// See [`StoreError`].
pub async fn queued(
    store: &Store,
    round: &mut Round,
    held: &HashMap<RunId, WorkspaceId>,
    most: usize,
    each: usize,
) -> Result<Vec<(RunId, WorkspaceId)>, StoreError> {
    let mut waiting: Vec<(usize, Queued)> = Vec::new();
    let first = round.0;
    let (mut after, mut wrapped, mut seen) = (first, first.is_none(), 0);
    // As many workspaces as there are places: more could not be served now.
    while seen < most {
        let Some(workspace) = next_workspace(store, after).await? else {
            if wrapped {
                break;
            }
            (after, wrapped) = (None, true);
            continue;
        };
        if wrapped && first.is_some_and(|first| workspace > first) {
            break;
        }
        let has = held.values().filter(|place| **place == workspace).count();
        let room = each.saturating_sub(has).min(most);
        // Those that are being begun are still among the queued.
        let runs = of(store, workspace, room + has).await?.into_iter().filter(|run| !held.contains_key(&run.id)).take(room);
        waiting.extend(runs.enumerate().map(|(place, run)| (has + place, run)));
        (after, seen) = (Some(workspace), seen + 1);
    }
    round.0 = after;
    // Whoever has the fewest comes first.
    waiting.sort_by_key(|(place, run)| (*place, -run.priority, run.id));
    Ok(waiting.into_iter().take(most).map(|(_, run)| (run.id, run.workspace_id)).collect())
}

/// The next workspace in which a run waits.
async fn next_workspace(store: &Store, after: Option<WorkspaceId>) -> Result<Option<WorkspaceId>, StoreError> {
    let mut wanted = waits();
    wanted.extend(after.map(|after| Predicate::Compare(Term::text("workspace_id"), Comparison::Greater, after.to_value())));
    let order = vec![Order { term: Term::text("workspace_id"), direction: Direction::Ascending }];
    Ok(read(store, wanted, order, 1).await?.pop().map(|run| run.workspace_id))
}

/// The next runs of a workspace.
async fn of(store: &Store, workspace: WorkspaceId, most: usize) -> Result<Vec<Queued>, StoreError> {
    let mut wanted = waits();
    wanted.push(Predicate::equal(Term::text("workspace_id"), workspace));
    let priority = Term { source: Source::Column("priority"), kind: Kind::Integer, optional: false };
    read(store, wanted, vec![Order { term: priority, direction: Direction::Descending }], most).await
}

fn waits() -> Vec<Predicate> {
    let turn_after = Term { optional: true, ..Term::text("turn_after") };
    vec![Predicate::equal(Term::text("status"), Status::Queued), Predicate::Absent(turn_after)]
}

async fn read(store: &Store, wanted: Vec<Predicate>, order: Vec<Order>, limit: usize) -> Result<Vec<Queued>, StoreError> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let read = Read { table: Queued::TABLE, predicate: Predicate::All(wanted), order, after: None, limit };
    store.snapshot().await?.read(&read).await?.into_iter().map(Queued::from_values).collect()
}

#[cfg(test)]
mod tests;
