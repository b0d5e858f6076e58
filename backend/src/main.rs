//! The `fourways` command: `serve`, `publish`, `subscribe`.

use clap::{Parser, Subcommand};
use fourways::{config::Config, server::Server};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One ordered log of events, delivered to browsers by short polling, long polling, Server-Sent Events and WebSocket,
/// with one cursor that resumes on any of them.
#[derive(Parser)]
#[command(name = "fourways", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server and the lab.
    Serve(Config),
}

fn main() -> std::process::ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_env("FOURWAYS_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,fourways=info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let outcome = actix_web::rt::System::new().block_on(async {
        match Arguments::parse().command {
            Command::Serve(config) => {
                let server = Server::build(&config)
                    .map_err(|e| anyhow::anyhow!("cannot listen on {}: {e}", config.listen))?;
                for address in server.addresses() {
                    eprintln!("listening on http://{address}");
                }
                server.run().await?;
                anyhow::Ok(())
            }
        }
    });
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
