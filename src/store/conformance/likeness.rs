//! Whatever is committed, the databases and the twin in memory answer the same and hold the same.

use crewline_protocol::value::{MemberId, Millis, Offset, Revision, SessionId, WorkspaceId};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

use super::{
    Database, Place,
    place::{Member, Session, User, Workspace, append, id, keyed, run, session, user, workspace},
};
use crate::store::{Commit, Guard, Select, Store, Value};

#[tokio::test]
async fn sqlite_answers_random_groups_of_commits_as_memory_does() {
    for seed in 0..12 {
        compare(Database::Sqlite, seed, 8).await;
    }
}

#[tokio::test]
async fn postgres_answers_random_commits_as_memory_does() {
    // One at a time: commits at once go through several lanes, in any order.
    for seed in 100..104 {
        compare(Database::Postgres, seed, 1).await;
    }
}

async fn compare(database: Database, seed: u64, at_once: usize) {
    let places = [Place::new(Database::Memory).await, Place::new(database).await];
    let stores = [places[0].open().await, places[1].open().await];
    let mut dice = StdRng::seed_from_u64(seed);
    for step in 0..40 {
        let commits: Vec<Commit> = (0..dice.random_range(1..=at_once)).map(|_| random_commit(&mut dice)).collect();
        let [expected, got] = [answers(&stores[0], &commits).await, answers(&stores[1], &commits).await];
        assert_eq!(got, expected, "seed {seed}, step {step}: {commits:#?}");
    }
    let [expected, got] = [contents(&stores[0]).await, contents(&stores[1]).await];
    assert_eq!(got, expected, "seed {seed}");
}

async fn answers(store: &Store, commits: &[Commit]) -> Vec<String> {
    let results = futures::future::join_all(commits.iter().cloned().map(|commit| store.commit(commit))).await;
    results.into_iter().map(|result| format!("{result:?}")).collect()
}

async fn contents(store: &Store) -> String {
    let all = Select::default();
    let sessions = store.select::<Session>(&all).await.unwrap();
    let members = store.select::<Member>(&all).await.unwrap();
    let workspaces = store.select::<Workspace>(&all).await.unwrap();
    let users = store.select::<User>(&all).await.unwrap();
    let mut log = Vec::new();
    for number in 0..3 {
        log.push((store.heads(&[run(number)]).await.unwrap(), store.log_after(run(number), Offset(0), usize::MAX).await.unwrap()));
    }
    format!("{sessions:#?}{members:#?}{workspaces:#?}{users:#?}{log:#?}")
}

/// A commit on few rows, so that commits meet.
fn random_commit(dice: &mut StdRng) -> Commit {
    let of = |dice: &mut StdRng, count: u32| dice.random_range(0..count);
    let mut commit = Commit::default();
    if dice.random_bool(0.7) {
        commit.workspace = Some(workspace(of(dice, 2)));
    }
    // Rows of one commit do not pass a unique value on among themselves: in which order it writes them is not promised.
    let kinds = if dice.random_bool(0.3) { 1..4 } else { 4..9 };
    for _ in 0..dice.random_range(0..if kinds.start == 1 { 2 } else { 4 }) {
        let number = of(dice, 4);
        let title = *["a", "b", "c"].choose(dice).unwrap();
        commit = match dice.random_range(kinds.clone()) {
            1 => commit.delete::<Member>(id(MemberId::new, number)),
            2 => commit.put(&member(number, of(dice, 2), of(dice, 2))),
            3 => commit.put(&user(number, title)),
            4 => commit.delete::<Session>(id(SessionId::new, number)),
            5 => commit.put(&workspace_row(number % 2, title, i64::from(of(dice, 5)))),
            _ => commit.put(&Session { revision: Revision(of(dice, 5).into()), ..session(number, workspace(0), title) }),
        };
    }
    for _ in 0..dice.random_range(0..2) {
        let session = Value::from(id(SessionId::new, of(dice, 4)));
        commit = commit.guard(match of(dice, 5) {
            0 => Guard::absent::<Session>(session),
            1 => Guard::revision::<Session>(session, Revision(of(dice, 6).into())),
            2 => Guard::revision::<Workspace>(workspace(of(dice, 2)), Revision(of(dice, 8).into())),
            3 => Guard::columns::<Session>(session, vec![("title", "a".into())]),
            _ => Guard::columns::<Session>(session, vec![]),
        });
    }
    for _ in 0..dice.random_range(0..3) {
        let events = vec![b'e'; dice.random_range(0..4)];
        commit.events.extend(append(run(of(dice, 3)), &events).events);
        if let Some(append) = commit.events.last_mut() {
            append.complete = dice.random_bool(0.1);
        }
    }
    if dice.random_bool(0.4) {
        commit.key = Some(keyed("user:1", of(dice, 30), Millis(5)));
    }
    commit
}

fn member(number: u32, of: u32, who: u32) -> Member {
    Member {
        id: id(MemberId::new, number),
        workspace_id: workspace(of),
        user_id: user(who, "").id,
        role: "member".to_owned(),
        revision: Revision(0),
        created_at: Millis(1),
        updated_at: Millis(1),
        name: String::new(),
        email: String::new(),
    }
}

fn workspace_row(number: u32, name: &str, revision: i64) -> Workspace {
    let id: WorkspaceId = workspace(number);
    Workspace {
        id,
        name: name.to_owned(),
        revision: Revision(revision),
        changed_revision: Revision(0),
        created_at: Millis(1),
        updated_at: Millis(1),
    }
}
