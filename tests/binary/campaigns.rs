//! A campaign with approvals, on the real binary that is killed again and again: it comes to what it would have come to.

use std::collections::BTreeMap;

use crewline_protocol::{RunEvent, value::Offset};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::sync::watch;

use crate::{
    checks::{attempts, ids_are_unique},
    kp::{answering, not_the_queue, page, play, questions, records, start},
    people::{Seen, register_as},
    server::{Database, Server},
};

/// At random points of the run, besides the one right after an answer.
const KILLS: usize = 4;
/// Mutations that agents made: one key for each, however often it was asked for.
const MUTATIONS: &str = "SELECT count(*) FROM keys WHERE operation IN ('record.create', 'record.update')";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_a_campaign_whose_server_is_killed_leaves_the_same_records_and_does_nothing_twice() {
    for seed in seeds() {
        killed(Database::Sqlite, seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_a_campaign_whose_server_is_killed_leaves_the_same_records_and_does_nothing_twice() {
    for seed in seeds() {
        killed(Database::Postgres, seed).await;
    }
}

/// Five kills a seed: 5, or 50 with `CREWLINE_TEST_LONG`.
fn seeds() -> std::ops::Range<u64> {
    if std::env::var_os("CREWLINE_TEST_LONG").is_some() { 0..10 } else { 0..1 }
}

async fn killed(database: Database, seed: u64) {
    eprintln!("{database:?}, seed {seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let mut server = Server::start(database, &["simulated_tokens_per_s=2000", "max_attempts=100"]).await;
    let pages = [page("https://walls.example/the-wall")];

    let ada = server.client(&register_as(&server, "ada@example.com").await.access_token);
    let undisturbed = play(&ada, "campaign", &pages, not_the_queue).await;
    let (expected, mutations) = (records(&ada).await, server.count(MUTATIONS).await);

    let bob = server.client(&register_as(&server, "bob@example.com").await.access_token);
    let run = start(&bob, "campaign", &pages).await;
    let (moved, mut furthest) = watch::channel(Offset(0));
    let (answered, mut answers) = watch::channel(0);
    let client = bob.clone();
    let following = tokio::spawn(async move { answering(client, &run, not_the_queue, moved, answered).await });
    // How often it waits differs, so that a run may have fewer events than another.
    let mut moments: Vec<i64> = (0..KILLS).map(|_| dice.random_range(1..undisturbed.position.0 * 9 / 10)).collect();
    moments.sort_unstable_by(|a, b| b.cmp(a));
    let mut after_answer = Some(dice.random_range(1..=questions(&undisturbed).len()));
    while !moments.is_empty() || after_answer.is_some() {
        let (moment, answer) = (moments.last().copied(), after_answer);
        tokio::select! {
            reached = furthest.wait_for(|furthest| moment.is_some_and(|moment| furthest.0 >= moment)), if moment.is_some() => {
                reached.unwrap();
                moments.pop();
            }
            given = answers.wait_for(|answers| answer.is_some_and(|answer| *answers >= answer)), if answer.is_some() => {
                given.unwrap();
                after_answer = None;
            }
        }
        server.kill();
        server.start_again();
    }
    let disturbed = following.await.unwrap();

    assert_eq!(records(&bob).await, expected, "it came to other records");
    assert_eq!(server.count(MUTATIONS).await, 2 * mutations, "something was done twice, or not at all");
    assert_eq!(decisions(&disturbed), decisions(&undisturbed));
    ids_are_unique(&disturbed.events);
    let attempts = attempts(&disturbed.events);
    assert!((2..=2 + KILLS).contains(&attempts), "{attempts} attempts");
}

/// How often calls that stored a comment as approved have ended well, and how often people allowed and refused one.
fn decisions(seen: &Seen) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for event in &seen.events {
        let what = match event {
            RunEvent::ToolFinished { output, .. } if output["data"]["status"] == "approved" => "approved calls",
            RunEvent::ToolFinished { output, .. } if output["data"]["status"] == "rejected" => "rejections stored",
            RunEvent::ApprovalRequested { .. } => "questions",
            RunEvent::ApprovalAnswered { .. } => "answers",
            _ => continue,
        };
        *counts.entry(what).or_default() += 1;
    }
    assert_eq!((counts["questions"], counts["answers"], counts["approved calls"], counts["rejections stored"]), (3, 3, 2, 1));
    counts
}
