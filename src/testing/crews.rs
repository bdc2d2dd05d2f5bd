//! Nodes that execute a small crew on a store in memory, for tests in simulated time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crewline_protocol::{
    event::RunEvent,
    fault::Fault,
    operations::{
        auth::Register,
        run::{Cancel, CancelMode, Inputs, Run, Start},
    },
    value::{Offset, RunId},
};
use futures::{future::BoxFuture, stream::BoxStream};
use serde_json::Value;

use super::{ADDRESS, CHEAP, START};
use crate::{
    access::{Access, Identity, SigningKey, Threads},
    apps::{App, Apps, Files},
    auth,
    clock::Clock,
    context::{Context, Services},
    control,
    engine::{
        Chunk, ContentAnalyze, Engine, EngineHandle, Model, Models, Request, Simulated, Tool, ToolContext, ToolSpec, Toolbox, events,
    },
    hub::{Hub, Mailbox},
    limits::Limits,
    lines::Lines,
    query::{Feeds, Live},
    runs::{self, RunRow},
    settings::Settings,
    store::{Location, Store, Tell},
};

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

/// The same where a part of one of its files reads otherwise.
pub(crate) fn app_with(file: &str, from: &str, to: &str) -> App {
    let mut files = app().files;
    let text = files[file].replace(from, to);
    assert_ne!(text, files[file], "`{from}` is not in {file}");
    files.insert(file.into(), text);
    App::from_files(files).unwrap()
}

/// What the crew is given.
pub(crate) fn inputs(page: &str) -> Inputs {
    [("page".to_owned(), page.into()), ("name".to_owned(), "it".into())].into_iter().collect()
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

    /// A node on a file of SQLite in this folder.
    pub(crate) async fn on_sqlite(app: App, settings: Settings, folder: &std::path::Path) -> Self {
        let hub = Hub::new(1 << 20);
        let store = Store::open(&Location::Sqlite(folder.join("test.db")), tell(&hub)).await.unwrap();
        Self::on(app, settings, Clock::system(), store, hub).await
    }

    /// Waits until the hub tells that the run's stream is complete.
    pub(crate) async fn told_the_end(&self, run: RunId) {
        let mailbox = Arc::new(Mailbox::default());
        let following = self.services.hub.follow(run, &mailbox, 1);
        let heads = self.services.store.heads(&[run]).await.unwrap();
        heads.iter().for_each(|(_, stream)| following.tail.reached(stream.head, stream.complete));
        while !following.tail.head().1 {
            mailbox.arrived().await;
            mailbox.take();
        }
    }

    /// Another node, or the same after a restart, on the same store.
    pub(crate) async fn beside(&self, app: App, settings: Settings) -> Self {
        let hub = Hub::new(1 << 20);
        let store = self.services.store.reopen_memory(tell(&hub)).unwrap();
        Self::on(app, settings, self.services.clock.clone(), store, hub).await
    }

    pub(crate) async fn on(app: App, settings: Settings, clock: Clock, store: Store, hub: Hub) -> Self {
        let key = SigningKey::from_seed([7; 32]);
        let access = Access::with_key(&key, CHEAP, Threads::None, store.clone(), clock.clone(), &settings).unwrap();
        let apps = Apps::serve(app, &store, START).await.unwrap();
        let limits = Limits::new(&settings);
        let live = Live::new(Feeds::new(&settings), store.clone());
        Self { services: Arc::new(Services { settings, clock, store, hub, live, access, apps, limits, lines: Lines::default() }) }
    }

    pub(crate) async fn someone(&self, email: &str) -> Arc<Identity> {
        let input =
            Register { email: email.into(), password: "correct horse".into(), name: "Ada".into(), workspace: None, invitation: None };
        auth::register(self.context(None), input).await.unwrap().signs_in.unwrap()
    }

    pub(crate) fn context(&self, identity: Option<&Arc<Identity>>) -> Context {
        Context { services: self.services.clone(), identity: identity.cloned(), address: ADDRESS, key: None }
    }

    pub(crate) async fn start(&self, identity: &Arc<Identity>) -> Run {
        let input = Start { crew: "pair".into(), inputs: inputs("One two three."), ..Start::default() };
        runs::start(self.context(Some(identity)), input).await.unwrap().output
    }

    pub(crate) async fn cancel(&self, identity: &Arc<Identity>, id: RunId, mode: CancelMode) -> Run {
        control::cancel(self.context(Some(identity)), Cancel { id, mode: Some(mode) }).await.unwrap().output
    }

    pub(crate) fn engine(&self, node: &str, counted: &Counted) -> EngineHandle {
        let model = Simulated { tokens_per_s: self.services.settings.simulated_tokens_per_s };
        let model = Arc::new(CountingModel { model, calls: counted.models.clone() });
        let tool = Arc::new(CountingTool { tool: ContentAnalyze, calls: counted.tools.clone() }) as Arc<dyn Tool>;
        Engine::start_with(self.services.clone(), node.into(), Models::only(model), Toolbox::of([tool]))
    }

    pub(crate) async fn row(&self, run: RunId) -> RunRow {
        self.services.store.get(run).await.unwrap().unwrap()
    }

    pub(crate) async fn log(&self, run: RunId) -> Vec<RunEvent> {
        let mut log = Vec::new();
        for block in self.services.store.log_after(run, Offset(0), usize::MAX).await.unwrap() {
            log.extend(events(&block).unwrap());
        }
        log
    }

    /// Waits until the log has this many events, or is complete.
    pub(crate) async fn reaches(&self, run: RunId, head: i64) {
        loop {
            let heads = self.services.store.heads(&[run]).await.unwrap();
            if heads.first().is_some_and(|(_, stream)| stream.complete || stream.head.0 >= head) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub(crate) async fn finishes(&self, run: RunId) -> RunRow {
        loop {
            let row = self.row(run).await;
            if row.status.is_final() {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn tell(hub: &Hub) -> Tell {
    let hub = hub.clone();
    Arc::new(move |told| hub.told(told))
}

/// How often models and tools were called.
#[derive(Default, Clone)]
pub(crate) struct Counted {
    pub(crate) models: Arc<AtomicUsize>,
    pub(crate) tools: Arc<AtomicUsize>,
}

impl Counted {
    pub(crate) fn get(&self) -> (usize, usize) {
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

pub(crate) fn types(events: &[RunEvent]) -> Vec<&'static str> {
    events.iter().map(RunEvent::type_name).collect()
}

pub(crate) fn count(events: &[RunEvent], name: &str) -> usize {
    events.iter().filter(|event| event.type_name() == name).count()
}
