use std::sync::atomic::{AtomicUsize, Ordering};

use crewline_protocol::{
    event::{RunEvent, Usage},
    fault::{Fault, FaultCode},
    operations::{
        auth::Register,
        run::{Cancel, CancelMode, Run, Start, Status},
    },
    value::{Millis, Offset, RunId},
};
use futures::{future::BoxFuture, stream::BoxStream};
use serde_json::{Value, json};

use super::*;
use crate::{
    access::{Access, Cost, Identity, SigningKey, Threads},
    apps::{App, Apps, Files},
    auth,
    clock::Clock,
    context::Context,
    hub::Hub,
    limits::Limits,
    runs::{self, RunRow},
    settings::Settings,
    store::{Location, Store},
};

const START: Millis = Millis(1_700_000_000_000);

/// A crew of two: the first measures the input and says so, the second answers in a few words.
pub(crate) fn app() -> App {
    let files = [
        ("app.yaml", "name: pair\ntitle: Pair\n"),
        (
            "crews/pair/crew.yaml",
            "title: Pair\ntasks: [measure, answer]\ntools:\n  first: [content.analyze]\ninput_schema:\n  type: object\n  properties:\n    page: {type: string}\n    name: {type: string}\n",
        ),
        (
            "crews/pair/agents.yaml",
            "first: {role: Measurer, goal: g, backstory: b}\nsecond: {role: Answerer, goal: 'about {name}', backstory: b}\n",
        ),
        (
            "crews/pair/tasks.yaml",
            "measure: {description: d, expected_output: e, agent: first}\nanswer: {description: d, expected_output: e, agent: second}\n",
        ),
        (
            "simulation.yaml",
            "price: {input_microusd: 1000000, output_microusd: 2000000}\ncrews:\n  pair:\n    measure:\n      - say: 'I look. '\n        calls: [{tool: content.analyze, input: {input: page}}, {tool: content.analyze, input: {input: nothing}}]\n      - say: '{{ tools[\"content.analyze\"].words }} words.'\n    answer:\n      - say: 'So: {{ tasks.measure }}'\n",
        ),
    ];
    let files: Files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    App::from_files(files).unwrap()
}

/// A node without its engine, on a store in memory.
pub(crate) struct Node {
    pub(crate) services: Arc<Services>,
}

impl Node {
    pub(crate) async fn new(app: App, settings: Settings) -> Self {
        let hub = Hub::new(1 << 20);
        let store = Store::open(&Location::Memory, tell(&hub)).await.unwrap();
        Self::on(app, settings, Clock::simulated(1, START), store, hub).await
    }

    /// Another node, or the same after a restart, on the same store.
    async fn beside(&self, app: App, settings: Settings) -> Self {
        let hub = Hub::new(1 << 20);
        let store = self.services.store.reopen_memory(tell(&hub)).unwrap();
        Self::on(app, settings, self.services.clock.clone(), store, hub).await
    }

    async fn on(app: App, settings: Settings, clock: Clock, store: Store, hub: Hub) -> Self {
        let key = SigningKey::from_seed([7; 32]);
        let access =
            Access::with_key(&key, Cost { memory_kib: 8, passes: 1 }, Threads::None, store.clone(), clock.clone(), &settings).unwrap();
        let apps = Apps::serve(app, &store, START).await.unwrap();
        let limits = Limits::new(&settings);
        Self { services: Arc::new(Services { settings, clock, store, hub, access, apps, limits }) }
    }

    pub(crate) async fn someone(&self, email: &str) -> Arc<Identity> {
        let input = Register { email: email.into(), password: "correct horse".into(), name: "Ada".into(), workspace: None };
        auth::register(self.context(None), input).await.unwrap().signs_in.unwrap()
    }

    pub(crate) fn context(&self, identity: Option<&Arc<Identity>>) -> Context {
        let address = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
        Context { services: self.services.clone(), identity: identity.cloned(), address, key: None }
    }

    async fn start(&self, identity: &Arc<Identity>) -> Run {
        let Value::Object(inputs) = json!({"page": "One two three.", "name": "it"}) else { panic!() };
        let input = Start { id: None, crew: "pair".into(), inputs, session_id: None };
        runs::start(self.context(Some(identity)), input).await.unwrap().output
    }

    async fn cancel(&self, identity: &Arc<Identity>, id: RunId, mode: CancelMode) -> Run {
        runs::cancel(self.context(Some(identity)), Cancel { id, mode: Some(mode) }).await.unwrap().output
    }

    fn engine(&self, node: &str, counted: &Counted) -> EngineHandle {
        let model = Simulated { tokens_per_s: self.services.settings.simulated_tokens_per_s };
        let model = Arc::new(CountingModel { model, calls: counted.models.clone() });
        let tool = Arc::new(CountingTool { tool: ContentAnalyze, calls: counted.tools.clone() }) as Arc<dyn Tool>;
        Engine::start_with(self.services.clone(), node.into(), model, Toolbox::of([tool]))
    }

