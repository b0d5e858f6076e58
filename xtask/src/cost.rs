//! What a delivery costs, beside the floor and nchan: everything in one run, rounds interleaved, so that the machine's
//! moods hit all alike. Servers are pinned to one core, the measure to the other.

use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use crate::{
    root,
    run::{check, command, output, say, step},
    tools,
};

const SUBSCRIBERS: u32 = 5000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Candidate {
    Floor,
    FourwaysSse,
    FourwaysWebsocket,
    NchanSse,
    NchanWebsocket,
}

const ALL: [Candidate; 5] = [
    Candidate::Floor,
    Candidate::FourwaysSse,
    Candidate::FourwaysWebsocket,
    Candidate::NchanSse,
    Candidate::NchanWebsocket,
];

/// One run's figures.
#[derive(Clone, Copy, Default)]
struct Figures {
    cpu_us: f64,
    user_us: f64,
    idle_kib: f64,
    p99_ms: f64,
}

/// Measures and prints the table of the README.
pub(crate) fn run(flags: &[String]) -> anyhow::Result<()> {
    let flag = |name: &str| flags.iter().position(|flag| flag == name).and_then(|at| flags.get(at + 1));
    let fanout =
        flag("--fanout").context("--fanout DIR is needed: the folder of the measure, with its Cargo.toml")?;
    let fanout = fs::canonicalize(fanout).with_context(|| format!("{fanout} is not there"))?;
    let runs = flag("--runs").map_or(Ok(3), |runs| runs.parse()).context("--runs is no number")?;
    tools::for_cost()?;
    step("Building the server and the measure");
    check(&mut command("cargo build --locked --release --package fourways"))?;
    let target = root().join("target/fanout");
    check(command("cargo build --release --target-dir").arg(&target).current_dir(&fanout))?;
    let programs = target.join("release");
    let mut full = vec![Vec::new(); ALL.len()];
    let mut paced = vec![Vec::new(); ALL.len()];
    for round in 1..=runs {
        step(&format!("Round {round} of {runs}"));
        for (at, candidate) in ALL.into_iter().enumerate() {
            full[at].push(measure(candidate, &fanout, &programs, &["--events", "200"])?);
            if candidate != Candidate::Floor {
                paced[at].push(measure(candidate, &fanout, &programs, &["--rate", "10", "--events", "100"])?);
            }
        }
    }
    print(&full, &paced, runs);
    Ok(())
}

fn measure(candidate: Candidate, fanout: &Path, programs: &Path, flags: &[&str]) -> anyhow::Result<Figures> {
    let mut server = start(candidate, fanout, programs)?;
    let process = if candidate.is_nchan() { worker_of(&server)? } else { server.id() };
    let mut probe = command("taskset -c 1");
    probe.arg(programs.join("fanout")).args(candidate.target()).args(flags);
    probe.args(["--pid", &process.to_string(), "--subscribers", &SUBSCRIBERS.to_string()]);
    let outcome = probe.output().context("the measure could not be started");
    stop(&mut server)?;
    let outcome = outcome?;
    let text = String::from_utf8_lossy(&outcome.stdout).into_owned();
    let number = |label: &str| -> anyhow::Result<f64> {
        let rest = text.split(label).nth(1).with_context(|| format!("no {label:?} in: {text}"))?;
        rest.split_whitespace()
            .next()
            .and_then(|word| word.parse().ok())
            .with_context(|| format!("no number after {label:?}"))
    };
    let figures = Figures {
        cpu_us: number("\ncpu_us_per_delivery ")?,
        user_us: number("\nuser_us_per_delivery ")?,
        idle_kib: number("subscribers: ")?,
        p99_ms: number("p99 ")?,
    };
    let Figures { cpu_us, user_us, idle_kib, p99_ms } = figures;
    say(&format!(
        "{:<18} {:<14} cpu {cpu_us:5.2} µs, user {user_us:5.2} µs, idle {idle_kib:5.2} KiB, p99 {p99_ms:6.1} ms",
        candidate.name(),
        flags[..2].join(" ")
    ));
    Ok(figures)
}

