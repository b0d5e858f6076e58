//! Event streams as third-party libraries read them: each event once and in order, through a kill, a restart and a
//! drain.
//!
//! `cargo xtask libraries` builds the readers in `tools/e2e/libraries/`, as far as their languages are installed;
//! without it these tests report that they were skipped.

mod vite;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use fourways_e2e::{DEADLINE, Server, run};

/// A reader that prints the number of each event.
struct Reader {
    child: Child,
    seen: Arc<Mutex<Vec<i64>>>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        // A process that is gone already is no error.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Reader {
    fn start(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{command:?} can't be started"))?;
        let lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let newest = Arc::clone(&seen);
        // The thread ends with the process.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                newest.lock().unwrap().push(line.trim().parse().unwrap_or(-1));
            }
        });
        Ok(Self { child, seen })
    }

    /// Waits for the number `last`, and checks that each number came once and in order.
    async fn has_seen(&mut self, last: i64) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let seen = self.seen.lock().unwrap().clone();
            if seen.last() == Some(&last) {
                ensure!(seen == (1..=last).collect::<Vec<_>>(), "{seen:?}");
                return Ok(());
            }
            ensure!(self.child.try_wait()?.is_none(), "it has ended, after {seen:?}");
            ensure!(began.elapsed() < DEADLINE, "{seen:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Returns the folder of a library that was built; reports a skipped test if it was not.
fn built(library: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("FOURWAYS_LIBRARIES").map(|folder| PathBuf::from(folder).join(library));
    let built = folder.filter(|folder| folder.join("built").is_file());
    if built.is_none() {
        let said = writeln!(std::io::stderr(), "skipped: {library} is not built on this machine");
        said.unwrap();
    }
    built
}

/// Has a library read through a kill and drains. `command` is run in the library's folder; `query` is what its readers
/// add to the address.
fn reads(library: &str, command: &[&str], query: &str) {
    let Some(folder) = built(library) else { return };
    run(async || {
        let data = tempfile::tempdir()?;
        let flags = ["--heartbeat", "1s", "--drain", "2s"];
        let mut server = Server::on_disk_with(None, data.path(), &flags)?;
        let address = format!("{}/v1/stream?topic=a&data=raw&after=earliest{query}", server.url());
        let mut reader = Command::new(folder.join(command[0]));
        if !command[0].contains('/') {
            reader = Command::new(command[0]);
        }
        reader.args(&command[1..]).arg(&address).current_dir(&folder);
        let mut reader = Reader::start(reader)?;
        for round in 0..3 {
            for number in 10 * round + 1..=10 * round + 10 {
                server.publish("a", format!("{{\"n\":{number}}}")).await?;
            }
            reader.has_seen(10 * round + 10).await.with_context(|| format!("round {round}"))?;
            // Quiet, except for heartbeats.
            tokio::time::sleep(Duration::from_millis(2500)).await;
            reader.has_seen(10 * round + 10).await.context("after heartbeats alone")?;
            let at = if round == 0 { server.kill() } else { server.drain()? };
            server = Server::on_disk_with(Some(&at), data.path(), &flags)?;
        }
        Ok(())
    });
}

#[test]
fn httpx_sse_of_python() {
    reads("httpx-sse", &["./.venv/bin/python", "main.py"], "");
}

#[test]
fn requests_sse_of_python() {
    reads("requests-sse", &["./.venv/bin/python", "main.py"], "");
}

#[test]
fn launchdarkly_eventsource_of_go() {
    reads("go-launchdarkly", &["./client"], "");
}

/// This library takes a comment for an empty message, so all its heartbeats are events.
#[test]
fn r3labs_sse_of_go() {
    reads("go-r3labs", &["./client"], "&heartbeat=event");
}

#[test]
fn tmaxmax_go_sse() {
    reads("go-tmaxmax", &["./client"], "");
}

#[test]
fn reqwest_eventsource_of_rust() {
    reads("rust-reqwest-eventsource", &["./target/debug/client"], "");
}

#[test]
fn eventsource_client_of_rust() {
    reads("rust-eventsource-client", &["./target/debug/client"], "");
}

#[test]
fn okhttp_eventsource_of_java() {
    reads("java-okhttp-eventsource", &["java", "-cp", "lib/*:classes", "Main"], "");
}

#[test]
fn eventsource_of_npm() {
    reads("npm-eventsource", &["node", "main.mjs"], "");
}