    async fn row(&self, run: RunId) -> RunRow {
        self.services.store.get(run).await.unwrap().unwrap()
    }

    async fn log(&self, run: RunId) -> Vec<RunEvent> {
        let mut events = Vec::new();
        for block in self.services.store.log_after(run, Offset(0), usize::MAX).await.unwrap() {
            events.extend(read::events(&block).unwrap());
        }
        events
    }

    /// Waits until the log has this many events, or is complete.
    async fn reaches(&self, run: RunId, head: i64) {
        loop {
            let heads = self.services.store.heads(&[run]).await.unwrap();
            if heads.first().is_some_and(|(_, stream)| stream.complete || stream.head.0 >= head) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn finishes(&self, run: RunId) -> RunRow {
        self.reaches(run, i64::MAX).await;
        self.row(run).await
    }
}

fn tell(hub: &Hub) -> crate::store::Tell {
    let hub = hub.clone();
    Arc::new(move |told| hub.told(told))
}

/// How often models and tools were called.
#[derive(Default, Clone)]
struct Counted {
    models: Arc<AtomicUsize>,
    tools: Arc<AtomicUsize>,
}

impl Counted {
    fn get(&self) -> (usize, usize) {
        (self.models.load(Ordering::Relaxed), self.tools.load(Ordering::Relaxed))
    }
}

struct CountingModel {
    model: Simulated,
    calls: Arc<AtomicUsize>,
}

impl Model for CountingModel {
    fn name(&self) -> &str {
        self.model.name()
    }
    fn stream(&self, request: Request) -> BoxStream<'static, Result<Chunk, Fault>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.model.stream(request)
    }
}

struct CountingTool {
    tool: ContentAnalyze,
    calls: Arc<AtomicUsize>,
}

impl Tool for CountingTool {
    fn spec(&self) -> ToolSpec {
        self.tool.spec()
    }
    fn call(&self, cx: &ToolContext, input: Value) -> BoxFuture<'static, Result<Value, Fault>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let result = self.tool.call(cx, input);
        Box::pin(async move {
            // A moment in which the call is under way.
            tokio::time::sleep(Duration::from_millis(5)).await;
            result.await
        })
    }
}

pub(crate) fn slow() -> Settings {
    Settings { simulated_tokens_per_s: 50.0, ..Settings::default() }
}

fn types(events: &[RunEvent]) -> Vec<&'static str> {
    events.iter().map(RunEvent::type_name).collect()
}

fn count(events: &[RunEvent], name: &str) -> usize {
    events.iter().filter(|event| event.type_name() == name).count()
}

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
    let terms = |now| Terms { now, lease_ms: 1_000, max_attempts: 5 };
    let zombie = leases::assign(store, run.id, "a", terms(START)).await.unwrap().unwrap();
    assert!(leases::assign(store, run.id, "b", terms(START.plus(1_000))).await.unwrap().is_none(), "the lease still holds");
    let next = leases::assign(store, run.id, "b", terms(START.plus(1_001))).await.unwrap().unwrap();
    assert_eq!((next.lease.epoch, next.lease.attempt), (2, 2));

    let before = node.log(run.id).await;
    let (log, writer) = log::open(store.clone(), zombie.lease.clone(), zombie.run.clone());
    log.put(&before).await;
    assert!(matches!(writer.run().await, log::Written::Lost));
    let (log, writer) = log::open(store.clone(), zombie.lease.clone(), zombie.run);
    log.finish(runs::End::Cancelled, Usage::default(), START).await;
    assert!(matches!(writer.run().await, log::Written::Lost));
    let renewed = leases::renew(store, vec![zombie.lease, next.lease.clone()], START.plus(9_000)).await.unwrap();
    assert_eq!(renewed, leases::Renewed { lost: vec![run.id], held: [(run.id, START.plus(9_000))].into() });
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
    let mut files = app().files;
    files.insert("simulation.yaml".into(), files["simulation.yaml"].replace("So:", "Other:"));
    let changed = node.beside(App::from_files(files).unwrap(), slow()).await;
    assert_ne!(changed.services.apps.current().version, run.version);
    let _engine = changed.engine("n", &Counted::default());
    assert_eq!(changed.finishes(run.id).await.output.as_deref(), Some("So: 3 words."));
}

#[tokio::test(start_paused = true)]
async fn a_fast_model_is_held_back_and_nothing_of_it_is_lost() {
    let node = Node::new(app(), Settings { simulated_tokens_per_s: 1e6, answer_bytes: 128 << 10, ..Settings::default() }).await;
    let mut files = app().files;
    let words = "w ".repeat(5_000);
    files.insert("simulation.yaml".into(), files["simulation.yaml"].replace("So: ", &words));
    let node = node.beside(App::from_files(files).unwrap(), node.services.settings.clone()).await;
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
    let input = Start { id: None, crew: "review".into(), inputs, session_id: None };
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
async fn a_log_that_ends_in_a_lost_hint_is_still_heard() {
    // A cancel that another node wrote, whose hint was lost, is found by the sweep.
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
