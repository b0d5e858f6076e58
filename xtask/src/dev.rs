//! Serves the app with live reload, in front of a server that runs beside it.

use crate::{
    run::{check, command, step},
    tools,
};

/// Runs until it is stopped. What follows `dev` goes to `trunk serve`.
pub(crate) fn run(flags: &[String]) -> anyhow::Result<()> {
    let path = tools::for_app()?;
    step("Serving the app at http://127.0.0.1:8081, in front of `cargo run -p fourways -- serve`");
    // Not into `dist`, which the server embeds: that one is built for release and packed.
    check(command("trunk serve --dist target/dev-app").args(flags).env("PATH", path))
}
