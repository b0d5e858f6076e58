//! Measures the server's memory for an open connection on which nothing happens.

use std::{path::Path, sync::Arc};

use fourways_shared::{Technique, decide::TechniqueConstants};
use tokio::time::sleep;

use crate::{
    amount::float,
    crowd::Crowd,
    meter::CALM,
    plan::Plan,
    publisher::{PAYLOAD, Publisher},
    raw::Wire,
    requests::{self, SENT},
    server::{RETAINED, Server},
    tally::Tally,
};

/// Number of connections that are held. The kernel gives memory in pieces of up to 2 MiB (transparent huge pages),
/// which is 500 bytes for each connection.
const HELD: usize = 4_000;
/// Number of events that each stream or socket delivers before its memory is measured.
const EVENTS: usize = 3;
/// Number of requests on each connection before its memory is measured. The connection's read buffer may grow from 8 to
/// 16 KiB, once, when about 8 KB of requests have filled it for the first time, and is touched to its end by as much
/// again. The growth depends on how many whole requests fit: with those of `chromium.txt`, the buffer of short polls
/// and sends grows, and that of long polls does not.
pub(crate) const REQUESTS: usize = 40;
/// Number of connections that are opened and closed first, because a server needs more for its first connections than
/// for later ones.
const FIRST: usize = 50;

/// Measures the memory of a technique's connection, and of the connection for its sends, and stores both in `own`.
///
/// # Errors
/// If the server does not behave as expected.
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
    // Between two short polls, their own connection is free for sends, and a socket carries its own.
    if matches!(technique, Technique::LongPoll | Technique::Sse) {
        let post = requests::post(SENT, "application/json", &requests::payload(PAYLOAD));
        own.memory_per_sender_bytes = used(binary, |_| post).await?;
    }
    Ok(())
}

/// Measures a connection that waits, after it has delivered `events` events. Returns bytes.
async fn held(binary: &Path, technique: Technique, events: usize) -> anyhow::Result<f64> {
    // A new server, because one that has freed memory does not return it at once, and would use it again here.
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
    // Close the connections only now: the memory that this frees may be returned to the system.
    drop(crowd);
    Ok((taken / float(HELD as u64)).max(0.0))
}

/// Measures a connection that is kept open after many requests. Returns bytes. `request` makes the request from the
/// last cursor of the log.
async fn used(binary: &Path, request: impl FnOnce(&str) -> Vec<u8>) -> anyhow::Result<f64> {
    let server = Server::start(binary, &[])?;
    let request = request(&Publisher::open(server.address).await?.stock().await?.last);
    warm_up(&server, Technique::ShortPoll).await?;
    let tally = Tally::new(0);
    let ask = async |wire: &mut Wire| {
        wire.send(&request).await?;
        wire.answer().await
    };
    // Fill the log first: the events that it retains are not memory of a connection.
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
    // Take the connections in turn: if their buffers grew one after the other, each would reuse memory that the one
    // before has outgrown.
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

/// Opens and closes a server's first connections of a technique.
///
/// # Errors
/// If the server refuses a connection.
pub(crate) async fn warm_up(server: &Server, technique: Technique) -> anyhow::Result<()> {
    drop(Crowd::open(Plan::quiet(server.address, technique, FIRST)).await?);
    sleep(CALM).await;
    Ok(())
}
