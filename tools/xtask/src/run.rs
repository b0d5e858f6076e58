//! Runs other programs, and writes to the terminal.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, bail};

use crate::root;

/// Writes a line to standard error, for the person who waits.
#[expect(clippy::print_stderr, reason = "this is what a person sees")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// Returns a command that runs in the root folder of the workspace. The line is split at spaces.
pub(crate) fn command(line: &str) -> Command {
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).current_dir(root()).env_remove("NO_COLOR");
    // Cargo sets these variables for this program. Some build scripts depend on them, and would run again each time.
    for (name, _) in std::env::vars_os() {
        let own = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_NAME", "CARGO_CRATE_NAME"];
        if own.iter().any(|own| name.to_string_lossy().starts_with(own)) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end, and lets it write to the terminal.
///
/// # Errors
/// If the command can't be started or fails.
pub(crate) fn check(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("{} could not be started", name(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", line(command));
    }
    Ok(())
}

/// The captured output of a step's programs so far, standard output and standard error together.
///
/// Clones share one text: the thread that runs the step appends lines, and another reads the last line to report
/// progress. The text ends with the step. The mutex is held only to append a line or to copy text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Printed(Arc<Mutex<String>>);

impl Printed {
    /// Returns the whole output.
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the last line that is not empty, trimmed.
    pub(crate) fn last_line(&self) -> String {
        let text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned()
    }

    /// Returns the failures that test binaries have listed, and the last `lines` lines.
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

/// Runs a command to its end, and appends its output to `printed`.
///
/// # Errors
/// If the command can't be started or fails. The caller has to show the output.
pub(crate) fn quietly(command: &mut Command, printed: &Printed) -> anyhow::Result<()> {
    let (reader, writer) = std::io::pipe().context("a pipe can't be created")?;
    let for_errors = writer.try_clone().context("a pipe can't be cloned")?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(for_errors)
        .spawn()
        .with_context(|| format!("{} could not be started", name(command)))?;
    // The pipe ends when its last writer is closed, and the command itself still holds two.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    for line in BufReader::new(reader).split(b'\n') {
        let Ok(line) = line else { break };
        printed.push(String::from_utf8_lossy(&line).trim_end());
    }
    let status = child.wait().with_context(|| format!("{} could not be waited for", name(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", line(command));
    }
    Ok(())
}

/// Returns the standard output of a command; `None` if the command can't be run or fails.
pub(crate) fn output(line: &str) -> Option<String> {
    let output =
        command(line).stderr(Stdio::null()).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

/// True if a program is on `PATH`.
pub(crate) fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Writes a line to standard output, for results that another program may read.
pub(crate) fn print(text: &str) {
    // An error means that the reader has closed its end, so nobody misses the line.
    drop(writeln!(std::io::stdout(), "{text}"));
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

fn line(command: &Command) -> String {
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    format!("{} {}", name(command), arguments.join(" "))
}
