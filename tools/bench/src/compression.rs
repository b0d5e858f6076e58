//! `fourways-bench compression`: measures what compressing deliveries saves, and what it costs the server.
//!
//! There are two ways to compress. *Own*: each connection has a compressor that refers back to earlier events (gzip on
//! an event stream, permessage-deflate with context takeover, RFC 7692 7.1.1). This has the best ratio, but every
//! delivery is compressed anew, and every connection keeps a window. *Shared*: each event is compressed once, by
//! itself, and every connection gets the same bytes (permessage-deflate without context takeover; on an event stream,
//! blocks of one gzip stream that refer to nothing before them).

use std::{fs, time::Instant};

use anyhow::Context as _;
use clap::Args;
use flate2::{Compress, Compression, FlushCompress};
use fourways_shared::{Cursor, Data, Epoch, Event, EventName, Offset, wire};
use serde_json::json;

use crate::{
    amount::float,
    table::{Table, figure, line},
};

/// Flags of `fourways-bench compression`.
#[derive(Args, Debug)]
pub(crate) struct Flags {
    /// Number of connections that get each event.
    #[arg(long, default_value_t = 500, value_name = "N")]
    connections: usize,

    /// Number of events of each kind.
    #[arg(long, default_value_t = 200, value_name = "N")]
    events: usize,
}

/// A way to compress the bytes of a connection.
#[derive(Clone, Copy)]
enum Way {
    Own { window_bits: u8 },
    Shared,
}

const WAYS: [(&str, Way); 3] = [
    ("own, 32 KiB window", Way::Own { window_bits: 15 }),
    ("own, 512 B window", Way::Own { window_bits: 9 }),
    ("shared", Way::Shared),
];

/// Level of compression: zlib's default trade-off between size and time.
const LEVEL: u32 = 6;

struct Cost {
    bytes: usize,
    us_per_delivery: f64,
    kib_per_connection: f64,
}

/// Measures every kind of event, encoding and way to compress, and prints a table.
///
/// # Errors
/// If this process's memory can't be read, or an event can't be compressed.
pub(crate) fn run(flags: &Flags) -> anyhow::Result<bool> {
    let mut table = Table::new(
        &["event", "as", "way", "bytes plain", "compressed", "ratio", "µs a delivery", "KiB a connection"],
        3,
    );
    for (kind, values) in
        [("figures of this host", figures()), ("a sentence", sentences()), ("a document", documents())]
    {
        let events: Vec<Event> = values.iter().cycle().take(flags.events).enumerate().map(event).collect();
        for (form, encode) in FORMS {
            let plain: Vec<Vec<u8>> = events.iter().map(encode).collect();
            let before: usize = plain.iter().map(Vec::len).sum();
            for (name, way) in WAYS {
                let Cost { bytes, us_per_delivery, kib_per_connection } =
                    measure(&plain, way, flags.connections)?;
                table.row(vec![
                    kind.to_owned(),
                    form.to_owned(),
                    name.to_owned(),
                    figure(float(before as u64) / float(plain.len() as u64)),
                    figure(float(bytes as u64) / float(plain.len() as u64)),
                    format!("{:.2}", float(bytes as u64) / float(before as u64)),
                    figure(us_per_delivery),
                    figure(kib_per_connection),
                ]);
            }
        }
    }
    table.print()?;
    line(&format!(
        "\n{} events of each kind to {} connections, deflate level {LEVEL}; headers of chunks and frames, the same in all, are \
         left out.",
        flags.events, flags.connections
    ))?;
    Ok(true)
}

type Encode = fn(&Event) -> Vec<u8>;

const FORMS: [(&str, Encode); 2] = [
    ("SSE", |event| {
        let mut block = Vec::new();
        wire::sse::write_event(&mut block, event.cursor, &event.name, &text(event));
        block
    }),
    ("WebSocket", |event| text(event).into_bytes()),
];

fn text(event: &Event) -> String {
    serde_json::to_string(event).unwrap_or_default()
}

