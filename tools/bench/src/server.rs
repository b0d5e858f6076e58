//! Runs the server in a separate process, and reads the kernel's figures for that process.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use fourways_testkit::Process;

use crate::{amount::float, machine};

/// The server's default interval between heartbeats, in seconds (`--heartbeat` in `backend/src/access/limits/settings.rs`).
pub(crate) const HEARTBEAT_S: f64 = 15.0;

/// Number of events that the server's log retains: few, so that their memory is not what is measured.
pub(crate) const RETAINED: usize = 1000;

/// A running `fourways serve` with one worker and no source of events. Dropping the handle kills the process.
#[derive(Debug)]
pub(crate) struct Server {
    process: Process,
    /// Address that the server listens on: a free port of 127.0.0.1.
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts the server with these additional flags, and a small log that is in memory unless `--data` is among them.
    /// Blocks until the server listens, which delays nothing because no client runs yet.
    ///
    /// # Errors
    /// If the server can't be run, or does not print its address.
    pub(crate) fn start(binary: &Path, flags: &[&str]) -> anyhow::Result<Self> {
        let log: &[&str] = if flags.contains(&"--data") { &[] } else { &["--memory"] };
        let retained = RETAINED.to_string();
        Self::with(binary, &[&["--retain-events", &retained], log, flags].concat())
    }

    /// Starts the server like [`Self::start`], but with the log that these flags describe.
    ///
    /// # Errors
    /// The errors of [`Self::start`].
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
                // All readers connect from one address.
                "--max-held-per-address",
                "19000",
            ])
            .args(flags);
        command.stdout(Stdio::null());
        let process = Process::start(command)?;
        let address = process.address().parse().context("not an address and port")?;
        Ok(Self { process, address })
    }

    /// Returns the id of the server's process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns the user and system time of all threads of the server so far, in microseconds.
    ///
    /// The time is the scheduler's own count, in nanoseconds; the count of a thread that is running lags by up to a
    /// tick of 1 to 10 ms. Threads that have ended are not counted, but the server's worker and the thread of its
    /// runtime live as long as the server.
    ///
    /// # Errors
    /// If the server has ended, or the kernel keeps no such count.
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

    /// Returns the server's memory in bytes, as the proportional set size. The kernel's part of a connection is not
    /// included.
    ///
    /// # Errors
    /// If the server has ended.
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

/// Returns a command that runs a program on the server's core, if one is reserved. `taskset` replaces itself by the
/// program, so the id of the process is the program's.
pub(crate) fn on_its_core(binary: &Path) -> Command {
    let Some(core) = machine::server_core() else { return Command::new(binary) };
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(binary);
    command
}
