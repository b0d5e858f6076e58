//! `cargo xtask cost`: measures what a delivery costs, beside a bare write loop (the floor) and nchan, in one run.

use crate::{
    release,
    run::{check, command},
    steps::Steps,
    tools,
};

/// Builds the server and the benchmark for release, and passes the flags on to `fourways-bench fanout`.
///
/// # Errors
/// If something can't be installed or built, or the measurement fails.
pub(crate) fn run(flags: &[String]) -> anyhow::Result<()> {
    let steps = Steps::of(2);
    steps.step("installing tools", "1 s", tools::for_cost)?;
    steps.step("building the server and the benchmark", "9 min the first time", |step| {
        step.run(&mut command("cargo build --locked --release --package fourways --package fourways-bench"))
    })?;
    check(command("target/release/fourways-bench fanout --server").arg(release::BINARY).args(flags))
}
