//! `cargo xtask cost`: what a delivery costs, beside the floor and nchan, in one run.

use crate::{
    release,
    run::{check, command},
    steps::Steps,
    tools,
};

/// Builds the binary to deploy and the measure, and hands the flags on to `fourways-bench fanout`.
///
/// # Errors
/// If something can't be installed or built, or the measure fails.
pub(crate) fn run(flags: &[String]) -> anyhow::Result<()> {
    let steps = Steps::of(2);
    steps.step("seeing to the tools", "1 s", tools::for_cost)?;
    steps.step("building the server and the measure", "9 min the first time", |step| {
        step.run(&mut command("cargo build --locked --release --package fourways --package fourways-bench"))
    })?;
    check(command("target/release/fourways-bench fanout --server").arg(release::BINARY).args(flags))
}
