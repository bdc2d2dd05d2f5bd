//! Every transition of a run that workers execute, on each database, by the calendar that the test hands in.

mod connections;
mod ended;
mod given;
mod losing;
mod written;

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use crewline_protocol::{
    event::{LogLevel, RunEvent, TextRole, WaitingFor},
    fault::{Fault, FaultCode, Reason},
    opening::PrincipalKind,
    operation::Role,
    operations::{
        api_key,
        approval::{Answer as Answering, Kind, Request, Verdict},
        artifact::{self, ARTIFACT_BYTES},
        budget::{Period, Set},
        crew::{self, Executor},
        lease::{Held, HeldSince, Renew},
        run::{self, Appended, Budget, Cancel, Finish, Inputs, Outcome, Park, Release, Run, Start, Status, Steer},
        worker::{Drain, Register, Registered, ServedCrew, State},
    },
    value::{ArtifactId, MicroUsd, Offset, RunId},
};
use futures::future::join_all;
use serde_json::{Value, json};

use super::{turn::hold_of, *};
use crate::{
    access::Identity,
    approvals,
    apps::{App, Apps, Files},
    artifacts, auth, budgets,
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
    ($($group:ident::$scenario:ident,)*) => {
        mod on_memory { $(#[tokio::test] async fn $scenario() { super::Floor::open(super::Database::Memory, super::$group::$scenario).await; })* }
        mod on_sqlite { $(#[tokio::test] async fn $scenario() { super::Floor::open(super::Database::Sqlite, super::$group::$scenario).await; })* }
        mod on_postgres { $(#[tokio::test] async fn $scenario() { super::Floor::open(super::Database::Postgres, super::$group::$scenario).await; })* }
    };
}

on_each_database! {
    given::a_worker_is_given_what_it_serves_as_far_as_it_has_room,
    given::a_crew_that_a_worker_brings_is_there_for_everyone_and_stays,
    given::a_run_that_nobody_serves_says_so_until_somebody_does,
    given::labels_and_draining_keep_runs_from_workers,
    written::what_is_appended_twice_is_stored_once_and_a_hole_is_told,
    written::batches_that_are_under_way_together_are_stored_in_the_order_in_which_they_came,
    written::a_run_makes_files_while_its_worker_holds_it,
    written::what_is_the_servers_to_write_is_refused_and_nothing_of_it_stored,
    losing::a_silent_worker_loses_its_run_and_stores_nothing_more,
    losing::a_run_that_is_lost_too_often_fails_and_says_why,
    losing::a_run_that_is_to_end_is_cancelled_when_its_worker_is_gone,
    written::the_server_prices_tokens_and_ends_what_has_used_up_its_budget,
    written::time_that_is_used_up_ends_a_run,
    ended::a_parked_run_goes_on_in_the_same_attempt_when_it_is_answered,
    ended::a_run_that_is_given_back_goes_on_in_the_same_attempt,
    losing::who_registers_again_keeps_what_it_names_and_loses_the_rest,
    ended::a_run_ends_as_its_worker_says_and_words_that_came_too_late_are_kept,
    ended::a_question_is_asked_once_and_only_by_who_holds_the_run,
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
