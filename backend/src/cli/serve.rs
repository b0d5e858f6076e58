//! `fourways serve`: runs the server.

use anyhow::Context as _;

use crate::{config::Config, net::open_files, server::Server};

/// Runs the server until a signal stops it.
///
/// # Errors
/// If the server can't be started, for example because the port is in use: the error is one line that says why.
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
