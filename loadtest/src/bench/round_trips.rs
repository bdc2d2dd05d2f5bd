//! Requests answered in a second on one core, 32 of them under way on each connection.

use crewline_protocol::{Fault, frame::ServerFrame};
use futures::{FutureExt, SinkExt, future::try_join_all};
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
        let deep = format!("{connections} connection{}, {DEEP} deep", if connections == 1 { "" } else { "s" });
        let echo = Process::baseline(Way::Plain)?;
        let plain = measure(&echo, open(&echo, connections, None).await?, Peer::Echo, Packing::Apart).await?;
        report.figure(&plain.figure(&format!("plain echo, {deep}")).beside(plain.rate));
        drop(echo);

        let skeleton = Process::baseline(Way::Skeleton)?;
        for packing in [Packing::Apart, Packing::Together] {
            let trips = measure(&skeleton, open(&skeleton, connections, None).await?, Peer::Frames, packing).await?;
            report.figure(&trips.figure(&format!("skeleton, {deep}{}", packing.says())).beside(plain.rate));
        }
        drop(skeleton);

        let server = Process::crewline(&plan.server, None, &[], Cores::First)?;
        let token = Wire::register(&server.address).await?.access_token;
        for packing in [Packing::Apart, Packing::Together] {
            let trips = measure(&server, open(&server, connections, Some(&token)).await?, Peer::Frames, packing).await?;
            let figure = trips.figure(&format!("auth.me, {deep}{}", packing.says())).beside(plain.rate);
            report.figure(&if packing == Packing::Together { figure.target(400_000_f64.max(3.0 * plain.rate)) } else { figure });
        }
    }
    Ok(())
}

/// What was measured of one server.
struct Trips {
    /// Round trips in a second.
    rate: f64,
    /// How much of its core the server used, from 0 to 1: where that is not all, the load was the slower one.
    busy: f64,
}

impl Trips {
    fn figure(&self, what: &str) -> Figure {
        Figure::new(format!("{what}, core {:.0} % busy", 100.0 * self.busy), self.rate, "/s")
    }
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

async fn measure(server: &Process, mut wires: Vec<Wire>, peer: Peer, packing: Packing) -> Result<Trips, Error> {
    let stopwatch = Stopwatch::start(server)?;
    let until = Instant::now() + MEASURED;
    let counts = try_join_all(wires.iter_mut().map(|wire| trips(wire, peer, packing, until))).await?;
    let took = stopwatch.stop()?;
    Ok(Trips { rate: counts.iter().sum::<u64>() as f64 / took.wall, busy: took.processor / took.wall })
}

/// Asks so that 32 are always under way: as many anew as were answered.
async fn trips(wire: &mut Wire, peer: Peer, packing: Packing, until: Instant) -> Result<u64, Error> {
    let mut count = 0;
    // In two parts, so that the load and the server need not wait for each other.
    ask(wire, DEEP / 2, packing).await?;
    ask(wire, DEEP / 2, packing).await?;
    while Instant::now() < until {
        let mut answered = answers(&wire.receive().await?, peer)?;
        while let Some(message) = wire.receive().now_or_never() {
            answered += answers(&message?, peer)?;
        }
        ask(wire, answered, packing).await?;
        count += answered as u64;
    }
    Ok(count)
}

async fn ask(wire: &mut Wire, requests: usize, packing: Packing) -> Result<(), Error> {
    let mut message = Vec::with_capacity(requests * 16);
    for _ in 0..requests {
        // An empty map: MessagePack's `fixmap` of no entries.
        wire.request("auth.me", &[0x80], None, &mut message);
        if packing == Packing::Apart {
            wire.socket.feed(Message::Binary(std::mem::take(&mut message).into())).await?;
        }
    }
    if packing == Packing::Together {
        wire.socket.feed(Message::Binary(message.into())).await?;
    }
    Ok(wire.socket.flush().await?)
}

fn answers(message: &[u8], peer: Peer) -> Result<usize, Error> {
    match peer {
        Peer::Echo => Ok(1),
        Peer::Frames => replies(message),
    }
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