fn start(candidate: Candidate, fanout: &Path, programs: &Path) -> anyhow::Result<Child> {
    let mut server = match candidate {
        Candidate::Floor => {
            let mut floor = command("taskset -c 0");
            floor.arg(programs.join("floor"));
            floor
        }
        Candidate::NchanSse | Candidate::NchanWebsocket => {
            let mut nginx = command("taskset -c 0 nginx -c nchan.conf -p");
            nginx.arg(fanout);
            nginx
        }
        _ => command(
            "taskset -c 0 target/release/fourways serve --listen 127.0.0.1:8060 --source none --memory",
        ),
    };
    let server = server
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("a server could not be started")?;
    let began = Instant::now();
    while std::net::TcpStream::connect(candidate.address()).is_err() {
        if began.elapsed() > Duration::from_secs(10) {
            bail!("{} does not listen", candidate.name());
        }
        sleep(Duration::from_millis(50));
    }
    Ok(server)
}

fn stop(server: &mut Child) -> anyhow::Result<()> {
    // nginx ends its workers on TERM; KILL would leave them.
    check(&mut command(&format!("kill -TERM {}", server.id())))?;
    server.wait().context("a server did not end")?;
    Ok(())
}

/// nginx does the work in a child.
fn worker_of(server: &Child) -> anyhow::Result<u32> {
    let worker = output(&format!("pgrep -P {}", server.id())).context("nginx has no worker")?;
    worker.lines().next().and_then(|line| line.parse().ok()).context("nginx has no worker")
}

impl Candidate {
    const fn name(self) -> &'static str {
        match self {
            Self::Floor => "the floor",
            Self::FourwaysSse => "Fourways SSE",
            Self::FourwaysWebsocket => "Fourways WebSocket",
            Self::NchanSse => "nchan SSE",
            Self::NchanWebsocket => "nchan WebSocket",
        }
    }

    const fn is_nchan(self) -> bool {
        matches!(self, Self::NchanSse | Self::NchanWebsocket)
    }

    const fn address(self) -> &'static str {
        match self {
            Self::Floor => "127.0.0.1:8071",
            Self::FourwaysSse | Self::FourwaysWebsocket => "127.0.0.1:8060",
            Self::NchanSse | Self::NchanWebsocket => "127.0.0.1:8090",
        }
    }

    fn target(self) -> Vec<&'static str> {
        let line = match self {
            Self::Floor => {
                "--mode sse --server 127.0.0.1:8070 --publish-to 127.0.0.1:8071 --path / --publish /"
            }
            Self::FourwaysSse => {
                "--mode sse --server 127.0.0.1:8060 --path /v1/stream?topic=a --publish /v1/topics/a/events"
            }
            Self::FourwaysWebsocket => {
                "--mode ws --server 127.0.0.1:8060 --path /v1/ws?topic=a --publish /v1/topics/a/events"
            }
            Self::NchanSse => "--mode sse --server 127.0.0.1:8090 --path /events --publish /pub",
            Self::NchanWebsocket => "--mode ws --server 127.0.0.1:8090 --path /ws --publish /pub",
        };
        line.split(' ').collect()
    }
}

fn print(full: &[Vec<Figures>], paced: &[Vec<Figures>], runs: usize) {
    let median = |runs: &[Figures], read: fn(&Figures) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(read).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    let floor = median(&full[0], |f| f.cpu_us).unwrap_or(f64::NAN);
    say(&format!("\nMedian of {runs}; {SUBSCRIBERS} subscribers, 100-byte events, one core.\n"));
    say("| | CPU each, µs | × floor | of it user, µs | idle subscriber, KiB | p99 at 10 events/s, ms |");
    say("| --- | ---: | ---: | ---: | ---: | ---: |");
    for (at, candidate) in ALL.into_iter().enumerate() {
        let cpu = median(&full[at], |f| f.cpu_us).unwrap_or(f64::NAN);
        let user = median(&full[at], |f| f.user_us).unwrap_or(f64::NAN);
        let idle = median(&full[at], |f| f.idle_kib).filter(|kib| *kib > 0.5);
        let p99 = median(&paced[at], |f| f.p99_ms);
        let cell = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.1}"));
        say(&format!(
            "| {} | {cpu:.2} | {:.2} | {user:.2} | {} | {} |",
            candidate.name(),
            cpu / floor,
            cell(idle),
            cell(p99)
        ));
    }
}
