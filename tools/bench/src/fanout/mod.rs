//! `fourways-bench fanout`: measures what one delivery costs the server, beside the floor and nchan. All are measured
//! in one run, with interleaved rounds, so that noise on the machine affects them equally. Servers are pinned to one
//! core, this process to the others.

pub(crate) mod floor;
mod nchan;
mod probe;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;

use self::{
    floor::Floor,
    nchan::Nchan,
    probe::{Door, Figures, Pace},
};
use crate::{
    server::Server,
    table::{figure, line, say},
};

/// Flags of `fourways-bench fanout`.
#[derive(Args, Debug)]
pub(crate) struct Flags {
    /// Binary of the server, built for release.
    #[arg(long, value_name = "PATH")]
    server: PathBuf,

    /// Binary of an earlier version of the server, to measure in the same rounds.
    #[arg(long, value_name = "PATH")]
    before: Option<PathBuf>,

    /// Number of subscribers of the one topic. Each needs an open file, of which a process is often allowed 20,000.
    #[arg(long, default_value_t = 5000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..18_000))]
    subscribers: u32,

    /// Number of rounds. Quote the median of three at least.
    #[arg(long, default_value_t = 3, value_name = "N")]
    rounds: usize,
}

/// A server that is measured, with a technique.
#[derive(Clone, Debug)]
enum Candidate {
    Floor,
    Fourways { program: PathBuf, name: &'static str, is_websocket: bool },
    Nchan { is_websocket: bool },
}

/// The pace at which the cost is measured: as fast as deliveries complete.
const FULL: Pace = Pace::InFlight { events: 200, ahead: 4 };
/// The pace at which the latency is measured: a fixed schedule.
const SLOW: Pace = Pace::Scheduled { events: 100, per_s: 10.0 };

/// Measures all candidates, and prints the table of `docs/figures.md`.
///
/// # Errors
/// If a server can't be started or measured.
pub(crate) async fn run(flags: &Flags) -> anyhow::Result<bool> {
    if !Path::new(nchan::MODULE).exists() {
        bail!("nchan is not installed; `cargo xtask cost` installs it");
    }
    let mut candidates = vec![Candidate::Floor];
    let programs = [("Fourways", Some(&flags.server)), ("Fourways before", flags.before.as_ref())];
    for (name, program) in programs {
        for is_websocket in [false, true] {
            candidates.extend(program.map(|program| Candidate::Fourways {
                program: program.clone(),
                name,
                is_websocket,
            }));
        }
    }
    candidates.extend([false, true].map(|is_websocket| Candidate::Nchan { is_websocket }));
    let mut measured = vec![(Vec::new(), Vec::new()); candidates.len()];
    for round in 1..=flags.rounds {
        for (candidate, (full, slow)) in candidates.iter().zip(&mut measured) {
            let name = candidate.name();
            say(&format!("round {round} of {}: {name}", flags.rounds));
            full.push(measure(candidate, flags.subscribers, FULL).await.context(name.clone())?);
            slow.push(measure(candidate, flags.subscribers, SLOW).await.context(name)?);
        }
    }
    print(&candidates, &measured, flags)?;
    Ok(true)
}

async fn measure(candidate: &Candidate, subscribers: u32, pace: Pace) -> anyhow::Result<Figures> {
    let door = |path: &str, publish: &str, is_websocket| Door {
        path: path.to_owned(),
        publish: publish.to_owned(),
        is_websocket,
    };
    match candidate {
        Candidate::Floor => {
            let floor = Floor::start()?;
            probe::measure(floor.address()?, floor.process(), &door("/", "/", false), subscribers, pace).await
        }
        Candidate::Fourways { program, is_websocket, .. } => {
            let server = Server::start(program, &[])?;
            let path = if *is_websocket { "/v1/ws?topic=a" } else { "/v1/stream?topic=a" };
            let door = door(path, "/v1/topics/a/events", *is_websocket);
            probe::measure(server.address, server.id(), &door, subscribers, pace).await
        }
        Candidate::Nchan { is_websocket } => {
            let nchan = Nchan::start(subscribers)?;
            let door = door(if *is_websocket { "/ws" } else { "/events" }, "/pub", *is_websocket);
            probe::measure(nchan.address(), nchan.worker()?, &door, subscribers, pace).await
        }
    }
}

impl Candidate {
    fn name(&self) -> String {
        let technique = |is_websocket: &bool| if *is_websocket { "WebSocket" } else { "SSE" };
        match self {
            Self::Floor => "the floor".to_owned(),
            Self::Fourways { name, is_websocket, .. } => format!("{name} {}", technique(is_websocket)),
            Self::Nchan { is_websocket } => format!("nchan {}", technique(is_websocket)),
        }
    }
}

fn print(
    candidates: &[Candidate],
    measured: &[(Vec<Figures>, Vec<Figures>)],
    flags: &Flags,
) -> anyhow::Result<()> {
    let Flags { rounds, subscribers, .. } = flags;
    line(&format!("Median of {rounds}; {subscribers} subscribers, 100-byte events, one core."))?;
    line("")?;
    line("| | CPU each, µs | × floor | of that user, µs | idle subscriber, KiB | p99 at 10 events/s, ms |")?;
    line("| --- | ---: | ---: | ---: | ---: | ---: |")?;
    let floor = measured.first().map_or(f64::NAN, |(full, _)| median(full, |figures| figures.cpu_us));
    for (candidate, (full, slow)) in candidates.iter().zip(measured) {
        let cpu_us = median(full, |figures| figures.cpu_us);
        let idle_kib = median(full, |figures| figures.idle_kib);
        let idle = if matches!(candidate, Candidate::Floor) { "–".to_owned() } else { figure(idle_kib) };
        line(&format!(
            "| {} | {cpu_us:.2} | {:.2} | {:.2} | {idle} | {} |",
            candidate.name(),
            cpu_us / floor,
            median(full, |figures| figures.user_us),
            figure(median(slow, |figures| figures.p99_ms)),
        ))?;
    }
    Ok(())
}

fn median(all: &[Figures], read: fn(&Figures) -> f64) -> f64 {
    let mut values: Vec<f64> = all.iter().map(read).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
