//! `cargo xtask cluster`: three NATS servers, three Fourways servers that share one log, and a balancer, all on this
//! machine. The lab's overview shows which server serves each stream, and a button there kills a server.
//!
//! `cargo xtask cluster measure` and `cargo xtask cluster faults` measure such a cluster, and break it.

use std::{
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use fourways_testkit::{Balancer, Nats, Reaper, own_address};

use crate::{
    app, release,
    run::{check, command, say},
    start,
    steps::{Steps, spoken},
    tools,
};

/// Names of the servers.
const NAMES: [&str; 3] = ["athens", "berlin", "cairo"];
/// Port of each server, on an address of its own.
const PORT: u16 = 8080;
/// Address of the balancer, unless `--listen` names another.
const LISTEN: &str = "127.0.0.1:8080";
/// Time between two looks at whether a server has ended.
const LOOK: Duration = Duration::from_millis(200);
/// Time after which a server that ended is started again.
const RESTART: Duration = Duration::from_secs(5);

/// Runs `cargo xtask cluster`: the cluster itself, or with `measure` or `faults` first, a measurement of it.
///
/// # Errors
/// If something can't be installed or built, or a server does not behave as expected.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    match arguments.split_first() {
        Some((first, rest)) if first == "measure" => measure(rest),
        Some((first, rest)) if first == "faults" => faults(rest),
        _ => serve(arguments),
    }
}

/// Builds the server and the benchmark for release, and passes the flags on to `fourways-bench cluster`.
fn measure(flags: &[String]) -> anyhow::Result<()> {
    let steps = Steps::of(2);
    let nats = steps.step("installing a NATS server, once", "10 s", tools::nats)?;
    steps.step("building the server and the benchmark", "9 min the first time", |step| {
        step.run(&mut command("cargo build --locked --release --package fourways --package fourways-bench"))
    })?;
    let mut bench = command("target/release/fourways-bench cluster --server");
    check(bench.arg(release::BINARY).arg("--nats").arg(nats).args(flags))
}

/// Runs the test of the cluster with this many faults and events, on an optimised build.
fn faults(counts: &[String]) -> anyhow::Result<()> {
    let count = |at: usize, usual: &str| counts.get(at).cloned().unwrap_or_else(|| usual.to_owned());
    let steps = Steps::of(1);
    let nats = steps.step("installing a NATS server, once", "10 s", tools::nats)?;
    let mut test = command(
        "cargo test --locked --profile start --package fourways --test all cluster::whatever -- --nocapture",
    );
    test.env("FOURWAYS_NATS", nats);
    test.env("FOURWAYS_CLUSTER_FAULTS", count(0, "110")).env("FOURWAYS_CLUSTER_EVENTS", count(1, "1000000"));
    check(&mut test)
}

/// Builds whatever has changed, and runs the cluster until it is stopped. `--listen ADDRESS` sets the address of the
/// balancer; all other flags go to each `fourways serve`.
///
/// # Errors
/// If something can't be installed or built, or a server can't be started.
fn serve(flags: &[String]) -> anyhow::Result<()> {
    let mut flags = flags.to_vec();
    let listen = match flags.iter().position(|flag| flag == "--listen") {
        Some(at) => {
            ensure!(at + 1 < flags.len(), "--listen needs an address");
            flags.drain(at..=at + 1).nth(1).unwrap_or_default()
        }
        None => LISTEN.to_owned(),
    };
    let steps = start::build(1)?;
    let program = steps.step("installing a NATS server, once", "10 s", tools::nats)?;
    let nats = Nats::direct(&program)?;
    let mut servers = Vec::new();
    for name in NAMES {
        servers.push(Server::start(name, &nats, &flags)?);
    }
    let addresses: Vec<SocketAddr> = servers.iter().map(|server| server.address).collect();
    let balancer = Balancer::start(&listen, &addresses)?;
    say(&format!(
        "\nBuilt in {}. Three servers share one log behind http://{}; stop them with Ctrl+C.",
        spoken(steps.elapsed()),
        balancer.address()
    ));
    loop {
        for server in &mut servers {
            server.tend(&nats, &flags)?;
        }
        thread::sleep(LOOK);
    }
}

/// One of the servers, which is started again whenever it ends.
struct Server {
    name: &'static str,
    address: SocketAddr,
    process: Child,
    ended: Option<Instant>,
}

impl Server {
    fn start(name: &'static str, nats: &Nats, flags: &[String]) -> anyhow::Result<Self> {
        let address = (own_address(), PORT).into();
        let process = spawn(name, address, nats, flags)?;
        Ok(Self { name, address, process, ended: None })
    }

    fn tend(&mut self, nats: &Nats, flags: &[String]) -> anyhow::Result<()> {
        match self.ended {
            None => {
                if let Some(status) = self.process.try_wait()? {
                    say(&format!(
                        "{} has ended ({status}); it starts again in {}",
                        self.name,
                        spoken(RESTART)
                    ));
                    self.ended = Some(Instant::now());
                }
            }
            Some(ended) if ended.elapsed() >= RESTART => {
                self.process = spawn(self.name, self.address, nats, flags)?;
                self.ended = None;
            }
            Some(_) => {}
        }
        Ok(())
    }
}

fn spawn(name: &str, address: SocketAddr, nats: &Nats, flags: &[String]) -> anyhow::Result<Child> {
    let mut serve = command("target/start/fourways serve --memory --lab-kill --drain 2s --app");
    serve.arg(app::folder()).args([
        "--order",
        &nats.urls(),
        "--node",
        name,
        "--listen",
        &address.to_string(),
    ]);
    let process = serve.args(flags).stdin(Stdio::null()).process_group(0).spawn();
    let process = process.context("a server can't be started")?;
    Reaper::watch(process.id());
    Ok(process)
}
