//! Live queries: a thousand subscriptions of which two hundred differ, while a hundred records a second are written; and a thousand
//! that are all the same, beside one. The server has both cores.

use std::{cell::RefCell, rc::Rc, time::Duration};

use crewline_protocol::{
    Fault,
    follow::{self, Ended, Input, SubscribeOptions, Target},
    frame::{Body, ClientFrame, ServerFrame},
    live::LiveChange,
    operations::record::{Create, Record},
    value::{decode, encode},
};
use futures::future::try_join_all;
use serde_json::{Value, json};
use tokio::time::{Instant, interval};

use super::{Plan, Stopwatch, percentile};
use crate::{
    process::{Cores, Process},
    report::{Figure, Report},
    wire::{Error, Wire},
};

const SUBSCRIPTIONS: usize = 1_000;
/// How many of them differ.
const DISTINCT: usize = 200;
/// Of these so many follow the newest of all records, sorted and cut in ways of their own; the others one part each.
const OF_ALL: usize = 20;
const CONNECTIONS: usize = 100;
const WRITES_A_SECOND: u64 = 100;
const WRITES: usize = 1_000;
/// Records that are there before.
const RECORDS: usize = 2_000;

pub(crate) async fn run(plan: &Plan, report: &mut Report) -> Result<(), Error> {
    for (database, url) in [("SQLite", None), ("PostgreSQL", plan.postgres.as_deref())] {
        if database == "PostgreSQL" && url.is_none() {
            continue;
        }
        let server = Process::crewline(&plan.server, url, &[], Cores::Both)?;
        let distinct = measure(&server, |number| query(number % DISTINCT)).await?;
        let what = format!("{SUBSCRIPTIONS} subscriptions, {DISTINCT} distinct, {WRITES_A_SECOND} writes/s, {database}: p50 to frame");
        report.figure(&Figure::new(what, distinct.latency_ms(50), "ms"));
        report.figure(&Figure::new("  p99 from commit to frame", distinct.latency_ms(99), "ms").target(60.0));
        report.figure(&Figure::new("  of two cores", distinct.processor_percent / 2.0, "%").target(60.0));
        report.figure(&Figure::new("  frames with changes", distinct.frames, "/s"));
        let one = measure_some(&server, 1, |_| query(0)).await?;
        let same = measure(&server, |_| query(0)).await?;
        let what = format!("{SUBSCRIPTIONS} identical subscriptions, {database}: p99 from commit to frame");
        report.figure(&Figure::new(what, same.latency_ms(99), "ms").target(60.0));
        report.figure(&Figure::new("  of two cores", same.processor_percent / 2.0, "%"));
        report.figure(&Figure::new("  of two cores with one such subscription", one.processor_percent / 2.0, "%"));
    }
    Ok(())
}

struct Measured {
    latencies: Vec<f64>,
    processor_percent: f64,
    frames: f64,
}

impl Measured {
    fn latency_ms(&self, percent: usize) -> f64 {
        percentile(&self.latencies, percent)
    }
}

/// The input of one of the distinct queries.
fn query(number: usize) -> Value {
    match number.checked_sub(OF_ALL) {
        None => json!({ "collection": "items", "sort": [{ "field": "number", "descending": true }], "limit": 30 + number }),
        Some(part) => json!({
            "collection": "items",
            "filter": { "field": "part", "eq": part },
            "sort": [{ "field": "number", "descending": true }],
        }),
    }
}

async fn measure(server: &Process, query: impl Fn(usize) -> Value) -> Result<Measured, Error> {
    measure_some(server, SUBSCRIPTIONS, query).await
}

