//! The server as a process of its own, and what the kernel says of it.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use fourways_testkit::Process;

use crate::{amount::float, machine};

/// The server's own time between heartbeats, in seconds (`--heartbeat` in `backend/src/config.rs`).
pub(crate) const HEARTBEAT_S: f64 = 15.0;

/// How many events its log keeps: few, so that they are not what is measured.
pub(crate) const RETAINED: usize = 1000;

/// A running `fourways serve` on one worker, without a source of events; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    process: Process,
    /// Where it listens: a free port on 127.0.0.1.
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts it with these flags more. Blocks until it listens: nothing else is under way then.
    ///
    /// # Errors
    /// If it can't be run or does not say where it listens.
    pub(crate) fn start(binary: &Path, flags: &[&str]) -> anyhow::Result<Self> {
        let log: &[&str] = if flags.contains(&"--data") { &[] } else { &["--memory"] };
        let retained = RETAINED.to_string();
        Self::with(binary, &[&["--retain-events", &retained], log, flags].concat())
    }

    /// The same with nothing said of its log but by these flags.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub(crate) fn with(binary: &Path, flags: &[&str]) -> anyhow::Result<Self> {
        let mut command = on_its_core(binary);
        command
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--workers",
                "1",
                "--publish-rate",
                "0",
                "--source",
                "none",
                // All readers come from this machine.
                "--max-held-per-address",
                "19000",
            ])
            .args(flags);
        command.stdout(Stdio::null());
        let process = Process::start(command)?;
        let address = process.address().parse().context("it listens on no port")?;
        Ok(Self { process, address })
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// User and system time of all its threads so far, in microseconds.
    ///
    /// The scheduler's own count, in nanoseconds; a thread that runs right now is behind by up to a tick of 1 to 10 ms.
    /// A thread that has ended is missing: the server's worker and its runtime's thread live as long as it does.
    ///
    /// # Errors
    /// If the server is gone, or the kernel keeps no such count.
    pub(crate) fn cpu_us(&self) -> anyhow::Result<f64> {
        let mut ns = 0;
        for task in fs::read_dir(self.proc("task")).context("the server is gone")? {
            // A thread may end between the listing and the reading.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            let on_cpu = text.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
            ns += on_cpu.context("schedstat can't be read")?;
        }
        ensure!(ns > 0, "this kernel keeps no /proc/PID/schedstat (CONFIG_SCHED_INFO)");
        Ok(float(ns) / 1000.0)
    }

    /// Its memory, in bytes: proportional set size. The kernel's part of a connection is not in it.
    ///
    /// # Errors
    /// If the server is gone.
    pub(crate) fn memory_bytes(&self) -> anyhow::Result<f64> {
        let text =
            fs::read_to_string(self.proc("smaps_rollup")).context("the server's memory can't be read")?;
        let line =
            text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss in smaps_rollup")?;
        let kib = line.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
        Ok(float(kib.context("Pss can't be read")?) * 1024.0)
    }

    fn proc(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.process.id())
    }
}

/// `taskset` becomes the program that it starts, so the process is the server's.
pub(crate) fn on_its_core(binary: &Path) -> Command {
    let Some(core) = machine::server_core() else { return Command::new(binary) };
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(binary);
    command
}
