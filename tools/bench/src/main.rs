//! Measures what the four techniques cost the server, checks the cost model against measurements, and generates load.
//!
//! All on loopback, against the real server as a process of its own. `constants` writes the numbers that the model
//! scales up, from `bytes`, `cpu`, `rest` and `memory`; `model` compares its predictions with loads that no constant was
//! measured under; `run` is a load and what came of it; `compression` is what packing deliveries would save and take;
//! `slow` is a crowd of which many stop reading; `attack` is what each door costs who knocks and everybody else; `fanout` is what one delivery costs, beside the floor and nchan. Clients are a `Crowd` of hand-written sockets (`raw`).

mod amount;
mod arrivals;
mod attack;
mod bytes;
mod clients;
mod compression;
mod constants;
mod cpu;
mod crowd;
mod fanout;
mod machine;
mod memory;
mod meter;
mod model;
mod page;
mod publish;
mod publisher;
mod raw;
mod requests;
mod rest;
mod run;
mod server;
mod slow;
mod table;
mod tally;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

/// Measures what the four techniques cost the server, checks the cost model against it, and generates load.
#[derive(Parser)]
#[command(name = "fourways-bench", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure the constants of the cost model, three times, and write their medians as JSON.
    Constants(constants::Flags),
    /// Compare what the cost model predicts with what is measured; fails where they are too far apart.
    Model(model::Flags),
    /// Measure how many durable publishes a second are acknowledged, beside Redis Streams and NATS `JetStream`.
    Publish(publish::Flags),
    /// Measure what compressing deliveries saves and what it takes of the server.
    Compression(compression::Flags),
    /// Measure what subscribers that stop reading cost the server and the others.
    Slow(slow::Flags),
    /// Measure what one delivery costs, beside the floor and nchan.
    Fanout(fanout::Flags),
    /// Attack each door of the server, and hold what it costs to bounds.
    Attack(attack::Flags),
    /// Run clients of one technique and print latency, requests, bytes and what was lost.
    Run(run::Flags),
    /// Keep a core awake until standard input ends.
    #[command(hide = true)]
    Awake,
    /// Write each event to each subscriber, and nothing else.
    #[command(hide = true)]
    Floor,
}

fn main() -> ExitCode {
    match measure(Arguments::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        // Why has been printed.
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            table::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// False: it was measured, and is not as it should be.
fn measure(command: Command) -> anyhow::Result<bool> {
    if matches!(command, Command::Awake) {
        machine::stay_awake();
        return Ok(true);
    }
    if matches!(command, Command::Floor) {
        fanout::floor::serve()?;
        return Ok(true);
    }
    machine::leave_a_core_to_the_server()?;
    // One thread: the clients must not take the core that the server is measured on.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime could not be set up")?;
    runtime.block_on(async {
        match command {
            Command::Constants(flags) => constants::run(&flags).await,
            Command::Model(flags) => model::run(&flags).await,
            Command::Publish(flags) => publish::run(&flags).await,
            Command::Compression(flags) => compression::run(&flags),
            Command::Slow(flags) => slow::run(&flags).await,
            Command::Fanout(flags) => fanout::run(&flags).await,
            Command::Attack(flags) => attack::run(&flags).await,
            Command::Run(flags) => run::run(&flags).await,
            Command::Awake | Command::Floor => Ok(true),
        }
    })
}
