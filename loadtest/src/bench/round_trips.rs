//! Requests answered in a second on one core, 32 of them under way on each connection.

use crewline_protocol::frame::ServerFrame;
use crewline_protocol::{Fault, value::encode};
use futures::{SinkExt, future::try_join_all};
use serde_json::json;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use super::{MEASURED, Plan, Stopwatch};
use crate::{
    baseline::Way,
    process::{Cores, Process},
    report::{Figure, Report},
    wire::{Error, Wire},
};

const DEEP: usize = 32;

/// How the requests travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    /// One message each, as an echo needs it.
    Apart,
    /// What is ready goes into one message, as the protocol allows and clients do.
    Together,
}

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    Echo,
    Frames,
}

pub(crate) async fn run(plan: &Plan, report: &mut Report) -> Result<(), Error> {
    for connections in [1, 16] {
        let echo = Process::baseline(Way::Plain)?;
        let plain = measure(&echo, open(&echo, connections, None).await?, Peer::Echo, Packing::Apart).await?;
        report.figure(&Figure::new(format!("plain echo, {}", deep(connections)), plain, "/s").beside(plain));
        drop(echo);

        let skeleton = Process::baseline(Way::Skeleton)?;
        for packing in [Packing::Apart, Packing::Together] {
            let rate = measure(&skeleton, open(&skeleton, connections, None).await?, Peer::Frames, packing).await?;
            report.figure(&Figure::new(format!("skeleton, {}{}", deep(connections), packing.says()), rate, "/s").beside(plain));
        }
        drop(skeleton);

        let server = Process::crewline(&plan.server, None, &[], Cores::First)?;
        let token = Wire::register(&server.address).await?.access_token;
        for packing in [Packing::Apart, Packing::Together] {
            let wires = open(&server, connections, Some(&token)).await?;
            let rate = measure(&server, wires, Peer::Frames, packing).await?;
            let figure = Figure::new(format!("auth.me, {}{}", deep(connections), packing.says()), rate, "/s").beside(plain);
            report.figure(&if packing == Packing::Together { figure.target(400_000_f64.max(3.0 * plain)) } else { figure });
        }
    }
    Ok(())
}

fn deep(connections: usize) -> String {
    format!("{connections} connection{}, {DEEP} deep", if connections == 1 { "" } else { "s" })
}

impl Packing {
    fn says(self) -> &'static str {
        match self {
            Self::Apart => ", a message each",
            Self::Together => ", gathered",
        }
    }
}

async fn open(server: &Process, connections: usize, token: Option<&str>) -> Result<Vec<Wire>, Error> {
    let mut wires = Vec::new();
    for _ in 0..connections {
        wires.push(match token {
            Some(token) => Wire::open(&server.address, Some(token)).await?,
            None => Wire::plain(&server.address).await?,
        });
    }
    Ok(wires)
}

/// Round trips for a second of the core that the server has to itself. Where the load was slower than the server, the server's core
/// had time left over, which is not counted.
async fn measure(server: &Process, mut wires: Vec<Wire>, peer: Peer, packing: Packing) -> Result<f64, Error> {
    let stopwatch = Stopwatch::start(server)?;
    let until = Instant::now() + MEASURED;
    let counts = try_join_all(wires.iter_mut().map(|wire| trips(wire, peer, packing, until))).await?;
    let took = stopwatch.stop()?;
    eprintln!("    the server's core was {:.0} % busy", 100.0 * took.processor / took.wall);
    Ok(counts.iter().sum::<u64>() as f64 / took.wall)
}

async fn trips(wire: &mut Wire, peer: Peer, packing: Packing, until: Instant) -> Result<u64, Error> {
    let (input, mut count) = (encode(&json!({})), 0);
    while Instant::now() < until {
        let mut message = Vec::with_capacity(DEEP * 16);
        for _ in 0..DEEP {
            wire.request("auth.me", &input, None, &mut message);
            if packing == Packing::Apart {
                wire.socket.feed(Message::Binary(std::mem::take(&mut message).into())).await?;
            }
        }
        if packing == Packing::Together {
            wire.socket.feed(Message::Binary(message.into())).await?;
        }
        wire.socket.flush().await?;
        let mut answered = 0;
        while answered < DEEP {
            let message = wire.receive().await?;
            answered += match peer {
                Peer::Echo => 1,
                Peer::Frames => replies(&message)?,
            };
        }
        count += answered as u64;
    }
    Ok(count)
}

fn replies(message: &[u8]) -> Result<usize, Error> {
    let (mut rest, mut replies) = (message, 0);
    while !rest.is_empty() {
        match ServerFrame::read(&mut rest)? {
            Some(ServerFrame::Reply { .. }) => replies += 1,
            Some(ServerFrame::Fault { fault, .. }) => return Err(fault.decode::<Fault>()?.into()),
            _ => {}
        }
    }
    Ok(replies)
}
