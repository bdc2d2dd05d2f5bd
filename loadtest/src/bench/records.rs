//! Reads of one collection of many records: a list of 50 by a declared index, and the resuming of a followed list that has not
//! changed. The server has both cores.

use crewline_protocol::{
    Fault,
    follow::{self, Ended, Input, SubscribeOptions, SubscribedQuery, Target},
    frame::{Body, ClientFrame, ServerFrame},
    operations::record::{Batch, Create, List, Write},
    value::{Revision, encode},
};
use serde_json::json;
use tokio::time::Instant;

use super::{Plan, percentile};
use crate::{
    process::{Cores, Process},
    report::{Figure, Report},
    wire::{Error, Wire},
};

const RECORDS: usize = 1_000_000;
/// Records in one batch.
const BATCH: usize = 100;
/// Parts that the records are in.
pub(super) const PARTS: usize = 180;
const READS: usize = 500;

pub(crate) async fn run(plan: &Plan, report: &mut Report) -> Result<(), Error> {
    for (database, url) in [("SQLite", None), ("PostgreSQL", plan.postgres.as_deref())] {
        if database == "PostgreSQL" && url.is_none() {
            continue;
        }
        let server = Process::crewline(&plan.server, url, &[], Cores::Both)?;
        let token = Wire::register(&server.address).await?.access_token;
        let mut wire = Wire::open(&server.address, Some(&token)).await?;
        let began = Instant::now();
        fill(&mut wire, RECORDS).await?;
        let rate = RECORDS as f64 / began.elapsed().as_secs_f64();
        report.figure(&Figure::new(format!("records made in batches of {BATCH}, one client, {database}"), rate, "/s"));
        for (what, input) in [
            ("newest 50 of all", json!({ "collection": "items", "sort": [{ "field": "number", "descending": true }] })),
            (
                "newest 50 of a part",
                json!({ "collection": "items", "filter": { "field": "part", "eq": 7 }, "sort": [{ "field": "number", "descending": true }] }),
            ),
            ("first 50 by id", json!({ "collection": "items" })),
        ] {
            let input: List = serde_json::from_value(input)?;
            let mut took = Vec::new();
            for _ in 0..READS {
                let began = Instant::now();
                let page = wire.call(&input).await?;
                took.push(began.elapsed().as_secs_f64() * 1_000.0);
                if page.items.len() != 50 {
                    return Err(format!("{what}: {} rows came", page.items.len()).into());
                }
            }
            took.sort_by(f64::total_cmp);
            report.figure(&Figure::new(format!("  {what} among {RECORDS}: p50"), percentile(&took, 50), "ms"));
            report.figure(&Figure::new("    p99", percentile(&took, 99), "ms").target(5.0));
        }
        let mut took = resume(&server, &token).await?;
        took.sort_by(f64::total_cmp);
        report.figure(&Figure::new("  a followed list resumed that has not changed: p50", percentile(&took, 50), "ms"));
        report.figure(&Figure::new("    p99", percentile(&took, 99), "ms").target(1.0));
    }
    Ok(())
}

/// Makes records, numbered from 0.
pub(super) async fn fill(wire: &mut Wire, records: usize) -> Result<(), Error> {
    let mut number = 0;
    while number < records {
        let batch = (number..records.min(number + BATCH)).map(|number| {
            let data = json!({ "name": format!("record {number}"), "part": number % PARTS, "number": number });
            let data = data.as_object().cloned().unwrap_or_default();
            Write::Create(Create { id: None, collection: "items".into(), data })
        });
        let operations: Vec<Write> = batch.collect();
        number += operations.len();
        wire.call(&Batch { operations, atomic: None }).await?;
    }
    Ok(())
}

/// How long it takes to be told that nothing changed, in milliseconds.
async fn resume(server: &Process, token: &str) -> Result<Vec<f64>, Error> {
    let mut wire = Wire::open(&server.address, Some(token)).await?;
    let input = json!({ "collection": "items", "sort": [{ "field": "number", "descending": true }] });
    let mut from = None;
    let mut took = Vec::new();
    for sub in 1..=READS as u64 {
        let query = follow::Query { op: "record.list".into(), input: Input::of(&input) };
        let target = encode(&Target::Query { query });
        let options = encode(&SubscribeOptions { from, credit: Some(16 << 20) });
        let mut message = Vec::new();
        ClientFrame::Subscribe { sub, target: Body::own(&target), options: Some(Body::own(&options)) }.write(&mut message);
        let began = Instant::now();
        wire.send(message).await?;
        let (subscribed, revision) = answer(&mut wire).await?;
        if from.is_some() {
            took.push(began.elapsed().as_secs_f64() * 1_000.0);
            if subscribed.snapshot {
                return Err("a list that has not changed came as a snapshot".into());
            }
        }
        from = Some(revision.0);
        let mut message = Vec::new();
        ClientFrame::Unsubscribe { sub }.write(&mut message);
        wire.send(message).await?;
    }
    Ok(took)
}

/// How a subscription began, and the revision that its answer is of.
async fn answer(wire: &mut Wire) -> Result<(SubscribedQuery, Revision), Error> {
    let mut begun: Option<SubscribedQuery> = None;
    loop {
        let message = wire.receive().await?;
        let mut rest = &message[..];
        while !rest.is_empty() {
            match ServerFrame::read(&mut rest)? {
                Some(ServerFrame::Subscribed { body, .. }) => {
                    let subscribed: SubscribedQuery = body.decode()?;
                    if !subscribed.snapshot {
                        return Ok((subscribed, subscribed.revision));
                    }
                    begun = Some(subscribed);
                }
                Some(ServerFrame::Snapshot { offset, .. }) => {
                    if let Some(begun) = begun {
                        return Ok((begun, Revision(offset)));
                    }
                }
                Some(ServerFrame::Ended { body, .. }) => return Err(format!("a query ended: {:?}", body.decode::<Ended>()?).into()),
                Some(ServerFrame::Fault { fault, .. }) => return Err(fault.decode::<Fault>()?.into()),
                _ => {}
            }
        }
    }
}
