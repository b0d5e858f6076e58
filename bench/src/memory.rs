//! What an open connection takes of the server's memory while nothing happens on it.

use std::{path::Path, sync::Arc};

use fourways_shared::{Technique, decide::TechniqueConstants};
use tokio::time::sleep;

use crate::{
    amount::float,
    crowd::{Crowd, Plan},
    meter::CALM,
    publisher::{PAYLOAD, Publisher},
    raw::Wire,
    requests::{self, SENT},
    server::{RETAINED, Server},
    tally::Tally,
};

/// Connections that are held. The kernel gives memory in pieces of up to 2 MiB (transparent huge pages), which come to
/// 500 bytes for each of these.
const HELD: usize = 4_000;
/// What each of them has brought before.
const EVENTS: usize = 3;
/// What goes by each connection for sends: its read buffer grows once, when requests have filled it for the first time.
const SENDS: usize = 12;
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
    let mut publisher = Publisher::open(server.address).await?;
    publisher.stock().await?;
    warm_up(&server, technique).await?;
    let before = server.memory_bytes()?;
    let mut crowd = Crowd::open(Plan::quiet(server.address, technique, HELD)).await?;
    if technique != Technique::ShortPoll {
        // A connection that has brought something holds more than one that has not.
        for round in 1..=EVENTS {
            publisher.publish(1, PAYLOAD).await?;
            crowd.await_events((round * HELD) as u64).await?;
        }
    }
    sleep(CALM).await;
    let taken = server.memory_bytes()? - before;
    // Not before: what is freed may be given back.
    drop(crowd);
    own.memory_per_held_connection_bytes = (taken / float(HELD as u64)).max(0.0);
    // Between two short polls their own connection is free to send by, and a socket sends itself.
    if matches!(technique, Technique::LongPoll | Technique::Sse) {
        own.memory_per_sender_bytes = sender(binary).await?;
    }
    Ok(())
}

/// A connection that was sent by, and is kept open.
async fn sender(binary: &Path) -> anyhow::Result<f64> {
    let server = Server::start(binary, &[])?;
    Publisher::open(server.address).await?.stock().await?;
    warm_up(&server, Technique::ShortPoll).await?;
    let request = requests::post(SENT, "application/json", &requests::payload(PAYLOAD));
    let mut wires = Vec::with_capacity(HELD);
    let tally = Tally::new(0);
    let sent = |mut wire: Wire| {
        let request = request.clone();
        async move {
            for _ in 0..SENDS {
                wire.send(&request).await?;
                wire.answer().await?;
            }
            anyhow::Ok(wire)
        }
    };
    // What the log keeps of sends is no connection's: it is full before.
    let mut first = Wire::open(server.address, Arc::clone(&tally)).await?;
    for _ in 0..=(RETAINED / SENDS) {
        first = sent(first).await?;
    }
    sleep(CALM).await;
    let before = server.memory_bytes()?;
    for _ in 0..HELD {
        wires.push(sent(Wire::open(server.address, Arc::clone(&tally)).await?).await?);
    }
    sleep(CALM).await;
    let taken = server.memory_bytes()? - before;
    drop(wires);
    Ok((taken / float(HELD as u64)).max(0.0))
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
