//! Running other programs, and saying so.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, bail};

use crate::root;

/// Writes a line for the person who waits.
#[expect(clippy::print_stderr, reason = "this is what a person sees")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// A command in the workspace's folder, split at spaces.
pub(crate) fn command(line: &str) -> Command {
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).current_dir(root()).env_remove("NO_COLOR");
    // What cargo has told this program of itself: some build scripts look at it, and would run again each time.
    for (name, _) in std::env::vars_os() {
        let own = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_NAME", "CARGO_CRATE_NAME"];
        if own.iter().any(|own| name.to_string_lossy().starts_with(own)) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end, with its output for all to see.
pub(crate) fn check(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("{} could not be started", name(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", line(command));
    }
    Ok(())
}

/// What a command has printed so far, on both its outputs. Shared by the thread that reads and whoever looks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Printed(Arc<Mutex<String>>);

impl Printed {
    /// Everything.
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The last line that is not empty.
    pub(crate) fn last_line(&self) -> String {
        let text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
    }

    /// What went wrong: the failures that test binaries have listed, and the last lines.
    pub(crate) fn failure(&self, lines: usize) -> String {
        let text = self.text();
        let all: Vec<&str> = text.lines().collect();
        let rest = all.len().saturating_sub(lines);
        let mut is_listed = false;
        let listed = all[..rest].iter().filter(|line| {
            is_listed = (is_listed || **line == "failures:") && !line.starts_with("test result:");
            is_listed
        });
        listed.chain(&all[rest..]).copied().collect::<Vec<_>>().join("\n")
    }

    fn push(&self, line: &str) {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str(line);
        text.push('\n');
    }
}

/// Runs a command to its end and keeps what it prints.
///
/// # Errors
/// If it can't be started or fails; what it printed is the caller's to show.
pub(crate) fn quietly(command: &mut Command, printed: &Printed) -> anyhow::Result<()> {
    let (reader, writer) = std::io::pipe().context("no pipe")?;
    let for_errors = writer.try_clone().context("no pipe")?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(for_errors)
        .spawn()
        .with_context(|| format!("{} could not be started", name(command)))?;
    // The pipe ends when the last writer is gone: the command itself keeps two.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    for line in BufReader::new(reader).split(b'\n') {
        let Ok(line) = line else { break };
        printed.push(String::from_utf8_lossy(&line).trim_end());
    }
    let status = child.wait().with_context(|| format!("{} went away", name(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", line(command));
    }
    Ok(())
}

/// What a command prints; `None` if it can't be run or fails.
pub(crate) fn output(line: &str) -> Option<String> {
    let output =
        command(line).stderr(Stdio::null()).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

/// Whether a program is on `PATH`.
pub(crate) fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Writes to standard output, for what another program reads.
pub(crate) fn print(text: &str) {
    // Whoever has closed it reads no more.
    drop(writeln!(std::io::stdout(), "{text}"));
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

fn line(command: &Command) -> String {
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    format!("{} {}", name(command), arguments.join(" "))
}
