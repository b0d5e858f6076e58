//! `cargo xtask attack`: attacks each door of the server, and checks what that costs the server and its other clients.

use crate::{
    release,
    run::{check, command},
    steps::Steps,
};

/// Builds the server and the attackers for release, and passes the flags on to `fourways-bench attack`.
///
/// # Errors
/// If something can't be built, or an attack costs more than its bounds allow.
pub(crate) fn run(flags: &[String]) -> anyhow::Result<()> {
    let steps = Steps::of(1);
    steps.step("building the server and the attackers", "9 min the first time", |step| {
        step.run(&mut command("cargo build --locked --release --package fourways --package fourways-bench"))
    })?;
    check(command("target/release/fourways-bench attack --server").arg(release::BINARY).args(flags))
}
