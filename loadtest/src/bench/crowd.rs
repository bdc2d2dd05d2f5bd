//! A thousand runs at once, each as fast as a model speaks: what they take, and whether connections feel it.

use std::time::Duration;

use crewline_protocol::{
    frame::{ClientFrame, ServerFrame},
    operations::run::{Get, Run},
};
use tokio::time::Instant;

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
const WORDS: usize = 60 * PACE;
/// Runs that one connection follows: a few people, each with all of their runs in view.
const FOLLOWED: usize = 250;
const HEARTBEAT: Duration = Duration::from_secs(2);
/// Connections whose heartbeats are listened to.
const HEARTS: usize = 50;
const MEASURED: Duration = Duration::from_secs(20);

pub(crate) async fn run(plan: &Plan, report: &mut Report) -> Result<(), Error> {
    let settings = [format!("simulated_tokens_per_s={PACE}"), format!("heartbeat_ms={}", HEARTBEAT.as_millis())];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let server = Process::crewline(&plan.server, None, &settings, Cores::Both)?;
    let token = Wire::register(&server.address).await?.access_token;
    let mut wire = Wire::open(&server.address, Some(&token)).await?;
    // What the first runs make the allocator take stays; it is not what each costs.
    for _ in 0..20 {
        runs::start(&mut wire, 1).await?;
    }
    let last = runs::start(&mut wire, 1).await?;
    while !wire.call(&Get { id: last.id }).await?.status.is_final() {}
    let before = server.resident_bytes()?;

    let mut started: Vec<Run> = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        started.push(runs::start(&mut wire, WORDS).await?);
    }
    let mut hearts = Vec::with_capacity(HEARTS);
    for _ in 0..HEARTS {
        hearts.push(latest_heartbeat(Wire::open(&server.address, Some(&token)).await?));
    }
    let mut followers = Vec::with_capacity(RUNS / FOLLOWED);
    for share in started.chunks(FOLLOWED) {
        let mut follower = Wire::open(&server.address, Some(&token)).await?;
        let mut message = Vec::new();
        for (sub, run) in (1..).zip(share) {
            runs::follow(sub, run.id, None, &mut message);
        }
        follower.send(message).await?;
        followers.push(follower);
    }
    let talk = async {
        // What was said until now comes first.
        take_for(&mut followers, HEARTBEAT).await?;
        let stopwatch = Stopwatch::start(&server)?;
        let offsets = take_for(&mut followers, MEASURED).await?;
        Ok::<_, Error>((offsets, stopwatch.stop()?))
    };
    let (talked, beats) = tokio::join!(talk, futures::future::join_all(hearts));
    let (offsets, took) = talked?;
    let each = (server.resident_bytes()? - before) / RUNS as f64;
    let late = beats.into_iter().try_fold(Duration::ZERO, |latest, late| Ok::<_, Error>(latest.max(late?)))?;
    let pace = (RUNS * PACE) as f64;
    report.figure(
        &Figure::new(format!("{RUNS} runs at once, {PACE} words/s each: events followed"), offsets as f64 / took.wall, "/s")
            .target(pace * 0.95),
    );
    report.figure(&Figure::new("the same: processor, of two cores", took.processor / took.wall / 2.0 * 100.0, "%"));
    report.figure(&Figure::new("the same: memory a run", each, "bytes").target(60_000.0));
    let what = format!("the same: the latest of the heartbeats of {HEARTS} connections, late by");
    report.figure(&Figure::new(what, late.as_secs_f64() * 1_000.0, "ms").target(500.0));
    Ok(())
}

/// Takes events for a while; how many offsets came to all of them.
async fn take_for(followers: &mut [Wire], time: Duration) -> Result<u64, Error> {
    let until = Instant::now() + time;
    let taken = followers.iter_mut().map(|follower| take_until(follower, until));
    Ok(futures::future::try_join_all(taken).await?.into_iter().sum())
}

async fn take_until(follower: &mut Wire, until: Instant) -> Result<u64, Error> {
    let mut offsets = 0;
    while let Ok(message) = tokio::time::timeout_at(until, follower.receive()).await {
        let mut answer = Vec::new();
        offsets += runs::take(&message?, &mut answer)?.offsets;
        if !answer.is_empty() {
            follower.send(answer).await?;
        }
    }
    Ok(offsets)
}

/// By how much the latest of a connection's heartbeats came late.
async fn latest_heartbeat(mut wire: Wire) -> Result<Duration, Error> {
    let (until, mut latest, mut last) = (Instant::now() + HEARTBEAT + MEASURED, Duration::ZERO, None::<Instant>);
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