fn measure(plain: &[Vec<u8>], way: Way, connections: usize) -> anyhow::Result<Cost> {
    let before = memory_kib()?;
    let compressor = |bits| Compress::new_with_window_bits(Compression::new(LEVEL), false, bits);
    let mut out = Vec::with_capacity(64 * 1024);
    let mut bytes = 0;
    let began;
    let mut held: Vec<Compress> = Vec::new();
    match way {
        Way::Own { window_bits } => {
            held = (0..connections).map(|_| compressor(window_bits)).collect();
            began = Instant::now();
            for event in plain {
                for (at, own) in held.iter_mut().enumerate() {
                    squeeze(own, event, FlushCompress::Sync, &mut out)?;
                    bytes += if at == 0 { out.len() } else { 0 };
                }
            }
        }
        Way::Shared => {
            let mut once = compressor(15);
            began = Instant::now();
            for event in plain {
                squeeze(&mut once, event, FlushCompress::Full, &mut out)?;
                bytes += out.len();
            }
        }
    }
    let us = began.elapsed().as_secs_f64() * 1e6 / float((plain.len() * connections) as u64);
    let kib_per_connection = (memory_kib()? - before).max(0.0) / float(connections as u64);
    drop(held);
    Ok(Cost { bytes, us_per_delivery: us, kib_per_connection })
}

fn squeeze(
    compressor: &mut Compress,
    event: &[u8],
    flush: FlushCompress,
    out: &mut Vec<u8>,
) -> anyhow::Result<()> {
    out.clear();
    compressor.compress_vec(event, out, flush).context("an event could not be compressed")?;
    Ok(())
}

fn memory_kib() -> anyhow::Result<f64> {
    let text = fs::read_to_string("/proc/self/statm").context("this process's memory can't be read")?;
    let pages: u64 =
        text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).context("statm can't be read")?;
    Ok(float(pages) * 4.0)
}

fn event((at, data): (usize, &Data)) -> Event {
    // The offset and the time are those of a log that has run for a while.
    let (offset, tick) = (1_000_000 + at as u64, 1_764_000_000_000_000 + at as u64 * 137_911);
    Event {
        topic: "bench.compression".parse().unwrap_or_else(|_| unreachable!()),
        cursor: Cursor { epoch: Epoch::from_bits(0x1234_5678_9ABC), offset: Offset(offset) },
        name: EventName::DEFAULT,
        id: None,
        published_at_us: tick,
        data: data.clone(),
    }
}

/// Returns data as a dashboard gets it: the same names each time, with other numbers.
fn figures() -> Vec<Data> {
    let read = || {
        let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let kib = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        };
        let ticks: Vec<u64> =
            stat.lines().next().unwrap_or_default().split_whitespace().flat_map(str::parse).collect();
        Data::json(&json!({
            "memory_free_kib": kib("MemFree"), "memory_available_kib": kib("MemAvailable"), "cached_kib": kib("Cached"),
            "dirty_kib": kib("Dirty"), "anonymous_kib": kib("AnonPages"), "ticks": ticks,
        }))
    };
    (0..200).map(|_| read()).collect()
}

/// Returns data as a chat gets it: short messages, from the sentences of `ARCHITECTURE.md`.
fn sentences() -> Vec<Data> {
    let text = include_str!("../../../ARCHITECTURE.md").replace('\n', " ");
    text.split_inclusive(['.', ':', ';'])
        .map(str::trim)
        .filter(|sentence| sentence.len() > 20)
        .map(|sentence| Data::json(&json!({ "from": "ada", "text": sentence })))
        .collect()
}

/// Returns data as a catalogue gets it: documents of some size, from the packages in `Cargo.lock`.
fn documents() -> Vec<Data> {
    let packages = include_str!("../../../Cargo.lock").split("[[package]]").skip(1);
    packages
        .filter(|package| package.len() > 500)
        .map(|package| {
            let lines: Vec<&str> = package.lines().filter(|line| !line.is_empty()).collect();
            Data::json(&json!({ "package": lines }))
        })
        .collect()
}
