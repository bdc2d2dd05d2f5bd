//! Workers on real sockets: a small one in Rust executes runs while servers are killed and workers vanish.

use std::time::Duration;

use crewline_client::{CallError, Client, Watch};
use crewline_protocol::{
    RunEvent,
    event::LogLevel,
    fault::FaultCode,
    operations::{
        api_key,
        lease::{Held, HeldSince, Lease, List, Renew},
        run::{Append, Appended, Finish, Get, Outcome, Run, Start, Status},
        worker::{self, Register, Registered, ServedCrew, State},
    },
    read::Page,
    value::{Millis, Offset, RunId},
};
use futures::{StreamExt, stream};
use tokio::{sync::watch, time::timeout};

use crate::{
    people::{Seen, register},
    server::{Database, PATIENCE, Server},
};

const AT: Millis = Millis(1_700_000_000_000);

/// A worker of the crew `far`, which it brings.
struct Worker {
    client: Client,
    leases: Watch<Page<Lease>>,
}

impl Worker {
    async fn at_work(server: &Server, secret: &str, name: &str, held: Vec<Held>) -> (Self, Registered) {
        let client = server.client(secret);
        let crew = ServedCrew { name: "far".into(), version: "1".into(), description: "Far away".into(), input_schema: Default::default() };
        let register = Register { name: name.into(), crews: vec![crew], capacity: 2, labels: Vec::new(), held };
        let registered = client.call(register).await.unwrap();
        let leases = client.watch(List { mine: Some(true), ..List::default() }).await.unwrap();
        (Self { client, leases }, registered)
    }

    /// Waits until it holds this run.
    async fn holds(&mut self, run: RunId) -> Lease {
        let held = async {
            loop {
                let page = self.leases.next().await.unwrap();
                if let Some(lease) = page.items.iter().find(|lease| lease.run_id == run) {
                    return lease.clone();
                }
            }
        };
        timeout(PATIENCE, held).await.expect("the run was not assigned")
    }

    async fn append(&self, lease: &Lease, seq: i64, events: Vec<RunEvent>) -> Result<Appended, CallError> {
        self.client.call(Append { run_id: lease.run_id, lease_epoch: lease.epoch, seq, events }).await
    }

    async fn finish(&self, lease: &Lease) -> Run {
        let (run_id, lease_epoch, output) = (lease.run_id, lease.epoch, Some("done".into()));
        self.client.call(Finish { run_id, lease_epoch, status: Outcome::Succeeded, output, fault: None }).await.unwrap()
    }
}

fn word(number: usize) -> RunEvent {
    RunEvent::LogWritten { at: AT, level: LogLevel::Info, message: number.to_string(), fields: None }
}

fn words(events: &[RunEvent]) -> Vec<usize> {
    let word = |event: &RunEvent| match event {
        RunEvent::LogWritten { message, .. } => message.parse().ok(),
        _ => None,
    };
    events.iter().filter_map(word).collect()
}

async fn start(client: &Client) -> Run {
    client.call(Start { crew: "far".into(), ..Start::default() }).await.unwrap()
}

/// The whole run, as somebody sees it who comes late.
async fn seen(client: &Client, run: RunId) -> Vec<RunEvent> {
    let mut seen = Seen::default();
    let moved = watch::Sender::new(Offset(0));
    timeout(PATIENCE, seen.follow(client, run, None, &moved)).await.expect("the run has not ended");
    seen.events
}

