//! The server, or another program that says where it listens, as a process of its own.

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

/// What `fourways serve` logs before its address.
const LISTENING: &str = "listening on ";
/// Lines of standard error that are kept for a failed test's message.
const KEPT_LINES: usize = 50;

/// A running program that has said `listening on ADDRESS` on standard error. It is killed when this is dropped, with everything
/// that it has started.
#[derive(Debug)]
pub struct Process {
    child: Child,
    address: String,
    said: Arc<Mutex<VecDeque<String>>>,
}

impl Process {
    /// Runs `serve` of this binary at an address and port that no other test has, with these flags more.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn serve(binary: impl AsRef<OsStr>, flags: &[&str]) -> anyhow::Result<Self> {
        Self::serve_on(binary, &format!("{}:0", own_address()), flags)
    }

    /// Runs `serve` of this binary at an address that is known, as after a restart.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn serve_on(binary: impl AsRef<OsStr>, address: &str, flags: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new(binary);
        command.args(["serve", "--listen", address]).args(flags);
        Self::start(command)
    }

    /// Runs a command, in a process group of its own, until it has said where it listens. Settings of a server in use
    /// (`FOURWAYS_…` in the environment) do not reach it.
    ///
    /// # Errors
    /// If the command can't be started, or ends or says nothing before the deadline; with what it has said.
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
        // Ends with the program: the pipe is emptied until then, so that the program never blocks on it.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some((_, listen)) = line.split_once(LISTENING) {
                    let address = listen.split_once("://").map_or(listen, |(_, address)| address);
                    // Only the first is waited for.
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

    /// The address that the program listens on, as in `127.0.0.1:8080`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The address as `http://127.0.0.1:8080`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The process number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The last lines that the program wrote to standard error.
    pub fn said(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// Asks the program to end, by SIGTERM.
    ///
    /// # Errors
    /// If it is gone already.
    pub fn terminate(&self) -> anyhow::Result<()> {
        let status = Command::new("kill").args(["-TERM", &self.id().to_string()]).status()?;
        ensure!(status.success(), "the process is gone: {}", self.said());
        Ok(())
    }

    /// Waits until the program has ended by itself.
    ///
    /// # Errors
    /// If it has not at the deadline.
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
        // Gone already is what is wanted.
        drop(self.child.wait());
    }
}
