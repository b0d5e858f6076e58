//! Running other programs, and saying so.

use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::root;

/// A line for the person who waits.
#[expect(clippy::print_stderr, reason = "this is what a person sees")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// A step that is about to begin.
pub(crate) fn step(text: &str) {
    say(&format!("\n── {text}"));
}

/// A command in the workspace's folder, split at spaces.
pub(crate) fn command(line: &str) -> Command {
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).current_dir(root()).env_remove("NO_COLOR");
    command
}

/// Runs it to its end, with its output for all to see.
pub(crate) fn check(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("{name} could not be started"))?;
    if !status.success() {
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
        bail!("`{name} {}` failed ({status})", arguments.join(" "));
    }
    Ok(())
}

/// What it prints; `None` if it can't be run or fails.
pub(crate) fn output(line: &str) -> Option<String> {
    let output =
        command(line).stderr(Stdio::null()).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

/// The program is on PATH.
pub(crate) fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
