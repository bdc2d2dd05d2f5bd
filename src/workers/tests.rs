//! Every transition of a run that workers execute, on each database, by the calendar that the test hands in.

mod connections;

use std::{future::Future, sync::Arc};

use crewline_protocol::{
    event::{LogLevel, RunEvent, TextRole, WaitingFor},
    fault::{Fault, FaultCode, Reason},
    opening::PrincipalKind,
    operation::Role,
    operations::{
        api_key,
        approval::{Answer as Answering, Kind, Request, Verdict},
        budget::{Period, Set},
        crew::Executor,
        lease::{Held, HeldSince, Renew},
        run::{self, Appended, Budget, Cancel, Finish, Inputs, Outcome, Park, Release, Run, Start, Status, Steer},
        worker::{Drain, Register, Registered, ServedCrew, State},
    },
    value::{MicroUsd, Offset, RunId},
};
use futures::future::join_all;
use serde_json::{Value, json};

use super::{turn::hold_of, *};
use crate::{
    access::Identity,
    approvals,
    apps::{App, Apps, Files},
    auth, budgets,
    clock::Clock,
    context::{Answer, Context, Failure, Services},
    control,
    engine::events,
    hub::Hub,
    keys,
    leases::{Assignment, Lease},
    limits::Limits,
    lines::Lines,
    query::{Feeds, Live},
    runs::{self, RunRow},
    server::tell,
    sessions::MessageRow,
    settings::Settings,
    store::{
        Select, Store,
        conformance::place::{Database, Place as At},
    },
    testing::{self, ADDRESS, START, crews::types},
};

/// How long a lease holds here.
const LEASE_MS: i64 = 15_000;
/// When one has ended that was not renewed, whatever the test itself took until then.
const GONE_MS: i64 = LEASE_MS + 5_000;

/// A node at a time of its own, with a person and a worker's key in the person's workspace.
struct Floor {
    services: Arc<Services>,
    ada: Arc<Identity>,
    key: Arc<Identity>,
}

