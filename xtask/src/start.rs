//! Builds everything and serves the lab.

use crate::{
    app,
    run::{check, command, step},
};

/// Runs until it is stopped. What follows `start` goes to `fourways serve`.
pub(crate) fn run(flags: &[String]) -> anyhow::Result<()> {
    app::build()?;
    step("Building the server (the first time about 3 minutes)");
    check(&mut command("cargo build --locked --release --package fourways"))?;
    step("Serving the lab; open the address below, stop with Ctrl+C");
    check(command("target/release/fourways serve").args(flags))
}
