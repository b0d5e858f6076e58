//! `fourways-bench run`: a load, and what came of it.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, ensure};
use clap::Args;
use fourways_shared::Technique;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    amount::{float, seconds},
    arrivals,
    crowd::{Crowd, FOREVER, Plan},
    meter::Meter,
    publisher::Publisher,
    server::Server,
    table::{Table, figure, line},
};

/// What `run` can be told.
#[derive(Args, Debug)]
pub(crate) struct Flags {
    /// The server's program, which is started for this and ended after it.
    #[arg(long, value_name = "PATH", required_unless_present = "address")]
    server: Option<PathBuf>,

    /// A server that runs already, on this machine.
    #[arg(long, value_name = "IP:PORT", conflicts_with = "server")]
    address: Option<SocketAddr>,

    /// Technique to read by: sse, websocket, long-poll or short-poll.
    #[arg(long, default_value = "sse")]
    by: Technique,

    /// How many clients read; all of them get every event.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    clients: usize,

    /// Events published in a second.
    #[arg(long, default_value_t = 10.0, value_name = "PER_SECOND")]
    rate: f64,

    /// Events come as a Poisson process instead of evenly.
    #[arg(long)]
    poisson: bool,

    /// Bytes of each event's data.
    #[arg(long, default_value_t = 100, value_name = "BYTES")]
    payload: usize,

    /// How long events are published.
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = seconds)]
    seconds: Duration,

    /// Time between the short polls of a client.
    #[arg(long, default_value = "1", value_name = "SECONDS", value_parser = seconds)]
    interval: Duration,

    /// The longest that a long poll is held; at most a minute's half, whatever the server allows.
    #[arg(long, default_value = "25", value_name = "SECONDS", value_parser = seconds)]
    hold: Duration,

    /// How long a stream or socket is kept until it is opened again; without it, for the whole run.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    lifetime: Option<Duration>,
}

/// Runs the load and prints what came of it; false if events were lost or repeated.
///
/// # Errors
/// If the load can't be run.
pub(crate) async fn run(flags: &Flags) -> anyhow::Result<bool> {
    ensure!((0.0..=100_000.0).contains(&flags.rate), "rate is {}; allowed are 0 to 100000", flags.rate);
    ensure!((2..=1 << 20).contains(&flags.payload), "payload is {}; allowed are 2 to 1048576", flags.payload);
    ensure!(flags.hold <= Duration::from_secs(30), "hold is {:?}; allowed are at most 30 s", flags.hold);
    let server = flags.server.as_deref().map(|binary| Server::start(binary, &[])).transpose()?;
    let address = server.as_ref().map(|server| server.address).or(flags.address).context("no server")?;
    ensure!(
        address.ip().is_loopback(),
        "{address} is not on this machine; a load is for one's own server only"
    );
    // Before the clients are there: what they ask by themselves is part of the load.
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
        // One that is late is published at once: the rate holds as long as the server can keep it.
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
        lifetime: flags.lifetime.unwrap_or(FOREVER),
        ..Plan::quiet(address, flags.by, flags.clients)
    }
}

/// Gives what is still on its way the time of a poll and some more. What has not come then is lost.
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
    /// Where the server is ours.
    cpu_us: Option<f64>,
    took: Duration,
    publishing: Duration,
    /// Deliveries, if nothing is lost.
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
        row("publishing took, s", figure(self.publishing.as_secs_f64()));
        row("all took, s", figure(took));
        for (name, quantile) in
            [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("longest", 1.0)]
        {
            let latency = crowd.tally().latency_ms(quantile).map_or("–".to_owned(), figure);
            row(&format!("latency {name}, ms"), latency);
        }
        row("requests", counts.requests.to_string());
        row("of them in vain", counts.empty.to_string());
        row("requests/s", figure(float(counts.requests) / took));
        row("up, bytes/s", figure(float(counts.up_bytes) / took));
        row("down, bytes/s", figure(float(counts.down_bytes) / took));
        row("both for each event, bytes", figure(float(counts.up_bytes + counts.down_bytes) / events));
        if let Some(cpu_us) = self.cpu_us {
            row("server, cores", figure(cpu_us / 1e6 / took));
            row("server for each event, µs", figure(cpu_us / events));
        }
        table.print()?;
        let is_whole = lost == 0 && ledger.repeated == 0 && ledger.disordered == 0;
        if !is_whole {
            line("\nevents were lost, repeated or out of order")?;
        }
        Ok(is_whole)
    }
}
