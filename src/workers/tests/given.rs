//! What workers are given: runs of crews that they serve, as far as they have room.

use super::*;

pub(super) async fn a_worker_is_given_what_it_serves_as_far_as_it_has_room(floor: Floor) {
    let (worker, registered) = floor.register(far("w", 2)).await;
    assert_eq!((registered.worker.state, registered.lease_ms, registered.held.len()), (State::Online, 15_000, 0));
    let mut runs = Vec::new();
    for _ in 0..3 {
        runs.push(floor.start("far").await);
    }
    floor.start_with("pair", json!({"page": "p", "name": "n"}), None).await.unwrap();
    floor.round().await;
    floor.round().await;
    let holds: Vec<Assignment> = floor.services.store.select(&Select::default()).await.unwrap();
    let mut held: Vec<(RunId, i64, u32)> = holds.iter().map(|hold| (hold.run_id, hold.epoch, hold.attempt)).collect();
    held.sort_unstable_by_key(|held| held.0);
    assert_eq!(held, [(runs[0], 1, 1), (runs[1], 1, 1)], "the oldest first, and none more than there are places");
    assert!(holds.iter().all(|hold| hold.worker_id == registered.worker.id && hold.history_head == Offset(1)));
    assert_eq!(types(&floor.log(runs[0]).await), ["run.started"]);
    let row: WorkerRow = floor.services.store.get(registered.worker.id).await.unwrap().unwrap();
    assert_eq!(row.held, 2);

    assert_eq!(floor.finish(&worker, runs[0], 1).await.unwrap().status, Status::Succeeded);
    assert_eq!(types(&floor.log(runs[0]).await), ["run.started", "run.finished"]);
    assert!(floor.hold(runs[0]).await.is_none() && floor.services.store.get::<Lease>(runs[0]).await.unwrap().is_none());
    floor.round().await;
    assert!(floor.hold(runs[2]).await.is_some(), "there was a place again");
}

pub(super) async fn a_crew_that_a_worker_brings_is_there_for_everyone_and_stays(floor: Floor) {
    assert_eq!(floor.start_with("hello", json!({}), None).await.unwrap_err().fields[0].path, "crew");
    let Value::Object(input_schema) = json!({"properties": {"name": {"type": "string"}}, "required": ["name"]}) else { panic!() };
    let hello = ServedCrew { description: "Says hello".into(), input_schema, ..serves("hello") };
    let brings = Register { crews: vec![hello.clone()], ..far("w", 1) };
    floor.register(brings.clone()).await;
    let app = floor.services.apps.of(floor.ada.workspace);
    let crew = &app.crews["hello"];
    assert_eq!((crew.executor, crew.description.as_str()), (Executor::Worker, "Says hello"));
    let fault = floor.start_with("hello", json!({"name": 1}), None).await.unwrap_err();
    assert_eq!((fault.code, fault.fields[0].path.as_str()), (FaultCode::Invalid, "inputs.name"));
    let run = floor.start_with("hello", json!({"name": "Ada"}), None).await.unwrap();
    floor.round().await;
    assert_eq!(floor.hold(run.id).await.unwrap().inputs.0, run.inputs);

    let restarted = Apps::serve(self::app(), &floor.services.store, START).await.unwrap();
    assert!(restarted.of(floor.ada.workspace).crews.contains_key("hello"));
    let id = floor.services.apps.brought(floor.ada.workspace)[0].id;
    crate::crews::delete(floor.cx(&floor.ada), crew::Delete { id, revision: None }).await.unwrap();
    assert_eq!(floor.start_with("hello", json!({}), None).await.unwrap_err().fields[0].path, "crew");
    let engines = super::register(floor.cx(&floor.key), Register { crews: vec![serves("pair")], ..far("x", 1) }).await;
    assert_eq!(fault_of(engines).unwrap_err().fields[0].path, "crews[0].name");
    let Value::Object(wrong) = json!({"properties": 1}) else { panic!() };
    let wrong = Register { crews: vec![ServedCrew { input_schema: wrong, ..hello }], ..far("x", 1) };
    assert_eq!(fault_of(super::register(floor.cx(&floor.key), wrong).await).unwrap_err().code, FaultCode::Invalid);
}

pub(super) async fn a_run_that_nobody_serves_says_so_until_somebody_does(floor: Floor) {
    let run = floor.start("far").await;
    floor.round().await;
    floor.round().await;
    let row = floor.row(run).await;
    assert_eq!((row.status, row.waiting_for, row.attempt), (Status::Queued, Some(WaitingFor::Worker), 0));
    floor.register(far("w", 1)).await;
    floor.round().await;
    let row = floor.row(run).await;
    assert_eq!((row.status, row.waiting_for, row.attempt), (Status::Running, None, 1));
    assert_eq!(types(&floor.log(run).await), ["run.waiting", "run.started"]);
    assert_eq!(floor.hold(run).await.unwrap().history_head, Offset(2));
}

pub(super) async fn labels_and_draining_keep_runs_from_workers(floor: Floor) {
    let both = |name: &str, labels: &[&str]| Register {
        crews: vec![serves("far"), serves("gpu")],
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        ..far(name, 5)
    };
    let (_, plain) = floor.register(both("plain", &["cpu"])).await;
    let run = floor.start("gpu").await;
    floor.round().await;
    assert_eq!((floor.hold(run).await, floor.row(run).await.waiting_for), (None, Some(WaitingFor::Worker)));
    let (_, gpu) = floor.register(both("gpu", &["cpu", "gpu"])).await;
    floor.round().await;
    assert_eq!(floor.hold(run).await.unwrap().worker_id, gpu.worker.id);

    let drained = super::drain(floor.cx(&floor.ada), Drain { id: plain.worker.id, drained: None }).await.unwrap().output;
    assert_eq!(drained.state, State::Draining);
    let (_, again) = floor.register(both("gpu", &[])).await;
    assert_eq!(again.worker.id, gpu.worker.id, "the same key and name is the same worker");
    let (_, zero) = floor.register(Register { capacity: 0, ..both("gpu", &[]) }).await;
    assert_eq!(zero.worker.state, State::Draining);
    let run = floor.start("far").await;
    floor.round().await;
    let row = floor.row(run).await;
    assert_eq!((row.status, row.waiting_for), (Status::Queued, None), "somebody serves it, and takes no more now");
    super::drain(floor.cx(&floor.ada), Drain { id: plain.worker.id, drained: Some(false) }).await.unwrap();
    floor.round().await;
    assert_eq!(floor.hold(run).await.unwrap().worker_id, plain.worker.id);
}
