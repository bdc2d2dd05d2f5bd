use std::collections::HashMap;

use crewline_protocol::value::{Millis, RunId, WorkspaceId};

use super::*;
use crate::{
    runs::{RunRow, test_row},
    store::{Commit, Location},
};

fn workspace(number: u8) -> WorkspaceId {
    WorkspaceId::new(Millis(1), [number; 10])
}

fn run(number: u8, of: u8, priority: i64) -> RunRow {
    RunRow { id: RunId::new(Millis(i64::from(number)), [number; 10]), workspace_id: workspace(of), priority, ..test_row() }
}

async fn store(runs: &[RunRow]) -> Store {
    let store = Store::open(&Location::Memory, std::sync::Arc::new(|_| {})).await.unwrap();
    store.commit(runs.iter().fold(Commit::default(), Commit::put)).await.unwrap();
    store
}

async fn next(store: &Store, round: &mut Round, held: &[&RunRow], most: usize, each: usize) -> Vec<RunId> {
    let held: HashMap<RunId, WorkspaceId> = held.iter().map(|run| (run.id, run.workspace_id)).collect();
    queued(store, round, &held, most, each).await.unwrap().into_iter().map(|(run, _)| run).collect()
}

#[tokio::test]
async fn in_a_workspace_priority_comes_before_age() {
    let runs = [run(1, 1, 0), run(2, 1, 5), run(3, 1, 0), run(4, 1, -1)];
    let store = store(&runs).await;
    assert_eq!(next(&store, &mut Round::default(), &[], 10, 10).await, [runs[1].id, runs[0].id, runs[2].id, runs[3].id]);
    assert_eq!(
        next(&store, &mut Round::default(), &[&runs[1]], 2, 10).await,
        [runs[0].id, runs[2].id],
        "those that are held are passed over"
    );
}

#[tokio::test]
async fn a_workspace_with_many_runs_does_not_hold_up_another() {
    let mut runs: Vec<RunRow> = (1..=20).map(|number| run(number, 1, 100)).collect();
    runs.push(run(30, 2, 0));
    runs.push(run(31, 2, 0));
    let store = store(&runs).await;
    let (first, second) = (&runs[0], &runs[1]);
    assert_eq!(next(&store, &mut Round::default(), &[], 3, 99).await, [first.id, runs[20].id, second.id]);
    // Who executes two of the first already has two of the second before its third.
    assert_eq!(next(&store, &mut Round::default(), &[first, second], 3, 99).await, [runs[20].id, runs[21].id, runs[2].id]);
    assert_eq!(next(&store, &mut Round::default(), &[first, second], 9, 2).await, [runs[20].id, runs[21].id], "two of each at most");
}

#[tokio::test]
async fn workspaces_take_turns_where_there_are_more_of_them_than_places() {
    let runs: Vec<RunRow> = (1..=5).map(|number| run(number, number, 0)).collect();
    let store = store(&runs).await;
    let mut round = Round::default();
    let mut served = Vec::new();
    for _ in 0..5 {
        served.extend(next(&store, &mut round, &[], 2, 9).await);
    }
    for run in &runs {
        assert_eq!(served.iter().filter(|id| **id == run.id).count(), 2, "{served:?}");
    }
}

#[tokio::test]
async fn a_run_that_waits_for_its_turn_waits_for_nobody_to_execute_it() {
    let first = run(1, 1, 0);
    let second = RunRow { turn_after: Some(first.id), ..run(2, 1, 9) };
    let store = store(&[first.clone(), second]).await;
    assert_eq!(next(&store, &mut Round::default(), &[], 9, 9).await, [first.id]);
}
