//! Measures bytes on the wire, by the server's own count: for a page of the lab, the server counts the bytes that it
//! reads and writes.
//!
//! Requests are those of a browser (`chromium.txt`), plus the page's tag, whose length is subtracted.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use fourways_shared::{Technique, decide::TechniqueConstants, lab::Counts};
use tokio::time::sleep;

use crate::{
    amount::float,
    clients::PONG,
    page::Page,
    publisher::{PAYLOAD, Publisher, Stock},
    raw::{BLOCK_END, EVENT, Wire, masked, open_stream},
    requests,
    server::{HEARTBEAT_S, Server},
    tally::Tally,
    text::find,
};

/// Number of polls of each kind, and of events on each stream. Figures are the mean over all, because the lengths of
/// cursors differ by a digit now and then.
const TIMES: u64 = 10;
/// Number of heartbeats that are measured.
const BEATS: u64 = 3;
/// Flags that end an empty long poll after 0.05 seconds, whatever its request says, so that the request can be the one
/// that pages send.
const SOON: [&str; 2] = ["--max-wait", "0.05"];

/// Measures the constants of a technique that are bytes on the wire, and stores them in `own`.
///
/// # Errors
/// If the server does not behave as expected.
pub(crate) async fn measure(
    binary: &Path,
    technique: Technique,
    own: &mut TechniqueConstants,
) -> anyhow::Result<()> {
    match technique {
        Technique::ShortPoll | Technique::LongPoll => polls(binary, technique, own).await,
        Technique::Sse | Technique::Websocket => {
            events(binary, technique, own).await?;
            own.keepalive_bytes_per_s = heartbeat(binary, technique).await? / HEARTBEAT_S;
            Ok(())
        }
    }
}

async fn polls(binary: &Path, technique: Technique, own: &mut TechniqueConstants) -> anyhow::Result<()> {
    let server = Server::start(binary, &SOON)?;
    let mut page = Page::open(server.address).await?;
    let Stock { before_many, before_one, last } = Publisher::open(server.address).await?.stock().await?;
    let tag = page.tag();
    let request = |after: &str| match technique {
        Technique::LongPoll => requests::poll(&format!("&after={after}&wait=25{tag}"), None),
        _ => requests::poll(&format!("&after={after}{tag}"), Some(after)),
    };
    let one = counted(&server, &mut page, technique, &request(&before_one)).await?;
    let many = counted(&server, &mut page, technique, &request(&before_many)).await?;
    let none = counted(&server, &mut page, technique, &request(&last)).await?;
    ensure!((one.empty, many.empty, none.empty) == (0, 0, TIMES), "counted {one:?}, {many:?}, {none:?}");
    let each = |bytes: u64| float(bytes) / float(TIMES);
    // A line through both points: the part that does not grow with the number of events counts once.
    let more = each(many.down.total()) - each(one.down.total());
    let per_event = more / (float(Stock::MANY as u64) - 1.0);
    own.request_up_bytes = each(one.up.total()) - float(tag.len() as u64);
    own.response_head_bytes = each(one.down.total()) - per_event;
    own.framing_per_event_bytes = per_event - float(PAYLOAD as u64);
    own.empty_up_bytes = each(none.empty_up) - float(tag.len() as u64);
    own.empty_down_bytes = each(none.empty_down);
    Ok(())
}

/// Sends the same poll [`TIMES`] times on one connection, and returns the server's counts.
async fn counted(
    server: &Server,
    page: &mut Page,
    technique: Technique,
    request: &[u8],
) -> anyhow::Result<Counts> {
    page.zero().await?;
    let mut wire = Wire::open(server.address, Tally::new(0)).await?;
    for _ in 0..TIMES {
        wire.send(request).await?;
        wire.answer().await?;
    }
    page.counts(technique).await
}

async fn events(binary: &Path, technique: Technique, own: &mut TechniqueConstants) -> anyhow::Result<()> {
    let server = Server::start(binary, &[])?;
    let (mut page, mut publisher) =
        (Page::open(server.address).await?, Publisher::open(server.address).await?);
    // The first cursors of a log are shorter than those that follow.
    publisher.stock().await?;
    let tag = page.tag();
    let (mut wire, _) = open_stream(server.address, technique, &tag, None, &Tally::new(0)).await?;
    let opening = page.counts(technique).await?;
    for _ in 0..TIMES {
        publisher.publish(1, PAYLOAD).await?;
        let event = unit(&mut wire, technique).await?;
        ensure!(find(&event, EVENT).is_some(), "not an event: {:?}", String::from_utf8_lossy(&event));
    }
    let after = page.counts(technique).await?;
    own.request_up_bytes = float(opening.total_up()) - float(tag.len() as u64);
    own.response_head_bytes = float(opening.total_down());
    let each = float(after.total_down() - opening.total_down()) / float(TIMES);
    own.framing_per_event_bytes = each - float(PAYLOAD as u64);
    Ok(())
}

/// Measures the bytes of one heartbeat and its answer, both ways together. The server sends a heartbeat every second
/// here, to keep the measurement short.
async fn heartbeat(binary: &Path, technique: Technique) -> anyhow::Result<f64> {
    let server = Server::start(binary, &["--heartbeat", "1"])?;
    let mut page = Page::open(server.address).await?;
    Publisher::open(server.address).await?.stock().await?;
    let (mut wire, _) = open_stream(server.address, technique, &page.tag(), None, &Tally::new(0)).await?;
    page.zero().await?;
    for _ in 0..BEATS {
        let beat = unit(&mut wire, technique).await?;
        ensure!(find(&beat, EVENT).is_none(), "an event that nobody published");
        if technique == Technique::Websocket {
            wire.send(&masked(PONG, &beat)).await?;
        }
    }
    // Long enough for the server to read the last answer, too short for another heartbeat.
    sleep(Duration::from_millis(200)).await;
    let counts = page.counts(technique).await.context("after the heartbeats")?;
    Ok(float(counts.total_up() + counts.total_down()) / float(BEATS))
}

/// Reads the next block of a stream, or the payload of the next frame of a socket.
async fn unit(wire: &mut Wire, technique: Technique) -> anyhow::Result<Vec<u8>> {
    if technique == Technique::Websocket {
        Ok(wire.frame().await?.payload)
    } else {
        wire.until(BLOCK_END).await
    }
}
