//! `fourways-bench model`: compares the cost model's predictions with measurements, for loads under which no constant
//! was measured.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use fourways_shared::{
    Technique,
    decide::{Constants, Cost, Load, project},
};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    amount::{float, seconds, whole},
    arrivals,
    constants::{self, Round},
    crowd::Crowd,
    machine,
    memory::{self, REQUESTS},
    meter::{CALM, Meter},
    plan::{NEVER, Plan},
    publisher::Publisher,
    server::{HEARTBEAT_S, Server},
    table::{Table, figure, line, say},
};

/// Flags of `fourways-bench model`.
#[derive(Args, Debug)]
pub(crate) struct Flags {
    /// Binary of the server, the same one that the constants were measured with.
    #[arg(long, value_name = "PATH")]
    server: PathBuf,

    /// File that `constants` has written; without it, the constants of each technique are measured before its loads.
    #[arg(long, value_name = "FILE")]
    constants: Option<PathBuf>,

    /// File to write the measured constants to.
    #[arg(long, value_name = "FILE", conflicts_with = "constants")]
    out: Option<PathBuf>,

    /// Number of rounds; the median counts.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: u16,

    /// Minimum duration of each load; short polling lasts until each client has polled 40 times. Heartbeats come every
    /// 15 s, so use a multiple of that.
    #[arg(long, default_value = "15", value_name = "SECONDS", value_parser = seconds)]
    seconds: Duration,

    /// Fail for processor time too. Needs a quiet machine with a core for the server; elsewhere, processor time depends
    /// more on the other work of the machine than on the model.
    #[arg(long)]
    strict_cpu: bool,
}

/// Maximum difference between a measurement and its prediction, as a share of the prediction.
const TOLERANCE: f64 = 0.15;

/// A quantity that is predicted and measured.
struct Quantity {
    name: &'static str,
    of: fn(&Cost) -> f64,
    /// Threshold: if both prediction and measurement are below it, their difference does not count.
    least: f64,
    is_processor: bool,
}

const QUANTITIES: [Quantity; 4] = [
    Quantity { name: "requests/s", of: |cost| cost.requests_per_s, least: 1.0, is_processor: false },
    Quantity { name: "bytes/s", of: Cost::bandwidth, least: 100.0, is_processor: false },
    Quantity { name: "memory, MB", of: |cost| cost.memory_bytes / 1e6, least: 1.0, is_processor: false },
    Quantity { name: "cores", of: |cost| cost.cores, least: 0.0005, is_processor: true },
];

/// Lifetime of a connection that is longer than any run, so that no connection is opened again, in seconds.
#[expect(clippy::cast_precision_loss, reason = "30 days")]
const NEVER_S: f64 = NEVER.as_secs() as f64;

/// The load that the others vary. All have a thousand clients or more, because the kernel gives memory in pieces of up
/// to 2 MiB, a tenth of the memory of a thousand clients; and each client sends enough requests to count as one that
/// has been in use for a while.
const BASE: Load = Load {
    clients: 1000,
    events_per_s: 1.0,
    payload_bytes: 400.0,
    poll_s: 2.0,
    hold_s: 25.0,
    sends_per_s: 0.0,
    lifetime_s: NEVER_S,
    binary: false,
};

/// The loads to compare. No constant was measured with these numbers of clients, rates, payloads, intervals or
/// lifetimes.
const LOADS: [(Technique, Load); 13] = [
    (Technique::ShortPoll, Load { events_per_s: 0.5, poll_s: 1.0, ..BASE }),
    (Technique::ShortPoll, Load { clients: 1500, poll_s: 0.5, payload_bytes: 40.0, ..BASE }),
    // The busy one: the only load under which the server seldom sleeps.
    (Technique::ShortPoll, Load { clients: 1500, poll_s: 0.1, ..BASE }),
    (Technique::LongPoll, Load { clients: 3000, hold_s: 1.5, ..BASE }),
    (Technique::LongPoll, Load { clients: 4000, events_per_s: 0.8, payload_bytes: 1000.0, ..BASE }),
    (Technique::Sse, Load { clients: 1200, events_per_s: 4.0, ..BASE }),
    (Technique::Sse, Load { events_per_s: 0.5, payload_bytes: 2000.0, lifetime_s: 5.0, ..BASE }),
    (Technique::Sse, Load { clients: 3000, events_per_s: 0.04, ..BASE }),
    (Technique::Sse, Load { sends_per_s: 0.5, ..BASE }),
    (Technique::Websocket, Load { clients: 1200, events_per_s: 4.0, ..BASE }),
    (Technique::Websocket, Load { events_per_s: 0.5, payload_bytes: 2000.0, lifetime_s: 5.0, ..BASE }),
    (Technique::Websocket, Load { clients: 3000, events_per_s: 0.04, ..BASE }),
    (Technique::Websocket, Load { sends_per_s: 0.5, ..BASE }),
];

