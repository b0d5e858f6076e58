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
/// What each stream or socket has brought before.
const EVENTS: usize = 3;
/// What goes by each connection that requests go by: its read buffer may grow from 8 to 16 KiB, once, when about 8 KB of
/// them have filled it for the first time, and is touched to its end by as much again. Whether it grows depends on how
/// many whole requests fit; with those of `chromium.txt` that of short polls and sends does, and that of long polls does not.
pub(crate) const REQUESTS: usize = 40;
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
    own.memory_per_held_connection_bytes = match technique {
        Technique::ShortPoll => {
            used(binary, |last| requests::poll(&format!("&after={last}"), Some(last))).await?
        }
        Technique::LongPoll => held(binary, technique, REQUESTS).await?,
        Technique::Sse | Technique::Websocket => held(binary, technique, EVENTS).await?,
    };
    // Between two short polls their own connection is free to send by, and a socket sends itself.
    if matches!(technique, Technique::LongPoll | Technique::Sse) {
        let post = requests::post(SENT, "application/json", &requests::payload(PAYLOAD));
        own.memory_per_sender_bytes = used(binary, |_| post).await?;
    }
    Ok(())
}

/// A connection that waits and has brought so many events.
async fn held(binary: &Path, technique: Technique, events: usize) -> anyhow::Result<f64> {
    // A server of its own: what was freed is not given back at once, and would be used again here.
    let server = Server::start(binary, &[])?;
    let mut publisher = Publisher::open(server.address).await?;
    publisher.stock().await?;
    warm_up(&server, technique).await?;
    let before = server.memory_bytes()?;
    let mut crowd = Crowd::open(Plan::quiet(server.address, technique, HELD)).await?;
    for round in 1..=events {
        publisher.publish(1, PAYLOAD).await?;
        crowd.await_events((round * HELD) as u64).await?;
    }
    sleep(CALM).await;
    let taken = server.memory_bytes()? - before;
    // Not before: what is freed may be given back.
    drop(crowd);
    Ok((taken / float(HELD as u64)).max(0.0))
}

/// A connection that many requests went by, and that is kept open; each is what `request` makes of the last cursor.
async fn used(binary: &Path, request: impl FnOnce(&str) -> Vec<u8>) -> anyhow::Result<f64> {
    let server = Server::start(binary, &[])?;
    let request = request(&Publisher::open(server.address).await?.stock().await?.last);
    warm_up(&server, Technique::ShortPoll).await?;
    let tally = Tally::new(0);
    let ask = async |wire: &mut Wire| {
        wire.send(&request).await?;
        wire.answer().await
    };
    // What the log keeps of sends is no connection's: it is full before.
    let mut first = Wire::open(server.address, Arc::clone(&tally)).await?;
    for _ in 0..RETAINED {
        ask(&mut first).await?;
    }
    drop(first);
    sleep(CALM).await;
    let before = server.memory_bytes()?;
    let mut wires = Vec::with_capacity(HELD);
    for _ in 0..HELD {
        wires.push(Wire::open(server.address, Arc::clone(&tally)).await?);
    }
    // In turn: buffers that grow one connection after the other would take the place of those that were outgrown.
    for _ in 0..REQUESTS {
        for wire in &mut wires {
            ask(wire).await?;
        }
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
