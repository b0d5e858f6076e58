//! Load clients of the four techniques. Each behaves as a page does, and ends only if it fails or is dropped.

use std::{mem, sync::Arc};

use anyhow::{Context as _, bail, ensure};
use fourways_shared::{Cursor, Technique};
use tokio::time::{sleep_until, timeout_at};

use crate::{
    plan::Plan,
    raw::{EVENT, Frame, Wire, masked, open_stream},
    requests::{self, SENT, payload},
    tally::Tally,
    text::find,
};

/// Opcode of a text frame (RFC 6455 11.8).
pub(crate) const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
/// Opcode of a pong frame (RFC 6455 11.8).
pub(crate) const PONG: u8 = 0xA;

/// Runs one client that reads with the plan's technique.
///
/// # Errors
/// If the client fails; it never returns otherwise.
pub(crate) async fn attend(plan: Plan, client: usize, tally: Arc<Tally>) -> anyhow::Result<()> {
    match plan.technique {
        Technique::ShortPoll => short_poll(&plan, client, &tally).await,
        Technique::LongPoll => long_poll(&plan, client, &tally).await,
        Technique::Sse => sse(&plan, client, &tally).await,
        Technique::Websocket => websocket(&plan, client, &tally).await,
    }
}

/// Publishes by POST on a separate connection, because over HTTP/1.1 a browser can't send on a connection that a
/// poll or stream occupies.
///
/// # Errors
/// If a publish fails; the function never returns otherwise.
pub(crate) async fn send(plan: Plan, client: usize, tally: Arc<Tally>) -> anyhow::Result<()> {
    let mut wire = Wire::open(plan.address, Arc::clone(&tally)).await?;
    let request = requests::post(SENT, "application/json", &payload(plan.payload));
    let mut due = plan.first(client, plan.send);
    loop {
        sleep_until(due).await;
        due += plan.send;
        tally.asked();
        wire.send(&request).await?;
        let answer = wire.answer().await?;
        ensure!(answer.status == 201, "a send was refused with {}", answer.status);
    }
}

async fn short_poll(plan: &Plan, client: usize, tally: &Arc<Tally>) -> anyhow::Result<()> {
    let mut wire = Wire::open(plan.address, Arc::clone(tally)).await?;
    let mut cursor = ask(&mut wire, &requests::poll("", None), client, tally).await?;
    tally.opened();
    let mut due = plan.first(client, plan.poll);
    loop {
        sleep_until(due).await;
        // The next poll is due by the schedule, so that a late answer does not make polls rarer.
        due += plan.poll;
        let request = requests::poll(&format!("&after={cursor}"), Some(&cursor));
        cursor = ask(&mut wire, &request, client, tally).await?;
    }
}

async fn long_poll(plan: &Plan, client: usize, tally: &Arc<Tally>) -> anyhow::Result<()> {
    let mut wire = Wire::open(plan.address, Arc::clone(tally)).await?;
    // The first poll returns the cursor to begin at; the polls that are held follow.
    let mut cursor = ask(&mut wire, &requests::poll("", None), client, tally).await?;
    let wait = plan.hold.as_secs_f64();
    let mut is_first = true;
    loop {
        tally.asked();
        wire.send(&requests::poll(&format!("&after={cursor}&wait={wait}"), None)).await?;
        if mem::take(&mut is_first) {
            tally.opened();
        }
        cursor = take(&mut wire, client, tally).await?;
    }
}

async fn sse(plan: &Plan, client: usize, tally: &Arc<Tally>) -> anyhow::Result<()> {
    let (mut place, mut is_first) = (None, true);
    let mut ends = plan.first(client, plan.lifetime);
    loop {
        let (mut wire, begins) = open_stream(plan.address, plan.technique, "", place, tally).await?;
        place = begins.or(place);
        if mem::take(&mut is_first) {
            tally.opened();
        }
        loop {
            let reading = wire.lines(|line| {
                if let Some(data) = line.strip_prefix(b"data: ")
                    && data.starts_with(EVENT)
                {
                    place = tally.arrived(client, data).or(place);
                }
            });
            let Ok(read) = timeout_at(ends, reading).await else { break };
            read?;
        }
        ends += plan.lifetime;
    }
}

async fn websocket(plan: &Plan, client: usize, tally: &Arc<Tally>) -> anyhow::Result<()> {
    let (mut place, mut is_first) = (None, true);
    let mut ends = plan.first(client, plan.lifetime);
    let mut send = plan.first(client, plan.send);
    let text = format!(r#"{{"type":"publish","topic":"{SENT}","data":{}}}"#, payload(plan.payload));
    let publish = masked(TEXT, text.as_bytes());
    loop {
        let (mut wire, begins) = open_stream(plan.address, plan.technique, "", place, tally).await?;
        place = begins.or(place);
        if mem::take(&mut is_first) {
            tally.opened();
        }
        loop {
            if let Ok(frame) = timeout_at(send.min(ends), wire.frame()).await {
                place = hear(frame?, &mut wire, client, tally).await?.or(place);
            } else if send < ends {
                send += plan.send;
                wire.send(&publish).await?;
            } else {
                break;
            }
        }
        ends += plan.lifetime;
    }
}

/// Counts the event in a frame and returns its cursor, or answers a ping. Fails if the frame closes the socket.
async fn hear(frame: Frame, wire: &mut Wire, client: usize, tally: &Tally) -> anyhow::Result<Option<Cursor>> {
    match frame.opcode {
        TEXT if frame.payload.starts_with(EVENT) => Ok(tally.arrived(client, &frame.payload)),
        PING => {
            wire.send(&masked(PONG, &frame.payload)).await?;
            Ok(None)
        }
        CLOSE => bail!("the server closed the socket: {:?}", String::from_utf8_lossy(&frame.payload)),
        _ => Ok(None),
    }
}

/// Sends a poll, and returns the cursor after its answer.
async fn ask(wire: &mut Wire, request: &[u8], client: usize, tally: &Tally) -> anyhow::Result<String> {
    tally.asked();
    wire.send(request).await?;
    take(wire, client, tally).await
}

/// Reads the answer to a poll, counts its events, and returns the cursor after them, which is the answer's `ETag`.
async fn take(wire: &mut Wire, client: usize, tally: &Tally) -> anyhow::Result<String> {
    let answer = wire.answer().await?;
    ensure!(matches!(answer.status, 200 | 204 | 304), "a poll was answered with {}", answer.status);
    let mut rest = answer.body();
    let mut is_empty = true;
    while let Some(at) = find(rest, EVENT) {
        tally.arrived(client, &rest[at..]);
        rest = &rest[at + EVENT.len()..];
        is_empty = false;
    }
    if is_empty {
        tally.in_vain();
    }
    let tag = answer.header("etag").context("a poll was answered without an ETag")?;
    Ok(tag.trim_matches('"').to_owned())
}