/// Measures every load, and prints it beside its prediction. Returns false if a quantity is too far off.
///
/// # Errors
/// If the constants can't be read or a load can't be measured.
pub(crate) async fn run(flags: &Flags) -> anyhow::Result<bool> {
    let _awake = machine::keep_awake()?;
    let stored = flags.constants.as_deref().map(read).transpose()?;
    let mut rounds = Vec::with_capacity(usize::from(flags.rounds));
    let mut seen = LOADS.map(|_| Vec::with_capacity(usize::from(flags.rounds)));
    for number in 1..=flags.rounds {
        let mut round = Round::default();
        for technique in Technique::ALL {
            let within = || format!("round {number} of {}: {}", flags.rounds, technique.label());
            if stored.is_none() {
                say(&format!("{}: constants", within()));
                round.measure(&flags.server, technique, CONSTANTS).await.with_context(within)?;
            }
            let constants = stored.clone().unwrap_or_else(|| round.constants());
            for ((_, load), seen) in LOADS.iter().zip(&mut seen).filter(|((by, _), _)| *by == technique) {
                say(&format!("{}: {}", within(), described(technique, load)));
                let (load, measured) =
                    measure(&flags.server, technique, *load, flags.seconds).await.with_context(within)?;
                let predicted = project(&load, &constants)[technique.index()];
                let [thought, was] = [&predicted, &measured].map(|cost| figure(cost.cores));
                say(&format!("  {was} cores; predicted: {thought}"));
                seen.push(Pair { predicted, measured });
            }
        }
        rounds.push(round);
    }
    let mut table =
        Table::new(&["", "load", "", "predicted", "measured", "ratio", "lowest", "highest", ""], 3);
    let mut is_fine = true;
    for ((technique, load), pairs) in LOADS.iter().zip(&seen) {
        for quantity in &QUANTITIES {
            let mut of: Vec<_> = pairs.iter().map(|pair| pair.of(quantity)).collect();
            of.sort_by(|a, b| ratio(*a).total_cmp(&ratio(*b)));
            let (Some(lowest), Some(highest)) = (of.first(), of.last()) else { continue };
            let (predicted, measured) = of[of.len() / 2];
            let is_off = is_off(predicted, measured, quantity.least);
            let is_strict = !quantity.is_processor || flags.strict_cpu;
            is_fine &= !(is_off && is_strict);
            let of_ratio =
                |pair| if predicted > 0.0 { format!("{:.2}", ratio(pair)) } else { "–".to_owned() };
            table.row(vec![
                technique.label().to_owned(),
                described(*technique, load),
                quantity.name.to_owned(),
                figure(predicted),
                figure(measured),
                of_ratio((predicted, measured)),
                of_ratio(*lowest),
                of_ratio(*highest),
                match (is_off, is_strict) {
                    (false, _) => "",
                    (true, true) => "OFF",
                    (true, false) => "off, not judged",
                }
                .to_owned(),
            ]);
        }
    }
    if let Some(file) = &flags.out {
        constants::write(&constants::median(&mut rounds), file)?;
    }
    table.print()?;
    line(&format!(
        "\nThe ratio is the median of {} rounds. Off: by more than {:.0} %.{}",
        flags.rounds,
        TOLERANCE * 100.0,
        if flags.strict_cpu { "" } else { WHY }
    ))?;
    Ok(is_fine)
}

/// Duration of each measurement of processor time for the constants.
const CONSTANTS: Duration = Duration::from_secs(3);

/// The predicted and the measured cost of one load in one round.
struct Pair {
    predicted: Cost,
    measured: Cost,
}

impl Pair {
    fn of(&self, quantity: &Quantity) -> (f64, f64) {
        ((quantity.of)(&self.predicted), (quantity.of)(&self.measured))
    }
}

fn ratio((predicted, measured): (f64, f64)) -> f64 {
    measured / predicted.max(f64::MIN_POSITIVE)
}

