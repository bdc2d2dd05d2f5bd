//! A thousand runs at once, each as fast as a model speaks: what they take, and whether connections feel it.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crewline_protocol::frame::{ClientFrame, ServerFrame};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{Plan, Stopwatch, runs};
use crate::{
    process::{Cores, Process},
    report::{Figure, Report},
    wire::{Error, Wire},
};

const RUNS: usize = 1_000;
/// Words a second of each: what a model says.
const PACE: usize = 20;
/// How long each talks: longer than all that is measured.
const WORDS: usize = 90 * PACE;
/// Runs that one connection follows: a few people, each with all of their runs in view.
const FOLLOWED: usize = 250;
const HEARTBEAT: Duration = Duration::from_secs(2);
/// Connections whose heartbeats are listened to.
const HEARTS: usize = 50;
/// Followers have caught up when no more comes in this time than is said in it.
const SETTLED: Duration = Duration::from_secs(4);
const MEASURED: Duration = Duration::from_secs(20);

pub(crate) async fn run(plan: &Plan, report: &mut Report) -> Result<(), Error> {
    let settings = [format!("simulated_tokens_per_s={PACE}"), format!("heartbeat_ms={}", HEARTBEAT.as_millis())];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let server = Process::crewline(&plan.server, None, &settings, Cores::Both)?;
    let token = Wire::register(&server.address).await?.access_token;
    let mut crowd = Crowd { address: server.address.clone(), token, runs: 0, heard: Arc::default(), followers: JoinSet::new() };
    // The first half makes the caches and the allocator grow to what a crowd takes: what a run costs is what one more costs, at an age at
    // which the first half was measured. A run that talks on grows by the answer that it keeps.
    crowd.grow(RUNS / 2).await?;
    let half = server.resident_bytes()?;
    crowd.grow(RUNS / 2).await?;
    let each = (server.resident_bytes()? - half) / (RUNS / 2) as f64;

    let mut hearts = Vec::with_capacity(HEARTS);
    for _ in 0..HEARTS {
        hearts.push(latest_heartbeat(crowd.connect().await?));
    }
    let talk = async {
        let (stopwatch, before) = (Stopwatch::start(&server)?, crowd.heard());
        sleep(MEASURED).await;
        Ok::<_, Error>((crowd.heard() - before, stopwatch.stop()?))
    };
    let (talked, beats) = tokio::join!(talk, futures::future::join_all(hearts));
    let (offsets, took) = talked?;
    let whole = server.resident_bytes()?;
    let late = beats.into_iter().try_fold(Duration::ZERO, |latest, late| Ok::<_, Error>(latest.max(late?)))?;
    crowd.ended()?;
    let pace = (RUNS * PACE) as f64;
    report.figure(
        &Figure::new(format!("{RUNS} runs at once, {PACE} words/s each: events followed"), offsets as f64 / took.wall, "/s")
            .target(pace * 0.95),
    );
    report.figure(&Figure::new("the same: processor, of two cores", took.processor / took.wall / 2.0 * 100.0, "%"));
    report.figure(&Figure::new("the same: memory that one run more takes", each, "bytes").target(60_000.0));
    report.figure(&Figure::new("the same: the server's memory in the end", whole / 1e6, "MB"));
    let what = format!("the same: the latest of the heartbeats of {HEARTS} connections, late by");
    report.figure(&Figure::new(what, late.as_secs_f64() * 1_000.0, "ms").target(500.0));
    Ok(())
}

/// Runs that talk, and those who listen to them.
struct Crowd {
    address: String,
    token: String,
    runs: usize,
    /// Offsets of all logs, as they came to followers.
    heard: Arc<AtomicU64>,
    followers: JoinSet<Result<Infallible, Error>>,
}

impl Crowd {
    /// So many runs more, until those who follow them have caught up and all talk for a while.
    async fn grow(&mut self, more: usize) -> Result<(), Error> {
        let mut wire = self.connect().await?;
        for _ in 0..more / FOLLOWED {
            let (say, says) = mpsc::channel(FOLLOWED);
            self.followers.spawn(listen(self.connect().await?, says, self.heard.clone()));
            for sub in 1..=FOLLOWED as u64 {
                let run = runs::start(&mut wire, WORDS).await?;
                let mut message = Vec::new();
                runs::follow(sub, run.id, None, &mut message);
                say.send(message).await?;
            }
        }
        self.runs += more;
        loop {
            let before = self.heard();
            sleep(SETTLED).await;
            self.ended()?;
            if (self.heard() - before) as f64 <= (self.runs * PACE) as f64 * SETTLED.as_secs_f64() * 1.05 {
                return Ok(());
            }
        }
    }

    async fn connect(&self) -> Result<Wire, Error> {
        Wire::open(&self.address, Some(&self.token)).await
    }

    fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Why a follower has ended, where one has.
    fn ended(&mut self) -> Result<(), Error> {
        match self.followers.try_join_next() {
            Some(ended) => ended?.map(|never| match never {}),
            None => Ok(()),
        }
    }
}

/// Follows what it is told to, takes what comes, and counts it.
async fn listen(mut follower: Wire, mut says: mpsc::Receiver<Vec<u8>>, heard: Arc<AtomicU64>) -> Result<Infallible, Error> {
    loop {
        let mut answer = Vec::new();
        let message = tokio::select! {
            Some(message) = says.recv() => {
                follower.send(message).await?;
                continue;
            }
            message = follower.receive() => message?,
        };
        let came = runs::take(&message, &mut answer)?;
        heard.fetch_add(came.offsets, Ordering::Relaxed);
        if !answer.is_empty() {
            follower.send(answer).await?;
        }
    }
}

/// By how much the latest of a connection's heartbeats came late.
async fn latest_heartbeat(mut wire: Wire) -> Result<Duration, Error> {
    let (until, mut latest, mut last) = (Instant::now() + MEASURED, Duration::ZERO, None::<Instant>);
    while let Ok(message) = tokio::time::timeout_at(until, wire.receive()).await {
        let message = message?;
        let mut rest = &message[..];
        while !rest.is_empty() {
            if let Some(ServerFrame::Ping(nonce)) = ServerFrame::read(&mut rest)? {
                let mut answer = Vec::new();
                ClientFrame::Pong(nonce).write(&mut answer);
                wire.send(answer).await?;
                let now = Instant::now();
                latest = latest.max(last.map_or(Duration::ZERO, |last| (now - last).saturating_sub(HEARTBEAT)));
                last = Some(now);
            }
        }
    }
    match last {
        Some(_) => Ok(latest),
        None => Err("no heartbeat came".into()),
    }
}
