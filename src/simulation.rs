//! Log and connection under a simulated network: drops, partitions, crashes of the server and lost hints, by seed. Every reader
//! applies every event once, in order, and a seed repeats exactly.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use crewline_protocol::{
    event::{RunEvent, TextRole, Usage},
    follow::EndedWhy,
    frame::ClientFrame,
    operations::run::{Start, Status},
    value::{MutationKey, RunId},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::json;
use turmoil::net::{TcpListener, TcpStream};

use crate::{
    clock::Clock,
    connection,
    context::{Context, RequestKey},
    hub::Hub,
    query::Feeds,
    runs,
    settings::Settings,
    store::{Commit, Location, Store},
    sweep::sweep_forever,
    testing::{self, Heard, Peer, START, Welcomed},
};

const READERS: usize = 3;
const DELTAS: usize = 60;
const PATIENCE: Duration = Duration::from_secs(3);

/// What a reader did: the offset after each frame that it applied, and the text that came of it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Reading {
    applied: Vec<i64>,
    text: String,
    connections: usize,
    complete: bool,
}

impl Reading {
    fn apply(&mut self, position: i64, events: Vec<RunEvent>) {
        for event in events {
            if let RunEvent::TextDelta { text, .. } = event {
                self.text += &text;
            }
        }
        self.applied.push(position);
    }
}

/// Everything that outlives a crash of the server.
#[derive(Clone)]
struct World {
    store: Store,
    /// The hub of the server that is up.
    hub: Arc<Mutex<Option<Hub>>>,
    run: RunId,
    token: String,
}

fn settings() -> Settings {
    Settings { heartbeat_ms: 1_000, tail_bytes: 2_048, ..Settings::default() }
}

/// A store with a run in it; a fifth of its hints are lost.
fn world(seed: u64) -> World {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let hub = Arc::new(Mutex::new(None::<Hub>));
        let (told_hub, dice) = (hub.clone(), Mutex::new(StdRng::seed_from_u64(seed)));
        let tell = move |told| {
            let lost = dice.lock().unwrap().random_bool(0.2);
            if let Some(hub) = told_hub.lock().unwrap().as_ref().filter(|_| !lost) {
                hub.told(told);
            }
        };
        let store = Store::open(&Location::Memory, Arc::new(tell)).await.unwrap();
        let node = testing::node(settings(), Clock::simulated(seed, START), store.clone(), Hub::new(0), Feeds::new(&settings())).await;
        let person = testing::register(&node, "ada@example.com").await;
        let token = person.access_token;
        let identity = Arc::new(node.services.access.verify(&token, None).await.unwrap());
        let key = RequestKey {
            principal: identity.principal.id.clone(),
            key: node.services.clock.id(MutationKey::new),
            operation: "run.start",
            digest: [0; 32],
        };
        let (services, address) = (node.services.clone(), testing::ADDRESS);
        let cx = Context { services, identity: Some(identity), address, key: Some(Arc::new(key)) };
        let inputs = json!({ "page": "A page.", "name": "page.txt" }).as_object().unwrap().clone();
        let start = Start { crew: "review".into(), inputs, ..Start::default() };
        let run = runs::start(cx, start).await.unwrap().output.id;
        World { store, hub, run, token }
    })
}

async fn serve(world: World) -> turmoil::Result {
    let hub = Hub::new(usize::try_from(settings().tail_bytes).unwrap());
    *world.hub.lock().unwrap() = Some(hub.clone());
    let node = testing::node(settings(), Clock::simulated(2, START), world.store, hub, Feeds::new(&settings())).await;
    tokio::spawn(sweep_forever(node.services.clone()));
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    loop {
        let (stream, peer) = listener.accept().await?;
        tokio::spawn(connection::serve(stream, Vec::new(), peer.ip(), node.clone(), Welcomed));
    }
}

/// Writes the run's log, as an executor does, in appends of one to three events.
async fn write(world: World, mut dice: StdRng) -> turmoil::Result {
    let part = || "p".to_owned();
    let begin = RunEvent::TextStarted { at: START, part: part(), task: "t".into(), agent: "a".into(), role: TextRole::Answer };
    let deltas = (0..DELTAS).map(|n| RunEvent::TextDelta { at: START, part: part(), text: format!("{n} ") });
    let end = RunEvent::RunFinished { at: START, status: Status::Succeeded, output: None, fault: None, usage: Usage::default() };
    let mut events: Vec<RunEvent> = std::iter::once(begin).chain(deltas).chain([end]).rev().collect();
    while !events.is_empty() {
        let some: Vec<RunEvent> = (0..dice.random_range(1..=3)).filter_map(|_| events.pop()).collect();
        world.store.commit(Commit::default().append(world.run, &some)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(dice.random_range(0..200))).await;
    }
    Ok(())
}

