//! What workers write: once, in order, and what they may.

use super::*;

pub(super) async fn what_is_appended_twice_is_stored_once_and_a_hole_is_told(floor: Floor) {
    let (worker, run) = floor.working().await;
    let batch = |texts: &[&str]| texts.iter().map(|text| line(text)).collect::<Vec<_>>();
    let appended = |seq, head| Ok(Appended { seq, head: Offset(head) });
    assert_eq!(floor.append(&worker, run, 1, 1, batch(&["1", "2"])).await, appended(2, 3));
    assert_eq!(floor.append(&worker, run, 1, 1, batch(&["1", "2"])).await, appended(2, 3), "all of it again");
    assert_eq!(floor.append(&worker, run, 1, 2, batch(&["2", "3"])).await, appended(3, 4), "a part again");
    let fault = floor.append(&worker, run, 1, 5, batch(&["5"])).await.unwrap_err();
    assert_eq!((fault.code, fault.reason, fault.current), (FaultCode::Conflict, Some(Reason::Sequence), Some(json!({"seq": 3}))));
    // A node that knows nothing of it yet.
    let other = floor.later(1);
    assert_eq!(other.append(&worker, run, 1, 3, batch(&["3", "4"])).await, appended(4, 5));
    // This one thinks that 3 is the last: it finds out.
    let fault = floor.append(&worker, run, 1, 4, batch(&["4"])).await.unwrap_err();
    assert_eq!(fault.current, Some(json!({"seq": 4})));
    assert_eq!(floor.append(&worker, run, 1, 4, batch(&["4"])).await, appended(4, 5));
    assert_eq!(lines(&floor.log(run).await), ["1", "2", "3", "4"]);
}

pub(super) async fn batches_that_are_under_way_together_are_stored_in_the_order_in_which_they_came(floor: Floor) {
    let (worker, run) = floor.working().await;
    let mut seq = 1;
    let mut all = Vec::new();
    let batches: Vec<_> = (0..300)
        .map(|number| {
            // Some change the run's row, and are written by themselves.
            let mut events: Vec<RunEvent> = (0..number % 4 + 1).map(|part| line(&format!("{number}.{part}"))).collect();
            all.extend(lines(&events));
            if number % 50 == 7 {
                events.push(used(1, 1));
            }
            let first = seq;
            seq += i64::try_from(events.len()).unwrap();
            floor.append(&worker, run, 1, first, events)
        })
        .collect();
    let last = join_all(batches).await.into_iter().map(Result::unwrap).next_back().unwrap();
    assert_eq!(last.seq, seq - 1);
    assert_eq!(lines(&floor.log(run).await), all);
    assert_eq!(floor.row(run).await.usage().input_tokens, 6);
}

pub(super) async fn what_is_the_servers_to_write_is_refused_and_nothing_of_it_stored(floor: Floor) {
    let (worker, run) = floor.working().await;
    let wrong = [
        RunEvent::RunResumed { at: START },
        RunEvent::RunStarted { at: START, attempt: 9, crew: "far".into(), inputs: Inputs::new() },
        RunEvent::ProgressReported { at: START, fraction: 1.5, message: String::new() },
    ];
    for event in wrong {
        let fault = floor.append(&worker, run, 1, 1, vec![line("x"), event]).await.unwrap_err();
        assert_eq!(fault.code, FaultCode::Invalid);
        assert!(fault.fields[0].path.starts_with("events[1]"), "{fault:?}");
    }
    let huge = floor.append(&worker, run, 1, 1, vec![line(&"x".repeat(300_000))]).await.unwrap_err();
    assert_eq!(huge.code, FaultCode::TooLarge);
    let text = |text: &str| RunEvent::TextDelta { at: START, part: "p".into(), text: text.into() };
    let large: Vec<RunEvent> = (0..5).map(|_| text(&"x".repeat(100_000))).collect();
    let started = RunEvent::TextStarted { at: START, part: "p".into(), task: "t".into(), agent: "a".into(), role: TextRole::Answer };
    let events: Vec<RunEvent> = [started].into_iter().chain(large).collect();
    assert_eq!(floor.append(&worker, run, 1, 1, events).await.unwrap().seq, 6);
    let blocks = floor.services.store.log_after(run, Offset(1), usize::MAX).await.unwrap();
    assert!(blocks.iter().all(|block| block.events.len() <= 128 << 10), "a block is sent as it was written");
    let progress = RunEvent::ProgressReported { at: START, fraction: 0.5, message: "half".into() };
    floor.append(&worker, run, 1, 7, vec![progress]).await.unwrap();
    assert_eq!(floor.row(run).await.progress, 0.5);
}

