//! `cargo xtask dev`: serves the app with live reload, and passes its requests to a server that runs beside it.

use crate::{
    run::{check, command, say},
    steps::unnumbered,
    tools,
};

/// Runs `trunk serve` with these flags until it is stopped.
///
/// # Errors
/// If a tool can't be installed, or trunk ends with an error.
pub(crate) fn run(flags: &[String]) -> anyhow::Result<()> {
    let tools = unnumbered(|step| {
        tools::wasm_target(step)?;
        tools::for_app(step)
    })?;
    say("serving the app at http://127.0.0.1:8081, in front of `cargo run -p fourways -- serve`");
    check(command("trunk serve --dist target/dev-app").args(flags).env("PATH", tools.path()?))
}