/// Follows the run until it is complete, connecting again whenever something is in the way.
async fn read(world: World, reading: Arc<Mutex<Reading>>, mut dice: StdRng) -> turmoil::Result {
    while !reading.lock().unwrap().complete {
        reading.lock().unwrap().connections += 1;
        let _ = tokio::time::timeout(Duration::from_secs(20), follow(&world, &reading, &mut dice)).await;
        tokio::time::sleep(Duration::from_millis(dice.random_range(0..500))).await;
    }
    Ok(())
}

async fn follow(world: &World, reading: &Mutex<Reading>, dice: &mut StdRng) -> Option<()> {
    let stream = tokio::time::timeout(PATIENCE, TcpStream::connect("server:80")).await.ok()?.ok()?;
    let mut peer = Peer::new(stream).await;
    let hello = testing::hello(Some(&world.token));
    peer.say(&[ClientFrame::Hello(crewline_protocol::frame::Body::own(&hello))]).await;
    let mut position = reading.lock().unwrap().applied.last().copied().unwrap_or(0);
    peer.follow(1, world.run, json!({ "from": position, "credit": dice.random_range(1..400) })).await;
    loop {
        match tokio::time::timeout(PATIENCE, peer.hear()).await.ok()? {
            Heard::Events { offset, span, events, bytes, .. } => {
                assert_eq!(offset.0 - span, position, "a frame begins where the one before ended");
                position = offset.0;
                reading.lock().unwrap().apply(position, events);
                if dice.random_bool(0.02) {
                    return None;
                }
                peer.say(&[ClientFrame::Credit { sub: 1, bytes: i64::try_from(bytes).unwrap() }]).await;
            }
            Heard::Ended(_, offset, ended) if ended.why == EndedWhy::Complete => {
                assert_eq!(offset.0, position);
                reading.lock().unwrap().complete = true;
                return Some(());
            }
            Heard::Ended(..) | Heard::Closed(_) | Heard::Fault(..) => return None,
            Heard::Ping => peer.say(&[ClientFrame::Pong(crewline_protocol::frame::Body::own(&[0]))]).await,
            _ => {}
        }
    }
}

/// What every reader did under this seed.
fn simulate(seed: u64) -> Vec<Reading> {
    let world = world(seed);
    let mut dice = StdRng::seed_from_u64(seed);
    let mut fork = || StdRng::seed_from_u64(dice.random());
    let mut sim = turmoil::Builder::new()
        .rng_seed(seed)
        .fail_rate(0.005)
        .repair_rate(0.5)
        .max_message_latency(Duration::from_millis(80))
        .tick_duration(Duration::from_millis(10))
        .simulation_duration(Duration::from_secs(600))
        .build();
    let server = world.clone();
    sim.host("server", move || serve(server.clone()));
    sim.client("writer", write(world.clone(), fork()));
    let readings: Vec<Arc<Mutex<Reading>>> = (0..READERS).map(|_| Arc::default()).collect();
    for (n, reading) in readings.iter().enumerate() {
        sim.client(format!("reader-{n}"), read(world.clone(), reading.clone(), fork()));
    }
    let mut weather = fork();
    let (mut down, mut cut) = (false, None);
    loop {
        if sim.step().unwrap_or_else(|error| panic!("seed {seed}: {error}")) {
            break;
        }
        if weather.random_bool(if down { 0.04 } else { 0.003 }) {
            if down {
                sim.bounce("server");
            } else {
                sim.crash("server");
            }
            down = !down;
        }
        if weather.random_bool(0.006) {
            match cut.take() {
                Some(reader) => sim.repair(reader, "server"),
                None => {
                    let reader = format!("reader-{}", weather.random_range(0..READERS));
                    sim.partition(reader.as_str(), "server");
                    cut = Some(reader);
                }
            }
        }
    }
    readings.iter().map(|reading| reading.lock().unwrap().clone()).collect()
}

/// 200 seeds in the short form; `CREWLINE_TEST_LONG` takes 5,000.
fn seeds() -> u64 {
    if std::env::var_os("CREWLINE_TEST_LONG").is_some() { 5_000 } else { 200 }
}

#[test]
fn every_reader_applies_every_event_once_and_in_order_under_every_seed() {
    let text: String = (0..DELTAS).map(|n| format!("{n} ")).collect();
    // Simulations share nothing, so that each core takes seeds of its own.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let connections: usize = std::thread::scope(|scope| {
        let text = &text;
        let share = move |first: usize| {
            let mut connections = 0;
            for seed in (first as u64..seeds()).step_by(cores) {
                for reading in simulate(seed) {
                    assert_eq!(reading.text, *text, "seed {seed}");
                    assert!(reading.applied.is_sorted_by(|a, b| a < b), "seed {seed}");
                    connections += reading.connections;
                }
            }
            connections
        };
        let shares: Vec<_> = (0..cores).map(|first| scope.spawn(move || share(first))).collect();
        shares.into_iter().map(|share| share.join().unwrap()).sum()
    });
    let undisturbed = usize::try_from(seeds()).unwrap() * READERS;
    assert!(connections > undisturbed, "nothing went wrong in {connections} connections: the weather is too fair to show anything");
}

#[test]
fn a_seed_repeats_exactly() {
    assert_eq!(simulate(7), simulate(7));
}
