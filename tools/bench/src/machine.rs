//! The machine that runs the measurements: its description for people, its cores, its date.

use std::{
    fs, io,
    process::{Child, Command, Stdio},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, ensure};
use tokio::task::AbortHandle;

use crate::amount::float;

/// Cores that this process may use, read before it leaves one of them to the server.
static CORES: LazyLock<Vec<u32>> = LazyLock::new(|| {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    cores_of(list.unwrap_or_default().trim())
});

/// Returns the core that is reserved for the server, so that server and clients take no time from each other and no
/// task moves between caches. `None` if there is only one core, or no `taskset`.
pub(crate) fn server_core() -> Option<u32> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has_taskset = std::env::split_paths(&path).any(|folder| folder.join("taskset").is_file());
    (has_taskset && CORES.len() > 1).then(|| CORES.first().copied()).flatten()
}

/// Moves this process to the cores that are not reserved for the server.
///
/// # Errors
/// If `taskset` fails.
pub(crate) fn leave_a_core_to_the_server() -> anyhow::Result<()> {
    if server_core().is_none() {
        return Ok(());
    }
    let others: Vec<String> = CORES.iter().skip(1).map(u32::to_string).collect();
    let mut taskset = Command::new("taskset");
    taskset.args(["-a", "-c", "-p", &others.join(","), &std::process::id().to_string()]);
    let status =
        taskset.stdin(Stdio::null()).stdout(Stdio::null()).status().context("taskset could not be run")?;
    ensure!(status.success(), "taskset failed: {status}");
    Ok(())
}

/// A guard that keeps the cores of the server and of the clients awake. Dropping it lets them sleep again.
#[derive(Debug)]
pub(crate) struct Awake {
    /// Process that loops on the server's core, but only while nothing else wants to run there (`SCHED_IDLE`).
    server: Child,
    /// Task that makes this process poll for answers instead of waiting for them.
    clients: AbortHandle,
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.clients.abort();
        // An error means that the process has ended already.
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

/// Keeps the cores of the server and of the clients from sleeping. Otherwise the server would be charged with waking
/// the clients' core, which on a network belongs to another machine; and a core that halts between two requests takes
/// longer for the next one, by a time that depends on power saving and on other work on the same hardware. Returns
/// `None` if no core is reserved for the server.
///
/// # Panics
/// Outside a Tokio runtime.
///
/// # Errors
/// If the loop can't be started.
pub(crate) fn keep_awake() -> anyhow::Result<Option<Awake>> {
    let Some(core) = server_core() else { return Ok(None) };
    let own = std::env::current_exe().context("this program has no name")?;
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string(), "chrt", "--idle", "0"]).arg(own).arg("awake");
    let server = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
    let server = server.context("taskset and chrt could not be run")?;
    let clients = tokio::spawn(async {
        loop {
            tokio::task::yield_now().await;
        }
    });
    Ok(Some(Awake { server, clients: clients.abort_handle() }))
}

/// Runs the loop of [`keep_awake`] until standard input ends, which is a pipe from the process that started the loop.
pub(crate) fn stay_awake() {
    let is_over = Arc::new(AtomicBool::new(false));
    let watch = Arc::clone(&is_over);
    std::thread::spawn(move || {
        // Only the end of the input matters: an error ends it too.
        drop(io::copy(&mut io::stdin(), &mut io::sink()));
        watch.store(true, Ordering::Relaxed);
    });
    // No `spin_loop`, because some hypervisors let a core that spins sleep.
    while !is_over.load(Ordering::Relaxed) {}
}

/// Describes the machine in one line: processor, cores, memory, system, and the core on which the server ran.
pub(crate) fn description() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (processors, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let model = processors
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split(": ").nth(1));
    let count = processors.lines().filter(|line| line.starts_with("processor")).count();
    let kib = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok());
    let gib = float(kib.unwrap_or(0)) / f64::from(1 << 20);
    let place = if server_core().is_some() {
        "server on a core of its own, both kept awake"
    } else {
        "server and clients share cores"
    };
    format!(
        "{}, {count} cores, {gib:.0} GiB, Linux {}; {place}",
        model.unwrap_or("processor without a name").trim(),
        read("/proc/sys/kernel/osrelease").trim()
    )
}

/// Returns today's date by the system's clock, in UTC, as in `2026-08-30`.
pub(crate) fn today() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    day(since.as_secs() / 86_400)
}

/// Formats a date, given as days since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// `civil_from_days`).
fn day(since_epoch: u64) -> String {
    let days = since_epoch + 719_468;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Years begin in March here, so that a leap day is their last.
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + days / 146_097 * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Parses a list of cores, such as `0-2,5`.
fn cores_of(list: &str) -> Vec<u32> {
    let ranges = list.split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse().ok()?..=last.parse().ok()?)
    });
    ranges.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_dates() {
        for (days, date) in
            [(0, "1970-01-01"), (11_016, "2000-02-29"), (11_017, "2000-03-01"), (20_780, "2026-11-23")]
        {
            assert_eq!(day(days), date);
        }
    }

    #[test]
    fn a_list_of_cores_is_read() {
        assert_eq!(cores_of("0-2,5"), [0, 1, 2, 5]);
        assert_eq!(cores_of("3"), [3]);
        assert_eq!(cores_of(""), [0_u32; 0]);
    }
}
