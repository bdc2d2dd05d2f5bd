//! What an idle connection costs, on which somebody is signed in.

use std::time::Duration;

use super::Plan;
use crate::{
    process::{Cores, Process},
    report::{Figure, Report},
    wire::{Error, Wire},
};

const CONNECTIONS: usize = 5_000;

pub(crate) async fn run(plan: &Plan, report: &mut Report) -> Result<(), Error> {
    let server = Process::crewline(&plan.server, None, &[], Cores::Both)?;
    let token = Wire::register(&server.address).await?.access_token;
    // What the first connections make the allocator take stays; it is not what each costs.
    let mut wires = Vec::new();
    for _ in 0..100 {
        wires.push(Wire::open(&server.address, Some(&token)).await?);
    }
    let before = server.resident_bytes()?;
    for _ in 0..CONNECTIONS {
        wires.push(Wire::open(&server.address, Some(&token)).await.map_err(|error| format!("connection {}: {error}", wires.len()))?);
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let each = (server.resident_bytes()? - before) / CONNECTIONS as f64;
    let what = format!("memory of an idle signed-in connection, of {CONNECTIONS}");
    report.figure(&Figure::new(what, each, "bytes").target(10_240.0));
    Ok(())
}
