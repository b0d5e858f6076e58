//! What an open connection takes of the server's memory while nothing happens on it.

use std::path::Path;

use fourways_shared::{Technique, decide::TechniqueConstants};
use tokio::time::sleep;

use crate::{
    amount::float,
    crowd::{Crowd, Plan},
    meter::CALM,
    publisher::Publisher,
    server::Server,
};

/// Connections that are held. The kernel gives memory in pieces of up to 2 MiB (transparent huge pages), which come to
/// 500 bytes for each of these.
const HELD: usize = 4_000;
/// Opened and closed before: what a server needs for its first connections is not what it needs for each.
const FIRST: usize = 50;

/// The memory of one connection of this technique.
///
/// # Errors
/// If the server does not do what it should.
pub(crate) async fn measure(
    binary: &Path,
    technique: Technique,
    own: &mut TechniqueConstants,
) -> anyhow::Result<()> {
    // A server of its own: what was freed is not given back at once, and would be used again here.
    let server = Server::start(binary, &[])?;
    Publisher::open(server.address).await?.stock().await?;
    warm_up(&server, technique).await?;
    let before = server.memory_bytes()?;
    let crowd = Crowd::open(Plan::quiet(server.address, technique, HELD)).await?;
    sleep(CALM).await;
    let taken = server.memory_bytes()? - before;
    // Not before: what is freed may be given back.
    drop(crowd);
    own.memory_per_held_connection_bytes = (taken / float(HELD as u64)).max(0.0);
    Ok(())
}

/// Makes the server ready for connections of this technique.
///
/// # Errors
/// If it does not take any.
pub(crate) async fn warm_up(server: &Server, technique: Technique) -> anyhow::Result<()> {
    drop(Crowd::open(Plan::quiet(server.address, technique, FIRST)).await?);
    sleep(CALM).await;
    Ok(())
}
