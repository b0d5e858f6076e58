//! Measures what the four techniques cost the server, checks the cost model against measurements, and generates load.
//!
//! Everything runs on loopback, against the real server in a separate process. Clients are a `Crowd` of hand-written
//! sockets (`raw`).
//!
//! - `constants` measures the constants of the cost model, with the modules `bytes`, `cpu`, `rest` and `memory`
//! - `model` compares the model's predictions with loads that no constant was measured under
//! - `run` runs one load and prints the results
//! - `publish` measures durable publishes, beside other stores
//! - `compression` measures what compressed deliveries would save and cost
//! - `slow` measures a crowd of which many stop reading
//! - `attack` measures what an attack on each door costs the server and its other clients
//! - `cluster` measures three servers that share one log
//! - `fanout` measures one delivery, beside a bare write loop (the floor) and nchan

mod amount;
mod arrivals;
mod attack;
mod bytes;
mod clients;
mod cluster;
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
mod plan;
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
mod text;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

/// Measures what the four techniques cost the server, checks the cost model against measurements, and generates load.
#[derive(Parser)]
#[command(name = "fourways-bench", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure the constants of the cost model three times, and write the medians as JSON.
    Constants(constants::Flags),
    /// Compare the cost model's predictions with measurements; fails if they are too far apart.
    Model(model::Flags),
    /// Measure how many durable publishes per second are acknowledged, beside Redis Streams and NATS `JetStream`.
    Publish(publish::Flags),
    /// Measure what compressing deliveries saves, and what it costs the server.
    Compression(compression::Flags),
    /// Measure what subscribers that stop reading cost the server and the other subscribers.
    Slow(slow::Flags),
    /// Measure what one delivery costs, beside a bare write loop (the floor) and nchan.
    Fanout(fanout::Flags),
    /// Attack each door of the server, and check that the cost stays within bounds.
    Attack(attack::Flags),
    /// Measure three servers that share one log: publishes, delays, costs, a fresh server and a rolling deploy.
    Cluster(cluster::Flags),
    /// Run clients of one technique, and print latency, requests, bytes and lost events.
    Run(run::Flags),
    /// Keep a core awake until standard input ends.
    #[command(hide = true)]
    Awake,
    /// Serve the floor: write each event to each subscriber, and do nothing else.
    #[command(hide = true)]
    Floor,
}

fn main() -> ExitCode {
    match measure(Arguments::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        // The reason has been printed.
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            table::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs a command. Returns false if the measurement succeeded, but its result is not as it should be.
fn measure(command: Command) -> anyhow::Result<bool> {
    if matches!(command, Command::Awake) {
        machine::stay_awake();
        return Ok(true);
    }
    if matches!(command, Command::Floor) {
        fanout::floor::serve()?;
        return Ok(true);
    }
    // Ten processes share the cores, so none gets one of its own.
    if !matches!(command, Command::Cluster(_)) {
        machine::leave_a_core_to_the_server()?;
    }
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
            Command::Cluster(flags) => cluster::run(&flags).await,
            Command::Run(flags) => run::run(&flags).await,
            Command::Awake | Command::Floor => Ok(true),
        }
    })
}
