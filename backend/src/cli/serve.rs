//! `fourways serve`.

use anyhow::Context as _;

use crate::{config::Config, net::open_files, server::Server};

/// Runs the server until it is told to stop.
///
/// # Errors
/// One line that says what is in the way, such as a port that is taken.
pub async fn run(config: Config) -> anyhow::Result<()> {
    open_files::warn_if_few(config.limits.max_connections);
    let listen = &config.listen;
    let server =
        Server::build(&config).with_context(|| format!("the server for {listen} can't be started"))?;
    match server.addresses() {
        [] => tracing::info!("listening on {listen}"),
        addresses => {
            for address in addresses {
                tracing::info!("listening on {}://{address}", server.scheme());
            }
        }
    }
    server.run().await.context("the server stopped")
}
