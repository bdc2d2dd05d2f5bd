//! Events of many runs at once, from the model to the disk: how many are durable in a second. The server has both cores.

use super::{Plan, Stopwatch, runs};
use crate::{
    process::{Cores, Process},
    report::{Figure, Report},
    wire::{Error, Wire},
};

/// Events in all, about.
const EVENTS: usize = 400_000;

pub(crate) async fn run(plan: &Plan, report: &mut Report) -> Result<(), Error> {
    for (database, url) in [("SQLite", None), ("PostgreSQL", plan.postgres.as_deref())] {
        if database == "PostgreSQL" && url.is_none() {
            continue;
        }
        for at_once in [64, 256] {
            let settings = ["simulated_tokens_per_s=1000000", "subscriptions=1000", "answer_bytes=131072"];
            let server = Process::crewline(&plan.server, url, &settings, Cores::Both)?;
            let rate = measure(&server, at_once).await?;
            let figure = Figure::new(format!("durable events, {at_once} runs at once, {database}"), rate, "/s");
            report.figure(&if url.is_none() { figure.target(20_000.0) } else { figure });
        }
    }
    Ok(())
}

/// Starts the runs, waits until the last has ended, and counts their offsets.
async fn measure(server: &Process, at_once: usize) -> Result<f64, Error> {
    let token = Wire::register(&server.address).await?.access_token;
    let mut wire = Wire::open(&server.address, Some(&token)).await?;
    let stopwatch = Stopwatch::start(server)?;
    let mut message = Vec::new();
    for sub in 1..=at_once {
        let run = runs::start(&mut wire, EVENTS / at_once).await?.id;
        runs::follow(sub as u64, run, Some("run.finished"), &mut message);
    }
    wire.send(message).await?;
    let mut total = runs::Came::default();
    while total.ended < at_once {
        let mut answer = Vec::new();
        total += runs::take(&wire.receive().await?, &mut answer)?;
        if !answer.is_empty() {
            wire.send(answer).await?;
        }
    }
    Ok(total.offsets as f64 / stopwatch.stop()?.wall)
}
