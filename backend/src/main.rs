//! The `fourways` command.

use std::{io::IsTerminal as _, process::ExitCode};

use clap::{Parser, Subcommand};
use fourways::{
    cli::{check, publish, serve, subscribe},
    config::Config,
};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One ordered log of events, delivered to browsers by short polling, long polling, Server-Sent Events and WebSocket,
/// with one cursor that resumes on any of them.
#[derive(Parser)]
#[command(name = "fourways", version, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  fourways serve
  journalctl -f | fourways publish --topic logs
  fourways subscribe --topic logs --by websocket
  curl -N 'http://127.0.0.1:8080/v1/stream?topic=host.cpu'
  fourways check http://127.0.0.1:8080

FOURWAYS_LOG sets what is logged, as in FOURWAYS_LOG=debug.";

#[derive(Subcommand)]
enum Command {
    /// Run the server and the lab.
    Serve(Box<Config>),
    /// Publish each line of standard input.
    Publish(publish::Publish),
    /// Print what arrives on a topic; resumes after a broken connection.
    Subscribe(subscribe::Subscribe),
    /// Check what the path to a server does to its streams: buffering, cuts, caches, compression, upgrades.
    Check(Box<check::Check>),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter =
        EnvFilter::try_from_env("FOURWAYS_LOG").unwrap_or_else(|_| EnvFilter::new("warn,fourways=info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    let outcome = actix_web::rt::System::new().block_on(async {
        match arguments.command {
            Command::Serve(config) => serve::run(*config).await.map(|()| ExitCode::SUCCESS),
            Command::Publish(publish) => publish::run(publish).await.map(|()| ExitCode::SUCCESS),
            Command::Subscribe(subscribe) => subscribe::run(subscribe).await.map(|()| ExitCode::SUCCESS),
            Command::Check(check) => Box::pin(check::run(*check)).await,
        }
    });
    match outcome {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