pub(super) async fn the_server_prices_tokens_and_ends_what_has_used_up_its_budget(floor: Floor) {
    let (worker, _) = floor.register(far("w", 9)).await;
    let budget = Budget { cost_microusd: Some(MicroUsd(1_000)), ..Budget::default() };
    let run = floor.start_with("far", json!({}), Some(budget)).await.unwrap().id;
    let other = floor.start("far").await;
    floor.round().await;
    floor.append(&worker, run, 1, 1, vec![line("1"), used(100, 50)]).await.unwrap();
    let row = floor.row(run).await;
    assert_eq!((row.input_tokens, row.output_tokens, row.cost_microusd), (100, 50, MicroUsd(200)), "whatever the worker said");
    let log = floor.log(run).await;
    assert!(matches!(log.last(), Some(RunEvent::UsageRecorded { cost_microusd: MicroUsd(200), .. })), "{log:?}");
    let fault = floor.append(&worker, run, 1, 3, vec![used(900, 0)]).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::OverQuota);
    let row = floor.row(run).await;
    assert_eq!(
        (row.status, row.cost_microusd, row.fault.map(|fault| fault.0.code)),
        (Status::Failed, MicroUsd(1_100), Some(FaultCode::OverQuota))
    );
    assert!(lost(&floor.append(&worker, run, 1, 4, vec![line("2")]).await.unwrap_err()));

    let shared = Set { crew: None, period: Period::Day, cost_microusd: Some(MicroUsd(1_101)), tokens: None, duration_ms: None };
    budgets::set(floor.cx(&floor.ada), shared).await.unwrap();
    let fault = floor.append(&worker, other, 1, 1, vec![used(1, 0)]).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::OverQuota, "what all runs take together");
    assert_eq!(floor.row(other).await.status, Status::Failed);
}

pub(super) async fn time_that_is_used_up_ends_a_run(floor: Floor) {
    let (worker, _) = floor.register(far("w", 1)).await;
    let budget = Budget { duration_ms: Some(8_000), ..Budget::default() };
    let run = floor.start_with("far", json!({}), Some(budget)).await.unwrap().id;
    floor.round().await;
    floor.later(4_000).round().await;
    assert_eq!(floor.row(run).await.status, Status::Running);
    floor.later(10_000).round().await;
    let row = floor.row(run).await;
    assert_eq!((row.status, row.fault.map(|fault| fault.0.code)), (Status::Failed, Some(FaultCode::OverQuota)));
    assert!(lost(&floor.append(&worker, run, 1, 1, vec![line("1")]).await.unwrap_err()));
}

pub(super) async fn a_run_makes_files_while_its_worker_holds_it(floor: Floor) {
    let (worker, run) = floor.working().await;
    let make = |epoch, name: &str, bytes: &[u8]| artifact::Create {
        run_id: run,
        lease_epoch: epoch,
        name: name.into(),
        media_type: None,
        bytes: Bytes::copy_from_slice(bytes),
    };
    let add = |run_id, id, bytes: Vec<u8>| artifact::Append { run_id, lease_epoch: 1, id, bytes: bytes.into() };
    floor.append(&worker, run, 1, 1, vec![line("before")]).await.unwrap();
    let made = fault_of(super::create(floor.cx(&worker), make(1, "page.html", b"<p>")).await).unwrap();
    assert_eq!((made.media_type.as_str(), made.size_bytes, made.run_id), ("text/html", 3, run));
    floor.append(&worker, run, 1, 2, vec![line("after")]).await.unwrap();
    assert_eq!(types(&floor.log(run).await), ["run.started", "log.written", "artifact.created", "log.written"]);

    let longer = fault_of(super::extend(floor.cx(&worker), add(run, made.id, b"\xffx".to_vec())).await).unwrap();
    assert_eq!(longer.size_bytes, 5);
    assert!(longer.revision > made.revision);
    let read = artifact::Read { id: made.id, offset: Some(2), limit: None };
    assert_eq!(artifacts::read(floor.cx(&floor.ada), read).await.unwrap().output.bytes, Bytes::from_static(b">\xffx"));
    let too_much = add(run, made.id, vec![0; ARTIFACT_BYTES - 4]);
    assert_eq!(fault_of(super::extend(floor.cx(&worker), too_much).await).unwrap_err().code, FaultCode::TooLarge);
    let unknown = add(run, floor.services.clock.id(ArtifactId::new), b"x".to_vec());
    assert_eq!(fault_of(super::extend(floor.cx(&worker), unknown).await).unwrap_err().code, FaultCode::NotFound);

    assert!(lost(&fault_of(super::create(floor.cx(&worker), make(2, "x", b"")).await).unwrap_err()));
    assert!(lost(&fault_of(super::create(floor.cx(&floor.key), make(1, "x", b"")).await).unwrap_err()));
    floor.finish(&worker, run, 1).await.unwrap();
    assert!(lost(&fault_of(super::extend(floor.cx(&worker), add(run, made.id, b"late".to_vec())).await).unwrap_err()));
    floor.round().await;
    let other = floor.start("far").await;
    floor.round().await;
    let anothers = add(other, made.id, b"x".to_vec());
    assert_eq!(fault_of(super::extend(floor.cx(&worker), anothers).await).unwrap_err().code, FaultCode::NotFound);
}
