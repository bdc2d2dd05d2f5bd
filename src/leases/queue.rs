//! Who is next: fair over workspaces, so that one with a thousand runs does not hold up another's first; in a workspace those with the
//! highest priority, then the oldest.

use std::collections::HashMap;

use crewline_protocol::{
    event::WaitingFor,
    operations::{crew::Executor, run::Status},
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
        executor: Executor,
        crew: String,
        waiting_for: Option<WaitingFor>,
    }
}

/// A run that waits for a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The run.
    pub run: RunId,
    /// Its crew.
    pub crew: String,
    /// Whether its log says already that nobody serves the crew.
    pub told: bool,
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
        let Some(workspace) = waiting_workspace(store, Executor::Engine, after).await? else {
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
        let runs = of(store, Executor::Engine, workspace, Vec::new(), room + has)
            .await?
            .into_iter()
            .filter(|run| !held.contains_key(&run.id))
            .take(room);
        waiting.extend(runs.enumerate().map(|(place, run)| (has + place, run)));
        (after, seen) = (Some(workspace), seen + 1);
    }
    round.0 = after;
    // Whoever has the fewest comes first.
    waiting.sort_by_key(|(place, run)| (*place, -run.priority, run.id));
    Ok(waiting.into_iter().take(most).map(|(_, run)| (run.id, run.workspace_id)).collect())
}

/// Runs of these crews that wait for a worker in a workspace, the next first.
///
/// # Errors
/// See [`StoreError`].
pub async fn for_workers(store: &Store, workspace: WorkspaceId, crews: &[String], most: usize) -> Result<Vec<Waiting>, StoreError> {
    let served = Predicate::In(Term::text("crew"), crews.iter().map(|crew| crew.as_str().into()).collect());
    let runs = of(store, Executor::Worker, workspace, vec![served], most).await?;
    Ok(runs.into_iter().map(Waiting::from).collect())
}

/// Runs of other crews than these that wait for a worker in a workspace, and whose logs do not say so yet.
///
/// # Errors
/// See [`StoreError`].
pub async fn unserved(store: &Store, workspace: WorkspaceId, crews: &[String], most: usize) -> Result<Vec<Waiting>, StoreError> {
    let served = Predicate::In(Term::text("crew"), crews.iter().map(|crew| crew.as_str().into()).collect());
    let untold = Predicate::Absent(Term { optional: true, ..Term::text("waiting_for") });
    let runs = of(store, Executor::Worker, workspace, vec![Predicate::Not(Box::new(served)), untold], most).await?;
    Ok(runs.into_iter().map(Waiting::from).collect())
}

impl From<Queued> for Waiting {
    fn from(run: Queued) -> Self {
        Self { run: run.id, crew: run.crew, told: run.waiting_for.is_some() }
    }
}

/// The next workspace in which a run waits for such an executor.
///
/// # Errors
/// See [`StoreError`].
pub async fn waiting_workspace(store: &Store, executor: Executor, after: Option<WorkspaceId>) -> Result<Option<WorkspaceId>, StoreError> {
    let mut wanted = waits(executor);
    wanted.extend(after.map(|after| Predicate::Compare(Term::text("workspace_id"), Comparison::Greater, after.to_value())));
    let order = vec![Order { term: Term::text("workspace_id"), direction: Direction::Ascending }];
    Ok(read(store, wanted, order, 1).await?.pop().map(|run| run.workspace_id))
}

/// The next runs of a workspace.
async fn of(
    store: &Store,
    executor: Executor,
    workspace: WorkspaceId,
    more: Vec<Predicate>,
    most: usize,
) -> Result<Vec<Queued>, StoreError> {
    let mut wanted = waits(executor);
    wanted.extend(more);
    wanted.push(Predicate::equal(Term::text("workspace_id"), workspace));
    let priority = Term { source: Source::Column("priority"), kind: Kind::Integer, optional: false };
    read(store, wanted, vec![Order { term: priority, direction: Direction::Descending }], most).await
}

fn waits(executor: Executor) -> Vec<Predicate> {
    let turn_after = Term { optional: true, ..Term::text("turn_after") };
    vec![
        Predicate::equal(Term::text("executor"), executor),
        Predicate::equal(Term::text("status"), Status::Queued),
        Predicate::Absent(turn_after),
    ]
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
