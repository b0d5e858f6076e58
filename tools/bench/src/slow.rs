//! `fourways-bench slow`: measures what subscribers that stop reading cost the server, and the subscribers that read.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use clap::Args;
use fourways_shared::Technique;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    amount::{float, seconds},
    arrivals,
    crowd::Crowd,
    meter::CALM,
    plan::Plan,
    publisher::Publisher,
    raw::Wire,
    requests,
    server::Server,
    table::{Table, figure, line, say},
    tally::Tally,
};

/// Flags of `fourways-bench slow`.
#[derive(Args, Debug)]
pub(crate) struct Flags {
    /// Binary of the server, built for release.
    #[arg(long, value_name = "PATH")]
    server: PathBuf,

    /// Number of subscribers that stop reading.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    stuck: usize,

    /// Duration of publishing, in each measurement.
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = seconds)]
    seconds: Duration,

    /// Number of rounds, each without and with the subscribers that stop reading. A handful of moments makes a p99, so
    /// the median of some rounds says more than one round.
    #[arg(long, default_value_t = 5, value_name = "N")]
    rounds: usize,
}

/// Number of subscribers that read.
const READERS: usize = 200;
const EVENTS_PER_S: f64 = 50.0;
const PAYLOAD: usize = 1000;
/// Flags for a write timeout that is longer than events are published by default, so that the server closes no
/// connection before memory is measured.
const WRITE_TIMEOUT: [&str; 2] = ["--write-timeout", "20s"];
/// Memory of the server that a stuck subscriber may take, in KiB.
const MOST_KIB: f64 = 32.0;
/// Factor by which stuck subscribers may raise the p99 of those that read.
const MOST_RATIO: f64 = 1.2;
/// Size of a stuck subscriber's receive buffer, in bytes; as small as the kernel allows, so that the server soon has to
/// hold the data that the subscriber does not read.
const ROOM: u32 = 4096;

struct Measured {
    p99_ms: f64,
    grown_bytes: f64,
}

/// Measures SSE and WebSocket, without and with stuck subscribers. Returns false if these cost more than allowed.
///
/// # Errors
/// If the server does not behave as expected.
pub(crate) async fn run(flags: &Flags) -> anyhow::Result<bool> {
    let mut table = Table::new(&["", "", "without", "with", ""], 2);
    let mut is_fine = true;
    for technique in [Technique::Sse, Technique::Websocket] {
        let (mut alone, mut beside) = (Vec::new(), Vec::new());
        for round in 1..=flags.rounds.max(1) {
            say(&format!(
                "{}, round {round}: {READERS} read alone, then beside {} stuck",
                technique.label(),
                flags.stuck
            ));
            alone.push(measure(flags, technique, 0).await?);
            beside.push(measure(flags, technique, flags.stuck).await?);
        }
        let (without, with) = (median(&alone), median(&beside));
        let each_kib = (with.grown_bytes - without.grown_bytes).max(0.0) / float(flags.stuck as u64) / 1024.0;
        let ratio = with.p99_ms / without.p99_ms;
        is_fine &= each_kib < MOST_KIB && ratio < MOST_RATIO;
        let name = technique.label();
        table.row(vec![
            name.to_owned(),
            "p99 of those that read, ms".to_owned(),
            figure(without.p99_ms),
            figure(with.p99_ms),
            format!("{ratio:.2} ×"),
        ]);
        table.row(vec![
            name.to_owned(),
            "growth of memory, MB".to_owned(),
            figure(without.grown_bytes / 1e6),
            figure(with.grown_bytes / 1e6),
            format!("{each_kib:.1} KiB each"),
        ]);
    }
    table.print()?;
    line(&format!(
        "\n{EVENTS_PER_S} events/s of {PAYLOAD} bytes for {} s; {} stuck; median of {}. Allowed: {MOST_KIB} KiB each, \
         {MOST_RATIO} ×.",
        flags.seconds.as_secs_f64(),
        flags.stuck,
        flags.rounds.max(1)
    ))?;
    Ok(is_fine)
}

/// Returns the median of each figure by itself.
fn median(rounds: &[Measured]) -> Measured {
    let of = |read: fn(&Measured) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(read).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    Measured { p99_ms: of(|one| one.p99_ms), grown_bytes: of(|one| one.grown_bytes) }
}

async fn measure(flags: &Flags, technique: Technique, stuck: usize) -> anyhow::Result<Measured> {
    let server = Server::start(&flags.server, &WRITE_TIMEOUT)?;
    let mut publisher = Publisher::open(server.address).await?;
    publisher.stock().await?;
    let mut crowd = Crowd::open(Plan::quiet(server.address, technique, READERS)).await?;
    let mut held = Vec::with_capacity(stuck);
    for _ in 0..stuck {
        held.push(open(server.address, technique).await?);
    }
    until_subscribed(server.address, technique, READERS + stuck).await?;
    sleep(CALM).await;
    let before = server.memory_bytes()?;
    let times = arrivals::steady(arrivals::count_of(EVENTS_PER_S, flags.seconds), flags.seconds);
    let (began, count) = (Instant::now(), times.len());
    for at in times {
        sleep_until(began + at).await;
        publisher.publish(1, PAYLOAD).await?;
        crowd.check()?;
    }
    crowd.await_events((count * READERS) as u64).await?;
    let grown_bytes = server.memory_bytes()? - before;
    let p99_ms = crowd.tally().latency_ms(0.99).context("nothing arrived")?;
    if stuck > 0 {
        let cut = Instant::now();
        until_subscribed(server.address, technique, READERS).await?;
        say(&format!(
            "  all {stuck} were closed, the last {:.0} s after the last event",
            cut.elapsed().as_secs_f64()
        ));
    }
    drop(held);
    Ok(Measured { p99_ms, grown_bytes })
}

/// Opens a subscriber that sends its request, and reads nothing.
async fn open(address: SocketAddr, technique: Technique) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(ROOM)?;
    let mut stream = socket.connect(address).await?;
    let request = match technique {
        Technique::Websocket => requests::socket("", None),
        _ => requests::stream("", None),
    };
    stream.write_all(&request).await?;
    Ok(stream)
}

/// Waits until the topic has exactly `count` subscribers of a technique.
async fn until_subscribed(address: SocketAddr, technique: Technique, count: usize) -> anyhow::Result<()> {
    let tally = Tally::new(0);
    let mut wire = Wire::open(address, Arc::clone(&tally)).await?;
    let request =
        format!("GET /v1/topics/{} HTTP/1.1\r\nHost: localhost\r\n\r\n", requests::TOPIC).into_bytes();
    let wanted = format!("\"{}\":{count}", technique.name());
    let began = Instant::now();
    loop {
        wire.send(&request).await?;
        let text = String::from_utf8_lossy(wire.answer().await?.body()).into_owned();
        if text.contains(&format!("{wanted},")) || text.contains(&format!("{wanted}}}")) {
            return Ok(());
        }
        if began.elapsed() > Duration::from_mins(2) {
            bail!("the topic never has {wanted}: {text}");
        }
        sleep(Duration::from_millis(100)).await;
    }
}
