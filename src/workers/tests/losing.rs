//! What workers lose, and that they store nothing more.

use super::*;

pub(super) async fn a_silent_worker_loses_its_run_and_stores_nothing_more(floor: Floor) {
    let (worker, run) = floor.working().await;
    floor.append(&worker, run, 1, 1, vec![line("1")]).await.unwrap();
    let held = vec![Held { run_id: run, lease_epoch: 1 }];
    let renewing = floor.later(10_000);
    assert_eq!(fault_of(super::renew(renewing.cx(&worker), Renew { held: held.clone() }).await).unwrap().lost, []);
    let still = floor.later(GONE_MS);
    still.round().await;
    assert_eq!(still.hold(run).await.unwrap().epoch, 1, "it was renewed");

    let after = floor.later(10_000 + GONE_MS);
    after.round().await;
    let row = after.row(run).await;
    assert_eq!((row.status, row.attempt, after.hold(run).await), (Status::Queued, 1, None), "the worker is gone, too");
    let away: WorkerRow = after.services.store.get(worker.worker.unwrap()).await.unwrap().unwrap();
    assert_eq!(away.state, State::Offline);
    let before = after.log(run).await;
    assert!(lost(&floor.append(&worker, run, 1, 2, vec![line("2")]).await.unwrap_err()));
    assert!(lost(&floor.append(&worker, run, 1, 2, vec![used(1, 1)]).await.unwrap_err()));
    assert!(lost(&floor.finish(&worker, run, 1).await.unwrap_err()));
    assert!(lost(&fault_of(super::release(floor.cx(&worker), Release { run_id: run, lease_epoch: 1 }).await).unwrap_err()));
    assert_eq!(fault_of(super::renew(after.cx(&worker), Renew { held }).await).unwrap().lost, [run]);
    assert_eq!((after.log(run).await, after.row(run).await), (before, row), "nothing was stored");

    // By saying something it was there again.
    after.round().await;
    let hold = after.hold(run).await.unwrap();
    assert_eq!((hold.epoch, hold.attempt, Some(hold.worker_id)), (2, 2, worker.worker));
    assert!(lost(&after.append(&worker, run, 1, 2, vec![line("2")]).await.unwrap_err()), "under the old lease still");
    assert_eq!(after.append(&worker, run, 2, 1, vec![line("3")]).await.unwrap().seq, 1);
    assert_eq!(lines(&after.log(run).await), ["1", "3"]);
}

pub(super) async fn a_run_that_is_lost_too_often_fails_and_says_why(floor: Floor) {
    let (worker, run) = floor.working().await;
    let mut at = 0;
    for attempt in 1..=3 {
        let now = floor.later(at);
        assert_eq!(now.row(run).await.attempt, attempt);
        at += GONE_MS;
        let now = floor.later(at);
        now.round().await;
        if attempt < 3 {
            super::renew(now.cx(&worker), Renew { held: Vec::new() }).await.unwrap();
            now.round().await;
        }
    }
    let row = floor.row(run).await;
    assert_eq!(row.status, Status::Failed);
    let fault = row.fault.unwrap().0;
    assert!(fault.message.contains("begun 3 times"), "{}", fault.message);
    let log = floor.log(run).await;
    assert_eq!(types(&log), ["run.started", "run.waiting", "run.started", "run.waiting", "run.started", "run.finished"]);
    assert_eq!(floor.services.store.get::<Lease>(run).await.unwrap(), None);
}

pub(super) async fn a_run_that_is_to_end_is_cancelled_when_its_worker_is_gone(floor: Floor) {
    let (worker, run) = floor.working().await;
    let asked = control::cancel(floor.cx(&floor.ada), Cancel { id: run, mode: None }).await.unwrap().output;
    assert_eq!(asked.status, Status::Running, "its worker says when it has ended");
    floor.later(GONE_MS).round().await;
    assert_eq!(floor.row(run).await.status, Status::Cancelled);
    assert!(lost(&floor.append(&worker, run, 1, 1, vec![line("1")]).await.unwrap_err()));
}

pub(super) async fn who_registers_again_keeps_what_it_names_and_loses_the_rest(floor: Floor) {
    let (worker, registered) = floor.register(far("w", 2)).await;
    let (kept, left) = (floor.start("far").await, floor.start("far").await);
    floor.round().await;
    floor.append(&worker, kept, 1, 1, vec![line("1"), line("2")]).await.unwrap();
    let held = vec![Held { run_id: kept, lease_epoch: 1 }, Held { run_id: left, lease_epoch: 7 }];
    let (again, second) = floor.register(Register { held, ..far("w", 2) }).await;
    assert_eq!(second.worker.id, registered.worker.id);
    assert_eq!(second.held, [HeldSince { run_id: kept, lease_epoch: 1, seq: 2 }]);
    assert_eq!((floor.row(left).await.status, floor.hold(left).await), (Status::Queued, None));
    assert!(lost(&floor.append(&again, left, 1, 1, vec![line("x")]).await.unwrap_err()));
    assert_eq!(floor.append(&again, kept, 1, 2, vec![line("2"), line("3")]).await.unwrap().seq, 3);
    floor.round().await;
    assert_eq!(floor.hold(left).await.map(|hold| (hold.epoch, hold.attempt)), Some((2, 2)));
    let (_, other) = floor.register(far("x", 2)).await;
    assert_ne!(other.worker.id, registered.worker.id, "another name is another worker");
    assert!(floor.hold(kept).await.is_some());
}

/// A worker that is stopped past its lease, while another goes on, and continued: again and again.
#[tokio::test]
async fn zombies_store_nothing() {
    let rounds = if std::env::var_os("CREWLINE_TEST_LONG").is_some() { 200 } else { 20 };
    Floor::open(Database::Sqlite, async |floor| {
        for round in 0..rounds {
            let now = floor.later(round * 3 * LEASE_MS);
            let (zombie, _) = now.register(far("zombie", 1)).await;
            let run = now.start("far").await;
            now.round().await;
            now.append(&zombie, run, 1, 1, vec![line("1")]).await.unwrap();
            let after = floor.later(round * 3 * LEASE_MS + GONE_MS);
            let (other, _) = after.register(far(&format!("other {round}"), 1)).await;
            after.round().await;
            assert_eq!(after.hold(run).await.map(|hold| (hold.epoch, hold.attempt)), Some((2, 2)), "round {round}");
            // It wakes, and goes on where it was, on the node that it was on, while the other is at work.
            let (dead, live) = futures::join!(
                join_all((0..5).map(|place| now.append(&zombie, run, 1, 2 + place, vec![line("zombie")]))),
                join_all((0..5).map(|place| after.append(&other, run, 2, 1 + place, vec![line("other")])))
            );
            assert!(dead.iter().all(|done| done.as_ref().is_err_and(lost)), "round {round}: {dead:?}");
            assert!(live.iter().all(Result::is_ok), "round {round}: {live:?}");
            assert!(lost(&now.finish(&zombie, run, 1).await.unwrap_err()), "round {round}");
            assert_eq!(after.finish(&other, run, 2).await.unwrap().status, Status::Succeeded);
            assert_eq!(lines(&after.log(run).await), ["1", "other", "other", "other", "other", "other"], "round {round}");
            assert_eq!(types(&after.log(run).await).last(), Some(&"run.finished"), "round {round}");
        }
    })
    .await;
}