fn read(file: &Path) -> anyhow::Result<Constants> {
    let text = fs::read_to_string(file).with_context(|| format!("{} can't be read", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} holds no constants", file.display()))
}

const WHY: &str = " Processor time is not judged without --strict-cpu: other work on the same machine takes caches \
and time.";

fn is_off(predicted: f64, measured: f64, least: f64) -> bool {
    let is_something = predicted >= least || measured >= least;
    is_something && (measured - predicted).abs() > TOLERANCE * predicted
}

/// Measures a load. Returns the load as it really was, because a rate makes a whole number of events, and its cost.
async fn measure(
    binary: &Path,
    technique: Technique,
    load: Load,
    window: Duration,
) -> anyhow::Result<(Load, Cost)> {
    // A connection needs this many requests to grow to the size of one that has been in use for a while; see `memory`.
    let window = match technique {
        Technique::ShortPoll => window.max(Duration::from_secs_f64(load.poll_s * float(REQUESTS as u64))),
        Technique::LongPoll | Technique::Sse | Technique::Websocket => window,
    };
    let server = Server::start(binary, &[])?;
    let mut publisher = Publisher::open(server.address).await?;
    memory::warm_up(&server, technique).await?;
    let times = arrivals::poisson(arrivals::count_of(load.events_per_s, window), window);
    let payload = whole(load.payload_bytes);
    let mut meter = Meter::settle(&server).await?;
    // Publish without readers first: the model leaves out the server's work for an event itself, so its cost is
    // subtracted.
    meter.begin()?;
    for _ in &times {
        publisher.publish(1, payload).await?;
        sleep(Duration::from_millis(10)).await;
    }
    sleep(CALM).await;
    let (publishing_us, memory_before) = (meter.spent_us()?, server.memory_bytes()?);
    let mut crowd = Crowd::open(plan(&server, technique, &load)).await?;
    sleep(CALM).await;
    meter.begin()?;
    let (began, before) = (Instant::now(), crowd.counts());
    for at in &times {
        sleep_until(began + *at).await;
        publisher.publish(1, payload).await?;
        crowd.check()?;
    }
    sleep_until(began + window).await;
    crowd.check()?;
    let (spent_us, counts) = (meter.spent_us()?, crowd.counts() - before);
    let (seconds, memory) = (began.elapsed().as_secs_f64(), server.memory_bytes()?);
    let measured = Cost {
        requests_per_s: float(counts.requests) / seconds,
        down_bytes_per_s: float(counts.down_bytes) / seconds,
        up_bytes_per_s: float(counts.up_bytes) / seconds,
        held_connections: f64::from(load.clients),
        memory_bytes: (memory - memory_before).max(0.0),
        cores: (spent_us - publishing_us).max(0.0) / 1e6 / seconds,
    };
    Ok((Load { events_per_s: float(times.len() as u64) / seconds, ..load }, measured))
}

fn plan(server: &Server, technique: Technique, load: &Load) -> Plan {
    let quiet = Plan::quiet(server.address, technique, load.clients as usize);
    let send = if load.sends_per_s > 0.0 { Duration::from_secs_f64(1.0 / load.sends_per_s) } else { NEVER };
    Plan {
        poll: Duration::from_secs_f64(load.poll_s),
        hold: Duration::from_secs_f64(load.hold_s),
        lifetime: Duration::from_secs_f64(load.lifetime_s),
        send,
        payload: whole(load.payload_bytes),
        // Heartbeats are spread over time, as with clients that connected one by one.
        spread: if technique.is_stream() && load.lifetime_s >= NEVER_S {
            Duration::from_secs_f64(HEARTBEAT_S)
        } else {
            Duration::ZERO
        },
        ..quiet
    }
}

fn described(technique: Technique, load: &Load) -> String {
    let rate = match technique {
        Technique::ShortPoll => format!(", every {} s", load.poll_s),
        Technique::LongPoll => format!(", held {} s", load.hold_s),
        Technique::Sse | Technique::Websocket if load.lifetime_s < NEVER_S => {
            format!(", opened every {} s", load.lifetime_s)
        }
        Technique::Sse | Technique::Websocket => String::new(),
    };
    let sends =
        if load.sends_per_s > 0.0 { format!(", {} sends/s", load.sends_per_s) } else { String::new() };
    let Load { clients, events_per_s, payload_bytes, .. } = load;
    format!("{clients} clients, {events_per_s:.2} events/s of {payload_bytes} bytes{rate}{sends}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_is_beyond_the_tolerance_on_either_side() {
        for (predicted, measured, expected) in [
            (100.0, 114.9, false),
            (100.0, 115.1, true),
            (100.0, 84.9, true),
            (0.0, 0.5, false),
            (0.0, 2.0, true),
        ] {
            assert_eq!(is_off(predicted, measured, 1.0), expected, "{predicted} {measured}");
        }
    }
}
