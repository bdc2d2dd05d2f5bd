mod crewai;

use crewline_protocol::{
    event::{RunEvent, Usage},
    fault::{FaultCode, Retry},
    operations::run::{CancelMode, Start, Status},
    value::Offset,
};
use serde_json::{Value, json};

use super::*;
use crate::{
    apps::App,
    clock::Clock,
    runs,
    settings::Settings,
    testing::{
        START,
        crews::{Counted, Node, app, app_with, count, slow, types},
    },
};

#[tokio::test(start_paused = true)]
async fn a_run_tells_everything_from_its_start_to_its_output() {
    let node = Node::new(app(), slow()).await;
    let ada = node.someone("ada@example.com").await;
    let run = node.start(&ada).await;
    assert_eq!((run.status, run.attempt), (Status::Queued, 0));
    let _engine = node.engine("n", &Counted::default());
    let row = node.finishes(run.id).await;
    let log = node.log(run.id).await;
    let expected = [
        "run.started",
        "task.started",
        "progress.reported",
        "text.started",
        "text.delta",
        "text.delta",
        "text.finished",
        "tool.started",
        "tool.started",
        "usage.recorded",
        "tool.finished",
        "tool.failed",
        "text.started",
        "text.delta",
        "text.delta",
        "text.finished",
        "usage.recorded",
        "task.finished",
        "progress.reported",
        "task.started",
        "progress.reported",
        "text.started",
        "text.delta",
        "text.delta",
        "text.delta",
        "text.finished",
        "usage.recorded",
        "task.finished",
        "progress.reported",
        "run.finished",
    ];
    let mut found = types(&log);
    // The two calls run side by side: either may end first.
    found[10..12].sort_unstable_by(|a, b| b.cmp(a));
    let mut wanted = expected.to_vec();
    wanted[10..12].sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(found, wanted);
    let usage = log.iter().fold(Usage::default(), |mut sum, event| {
        if let RunEvent::UsageRecorded { input_tokens, output_tokens, cost_microusd, .. } = event {
            sum += Usage { input_tokens: *input_tokens, output_tokens: *output_tokens, cost_microusd: *cost_microusd };
        }
        sum
    });
    assert!(usage.output_tokens > 0 && usage.cost_microusd.0 > 0);
    let expected = (Status::Succeeded, Some("So: 3 words."), 1.0, usage, 1);
    assert_eq!((row.status, row.output.as_deref(), row.progress, row.usage(), row.attempt), expected);
    let RunEvent::RunFinished { status, output, usage: told, .. } = log.last().unwrap() else { panic!() };
    assert_eq!((*status, output.as_deref(), *told), (Status::Succeeded, Some("So: 3 words."), usage));
    assert_eq!(node.services.store.get::<Lease>(run.id).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_event_changes_nothing_and_repeats_nothing_that_was_finished() {
    for crash_at in 1..30 {
        let node = Node::new(app(), slow()).await;
        let ada = node.someone("ada@example.com").await;
        let run = node.start(&ada).await;
        let engine = node.engine("n", &Counted::default());
        node.reaches(run.id, crash_at).await;
        drop(engine);
        tokio::task::yield_now().await;
        let before = node.log(run.id).await;

        let again = node.beside(app(), slow()).await;
        let counted = Counted::default();
        let _engine = again.engine("n", &counted);
        let row = again.finishes(run.id).await;
        let log = again.log(run.id).await;
        assert_eq!(row.output.as_deref(), Some("So: 3 words."), "crashed at {crash_at}");
        assert_eq!(&log[..before.len()], &before[..], "crashed at {crash_at}");
        if count(&before, "run.finished") == 1 {
            continue;
        }
        let RunEvent::RunStarted { attempt, .. } = &log[before.len()] else { panic!("crashed at {crash_at}") };
        assert_eq!((*attempt, row.attempt), (2, 2));
        let ended = |events: &[RunEvent]| count(events, "tool.finished") + count(events, "tool.failed");
        // The call with an unknown input fails its tool, not its schema: both calls reach the tool.
        assert_eq!(counted.get(), (3 - count(&before, "usage.recorded"), 2 - ended(&before)), "crashed at {crash_at}: {:?}", types(&log));
        let once = ["usage.recorded", "task.started", "task.finished", "run.finished"].map(|name| count(&log, name));
        assert_eq!((once, ended(&log)), ([3, 2, 2, 1], 2), "crashed at {crash_at}: {:?}", types(&log));
        let RunEvent::RunFinished { usage, .. } = log.last().unwrap() else { panic!() };
        assert_eq!(*usage, row.usage(), "crashed at {crash_at}");
    }
}

#[tokio::test(start_paused = true)]
async fn cancel_now_ends_a_run_within_200_ms_and_says_so() {
    let node = Node::new(app(), Settings { simulated_tokens_per_s: 0.5, ..Settings::default() }).await;
    let ada = node.someone("ada@example.com").await;
    let run = node.start(&ada).await;
    let _engine = node.engine("n", &Counted::default());
    node.reaches(run.id, 5).await;
    let asked = node.services.clock.now();
    let row = node.cancel(&ada, run.id, CancelMode::Now).await;
    assert_eq!((row.status, row.cancel_requested_at), (Status::Running, Some(asked)));
    let row = node.finishes(run.id).await;
    assert_eq!((row.status, row.output), (Status::Cancelled, None));
    assert!(row.finished_at.unwrap().since(asked) <= 200);
    let log = node.log(run.id).await;
    assert_eq!(types(&log)[5..], ["run.cancel_requested", "run.finished"]);
}

#[tokio::test(start_paused = true)]
async fn a_graceful_cancel_lets_the_model_finish_its_answer() {
    let node = Node::new(app(), slow()).await;
    let ada = node.someone("ada@example.com").await;
    let run = node.start(&ada).await;
    let _engine = node.engine("n", &Counted::default());
    node.reaches(run.id, 5).await;
    node.cancel(&ada, run.id, CancelMode::Graceful).await;
    assert_eq!(node.finishes(run.id).await.status, Status::Cancelled);
    let log = node.log(run.id).await;
    let kinds = types(&log);
    assert_eq!((count(&log, "usage.recorded"), count(&log, "text.finished"), kinds.last()), (1, 1, Some(&"run.finished")), "{kinds:?}");
}

#[tokio::test(start_paused = true)]
async fn a_queued_run_is_cancelled_at_once_and_never_executed() {
    let node = Node::new(app(), slow()).await;
    let ada = node.someone("ada@example.com").await;
    let run = node.start(&ada).await;
    assert_eq!(node.cancel(&ada, run.id, CancelMode::Graceful).await.status, Status::Cancelled);
    let counted = Counted::default();
    let _engine = node.engine("n", &counted);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(counted.get(), (0, 0));
    assert_eq!(types(&node.log(run.id).await), ["run.cancel_requested", "run.finished"]);
}

#[tokio::test(start_paused = true)]
async fn who_has_lost_a_lease_can_write_nothing_more() {
    let node = Node::new(app(), slow()).await;
    let ada = node.someone("ada@example.com").await;
    let run = node.start(&ada).await;
    let store = &node.services.store;
    let terms = Terms { lease_ms: 1_000, max_attempts: 5 };
    let at = |ms| Clock::simulated(1, START.plus(ms));
    let zombie = leases::assign(store, &at(0), run.id, Holder::Node("a"), terms).await.unwrap().unwrap();
    assert!(leases::assign(store, &at(1_000), run.id, Holder::Node("b"), terms).await.unwrap().is_none(), "the lease still holds");
    let next = leases::assign(store, &at(1_001), run.id, Holder::Node("b"), terms).await.unwrap().unwrap();
    assert_eq!((next.lease.epoch, next.lease.attempt), (2, 2));

    let before = node.log(run.id).await;
    let (log, writer) = log::open(store.clone(), zombie.lease.clone(), zombie.run.clone());
    log.put(&before).await;
    assert!(matches!(writer.run().await, log::Written::Lost));
    let (log, writer) = log::open(store.clone(), zombie.lease.clone(), zombie.run);
    let finishing = log.finish(&[], runs::End::Cancelled, runs::Taken::default(), START, crate::store::Commit::default());
    tokio::select! {
        written = writer.run() => assert!(matches!(written, log::Written::Lost)),
        _ = finishing => panic!("it is written"),
    }
    let lost = leases::renew(store, vec![zombie.lease, next.lease.clone()], START.plus(9_000)).await.unwrap();
    assert_eq!(lost, [run.id]);
    let renewed = store.get::<Lease>(run.id).await.unwrap();
    assert_eq!(renewed, Some(Lease { expires_at: START.plus(9_000), ..next.lease }));
    assert_eq!(node.log(run.id).await, before);
    assert_eq!(node.row(run.id).await, next.run);
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_executor_always_dies_fails_after_its_attempts() {
    let settings = Settings { max_attempts: 2, ..slow() };
    let mut node = Node::new(app(), settings.clone()).await;
    let ada = node.someone("ada@example.com").await;
    let run = node.start(&ada).await;
    for attempt in 1..=2 {
        let engine = node.engine("n", &Counted::default());
        while node.row(run.id).await.attempt < attempt {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop(engine);
        node = node.beside(app(), settings.clone()).await;
    }
    let _engine = node.engine("n", &Counted::default());
    let row = node.finishes(run.id).await;
    let fault = row.fault.unwrap().0;
    assert_eq!((row.status, row.attempt, fault.code), (Status::Failed, 2, FaultCode::Internal));
    assert_eq!(fault.message, "the run was begun 2 times, and whoever executed it was gone each time: start it again");
    assert_eq!(node.services.store.get::<Lease>(run.id).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn two_engines_on_one_store_never_execute_the_same_run() {
    let node = Node::new(app(), slow()).await;
    let other = node.beside(app(), slow()).await;
    let ada = node.someone("ada@example.com").await;
    let counted = Counted::default();
    let _engines = (node.engine("a", &counted), other.engine("b", &counted));
    let mut started = Vec::new();
    for _ in 0..20 {
        started.push(node.start(&ada).await.id);
        other.services.hub.run_queued();
    }
    for run in started {
        assert_eq!(node.finishes(run).await.status, Status::Succeeded);
        assert_eq!(count(&node.log(run).await, "run.started"), 1);
    }
    assert_eq!(counted.get(), (60, 40));
}

#[tokio::test(start_paused = true)]
async fn another_node_takes_a_dead_one_s_run_when_its_lease_has_ended() {
    let node = Node::new(app(), slow()).await;
    let ada = node.someone("ada@example.com").await;
    let run = node.start(&ada).await;
    let engine = node.engine("a", &Counted::default());
    node.reaches(run.id, 5).await;
    drop(engine);
    let died = node.services.clock.now();
    let other = node.beside(app(), slow()).await;
    let _engine = other.engine("b", &Counted::default());
    let row = other.finishes(run.id).await;
    assert_eq!((row.status, row.attempt, row.output.as_deref()), (Status::Succeeded, 2, Some("So: 3 words.")));
    let waited = row.finished_at.unwrap().since(died);
    assert!((10_000..20_000).contains(&waited), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_leaves_gives_its_runs_back() {
    let node = Node::new(app(), slow()).await;
    let ada = node.someone("ada@example.com").await;
    let run = node.start(&ada).await;
    let engine = node.engine("a", &Counted::default());
    node.reaches(run.id, 5).await;
    engine.stop().await;
    let left = node.services.clock.now();
    let head = node.log(run.id).await.len();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(node.log(run.id).await.len(), head, "something is written after the engine has left");
    let other = node.beside(app(), slow()).await;
    let _engine = other.engine("b", &Counted::default());
    let row = other.finishes(run.id).await;
    assert_eq!((row.status, row.attempt), (Status::Succeeded, 2));
    assert!(row.finished_at.unwrap().since(left) < 8_000);
}

#[tokio::test(start_paused = true)]
async fn a_long_run_keeps_its_lease() {
    let node = Node::new(app(), Settings { simulated_tokens_per_s: 0.1, ..Settings::default() }).await;
    let other = node.beside(app(), slow()).await;
    let ada = node.someone("ada@example.com").await;
    let run = node.start(&ada).await;
    let engine = node.engine("a", &Counted::default());
    node.reaches(run.id, 1).await;
    let _engines = (engine, other.engine("b", &Counted::default()));
    let row = node.finishes(run.id).await;
    assert_eq!((row.status, row.attempt), (Status::Succeeded, 1));
    assert!(row.finished_at.unwrap().since(row.started_at.unwrap()) > 60_000);
}

#[tokio::test(start_paused = true)]
async fn a_run_keeps_the_version_that_it_began_with() {
    let node = Node::new(app(), slow()).await;
    let ada = node.someone("ada@example.com").await;
    let run = node.start(&ada).await;
    let engine = node.engine("n", &Counted::default());
    node.reaches(run.id, 5).await;
    drop(engine);
    let changed = node.beside(app_with("simulation.yaml", "So:", "Other:"), slow()).await;
    assert_ne!(changed.services.apps.current().version, run.version);
    let _engine = changed.engine("n", &Counted::default());
    assert_eq!(changed.finishes(run.id).await.output.as_deref(), Some("So: 3 words."));
}

#[tokio::test(start_paused = true)]
async fn a_fast_model_is_held_back_and_nothing_of_it_is_lost() {
    let words = "w ".repeat(5_000);
    let settings = Settings { simulated_tokens_per_s: 1e6, ..Settings::default() };
    let node = Node::new(app_with("simulation.yaml", "So: ", &words), settings).await;
    let ada = node.someone("ada@example.com").await;
    let run = node.start(&ada).await;
    let _engine = node.engine("n", &Counted::default());
    let row = node.finishes(run.id).await;
    assert_eq!(row.output, Some(format!("{words}3 words.")));
    let blocks = node.services.store.log_after(run.id, Offset(0), usize::MAX).await.unwrap();
    assert!(blocks.iter().all(|block| block.events.len() <= 128 << 10 || block.count == 1));
    assert!(blocks.iter().map(|block| block.count).max().unwrap() > 100, "events are gathered");
}

#[tokio::test(start_paused = true)]
async fn the_review_of_a_page_says_what_was_measured() {
    let node = Node::new(App::built_in(), Settings::default()).await;
    let ada = node.someone("ada@example.com").await;
    let page = include_str!("../../apps/kp/pages/queues.html");
    let Value::Object(inputs) = json!({"page": page, "name": "queues.html"}) else { panic!() };
    let input = Start { crew: "review".into(), inputs, ..Start::default() };
    let run = runs::start(node.context(Some(&ada)), input).await.unwrap().output;
    let _engine = node.engine("n", &Counted::default());
    let row = node.finishes(run.id).await;
    let output = row.output.unwrap_or_else(|| panic!("{:?}", row.fault));
    let figures = analyze(page, None);
    for expected in [format!("| words, sentences | {}, {} |", figures.words, figures.sentences), "Simulated".into(), "## Verdict".into()] {
        assert!(output.contains(&expected), "`{expected}` is not in:\n{output}");
    }
    let took = row.finished_at.unwrap().since(row.started_at.unwrap());
    assert!((8_000..30_000).contains(&took), "{took} ms");
    let log = node.log(run.id).await;
    let with_page = log.iter().filter(|event| format!("{event:?}").len() > page.len()).count();
    assert_eq!(with_page, 1, "the page stands in the log once");
}

#[tokio::test(start_paused = true)]
async fn a_request_to_cancel_whose_hint_was_lost_is_found_by_the_sweep() {
    let node = Node::new(app(), Settings { simulated_tokens_per_s: 0.1, ..Settings::default() }).await;
    let other = node.beside(app(), slow()).await;
    let ada = node.someone("ada@example.com").await;
    let run = node.start(&ada).await;
    let _engine = node.engine("n", &Counted::default());
    node.reaches(run.id, 3).await;
    other.cancel(&ada, run.id, CancelMode::Now).await;
    let heads = node.services.store.heads(&[run.id]).await.unwrap();
    node.services.hub.reached(run.id, heads[0].1.head, heads[0].1.complete);
    assert_eq!(node.finishes(run.id).await.status, Status::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_task_without_an_answer_fails_its_run_and_says_why() {
    let long = "x".repeat(2_000);
    for (said, code) in [("' '", FaultCode::Internal), (long.as_str(), FaultCode::TooLarge), ("'{{ tools.none.x }}'", FaultCode::Internal)]
    {
        let changed = app_with("simulation.yaml", "'So: {{ tasks.measure }}'", said);
        let node = Node::new(changed, Settings { answer_bytes: 1_024, ..slow() }).await;
        let ada = node.someone("ada@example.com").await;
        let run = node.start(&ada).await;
        let _engine = node.engine("n", &Counted::default());
        let row = node.finishes(run.id).await;
        let fault = row.fault.unwrap().0;
        assert_eq!((row.status, fault.code, fault.retry, row.output), (Status::Failed, code, Retry::Never, None));
        let log = node.log(run.id).await;
        let [.., RunEvent::TaskFailed { task, fault: task_fault, .. }, RunEvent::RunFinished { fault: told, .. }] = &log[..] else {
            panic!("{:?}", types(&log));
        };
        assert_eq!((task.as_str(), task_fault, told.as_ref()), ("task-2", &fault, Some(&fault)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_has_used_up_its_calls_must_answer() {
    let node = Node::new(app_with("crews/pair/agents.yaml", "first: {", "first: {max_iter: 1, "), slow()).await;
    let again = "      - say: 'Once more. '\n        calls: [{tool: content.analyze, input: {input: page}}]\n";
    let before = "      - say: '{{ tools";
    let mut files = node.services.apps.current().files.clone();
    let steps = files["simulation.yaml"].replace(before, &format!("{again}{before}"));
    files.insert("simulation.yaml".into(), steps);
    let node = node.beside(App::from_files(files).unwrap(), slow()).await;
    let ada = node.someone("ada@example.com").await;
    let run = node.start(&ada).await;
    let counted = Counted::default();
    let _engine = node.engine("n", &counted);
    assert_eq!(node.finishes(run.id).await.output.as_deref(), Some("So: 3 words."));
    assert_eq!(counted.get(), (3, 2), "one call with tools, one without, and the second task's");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_runs_at_once_on_a_file_all_end_once_with_their_output() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { simulated_tokens_per_s: 1e6, ..Settings::default() };
    let node = Node::on_sqlite(app(), settings, folder.path()).await;
    let ada = node.someone("ada@example.com").await;
    let mut runs = Vec::new();
    for _ in 0..64 {
        runs.push(node.start(&ada).await.id);
    }
    let counted = Counted::default();
    let engine = node.engine("n", &counted);
    for run in &runs {
        node.told_the_end(*run).await;
        let (row, log) = (node.row(*run).await, node.log(*run).await);
        assert_eq!((row.status, row.output.as_deref(), row.attempt), (Status::Succeeded, Some("So: 3 words."), 1));
        assert_eq!((log.len(), types(&log)[0], types(&log)[log.len() - 1]), (30, "run.started", "run.finished"));
    }
    engine.stop().await;
    assert_eq!(counted.get(), (3 * 64, 2 * 64));
    assert_eq!(node.services.store.select::<Lease>(&crate::store::Select::default()).await.unwrap(), []);
    node.services.store.close().await;
}
