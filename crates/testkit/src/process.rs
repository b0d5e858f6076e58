//! The server, or another program that prints the address it listens on, as a separate process.

use std::{
    collections::VecDeque,
    ffi::OsStr,
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};

use crate::{DEADLINE, Reaper, own_address};

/// The text that `fourways serve` logs before its address.
const LISTENING: &str = "listening on ";
/// Number of lines of standard error that are kept for the message of a failed test.
const KEPT_LINES: usize = 50;

/// A running program that has written `listening on ADDRESS` to standard error. Dropping the handle kills the program
/// and everything that it has started.
#[derive(Debug)]
pub struct Process {
    child: Child,
    address: String,
    said: Arc<Mutex<VecDeque<String>>>,
}

impl Process {
    /// Runs `serve` of this binary with these flags, at an address and port that no other test has.
    ///
    /// # Errors
    /// The errors of [`Self::start`].
    pub fn serve(binary: impl AsRef<OsStr>, flags: &[&str]) -> anyhow::Result<Self> {
        Self::serve_on(binary, &format!("{}:0", own_address()), flags)
    }

    /// Runs `serve` of this binary at a given address, as for a restart.
    ///
    /// # Errors
    /// The errors of [`Self::start`].
    pub fn serve_on(binary: impl AsRef<OsStr>, address: &str, flags: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new(binary);
        command.args(["serve", "--listen", address]).args(flags);
        Self::start(command)
    }

    /// Starts a command in a process group of its own, and waits until it has printed its address. `FOURWAYS_…`
    /// variables of the environment do not reach the command, unless the command itself sets them.
    ///
    /// # Errors
    /// If the command can't be started, ends, or prints no address before the deadline. The error includes its last
    /// lines.
    pub fn start(mut command: Command) -> anyhow::Result<Self> {
        let settings = std::env::vars_os().map(|(name, _)| name);
        for name in settings.filter(|name| name.to_string_lossy().starts_with("FOURWAYS_")) {
            if !command.get_envs().any(|(set, value)| set == name && value.is_some()) {
                command.env_remove(name);
            }
        }
        command.stdin(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command.spawn().with_context(|| format!("{name} could not be started"))?;
        Reaper::watch(child.id());
        let lines = BufReader::new(child.stderr.take().context("no standard error")?).lines();
        let said = Arc::new(Mutex::new(VecDeque::new()));
        let mut process = Self { child, address: String::new(), said: Arc::clone(&said) };
        let (sender, listens) = mpsc::channel();
        // The thread ends with the program. Until then it empties the pipe, so that the program never blocks on it.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some((_, listen)) = line.split_once(LISTENING) {
                    let address = listen.split_once("://").map_or(listen, |(_, address)| address);
                    // Only the first address is waited for, so later sends fail.
                    drop(sender.send(address.trim().to_owned()));
                }
                let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                if said.len() == KEPT_LINES {
                    said.pop_front();
                }
                said.push_back(line);
            }
        });
        match listens.recv_timeout(DEADLINE) {
            Ok(address) => process.address = address,
            Err(mpsc::RecvTimeoutError::Timeout) => bail!("{name} does not listen: {}", process.said()),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                bail!("{name} ended with {}: {}", process.child.wait()?, process.said())
            }
        }
        Ok(process)
    }

    /// Returns the address that the program listens on, as in `127.0.0.1:8080`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the URL of the program's address, as in `http://127.0.0.1:8080`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the last 50 lines that the program wrote to standard error.
    pub fn said(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// Asks the program to stop, by SIGTERM.
    ///
    /// # Errors
    /// If the program has ended already.
    pub fn terminate(&self) -> anyhow::Result<()> {
        let status = Command::new("kill").args(["-TERM", &self.id().to_string()]).status()?;
        ensure!(status.success(), "the process is gone: {}", self.said());
        Ok(())
    }

    /// Waits until the program has ended by itself.
    ///
    /// # Errors
    /// If the program still runs at the deadline.
    pub fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            ensure!(began.elapsed() < DEADLINE, "the process does not end: {}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills the program as `kill -9` does, and returns the address that it listened on.
    pub fn kill(self) -> String {
        self.address.clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        Reaper::kill(self.child.id());
        // A process that is already gone is as good.
        drop(self.child.wait());
    }
}
