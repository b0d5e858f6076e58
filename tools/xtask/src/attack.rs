//! `cargo xtask attack`: what each door of the server costs whoever knocks and everybody else.

use crate::{
    release,
    run::{check, command},
    steps::Steps,
};

/// Builds the binary to deploy and the attackers, and hands the flags on to `fourways-bench attack`.
///
/// # Errors
/// If something can't be built, or a door costs more than it may.
pub(crate) fn run(flags: &[String]) -> anyhow::Result<()> {
    let steps = Steps::of(1);
    steps.step("building the server and the attackers", "9 min the first time", |step| {
        step.run(&mut command("cargo build --locked --release --package fourways --package fourways-bench"))
    })?;
    check(command("target/release/fourways-bench attack --server").arg(release::BINARY).args(flags))
}
