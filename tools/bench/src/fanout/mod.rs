//! `fourways-bench fanout`: what one delivery costs the server, beside the floor and nchan. All in one run, rounds
//! interleaved, so that noise on the machine affects all alike. Servers are pinned to one core, the measure to the others.

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

/// What `fanout` can be told.
#[derive(Args, Debug)]
pub(crate) struct Flags {
    /// The server's program, built for release.
    #[arg(long, value_name = "PATH")]
    server: PathBuf,

    /// The program as it was before, to be measured in the same rounds.
    #[arg(long, value_name = "PATH")]
    before: Option<PathBuf>,

    /// Subscribers of the one topic; a process may hold 20,000 files open.
    #[arg(long, default_value_t = 5000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..18_000))]
    subscribers: u32,

    /// How often each is measured. Quote the median of three at least.
    #[arg(long, default_value_t = 3, value_name = "N")]
    rounds: usize,
}

/// What is measured.
#[derive(Clone, Debug)]
enum Candidate {
    Floor,
    Fourways { program: PathBuf, name: &'static str, is_websocket: bool },
    Nchan { is_websocket: bool },
}

/// As fast as deliveries complete, for the cost; on a schedule, for the latency.
const FULL: Pace = Pace::InFlight { events: 200, ahead: 4 };
const SLOW: Pace = Pace::Scheduled { events: 100, per_s: 10.0 };

/// Measures and prints the table of the README.
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
    line("| | CPU each, µs | × floor | of it user, µs | idle subscriber, KiB | p99 at 10 events/s, ms |")?;
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
