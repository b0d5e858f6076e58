//! `fourways-bench model`: loads under which no constant was measured, as predicted and as they are.

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
    crowd::{Crowd, FOREVER, Plan},
    machine,
    memory::{self, REQUESTS},
    meter::{CALM, Meter},
    publisher::Publisher,
    server::{HEARTBEAT_S, Server},
    table::{Table, figure, line, say},
};

/// What `model` can be told.
#[derive(Args, Debug)]
pub(crate) struct Flags {
    /// The server's program, the same as the constants were measured with.
    #[arg(long, value_name = "PATH")]
    server: PathBuf,

    /// What `constants` wrote; without it, constants are measured too, each technique's before its loads.
    #[arg(long, value_name = "FILE")]
    constants: Option<PathBuf>,

    /// Where to write the constants that were measured.
    #[arg(long, value_name = "FILE", conflicts_with = "constants")]
    out: Option<PathBuf>,

    /// How often everything is done; the median counts.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: u16,

    /// How long each load lasts, or longer: until each client has polled 40 times. A multiple of the heartbeats' 15 s has
    /// a whole number of them.
    #[arg(long, default_value = "15", value_name = "SECONDS", value_parser = seconds)]
    seconds: Duration,

    /// Fail for processor time too. On a quiet machine with a core for the server; elsewhere it says more about the
    /// neighbours than about the model.
    #[arg(long)]
    strict_cpu: bool,
}

/// How far a measurement may be from its prediction, as a share of it.
const TOLERANCE: f64 = 0.15;

/// What is compared.
struct Quantity {
    name: &'static str,
    of: fn(&Cost) -> f64,
    /// Where prediction and measurement are both below this, it is nothing.
    least: f64,
    is_processor: bool,
}

const QUANTITIES: [Quantity; 4] = [
    Quantity { name: "requests/s", of: |cost| cost.requests_per_s, least: 1.0, is_processor: false },
    Quantity { name: "bytes/s", of: Cost::bandwidth, least: 100.0, is_processor: false },
    Quantity { name: "memory, MB", of: |cost| cost.memory_bytes / 1e6, least: 1.0, is_processor: false },
    Quantity { name: "cores", of: |cost| cost.cores, least: 0.0005, is_processor: true },
];

/// Longer than any run: nothing is opened again.
#[expect(clippy::cast_precision_loss, reason = "30 days")]
const NEVER_S: f64 = FOREVER.as_secs() as f64;

/// A thousand clients or more, each of which asks often enough to be one that was in use for a while: the kernel gives memory in pieces of up to 2 MiB, a tenth of what a thousand take.
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

/// No constant was measured with these clients, rates, payloads, intervals or lifetimes.
const LOADS: [(Technique, Load); 13] = [
    (Technique::ShortPoll, Load { events_per_s: 0.5, poll_s: 1.0, ..BASE }),
    (Technique::ShortPoll, Load { clients: 1500, poll_s: 0.5, payload_bytes: 40.0, ..BASE }),
    // Busy: the only one of these under which the server seldom sleeps.
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

/// Measures every load and prints it beside its prediction; false if one is too far off.
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
                    (true, false) => "off, not held to it",
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
        "\nThe ratio is the median of {}. Off: by more than {:.0} %.{}",
        flags.rounds,
        TOLERANCE * 100.0,
        if flags.strict_cpu { "" } else { WHY }
    ))?;
    Ok(is_fine)
}

/// How long each processor time of the constants is measured.
const CONSTANTS: Duration = Duration::from_secs(3);

/// One load, once.
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

const WHY: &str = " Processor time is not held to it without --strict-cpu: neighbours on the same machine take caches \
and time.";

fn is_off(predicted: f64, measured: f64, least: f64) -> bool {
    let is_something = predicted >= least || measured >= least;
    is_something && (measured - predicted).abs() > TOLERANCE * predicted
}

/// The load as it was in truth (a rate makes a whole number of events), and what it cost.
async fn measure(
    binary: &Path,
    technique: Technique,
    load: Load,
    window: Duration,
) -> anyhow::Result<(Load, Cost)> {
    // What a connection that is used for a while has grown to takes so many requests; see `memory`.
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
    // Without readers first: what the server does once for an event is not in the model, and is taken off.
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
    let send = if load.sends_per_s > 0.0 { Duration::from_secs_f64(1.0 / load.sends_per_s) } else { FOREVER };
    Plan {
        poll: Duration::from_secs_f64(load.poll_s),
        hold: Duration::from_secs_f64(load.hold_s),
        lifetime: Duration::from_secs_f64(load.lifetime_s),
        send,
        payload: whole(load.payload_bytes),
        // Heartbeats come as they do of clients that arrived one by one.
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
