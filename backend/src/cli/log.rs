//! `fourways log`: a log on the disk, looked at or given another epoch while no server has it open.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Args;

use crate::log::engine::{Checked, check, renew};

/// What `fourways log` can be told.
#[derive(Args, Debug)]
pub struct Log {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    /// Read every byte of a log and say what it holds and what is wrong with it. Changes nothing; ends with 1 if events
    /// are lost, with 2 if it can't be read.
    Check(Folder),
    /// Give a log that was put back from a backup another epoch, so that readers who have seen more are told to begin
    /// anew instead of taking new events for those they know.
    Renew(Folder),
}

#[derive(Args, Debug)]
struct Folder {
    /// The folder of the log, as `serve --data` has it.
    #[arg(value_name = "DIR", default_value = "fourways-data")]
    folder: PathBuf,
}

/// Does it.
///
/// # Errors
/// If there is no log, a server has it open, or standard output is gone.
pub fn run(log: &Log) -> anyhow::Result<ExitCode> {
    let (text, code) = match &log.what {
        What::Check(Folder { folder }) => match check(folder) {
            Ok(checked) => (
                report(&checked),
                u8::from(checked.findings.iter().any(crate::log::engine::Finding::is_loss)),
            ),
            Err(error) => {
                tracing::error!("{error}");
                return Ok(ExitCode::from(2));
            }
        },
        What::Renew(Folder { folder }) => (format!("its epoch is {} now\n", renew(folder)?), 0),
    };
    std::io::stdout().lock().write_all(text.as_bytes()).context("standard output is gone")?;
    Ok(ExitCode::from(code))
}

fn report(checked: &Checked) -> String {
    let Checked { epoch, head, events, segments, bytes, topics, findings } = checked;
    let held = format!(
        "epoch {epoch}, head {head}: {events} events of {topics} topics in {segments} segments, {bytes} bytes\n"
    );
    let lost = findings.iter().filter(|finding| finding.is_loss()).count();
    let last = match (lost, findings.len()) {
        (0, 0) => "it is whole\n".to_owned(),
        (0, _) => {
            "nothing that was acknowledged is lost; the next start does what is said above\n".to_owned()
        }
        (1, _) => "1 place can't be read\n".to_owned(),
        (lost, _) => format!("{lost} places can't be read\n"),
    };
    let lines = findings.iter().map(|finding| format!("{finding}\n"));
    std::iter::once(held).chain(lines).chain([last]).collect()
}
