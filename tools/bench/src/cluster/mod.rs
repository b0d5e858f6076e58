//! `fourways-bench cluster`: measures three servers that share one log, whose order three NATS servers keep, on this
//! machine.

mod cost;
mod delay;
mod fresh;
mod rates;
mod rig;
mod rolling;

use std::path::PathBuf;

use clap::Args;

use self::rig::Rig;
use crate::table::{Table, line, say};

/// Size of an event's data in most measurements, in bytes.
const PAYLOAD: usize = 400;

/// Flags of `fourways-bench cluster`.
#[derive(Args, Debug)]
pub(crate) struct Flags {
    /// Binary of the server, built for release.
    #[arg(long, value_name = "PATH")]
    server: PathBuf,

    /// Binary of the NATS server, 2.15 or newer.
    #[arg(long, value_name = "PATH")]
    nats: PathBuf,

    /// Number of events in the log that a fresh server takes.
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    events: usize,

    /// Number of clients over which the servers are deployed anew, one after another.
    #[arg(long, default_value_t = 5_000, value_name = "N")]
    clients: usize,

    /// Measure only these, of rates, delay, cost, fresh and rolling.
    #[arg(value_name = "WHAT")]
    only: Vec<String>,
}

/// A measured value, and the goal that it should reach.
struct Finding {
    what: String,
    value: String,
    goal: &'static str,
    is_reached: bool,
}

/// Measures everything, and prints the table. Returns true even if a goal is not reached, which the table says.
///
/// # Errors
/// If a server does not behave as expected.
pub(crate) async fn run(flags: &Flags) -> anyhow::Result<bool> {
    let is_wanted = |what: &str| flags.only.is_empty() || flags.only.iter().any(|only| only == what);
    let mut findings = Vec::new();
    if is_wanted("rates") {
        say("publishes a second");
        findings.extend(rates::measure(&Rig::start(flags, 3).await?).await?);
    }
    if is_wanted("delay") {
        say("delay from publisher to reader");
        findings.extend(delay::measure(&Rig::start(flags, 3).await?).await?);
    }
    if is_wanted("cost") {
        say("processor time of a delivery and of following");
        findings.extend(cost::measure(flags).await?);
    }
    if is_wanted("fresh") {
        say("a fresh server");
        findings.extend(fresh::measure(flags).await?);
    }
    if is_wanted("rolling") {
        say("a rolling deploy");
        findings.extend(rolling::measure(flags).await?);
    }
    let mut table = Table::new(&["", "measured", "goal", ""], 1);
    for Finding { what, value, goal, is_reached } in findings {
        let verdict = if is_reached { "reached" } else { "missed" };
        table.row(vec![what, value, goal.to_owned(), verdict.to_owned()]);
    }
    table.print()?;
    line(
        "\nThree NATS servers that sync each message, the servers and all clients share the cores of one machine.",
    )?;
    Ok(true)
}
