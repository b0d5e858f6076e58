//! The servers under measurement, and the NATS servers that keep their order.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use anyhow::{Context as _, ensure};
use fourways_testkit::{Nats, Process, own_address};
use tokio::time::{Duration, Instant, sleep};

use super::Flags;
use crate::{amount::float, raw::Wire, requests, tally::Tally};

/// Time within which a server must become ready.
const DEADLINE: Duration = Duration::from_mins(3);

/// Three NATS servers and the servers that follow them. Dropping the handle kills all.
pub(super) struct Rig {
    pub(super) nodes: Vec<Node>,
    nats: Nats,
    binary: PathBuf,
    folder: tempfile::TempDir,
}

/// One server, which keeps its address through restarts.
pub(super) struct Node {
    pub(super) address: SocketAddr,
    name: String,
    process: Option<Process>,
}

impl Rig {
    pub(super) async fn start(flags: &Flags, count: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir_in("target").or_else(|_| tempfile::tempdir())?;
        let nats = Nats::direct(&flags.nats)?;
        let mut rig = Self { nodes: Vec::new(), nats, binary: flags.server.clone(), folder };
        for _ in 0..count {
            rig.add()?;
        }
        for at in 0..count {
            rig.ready(at).await?;
        }
        Ok(rig)
    }

    /// Adds a server, which need not be ready yet.
    pub(super) fn add(&mut self) -> anyhow::Result<()> {
        let name = format!("node{}", self.nodes.len());
        self.nodes.push(Node { address: (own_address(), 8080).into(), name, process: None });
        self.start_again(self.nodes.len() - 1)
    }

    pub(super) fn start_again(&mut self, at: usize) -> anyhow::Result<()> {
        let (order, node) = (self.nats.urls(), &self.nodes[at]);
        let data = self.folder.path().join(&node.name);
        let mut command = serve(&self.binary, node.address);
        command.args(["--order", &order, "--node", &node.name, "--data"]).arg(data);
        self.nodes[at].process = Some(Process::start(command)?);
        Ok(())
    }

    /// Stops a server in order, and waits until it has ended.
    pub(super) async fn stop(&mut self, at: usize) -> anyhow::Result<()> {
        let mut process = self.nodes[at].process.take().context("the server does not run")?;
        process.terminate()?;
        // Waiting must not stop the clients, which run on this thread.
        tokio::task::spawn_blocking(move || process.ended()).await??;
        Ok(())
    }

    pub(super) async fn ready(&self, at: usize) -> anyhow::Result<Duration> {
        let began = Instant::now();
        while !is_ready(self.nodes[at].address).await {
            ensure!(began.elapsed() < DEADLINE, "{} does not become ready", self.nodes[at].name);
            sleep(Duration::from_millis(5)).await;
        }
        Ok(began.elapsed())
    }

    /// Returns the processor time of a server so far, in microseconds.
    pub(super) fn cpu_us(&self, at: usize) -> anyhow::Result<f64> {
        cpu_us(self.nodes[at].process.as_ref().context("the server does not run")?.id())
    }
}

/// Returns the command of a server with one worker and no source of events.
pub(super) fn serve(binary: &Path, address: SocketAddr) -> Command {
    let mut command = Command::new(binary);
    command.args(["serve", "--listen", &address.to_string(), "--workers", "1", "--publish-rate", "0"]);
    command.args(["--source", "none", "--use-cases", "off", "--max-held-per-address", "19000"]);
    // The name in the requests of `chromium.txt`.
    command.args(["--host", "push.example.com"]);
    command.stdout(Stdio::null());
    command
}

/// Returns the user and system time of all threads of a process, in microseconds.
pub(super) fn cpu_us(id: u32) -> anyhow::Result<f64> {
    let mut ns = 0;
    for task in std::fs::read_dir(format!("/proc/{id}/task")).context("the server is gone")? {
        // A thread may end between the listing and the reading.
        let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
        let on_cpu = text.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
        ns += on_cpu.context("schedstat can't be read")?;
    }
    Ok(float(ns) / 1000.0)
}

async fn is_ready(address: SocketAddr) -> bool {
    let ask = async {
        let mut wire = Wire::open(address, Tally::new(0)).await?;
        wire.send(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
        anyhow::Ok(wire.answer().await?.status == 200)
    };
    ask.await.unwrap_or(false)
}

/// A connection to publish on.
pub(super) struct Publisher(Wire);

impl Publisher {
    pub(super) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self(Wire::open(address, Tally::new(0)).await?))
    }

    /// Publishes JSON, or several events as lines of JSON.
    pub(super) async fn publish(&mut self, topic: &str, body: &str) -> anyhow::Result<()> {
        let kind = if body.contains('\n') { "application/x-ndjson" } else { "application/json" };
        self.0.send(&requests::post(topic, kind, body)).await?;
        let answer = self.0.answer().await?;
        let text = String::from_utf8_lossy(answer.body());
        ensure!(answer.status == 201, "a publish was refused with {}: {text}", answer.status);
        Ok(())
    }
}

/// Opens an event stream of a topic, after a cursor if there is one.
pub(super) async fn stream(
    address: SocketAddr,
    topic: &str,
    after: Option<&str>,
    tally: &Arc<Tally>,
) -> anyhow::Result<Wire> {
    let mut wire = Wire::open(address, Arc::clone(tally)).await?;
    let after = after.map_or_else(String::new, |after| format!("Last-Event-ID: {after}\r\n"));
    wire.send(format!("GET /v1/stream?topic={topic} HTTP/1.1\r\nHost: localhost\r\n{after}\r\n").as_bytes())
        .await?;
    let head = wire.until(b"\r\n\r\n").await?;
    ensure!(head.starts_with(b"HTTP/1.1 200"), "a stream was refused: {}", String::from_utf8_lossy(&head));
    Ok(wire)
}