/// Each scenario on each database.
macro_rules! on_each_database {
    ($($scenario:ident,)*) => {
        mod on_memory { $(#[tokio::test] async fn $scenario() { super::Floor::open(super::Database::Memory, super::$scenario).await; })* }
        mod on_sqlite { $(#[tokio::test] async fn $scenario() { super::Floor::open(super::Database::Sqlite, super::$scenario).await; })* }
        mod on_postgres { $(#[tokio::test] async fn $scenario() { super::Floor::open(super::Database::Postgres, super::$scenario).await; })* }
    };
}

on_each_database! {
    a_worker_is_given_what_it_serves_as_far_as_it_has_room,
    a_crew_that_a_worker_brings_is_there_for_everyone_and_stays,
    a_run_that_nobody_serves_says_so_until_somebody_does,
    labels_and_draining_keep_runs_from_workers,
    what_is_appended_twice_is_stored_once_and_a_hole_is_told,
    batches_that_are_under_way_together_are_stored_in_the_order_in_which_they_came,
    what_is_the_servers_to_write_is_refused_and_nothing_of_it_stored,
    a_silent_worker_loses_its_run_and_stores_nothing_more,
    a_run_that_is_lost_too_often_fails_and_says_why,
    a_run_that_is_to_end_is_cancelled_when_its_worker_is_gone,
    the_server_prices_tokens_and_ends_what_has_used_up_its_budget,
    time_that_is_used_up_ends_a_run,
    a_parked_run_goes_on_in_the_same_attempt_when_it_is_answered,
    a_run_that_is_given_back_goes_on_in_the_same_attempt,
    who_registers_again_keeps_what_it_names_and_loses_the_rest,
    a_run_ends_as_its_worker_says_and_words_that_came_too_late_are_kept,
    a_question_is_asked_once_and_only_by_who_holds_the_run,
}

fn app() -> App {
    let mut files: Files = testing::crews::app().files;
    let texts = [
        ("crew.yaml", "title: Far\nexecutor: worker\ntasks: [t]\ninput_schema: {type: object, properties: {n: {type: integer}}}\n"),
        ("agents.yaml", "a: {role: r, goal: g, backstory: b}\n"),
        ("tasks.yaml", "t: {description: d, expected_output: e, agent: a}\n"),
    ];
    for (file, text) in texts {
        files.insert(format!("crews/far/{file}"), text.to_owned());
        files.insert(format!("crews/gpu/{file}"), text.replace("executor: worker", "executor: worker\nlabels: [gpu]"));
    }
    App::from_files(files).unwrap()
}

fn settings() -> Settings {
    let mut settings = Settings { lease_ms: LEASE_MS.unsigned_abs(), max_attempts: 3, ..Settings::default() };
    settings.set("model_prices", "gpt=1000000/2000000").unwrap();
    settings
}

impl Floor {
    async fn open<F: Future<Output = ()>>(database: Database, scenario: impl FnOnce(Self) -> F) {
        let place = At::new(database).await;
        let (hub, feeds) = (Hub::new(1 << 16), Feeds::new(&settings()));
        let store = place.open_telling(tell(&hub, &feeds)).await.unwrap();
        scenario(Self::on(store.clone(), hub, feeds).await).await;
        store.close().await;
    }

    async fn on(store: Store, hub: Hub, feeds: Feeds) -> Self {
        let node = testing::node_of(app(), settings(), Clock::simulated(1, START), store, hub, feeds).await;
        let services = node.services;
        let cx = |identity: Option<&Arc<Identity>>| Context {
            services: services.clone(),
            identity: identity.cloned(),
            address: ADDRESS,
            key: None,
        };
        let ada = auth::register(cx(None), auth::tests::ada()).await.unwrap().signs_in.unwrap();
        let made = keys::create(cx(Some(&ada)), api_key::Create { id: None, name: "box".into() }).await.unwrap().output;
        let made = keys::with_secret(&services, made);
        let key = Arc::new(services.access.verify(&made.secret, None).await.unwrap());
        Self { services, ada, key }
    }

    /// Another node on the same database, so much later.
    fn later(&self, ms: i64) -> Self {
        let Services { store, hub, access, apps, .. } = &*self.services;
        let settings = settings();
        let clock = Clock::simulated(u64::try_from(ms).unwrap() + 2, START.plus(ms));
        let live = Live::new(Feeds::new(&settings), store.clone());
        let (store, hub, access, apps): (Store, Hub, _, Apps) = (store.clone(), hub.clone(), access.clone(), apps.clone());
        let limits = Limits::new(&settings);
        let services = Arc::new(Services { settings, clock, store, hub, live, access, apps, limits, lines: Lines::default() });
        Self { services, ada: self.ada.clone(), key: self.key.clone() }
    }

    fn cx(&self, who: &Arc<Identity>) -> Context {
        Context { services: self.services.clone(), identity: Some(who.clone()), address: ADDRESS, key: None }
    }

    async fn register(&self, register: Register) -> (Arc<Identity>, Registered) {
        let Answer { output, signs_in, .. } = super::register(self.cx(&self.key), register).await.unwrap();
        (signs_in.unwrap(), output)
    }

    async fn start(&self, crew: &str) -> RunId {
        self.start_with(crew, json!({}), None).await.unwrap().id
    }

    async fn start_with(&self, crew: &str, inputs: Value, budget: Option<Budget>) -> Result<Run, Fault> {
        let Value::Object(inputs) = inputs else { panic!() };
        let start = Start { crew: crew.into(), inputs, budget, ..Start::default() };
        runs::start(self.cx(&self.ada), start).await.map(|answer| answer.output).map_err(testing::fault)
    }

    async fn round(&self) {
        round(&self.services).await.unwrap();
    }

    async fn row(&self, run: RunId) -> RunRow {
        self.services.store.get(run).await.unwrap().unwrap()
    }

    async fn log(&self, run: RunId) -> Vec<RunEvent> {
        let blocks = self.services.store.log_after(run, Offset(0), usize::MAX).await.unwrap();
        blocks.iter().flat_map(|block| events(block).unwrap()).collect()
    }

    async fn hold(&self, run: RunId) -> Option<Assignment> {
        hold_of(&self.services.store, run).await.unwrap()
    }

    async fn append(
        &self,
        worker: &Arc<Identity>,
        run_id: RunId,
        lease_epoch: i64,
        seq: i64,
        events: Vec<RunEvent>,
    ) -> Result<Appended, Fault> {
        fault_of(super::append(self.cx(worker), run::Append { run_id, lease_epoch, seq, events }).await)
    }

    async fn finish(&self, worker: &Arc<Identity>, run_id: RunId, lease_epoch: i64) -> Result<Run, Fault> {
        let finish = Finish { run_id, lease_epoch, status: Outcome::Succeeded, output: Some("done".into()), fault: None };
        fault_of(super::finish(self.cx(worker), finish).await)
    }

    /// A worker of the crew `far` with one run that it holds.
    async fn working(&self) -> (Arc<Identity>, RunId) {
        let (worker, _) = self.register(far("w", 1)).await;
        let run = self.start("far").await;
        self.round().await;
        assert_eq!(self.hold(run).await.unwrap().epoch, 1);
        (worker, run)
    }
}

fn fault_of<O>(done: Result<Answer<O>, Failure>) -> Result<O, Fault> {
    done.map(|answer| answer.output).map_err(testing::fault)
}

fn serves(name: &str) -> ServedCrew {
    ServedCrew { name: name.into(), version: "1".into(), description: String::new(), input_schema: Inputs::new() }
}

fn far(name: &str, capacity: u32) -> Register {
    Register { name: name.into(), crews: vec![serves("far")], capacity, labels: Vec::new(), held: Vec::new() }
}

fn line(text: &str) -> RunEvent {
    RunEvent::LogWritten { at: START, level: LogLevel::Info, message: text.into(), fields: None }
}

fn lines(log: &[RunEvent]) -> Vec<String> {
    let text = |event: &RunEvent| match event {
        RunEvent::LogWritten { message, .. } => Some(message.clone()),
        _ => None,
    };
    log.iter().filter_map(text).collect()
}

fn used(input_tokens: u64, output_tokens: u64) -> RunEvent {
    let cost_microusd = MicroUsd(7);
    RunEvent::UsageRecorded {
        at: START,
        task: None,
        agent: "a".into(),
        model: "openai/gpt".into(),
        input_tokens,
        output_tokens,
        cost_microusd,
    }
}

fn lost(fault: &Fault) -> bool {
    fault.code == FaultCode::LeaseLost
}

async fn a_worker_is_given_what_it_serves_as_far_as_it_has_room(floor: Floor) {
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

async fn a_crew_that_a_worker_brings_is_there_for_everyone_and_stays(floor: Floor) {
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
    let engines = super::register(floor.cx(&floor.key), Register { crews: vec![serves("pair")], ..far("x", 1) }).await;
    assert_eq!(fault_of(engines).unwrap_err().fields[0].path, "crews[0].name");
    let Value::Object(wrong) = json!({"properties": 1}) else { panic!() };
    let wrong = Register { crews: vec![ServedCrew { input_schema: wrong, ..hello }], ..far("x", 1) };
    assert_eq!(fault_of(super::register(floor.cx(&floor.key), wrong).await).unwrap_err().code, FaultCode::Invalid);
}

async fn a_run_that_nobody_serves_says_so_until_somebody_does(floor: Floor) {
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

async fn labels_and_draining_keep_runs_from_workers(floor: Floor) {
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

async fn what_is_appended_twice_is_stored_once_and_a_hole_is_told(floor: Floor) {
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

async fn batches_that_are_under_way_together_are_stored_in_the_order_in_which_they_came(floor: Floor) {
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
    let last = join_all(batches).await.into_iter().map(Result::unwrap).last().unwrap();
    assert_eq!(last.seq, seq - 1);
    assert_eq!(lines(&floor.log(run).await), all);
    assert_eq!(floor.row(run).await.usage().input_tokens, 6);
}

async fn what_is_the_servers_to_write_is_refused_and_nothing_of_it_stored(floor: Floor) {
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

async fn a_silent_worker_loses_its_run_and_stores_nothing_more(floor: Floor) {
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

async fn a_run_that_is_lost_too_often_fails_and_says_why(floor: Floor) {
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

async fn a_run_that_is_to_end_is_cancelled_when_its_worker_is_gone(floor: Floor) {
    let (worker, run) = floor.working().await;
    let asked = control::cancel(floor.cx(&floor.ada), Cancel { id: run, mode: None }).await.unwrap().output;
    assert_eq!(asked.status, Status::Running, "its worker says when it has ended");
    floor.later(GONE_MS).round().await;
    assert_eq!(floor.row(run).await.status, Status::Cancelled);
    assert!(lost(&floor.append(&worker, run, 1, 1, vec![line("1")]).await.unwrap_err()));
}

async fn the_server_prices_tokens_and_ends_what_has_used_up_its_budget(floor: Floor) {
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

async fn time_that_is_used_up_ends_a_run(floor: Floor) {
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

fn question(run_id: RunId, lease_epoch: i64) -> Request {
    Request {
        run_id,
        lease_epoch,
        task: Some("t".into()),
        call: None,
        kind: Kind::Input,
        title: "Which one?".into(),
        body: String::new(),
        tool: None,
        arguments: None,
        schema: Some(json!({"type": "string"})),
        roles: Vec::new(),
        expires_at: None,
        on_expire: None,
    }
}

async fn a_parked_run_goes_on_in_the_same_attempt_when_it_is_answered(floor: Floor) {
    let (worker, run) = floor.working().await;
    let park = async |floor: &Floor, epoch| fault_of(super::park(floor.cx(&worker), Park { run_id: run, lease_epoch: epoch }).await);
    let fault = park(&floor, 1).await.unwrap_err();
    assert_eq!((fault.code, fault.reason), (FaultCode::Conflict, Some(Reason::State)), "nothing is asked");
    floor.append(&worker, run, 1, 1, vec![line("1")]).await.unwrap();
    let asked = fault_of(super::request(floor.cx(&worker), question(run, 1)).await).unwrap();
    let parked = park(&floor, 1).await.unwrap();
    assert_eq!((parked.status, parked.waiting_for), (Status::Waiting, Some(WaitingFor::Approval)));
    assert!(floor.hold(run).await.is_none());
    assert!(lost(&floor.append(&worker, run, 1, 2, vec![line("2")]).await.unwrap_err()));
    let much_later = floor.later(1_000_000);
    super::renew(much_later.cx(&worker), Renew { held: Vec::new() }).await.unwrap();
    much_later.round().await;
    assert_eq!(much_later.row(run).await.status, Status::Waiting, "nobody is waited for but people");

    let answer =
        Answering { id: asked.id, revision: None, verdict: Verdict::Answer, arguments: None, value: Some(json!("a")), comment: None };
    approvals::answer(much_later.cx(&floor.ada), answer).await.unwrap();
    much_later.round().await;
    let hold = much_later.hold(run).await.unwrap();
    assert_eq!((hold.epoch, hold.attempt), (2, 1));
    let expected = ["run.started", "log.written", "approval.requested", "run.waiting", "approval.answered", "run.resumed"];
    let log = much_later.log(run).await;
    assert_eq!(types(&log), expected);
    assert_eq!(hold.history_head, Offset(6));
    assert!(hold.executed_ms < 5_000, "what it waits for people does not count: {}", hold.executed_ms);
    let fault = park(&much_later, 2).await.unwrap_err();
    assert_eq!(fault.reason, Some(Reason::State), "it was answered");
    assert_eq!(much_later.append(&worker, run, 2, 1, vec![line("2")]).await.unwrap().seq, 1);
}

async fn a_run_that_is_given_back_goes_on_in_the_same_attempt(floor: Floor) {
    let (worker, run) = floor.working().await;
    floor.append(&worker, run, 1, 1, vec![line("1")]).await.unwrap();
    let later = floor.later(4_000);
    let back = fault_of(super::release(later.cx(&worker), Release { run_id: run, lease_epoch: 1 }).await).unwrap();
    assert_eq!((back.status, back.attempt), (Status::Queued, 1));
    later.round().await;
    let hold = later.hold(run).await.unwrap();
    assert_eq!((hold.epoch, hold.attempt, hold.history_head), (2, 1, Offset(2)));
    assert!((3_000..9_000).contains(&hold.executed_ms), "{}", hold.executed_ms);
    assert_eq!(types(&later.log(run).await), ["run.started", "log.written"]);
}

async fn who_registers_again_keeps_what_it_names_and_loses_the_rest(floor: Floor) {
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

async fn a_run_ends_as_its_worker_says_and_words_that_came_too_late_are_kept(floor: Floor) {
    let (worker, run) = floor.working().await;
    let finish =
        |status, output: Option<&str>, fault| Finish { run_id: run, lease_epoch: 1, status, output: output.map(str::to_owned), fault };
    let fault = Fault::new(FaultCode::Internal, "the model is gone");
    let wrong = [
        finish(Outcome::Succeeded, None, None),
        finish(Outcome::Failed, None, None),
        finish(Outcome::Failed, Some("x"), Some(fault.clone())),
        finish(Outcome::Cancelled, Some("x"), None),
        finish(Outcome::Cancelled, None, None),
    ];
    for wrong in wrong {
        let refused = fault_of(super::finish(floor.cx(&worker), wrong).await).unwrap_err();
        assert!(matches!(refused.code, FaultCode::Invalid | FaultCode::Conflict), "{refused:?}");
    }
    for text in ["first", "second"] {
        control::steer(floor.cx(&floor.ada), Steer { id: run, text: text.into() }).await.unwrap();
    }
    let first = floor.log(run).await.into_iter().find_map(|event| match event {
        RunEvent::SteerReceived { steer_id, .. } => Some(steer_id),
        _ => None,
    });
    let applied = RunEvent::SteerApplied { at: START, steer_id: first.unwrap(), task: "t".into() };
    floor.append(&worker, run, 1, 1, vec![applied]).await.unwrap();
    let ended = fault_of(super::finish(floor.cx(&worker), finish(Outcome::Failed, None, Some(fault.clone()))).await).unwrap();
    assert_eq!((ended.status, ended.fault), (Status::Failed, Some(fault)));
    let messages: Vec<MessageRow> = floor.services.store.select(&Select::by("session_id", ended.session_id)).await.unwrap();
    let said: Vec<(&str, PrincipalKind)> = messages.iter().map(|message| (message.text.as_str(), message.author_kind)).collect();
    assert_eq!(said, [("second", PrincipalKind::User)], "what no agent has read");
}

async fn a_question_is_asked_once_and_only_by_who_holds_the_run(floor: Floor) {
    let (worker, run) = floor.working().await;
    let wrong = [
        Request { kind: Kind::Tool, schema: None, ..question(run, 1) },
        Request { tool: Some("t".into()), ..question(run, 1) },
        Request { schema: Some(json!({"type": 1})), ..question(run, 1) },
        Request { kind: Kind::Review, ..question(run, 1) },
    ];
    for wrong in wrong {
        assert_eq!(fault_of(super::request(floor.cx(&worker), wrong).await).unwrap_err().code, FaultCode::Invalid);
    }
    assert!(lost(&fault_of(super::request(floor.cx(&worker), question(run, 2)).await).unwrap_err()));
    assert!(lost(&fault_of(super::request(floor.cx(&floor.key), question(run, 1)).await).unwrap_err()), "nobody has registered");
    let (stranger, _) = floor.register(far("stranger", 1)).await;
    assert!(lost(&fault_of(super::request(floor.cx(&stranger), question(run, 1)).await).unwrap_err()));
    assert!(lost(&floor.append(&stranger, run, 1, 1, vec![line("x")]).await.unwrap_err()));
    let asked = fault_of(super::request(floor.cx(&worker), question(run, 1)).await).unwrap();
    assert_eq!((asked.roles, asked.run_id), (vec![Role::Member], run));
    assert_eq!(types(&floor.log(run).await), ["run.started", "approval.requested"]);
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
