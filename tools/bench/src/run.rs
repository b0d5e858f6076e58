//! `fourways-bench run`: runs a load, and prints the results.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, ensure};
use clap::Args;
use fourways_shared::Technique;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    amount::{float, seconds},
    arrivals,
    crowd::Crowd,
    meter::Meter,
    plan::{NEVER, Plan},
    publisher::Publisher,
    server::Server,
    table::{Table, figure, line},
};

/// Flags of `fourways-bench run`.
#[derive(Args, Debug)]
pub(crate) struct Flags {
    /// Binary of the server, which is started for this run and killed after it.
    #[arg(long, value_name = "PATH", required_unless_present = "address")]
    server: Option<PathBuf>,

    /// Address of a server that already runs, on this machine.
    #[arg(long, value_name = "IP:PORT", conflicts_with = "server")]
    address: Option<SocketAddr>,

    /// Technique to read by: sse, websocket, long-poll or short-poll.
    #[arg(long, default_value = "sse")]
    by: Technique,

    /// Number of clients that read; each gets every event.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    clients: usize,

    /// Events published per second.
    #[arg(long, default_value_t = 10.0, value_name = "PER_SECOND")]
    rate: f64,

    /// Publish events as a Poisson process instead of evenly.
    #[arg(long)]
    poisson: bool,

    /// Size of each event's data, in bytes.
    #[arg(long, default_value_t = 100, value_name = "BYTES")]
    payload: usize,

    /// Duration of publishing.
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = seconds)]
    seconds: Duration,

    /// Time between the short polls of a client.
    #[arg(long, default_value = "1", value_name = "SECONDS", value_parser = seconds)]
    interval: Duration,

    /// Maximum time that a long poll is held; at most 30 s, even if the server allows more.
    #[arg(long, default_value = "25", value_name = "SECONDS", value_parser = seconds)]
    hold: Duration,

    /// Time after which a stream or socket is closed and opened again; without it, connections last for the whole run.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    lifetime: Option<Duration>,
}

/// Runs the load and prints the results. Returns false if events were lost, repeated or out of order.
///
/// # Errors
/// If the load can't be run.
pub(crate) async fn run(flags: &Flags) -> anyhow::Result<bool> {
    ensure!((0.0..=100_000.0).contains(&flags.rate), "rate is {}; allowed is 0 to 100000", flags.rate);
    ensure!((2..=1 << 20).contains(&flags.payload), "payload is {}; allowed is 2 to 1048576", flags.payload);
    ensure!(flags.hold <= Duration::from_secs(30), "hold is {:?}; allowed is up to 30 s", flags.hold);
    let server = flags.server.as_deref().map(|binary| Server::start(binary, &[])).transpose()?;
    let address = server.as_ref().map(|server| server.address).or(flags.address).context("no server")?;
    ensure!(
        address.ip().is_loopback(),
        "{address} is not on this machine; run loads only against a server of your own"
    );
    // The meter settles before the clients connect, because the requests that they send by themselves are part of the
    // load.
    let mut meter = match &server {
        Some(server) => Some(Meter::settle(server).await?),
        None => None,
    };
    let mut crowd = Crowd::open(plan(flags, address)).await?;
    let mut publisher = Publisher::open(address).await?;
    let count = arrivals::count_of(flags.rate, flags.seconds);
    let times = if flags.poisson {
        arrivals::poisson(count, flags.seconds)
    } else {
        arrivals::steady(count, flags.seconds)
    };
    if let Some(meter) = &mut meter {
        meter.begin()?;
    }
    let (began, before) = (Instant::now(), crowd.counts());
    let mut published = 0;
    for at in times {
        // An event that is late is published at once, so the rate holds as long as the server can keep up.
        sleep_until(began + at).await;
        publisher.publish(1, flags.payload).await?;
        published += 1;
        crowd.check()?;
    }
    sleep_until(began + flags.seconds).await;
    let publishing = began.elapsed();
    arrive(&mut crowd, published * flags.clients as u64, flags.interval).await?;
    let measured = Measured {
        counts: crowd.counts() - before,
        cpu_us: meter.as_ref().map(Meter::spent_us).transpose()?,
        took: began.elapsed(),
        publishing,
        expected: published * flags.clients as u64,
    };
    measured.print(&crowd)
}

fn plan(flags: &Flags, address: SocketAddr) -> Plan {
    Plan {
        poll: flags.interval,
        hold: flags.hold,
        lifetime: flags.lifetime.unwrap_or(NEVER),
        ..Plan::quiet(address, flags.by, flags.clients)
    }
}

/// Waits for the events that are still on their way, for one poll interval and 5 seconds at most. Events that have not
/// arrived by then are lost.
async fn arrive(crowd: &mut Crowd, expected: u64, interval: Duration) -> anyhow::Result<()> {
    let until = Instant::now() + interval + Duration::from_secs(5);
    while crowd.tally().ledger().delivered < expected && Instant::now() < until {
        crowd.check()?;
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

struct Measured {
    counts: crate::tally::Counts,
    /// Processor time of the server, in microseconds, if this run has started the server.
    cpu_us: Option<f64>,
    took: Duration,
    publishing: Duration,
    /// Number of deliveries if nothing is lost.
    expected: u64,
}

impl Measured {
    fn print(&self, crowd: &Crowd) -> anyhow::Result<bool> {
        let (counts, ledger) = (self.counts, crowd.tally().ledger());
        let lost = self.expected.saturating_sub(ledger.delivered);
        let (took, events) = (self.took.as_secs_f64(), float(counts.events.max(1)));
        let mut table = Table::new(&["", ""], 1);
        let mut row = |name: &str, value: String| table.row(vec![name.to_owned(), value]);
        row("delivered", format!("{} of {}", ledger.delivered, self.expected));
        row("lost", lost.to_string());
        row("repeated", ledger.repeated.to_string());
        row("out of order", ledger.disordered.to_string());
        row("time of publishing, s", figure(self.publishing.as_secs_f64()));
        row("time in all, s", figure(took));
        for (name, quantile) in
            [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("longest", 1.0)]
        {
            let latency = crowd.tally().latency_ms(quantile).map_or("–".to_owned(), figure);
            row(&format!("latency {name}, ms"), latency);
        }
        row("requests", counts.requests.to_string());
        row("empty polls among them", counts.empty.to_string());
        row("requests/s", figure(float(counts.requests) / took));
        row("up, bytes/s", figure(float(counts.up_bytes) / took));
        row("down, bytes/s", figure(float(counts.down_bytes) / took));
        row("up and down per event, bytes", figure(float(counts.up_bytes + counts.down_bytes) / events));
        if let Some(cpu_us) = self.cpu_us {
            row("server, cores", figure(cpu_us / 1e6 / took));
            row("server per event, µs", figure(cpu_us / events));
        }
        table.print()?;
        let is_whole = lost == 0 && ledger.repeated == 0 && ledger.disordered == 0;
        if !is_whole {
            line("\nevents were lost, repeated or out of order")?;
        }
        Ok(is_whole)
    }
}
