//! Every check, in the order in which a failure is cheapest.

use std::time::Instant;

use crate::{
    api, app, root,
    run::{check, command, say, step},
    tidy, tools,
};

/// Runs them all; the first that fails ends it.
pub(crate) fn run() -> anyhow::Result<()> {
    let began = Instant::now();
    step("Format");
    check(&mut command("cargo fmt --all --check"))?;
    step("Walls between rooms");
    tidy::check()?;
    let path = tools::for_app()?;
    tools::for_tests()?;
    step("Lints, native and WebAssembly");
    check(&mut command("cargo clippy --locked --workspace --all-targets -- -D warnings"))?;
    check(&mut command(
        "cargo clippy --locked --package fourways --all-targets --features shuttle -- -D warnings",
    ))?;
    check(&mut command(
        "cargo clippy --locked --package fourways-app --target wasm32-unknown-unknown --all-targets -- -D warnings",
    ))?;
    app::build()?;
    step("Unit and integration tests");
    check(&mut command("cargo test --locked --workspace --exclude fourways-e2e"))?;
    step("Model of the step from replay to live: every interleaving that the checker chooses");
    check(&mut command("cargo test --locked --package fourways --features shuttle --test race"))?;
    step("Browser bindings, in Chromium");
    check(
        command("cargo test --locked --package fourways-app --target wasm32-unknown-unknown --lib")
            .env("PATH", path)
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", "wasm-bindgen-test-runner")
            .env("CHROMEDRIVER", "/usr/bin/chromedriver"),
    )?;
    api::run()?;
    step("The lab, in Chromium, and Node clients");
    check(
        command("cargo test --locked --package fourways-e2e")
            .env("FOURWAYS_BINARY", root().join("target/debug/fourways"))
            .env("FOURWAYS_AXE", tools::axe()?)
            .env("NODE_PATH", tools::node_clients()?),
    )?;
    say(&format!("\nall checks passed in {:.0} s", began.elapsed().as_secs_f64()));
    Ok(())
}
