//! `cargo xtask engines`: tests the lab and its client in Firefox and `WebKit`.

use crate::{
    app, root,
    run::{command, say},
    steps::Steps,
    tools,
};

/// Installs both browsers with their drivers, and runs the tests for them. `cargo xtask test` runs these tests too, if
/// the browsers are installed.
///
/// # Errors
/// If something can't be installed or built, or a test fails.
pub(crate) fn run() -> anyhow::Result<()> {
    let steps = Steps::of(4);
    let (path, app_path) = steps.step("installing browsers", "4 min the first time", |step| {
        tools::wasm_target(step)?;
        Ok((tools::for_engines(step)?, tools::for_app(step)?.path()?))
    })?;
    steps.step("building the app", "2 min the first time", |step| {
        if app::is_fresh()? {
            return Ok(());
        }
        app::build(step, app::trunk().env("PATH", &app_path))
    })?;
    steps.step("building the server and the tests", "4 min the first time", |step| {
        step.run(&mut command("cargo build --locked --package fourways"))?;
        step.run(&mut command("cargo test --locked --package fourways-e2e --test e2e --no-run"))
    })?;
    steps.step("the lab and its client in Firefox and WebKit", "2 min", |step| {
        let mut tests =
            command("cargo test --locked --package fourways-e2e --test e2e -- --test-threads=2 engines::");
        tests
            .env("PATH", &path)
            .env("FOURWAYS_ENGINES", "all")
            .env("FOURWAYS_BINARY", root().join("target/debug/fourways"))
            .env("FOURWAYS_APP", app::folder());
        step.run(&mut tests)?;
        say(&step.printed());
        Ok(())
    })
}
