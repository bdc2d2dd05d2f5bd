//! The first promise, on the real binary: nothing acknowledged is lost and nothing happens twice, though the server is killed.

use std::collections::BTreeSet;

use crewline_protocol::value::Offset;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::sync::watch;

use crate::{
    checks::{attempts, comparable, ids_are_unique, outcome},
    people::{create, register, start_review, view, view_reloading, write},
    server::{Database, Server},
};

const KILLS: usize = 10;
const VIEWERS: usize = 4;
const WRITERS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_ten_kills_in_mid_run_lose_nothing_repeat_nothing_and_do_nothing_twice() {
    for seed in seeds() {
        ten_kills_in_mid_run(Database::Sqlite, seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_ten_kills_in_mid_run_lose_nothing_repeat_nothing_and_do_nothing_twice() {
    for seed in seeds() {
        ten_kills_in_mid_run(Database::Postgres, seed).await;
    }
}

fn seeds() -> std::ops::Range<u64> {
    if std::env::var_os("CREWLINE_TEST_LONG").is_some() { 0..10 } else { 0..1 }
}

async fn ten_kills_in_mid_run(database: Database, seed: u64) {
    eprintln!("{database:?}, seed {seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let mut server = Server::start(database, &["simulated_tokens_per_s=400", "max_attempts=100"]).await;
    let token = register(&server).await.access_token;
    let (moved, mut furthest) = watch::channel(Offset(0));

    // The same run undisturbed: what must come out, and how long the log is at least.
    let owner = server.client(&token);
    let undisturbed = start_review(&owner).await;
    let undisturbed = view(owner.clone(), undisturbed.id, watch::channel(Offset(0)).0).await;
    let expected = outcome(&undisturbed.events);

    let run = start_review(&owner).await;
    let viewers: Vec<_> = (0..VIEWERS).map(|_| tokio::spawn(view(server.client(&token), run.id, moved.clone()))).collect();
    let (address, again) = (server.address(), token.clone());
    let reload = move || {
        let url = format!("ws://{address}/ws");
        crewline_client::Client::builder(url).auth(crewline_client::Token::new(again.as_str())).build().unwrap()
    };
    let reloading = tokio::spawn(view_reloading(reload, run.id, moved.clone(), StdRng::seed_from_u64(dice.random())));
    let (stop, stopped) = watch::channel(false);
    let writers: Vec<_> = (0..WRITERS).map(|_| tokio::spawn(write(server.client(&token), stopped.clone()))).collect();

    let mut moments: Vec<i64> = (0..KILLS).map(|_| dice.random_range(1..undisturbed.position.0)).collect();
    moments.sort_unstable();
    for moment in moments {
        furthest.wait_for(|furthest| furthest.0 >= moment).await.unwrap();
        server.kill();
        server.start_again();
    }

    let log = view(server.client(&token), run.id, watch::channel(Offset(0)).0).await;
    assert_eq!(outcome(&log.events), expected, "the run came to something else, or made a finished call again");
    ids_are_unique(&log.events);
    let attempts = attempts(&log.events);
    assert!((2..=1 + KILLS).contains(&attempts), "{attempts} attempts");
    for viewer in viewers.into_iter().chain([reloading]) {
        let seen = viewer.await.unwrap();
        assert_eq!(seen.position, log.position);
        assert_eq!(comparable(&seen.events), comparable(&log.events), "a viewer saw a gap, a repetition or another order");
    }

    stop.send_replace(true);
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    let ids: BTreeSet<_> = acknowledged.iter().map(|(_, session)| session.id).collect();
    let revisions: BTreeSet<_> = acknowledged.iter().map(|(_, session)| session.revision).collect();
    assert_eq!((ids.len(), revisions.len()), (acknowledged.len(), acknowledged.len()), "two were acknowledged as one");
    let stored = server.count("SELECT count(*) FROM sessions WHERE title = 'Written while it dies'").await;
    assert_eq!(stored, acknowledged.len() as i64, "acknowledged and stored differ");
    for (key, session) in acknowledged.iter().rev().step_by(acknowledged.len().div_ceil(50)) {
        assert_eq!(create(&owner, *key).await, *session, "the same key did not give the same session");
    }
}