async fn measure_some(server: &Process, subscriptions: usize, query: impl Fn(usize) -> Value) -> Result<Measured, Error> {
    let token = Wire::register(&server.address).await?.access_token;
    let mut writer = Wire::open(&server.address, Some(&token)).await?;
    super::records::fill(&mut writer, RECORDS).await?;
    let connections = CONNECTIONS.min(subscriptions);
    let mut wires = Vec::new();
    for connection in 0..connections {
        let mut wire = Wire::open(&server.address, Some(&token)).await?;
        let mut message = Vec::new();
        let subs: Vec<usize> = (connection..subscriptions).step_by(connections).collect();
        for (sub, number) in (1..).zip(&subs) {
            let query = follow::Query { op: "record.list".into(), input: Input::of(&query(*number)) };
            let (target, options) = (encode(&Target::Query { query }), encode(&SubscribeOptions { from: None, credit: Some(16 << 20) }));
            ClientFrame::Subscribe { sub, target: Body::own(&target), options: Some(Body::own(&options)) }.write(&mut message);
        }
        wire.send(message).await?;
        let mut snapshots = 0;
        while snapshots < subs.len() {
            let mut answer = Vec::new();
            snapshots += take(&wire.receive().await?, &mut answer)?.snapshots;
            wire.send(answer).await?;
        }
        wires.push(wire);
    }
    // When each write was answered: before that nobody can know that it is durable.
    let answered: Rc<RefCell<Vec<Option<Instant>>>> = Rc::new(RefCell::new(vec![None; WRITES]));
    let arrived: Rc<RefCell<Vec<(usize, Instant)>>> = Rc::default();
    let stopwatch = Stopwatch::start(server)?;
    let frames = {
        let listening = try_join_all(wires.iter_mut().map(|wire| listen(wire, arrived.clone())));
        let writing = write(&mut writer, answered.clone());
        tokio::select! {
            frames = listening => return Err(format!("a follower ended early: {frames:?}").into()),
            written = writing => written?,
        }
        arrived.borrow().len()
    };
    let took = stopwatch.stop()?;
    let answered = answered.borrow();
    let latency = |(number, at): &(usize, Instant)| Some(at.saturating_duration_since((*answered.get(*number)?)?).as_secs_f64() * 1_000.0);
    let mut latencies: Vec<f64> = arrived.borrow().iter().filter_map(latency).collect();
    latencies.sort_by(f64::total_cmp);
    Ok(Measured { latencies, processor_percent: took.processor / took.wall * 100.0, frames: frames as f64 / took.wall })
}

/// Writes records at their pace, several at once where one is slow, and then gives the last of them time to arrive.
async fn write(wire: &mut Wire, answered: Rc<RefCell<Vec<Option<Instant>>>>) -> Result<(), Error> {
    let mut pace = interval(Duration::from_millis(1_000 / WRITES_A_SECOND));
    for number in 0..WRITES {
        pace.tick().await;
        let part = (number * 7_919) % (DISTINCT - OF_ALL);
        let data = json!({ "name": "written", "part": part, "number": RECORDS + number });
        let Value::Object(data) = data else { continue };
        let _: Record = wire.call(&Create { id: None, collection: "items".into(), data }).await?;
        answered.borrow_mut()[number] = Some(Instant::now());
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    Ok(())
}

async fn listen(wire: &mut Wire, arrived: Rc<RefCell<Vec<(usize, Instant)>>>) -> Result<(), Error> {
    loop {
        let message = wire.receive().await?;
        let mut answer = Vec::new();
        let came = take(&message, &mut answer)?;
        let now = Instant::now();
        arrived.borrow_mut().extend(came.numbers.into_iter().map(|number| (number, now)));
        if !answer.is_empty() {
            wire.send(answer).await?;
        }
    }
}

#[derive(Default)]
struct Came {
    snapshots: usize,
    /// The numbers of written records that came as changes.
    numbers: Vec<usize>,
}

/// Reads what one message brought, and appends the credit for it.
fn take(message: &[u8], answer: &mut Vec<u8>) -> Result<Came, Error> {
    let (mut rest, mut came) = (message, Came::default());
    while !rest.is_empty() {
        let before = rest.len();
        let frame = ServerFrame::read(&mut rest)?;
        let bytes = i64::try_from(before - rest.len())?;
        let sub = match frame {
            Some(ServerFrame::Snapshot { sub, .. }) => {
                came.snapshots += 1;
                sub
            }
            Some(ServerFrame::Events { sub, events, .. }) => {
                for change in decode::<Vec<LiveChange<Record>>>(events.bytes())? {
                    let number = match &change {
                        LiveChange::Put { put, .. } => put.data.get("number").and_then(Value::as_u64),
                        _ => None,
                    };
                    came.numbers.extend(number.and_then(|number| usize::try_from(number).ok()?.checked_sub(RECORDS)));
                }
                sub
            }
            Some(ServerFrame::Ended { body, .. }) => return Err(format!("a query ended: {:?}", body.decode::<Ended>()?).into()),
            Some(ServerFrame::Fault { fault, .. }) => return Err(fault.decode::<Fault>()?.into()),
            Some(ServerFrame::Ping(nonce)) => {
                ClientFrame::Pong(nonce).write(answer);
                continue;
            }
            _ => continue,
        };
        ClientFrame::Credit { sub: 0, bytes }.write(answer);
        ClientFrame::Credit { sub, bytes }.write(answer);
    }
    Ok(came)
}
