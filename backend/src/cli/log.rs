//! `fourways log`: checks a log on the disk, or gives it a new epoch, while no server has it open.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Args;

use fourways_log::engine::{Checked, check, renew};

/// Arguments of `fourways log`.
#[derive(Args, Debug)]
pub struct Log {
    #[command(subcommand)]
    command: LogCommand,
}

#[derive(clap::Subcommand, Debug)]
enum LogCommand {
    /// Read every byte of a log and report what it holds and what is wrong with it. Changes nothing. The exit code is 1
    /// if events are lost, and 2 if the log can't be read.
    Check(Folder),
    /// Give a log that was restored from a backup a new epoch, so that readers who have seen more are told to start
    /// over, and do not mistake new events for the ones they know.
    Renew(Folder),
}

#[derive(Args, Debug)]
struct Folder {
    /// Folder of the log, the same as for `serve --data`.
    #[arg(value_name = "DIR", default_value = "fourways-data")]
    folder: PathBuf,
}

/// Runs `fourways log`. A log that can't be checked is logged, and gives the exit code 2.
///
/// # Errors
/// If the log can't be given a new epoch (there is none, or a server has it open), or standard output can't be written.
pub fn run(log: &Log) -> anyhow::Result<ExitCode> {
    let (text, code) = match &log.command {
        LogCommand::Check(Folder { folder }) => match check(folder) {
            Ok(checked) => (
                report(&checked),
                u8::from(checked.findings.iter().any(fourways_log::engine::Finding::is_loss)),
            ),
            Err(error) => {
                tracing::error!("{error}");
                return Ok(ExitCode::from(2));
            }
        },
        LogCommand::Renew(Folder { folder }) => (format!("the epoch is now {}\n", renew(folder)?), 0),
    };
    std::io::stdout().lock().write_all(text.as_bytes()).context("can't write to standard output")?;
    Ok(ExitCode::from(code))
}

fn report(checked: &Checked) -> String {
    let Checked { epoch, head, events, segments, bytes, topics, findings } = checked;
    let held = format!(
        "epoch {epoch}, head {head}: {events} events of {topics} topics in {segments} segments, {bytes} bytes\n"
    );
    let lost = findings.iter().filter(|finding| finding.is_loss()).count();
    let last = match (lost, findings.len()) {
        (0, 0) => "the log is complete\n".to_owned(),
        (0, _) => {
            "no acknowledged event is lost; the next start will make the repairs listed above\n".to_owned()
        }
        (1, _) => "1 range can't be read\n".to_owned(),
        (lost, _) => format!("{lost} ranges can't be read\n"),
    };
    let lines = findings.iter().map(|finding| format!("{finding}\n"));
    std::iter::once(held).chain(lines).chain([last]).collect()
}