async fn a_worker_goes_on_over_kills_of_the_server(database: Database) {
    let mut server = Server::start(database, &[]).await;
    let ada = server.client(&register(&server).await.access_token);
    let secret = server.key(&["add", "box"]).trim().to_owned();
    let (mut worker, _) = Worker::at_work(&server, &secret, "w", Vec::new()).await;
    let run = start(&ada).await;
    let lease = worker.holds(run.id).await;
    let mut next = 0;
    for _ in 0..5 {
        // Some batches are under way when the server dies: which are stored only the server knows.
        let batches: Vec<(i64, Vec<RunEvent>)> = (0..20)
            .map(|batch| (next + 1 + batch * 3, (0..3).map(|word_at| word(usize::try_from(next + batch * 3 + word_at).unwrap())).collect()))
            .collect();
        let sends = stream::iter(batches).map(|(seq, events)| worker.append(&lease, seq, events)).buffered(20);
        let sends = sends.take(10).collect::<Vec<_>>().await;
        assert!(sends.iter().all(Result::is_ok), "{sends:?}");
        server.kill();
        server.start_again();
        let held = vec![Held { run_id: run.id, lease_epoch: lease.epoch }];
        let (again, registered) = Worker::at_work(&server, &secret, "w", held).await;
        worker = again;
        let [HeldSince { run_id, lease_epoch, seq }] = registered.held[..] else { panic!("{registered:?}") };
        assert_eq!((run_id, lease_epoch), (run.id, lease.epoch));
        assert!(seq >= next + 30, "what was answered is stored: {seq} after {next}");
        next = seq;
    }
    worker.finish(&lease).await;
    let events = seen(&server.client(&log_in(&server).await), run.id).await;
    assert_eq!(words(&events), (0..usize::try_from(next).unwrap()).collect::<Vec<_>>(), "each once, in order");
}

async fn log_in(server: &Server) -> String {
    server.stranger().login("ada@example.com", "a long enough password").await.unwrap().access_token
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_goes_on_over_kills_of_the_server_on_sqlite() {
    a_worker_goes_on_over_kills_of_the_server(Database::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_goes_on_over_kills_of_the_server_on_postgres() {
    a_worker_goes_on_over_kills_of_the_server(Database::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_worker_is_gone_another_goes_on_and_the_first_stores_nothing_more() {
    let server = Server::start(Database::Sqlite, &["lease_ms=900", "sweep_ms=100"]).await;
    let ada = server.client(&register(&server).await.access_token);
    let secret = server.key(&["add", "box"]).trim().to_owned();
    let (mut gone, _) = Worker::at_work(&server, &secret, "gone", Vec::new()).await;
    let run = start(&ada).await;
    let first = gone.holds(run.id).await;
    gone.append(&first, 1, vec![word(0)]).await.unwrap();
    // It renews nothing: as if it was stopped. Another says every now and then that it is there.
    let (mut other, _) = Worker::at_work(&server, &secret, "other", Vec::new()).await;
    let alive = other.client.clone();
    let alive = tokio::spawn(async move {
        loop {
            let held: Vec<Held> = Vec::new();
            alive.call(Renew { held }).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let second = other.holds(run.id).await;
    alive.abort();
    assert_eq!((second.epoch, second.attempt, second.history_head.0 > first.history_head.0), (2, 2, true));
    let late = gone.append(&first, 2, vec![word(1)]).await.unwrap_err();
    assert!(matches!(&late, CallError::Fault(fault) if fault.code == FaultCode::LeaseLost), "{late}");
    other.append(&second, 1, vec![word(1)]).await.unwrap();
    other.finish(&second).await;
    let events = seen(&ada, run.id).await;
    assert_eq!(words(&events), [0, 1]);
    assert_eq!(ada.call(Get { id: run.id }).await.unwrap().status, Status::Succeeded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_made_listed_and_taken_back_on_the_command_line() {
    let server = Server::start(Database::Sqlite, &["sweep_ms=100"]).await;
    let ada = server.client(&register(&server).await.access_token);
    let secret = server.key(&["add", "gpu box"]);
    assert!(secret.starts_with("crk_") && secret.trim().lines().count() == 1, "the secret alone: {secret}");
    let listed = server.key(&["list"]);
    let keys = ada.call(api_key::List::default()).await.unwrap().items;
    assert!(listed.contains("gpu box") && listed.contains(&keys[0].id.to_string()) && listed.contains("good"), "{listed}");
    assert!(!listed.contains("crk_"));
    let (worker, registered) = Worker::at_work(&server, secret.trim(), "w", Vec::new()).await;
    assert_eq!((registered.worker.state, registered.worker.api_key_id), (State::Online, keys[0].id));
    assert_eq!(ada.call(worker::List::default()).await.unwrap().items[0].name, "w");
    server.key(&["revoke", &keys[0].id.to_string()]);
    let mut state = worker.client.state();
    let stopped = state.wait_for(|state| matches!(state, crewline_client::State::Stopped(_)));
    timeout(PATIENCE, stopped).await.expect("the key's connection goes on").unwrap();
    assert!(server.key(&["list"]).contains("revoked"));
}
