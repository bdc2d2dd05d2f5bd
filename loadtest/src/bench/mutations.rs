//! Mutations in one workspace, by 64 clients with one under way each, and a read in the same way: the distance is what storing costs.
//! The server has both cores.

use crewline_protocol::{Fault, frame::ServerFrame, operations::session::Create, value::encode};
use futures::future::try_join_all;
use serde_json::json;
use tokio::time::Instant;

use super::{MEASURED, Plan};
use crate::{
    process::{Cores, Process},
    report::{Figure, Report},
    wire::{Error, Wire, fresh_key},
};

const CLIENTS: usize = 64;

pub(crate) async fn run(plan: &Plan, report: &mut Report) -> Result<(), Error> {
    for (database, url, target) in [("SQLite", None, 8_000.0), ("PostgreSQL", plan.postgres.as_deref(), 10_000.0)] {
        if database == "PostgreSQL" && url.is_none() {
            eprintln!("  no PostgreSQL: give --postgres URL, or run script/bench, which starts one");
            continue;
        }
        let server = Process::crewline(&plan.server, url, &[], Cores::Both)?;
        let token = Wire::register(&server.address).await?.access_token;
        let mut wires = Vec::new();
        for _ in 0..CLIENTS {
            wires.push(Wire::open(&server.address, Some(&token)).await?);
        }
        let create = encode(&Create { id: None, title: "A session of the load test".into(), crew: None });
        let rate = measure(&mut wires, "session.create", &create).await?;
        let what = format!("session.create, {CLIENTS} clients, one workspace, {database}");
        report.figure(&Figure::new(what, rate, "/s").target(target));
        let data = json!({ "name": "A record of the load test", "part": 1, "number": 1 });
        let create = encode(&json!({ "collection": "items", "data": data }));
        let rate = measure(&mut wires, "record.create", &create).await?;
        report.figure(&Figure::new(format!("record.create by the same clients, {database}"), rate, "/s").target(8_000.0));
        let rate = measure(&mut wires, "auth.me", &encode(&json!({}))).await?;
        report.figure(&Figure::new(format!("  auth.me by the same clients, {database}"), rate, "/s"));
    }
    Ok(())
}

async fn measure(wires: &mut [Wire], operation: &str, input: &[u8]) -> Result<f64, Error> {
    let began = Instant::now();
    let counts = try_join_all(wires.iter_mut().map(|wire| ask_until_time_is_up(wire, operation, input))).await?;
    Ok(counts.iter().sum::<u64>() as f64 / began.elapsed().as_secs_f64())
}

async fn ask_until_time_is_up(wire: &mut Wire, operation: &str, input: &[u8]) -> Result<u64, Error> {
    let (until, mut count) = (Instant::now() + MEASURED, 0);
    while Instant::now() < until {
        let mut message = Vec::new();
        let wanted = wire.request(operation, input, Some(&fresh_key()), &mut message);
        wire.send(message).await?;
        let message = wire.receive().await?;
        match ServerFrame::read(&mut &message[..])? {
            Some(ServerFrame::Reply { id, .. }) if id == wanted => count += 1,
            Some(ServerFrame::Fault { fault, .. }) => return Err(fault.decode::<Fault>()?.into()),
            _ => {}
        }
    }
    Ok(count)
}
