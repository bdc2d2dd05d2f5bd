//! Benchmarks of a real `crewline serve` process over loopback, each beside a plain WebSocket server that is measured in the same
//! run. What counts are the ratios: absolute figures are those of one machine at one moment.

mod baseline;
mod bench;
mod process;
mod report;
mod wire;

use clap::{Parser, Subcommand};

use crate::{
    baseline::Way,
    report::{Form, Report},
};

#[derive(Parser)]
#[command(
    about = "Benchmarks of Crewline, printed as ratios to a plain WebSocket echo. Linux only: processor time and memory are read from /proc"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures, and prints a table. Start it on the second core (`taskset -c 1`); it puts what it measures on the first.
    Bench {
        /// Which ones: `round-trips`, `fan-out`, `durable`, `mutations`, `live`, `records`, `crowd`, `idle`; none: all.
        names: Vec<String>,
        /// The server's binary: `cargo build --release` makes it.
        #[arg(long, default_value = "target/release/crewline")]
        server: std::path::PathBuf,
        /// A PostgreSQL database for what is measured on it.
        #[arg(long, env = "CREWLINE_TEST_POSTGRES")]
        postgres: Option<String>,
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Serves what Crewline is compared with, until it is killed.
    #[command(hide = true)]
    Baseline {
        /// How it is built.
        way: Way,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), wire::Error> {
    match Arguments::parse().command {
        Command::Baseline { way } => match baseline::serve(way).await? {},
        Command::Bench { names, server, postgres, json } => {
            let plan = bench::Plan { server, postgres };
            let mut report = Report::new(if json { Form::Json } else { Form::Table });
            for (name, run) in bench::wanted(&names)? {
                report.begin(name);
                run(&plan, &mut report).await.map_err(|error| format!("{name}: {error}"))?;
            }
            report.end();
        }
    }
    Ok(())
}
