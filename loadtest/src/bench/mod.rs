//! What is measured, one file a question.

mod crowd;
mod durable;
mod fan_out;
mod idle;
mod live;
mod mutations;
mod records;
mod round_trips;
mod runs;

use std::{future::Future, path::PathBuf, pin::Pin, time::Duration};

use tokio::time::Instant;

use crate::{process::Process, report::Report, wire::Error};

/// How long each measurement takes that has no end of its own.
const MEASURED: Duration = Duration::from_secs(4);

/// What is measured on.
pub(crate) struct Plan {
    /// The server's binary.
    pub(crate) server: PathBuf,
    /// A PostgreSQL database.
    pub(crate) postgres: Option<String>,
}

type Run = for<'a> fn(&'a Plan, &'a mut Report) -> Pin<Box<dyn Future<Output = Result<(), Error>> + 'a>>;

const ALL: &[(&str, Run)] = &[
    ("round-trips", |plan, report| Box::pin(round_trips::run(plan, report))),
    ("fan-out", |plan, report| Box::pin(fan_out::run(plan, report))),
    ("durable", |plan, report| Box::pin(durable::run(plan, report))),
    ("mutations", |plan, report| Box::pin(mutations::run(plan, report))),
    ("live", |plan, report| Box::pin(live::run(plan, report))),
    ("records", |plan, report| Box::pin(records::run(plan, report))),
    ("crowd", |plan, report| Box::pin(crowd::run(plan, report))),
    ("idle", |plan, report| Box::pin(idle::run(plan, report))),
];

/// The benchmarks with these names; without names, all.
pub(crate) fn wanted(names: &[String]) -> Result<Vec<(&'static str, Run)>, Error> {
    let known = |name: &String| ALL.iter().any(|(known, _)| known == name);
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        let all: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
        return Err(format!("there is no benchmark `{unknown}`; there are {}", all.join(", ")).into());
    }
    Ok(ALL.iter().filter(|(name, _)| names.is_empty() || names.iter().any(|wanted| wanted == name)).copied().collect())
}

/// The value that so many of a hundred are at or below; `sorted` rises.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

/// The time that something took: by the clock, and of the server's processor.
struct Took {
    wall: f64,
    processor: f64,
}

/// A stopwatch on a server.
struct Stopwatch<'a> {
    server: &'a Process,
    began: Instant,
    processor: f64,
}

impl<'a> Stopwatch<'a> {
    fn start(server: &'a Process) -> Result<Self, Error> {
        Ok(Self { server, began: Instant::now(), processor: server.processor_seconds()? })
    }
    fn stop(self) -> Result<Took, Error> {
        Ok(Took { wall: self.began.elapsed().as_secs_f64(), processor: self.server.processor_seconds()? - self.processor })
    }
}
