//! The `fourways` command.

use std::{io::IsTerminal as _, process::ExitCode};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use fourways::{
    cli::{check, log, publish, rehearse, serve, settings, subscribe},
    config::Config,
    operate::traces::Traces,
};
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One ordered log of events, delivered to browsers by short polling, long polling, Server-Sent Events and WebSocket,
/// with one cursor that resumes on any of them.
#[derive(Parser)]
#[command(name = "fourways", version, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,

    /// Format of the server's own messages, which go to standard error.
    #[arg(long, global = true, env = "FOURWAYS_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// Lines of text, for people.
    Text,
    /// Lines of JSON, for programs.
    Json,
}

const EXAMPLES: &str = "\
Examples:
  fourways serve
  journalctl -f | fourways publish --topic logs
  fourways subscribe --topic logs --by websocket
  curl -N 'http://127.0.0.1:8080/v1/stream?topic=host.cpu'
  fourways check http://127.0.0.1:8080

FOURWAYS_LOG sets the level of the log, as in FOURWAYS_LOG=debug.";

#[derive(Subcommand)]
enum Command {
    /// Run the server and the lab.
    Serve(Box<Config>),
    /// Publish each line of standard input as an event.
    Publish(publish::Publish),
    /// Print the events of a topic; a broken connection is resumed where it ended.
    Subscribe(subscribe::Subscribe),
    /// Check how the path to a server treats its streams: buffering, timeouts, caches, compression, upgrades.
    Check(Box<check::Check>),
    /// Make the streams and sockets of a running server reconnect, as a deploy would, and print how they do.
    Rehearse(rehearse::Rehearse),
    /// Check a log on disk, or give it a new epoch.
    Log(log::Log),
    /// Check the settings of `serve`, or list them.
    Config(settings::ConfigArgs),
}

fn main() -> ExitCode {
    let command = Arguments::command();
    let configured = match settings::own_file() {
        None => command.clone(),
        Some(file) => match settings::with_file(command.clone(), &file) {
            Ok(configured) => configured,
            Err(error) => command.clone().error(clap::error::ErrorKind::Io, format!("{error:#}")).exit(),
        },
    };
    let matches = configured.get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let filter =
        EnvFilter::try_from_env("FOURWAYS_LOG").unwrap_or_else(|_| EnvFilter::new("warn,fourways=info"));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let lines = match arguments.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // The exporter outlives the server: dropping it sends the spans that are left.
    let traces = match &arguments.command {
        Command::Serve(config) => config.traces.as_ref().map(Traces::to).transpose(),
        _ => Ok(None),
    };
    let traces = match traces {
        Ok(traces) => traces,
        Err(error) => command.clone().error(clap::error::ErrorKind::Io, format!("{error:#}")).exit(),
    };
    tracing_subscriber::registry()
        .with(traces.as_ref().map(Traces::layer))
        .with(lines.with_filter(filter))
        .init();
    let outcome = actix_web::rt::System::new().block_on(async {
        match arguments.command {
            Command::Serve(config) => serve::run(*config).await.map(|()| ExitCode::SUCCESS),
            Command::Publish(publish) => publish::run(publish).await,
            Command::Subscribe(subscribe) => subscribe::run(subscribe).await.map(|()| ExitCode::SUCCESS),
            Command::Check(check) => Box::pin(check::run(*check)).await,
            Command::Rehearse(rehearse) => rehearse::run(rehearse).await.map(|()| ExitCode::SUCCESS),
            Command::Log(asked) => log::run(&asked),
            Command::Config(ask) => settings::run(&ask, &command, &matches).map(|()| ExitCode::SUCCESS),
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
