//! One stream followed by a thousand connections: events delivered for a second of the server's core, which also executes the run
//! and stores its events.

use crewline_protocol::value::{RunId, encode};
use futures::{FutureExt, future::try_join_all};
use serde_json::json;

use super::{Plan, Stopwatch, Took, runs};
use crate::{
    baseline::{Order, Way},
    process::{Cores, Process},
    report::{Figure, Report},
    wire::{Error, Wire},
};

const FOLLOWERS: usize = 1_000;
/// Events of the run.
const WORDS: usize = 10_000;
/// How fast they come: more than the targets ask for, so that the server is never idle.
const RATE: &str = "simulated_tokens_per_s=4000";
/// About what an event takes on the wire.
const EVENT_BYTES: u32 = 64;

pub(crate) async fn run(plan: &Plan, report: &mut Report) -> Result<(), Error> {
    let plain = baseline(Way::Plain, 512).await?;
    report.figure(&Figure::new(format!("plain broadcast to {FOLLOWERS}"), plain, "/s a core").beside(plain));
    let skeleton = baseline(Way::Skeleton, 4_096).await?;
    report.figure(&Figure::new(format!("skeleton broadcast to {FOLLOWERS}"), skeleton, "/s a core").beside(plain));

    let server = Process::crewline(&plan.server, None, &[RATE, "answer_bytes=131072"], Cores::First)?;
    let token = Wire::register(&server.address).await?.access_token;
    let mut starter = Wire::open(&server.address, Some(&token)).await?;
    let mut followers = Vec::new();
    for _ in 0..FOLLOWERS {
        followers.push(Wire::open(&server.address, Some(&token)).await?);
    }
    let stopwatch = Stopwatch::start(&server)?;
    let run = runs::start(&mut starter, WORDS).await?.id;
    let came = try_join_all(followers.iter_mut().map(|wire| follow(wire, run))).await?;
    let Took { wall, processor } = stopwatch.stop()?;
    let total = came.into_iter().fold(runs::Came::default(), |mut total, came| {
        total += came;
        total
    });
    let (offsets, events) = (total.offsets as f64, total.events as f64);
    let what = format!("1 run to {FOLLOWERS} followers, its events delivered");
    report.figure(&Figure::new(what, offsets / processor, "/s a core").beside(plain).target(1_200_000.0));
    report.figure(&Figure::new("  the same by the clock", offsets / wall, "/s"));
    report.figure(&Figure::new("  events in frames, after merging", events / processor, "/s a core").beside(plain));
    report.figure(&Figure::new("  bytes of a follower's frames for each event", total.bytes as f64 / offsets, "bytes"));
    Ok(())
}

/// Follows a run to its end.
async fn follow(wire: &mut Wire, run: RunId) -> Result<runs::Came, Error> {
    let (mut total, mut message) = (runs::Came::default(), Vec::new());
    runs::follow(1, run, None, &mut message);
    wire.send(message).await?;
    while total.ended == 0 {
        let mut answer = Vec::new();
        total += runs::take(&wire.receive().await?, &mut answer)?;
        // What is here already is answered together.
        while let Some(message) = wire.receive().now_or_never() {
            total += runs::take(&message?, &mut answer)?;
            if total.ended > 0 {
                return Ok(total);
            }
        }
        if !answer.is_empty() && total.ended == 0 {
            wire.send(answer).await?;
        }
    }
    Ok(total)
}

/// Messages delivered for a second of a baseline's core.
async fn baseline(way: Way, messages: u32) -> Result<f64, Error> {
    let server = Process::baseline(way)?;
    let mut followers = Vec::new();
    for _ in 0..FOLLOWERS {
        let mut wire = Wire::plain(&server.address).await?;
        wire.send(Order::Follow.write().into()).await?;
        // When what was sent after the order is answered, the order was carried out.
        let mut message = Vec::new();
        wire.request("auth.me", &encode(&json!({})), None, &mut message);
        wire.send(message).await?;
        wire.receive().await?;
        followers.push(wire);
    }
    let mut publisher = Wire::plain(&server.address).await?;
    let stopwatch = Stopwatch::start(&server)?;
    publisher.send(Order::Publish { messages, bytes: EVENT_BYTES }.write().into()).await?;
    try_join_all(followers.iter_mut().map(async |wire| {
        for _ in 0..messages {
            wire.receive().await?;
        }
        Ok::<(), Error>(())
    }))
    .await?;
    let took = stopwatch.stop()?;
    Ok(f64::from(messages) * FOLLOWERS as f64 / took.processor)
}
