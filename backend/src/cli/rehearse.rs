//! `fourways rehearse`: shows how a running server's clients would reconnect after a deploy.

use std::{fmt::Write as _, io::Write as _};

use anyhow::Context as _;
use clap::Args;
use fourways_shared::operate::Rehearsal;

use super::server::ServerFlags;

/// Arguments of `fourways rehearse`.
#[derive(Args, Debug)]
pub struct Rehearse {
    #[command(flatten)]
    server: ServerFlags,

    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Has the server tell its streams and sockets to reconnect, and prints how they did.
///
/// # Errors
/// If the server refuses or can't be reached, or standard output can't be written.
pub async fn run(rehearse: Rehearse) -> anyhow::Result<()> {
    let rehearsal = rehearse.server.target()?.rehearse().await?;
    let text =
        if rehearse.json { serde_json::to_string_pretty(&rehearsal)? + "\n" } else { table(&rehearsal)? };
    std::io::stdout().lock().write_all(text.as_bytes()).context("can't write to standard output")
}

/// Width of the longest bar, in characters.
const WIDTH: f64 = 50.0;

fn table(rehearsal: &Rehearsal) -> Result<String, std::fmt::Error> {
    let mut text = String::from("     ms  expected  came\n");
    let most = rehearsal.measured.iter().copied().max().unwrap_or(0).max(1);
    for (at, (expected, came)) in rehearsal.predicted.iter().zip(&rehearsal.measured).enumerate() {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a bar of up to 50 characters"
        )]
        let bar = "#".repeat((*came as f64 / most as f64 * WIDTH).round() as usize);
        let line = format!("{:>7}  {expected:>8.1}  {came:>4}  {bar}", at as u64 * rehearsal.step_ms);
        writeln!(text, "{}", line.trim_end())?;
    }
    let (predicted, measured) = rehearsal.peaks_per_s();
    let back = rehearsal
        .all_back_ms()
        .map_or("not all of them".to_owned(), |ms| format!("all of them within {ms} ms"));
    writeln!(
        text,
        "\n{} told to reconnect, {} reconnected, {back}; peak rate {measured:.0} a second, {predicted:.0} expected; {} missed events replayed",
        rehearsal.told, rehearsal.came_back, rehearsal.caught_up
    )?;
    Ok(text)
}
