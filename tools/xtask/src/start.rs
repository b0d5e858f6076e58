//! `cargo xtask start`: builds the app and the server as quickly as possible, and serves the lab.

use crate::{
    app,
    run::{check, command, say},
    steps::{Steps, side_by_side, spoken, unnumbered},
    tools,
};

/// Builds whatever has changed, and runs `fourways serve` with these flags until it is stopped.
///
/// # Errors
/// If something can't be installed or built, or the server ends with an error.
pub(crate) fn run(flags: &[String]) -> anyhow::Result<()> {
    let steps = build(0)?;
    say(&format!(
        "\nBuilt in {}. The lab is at the address below; stop it with Ctrl+C.",
        spoken(steps.elapsed())
    ));
    let mut serve = command("target/start/fourways serve --app");
    check(serve.arg(app::folder()).args(flags))
}

/// Builds the server and the app, if they have changed. Returns the steps, of which `further` ones are to follow.
///
/// # Errors
/// If something can't be installed or built.
pub(crate) fn build(further: usize) -> anyhow::Result<Steps> {
    let (has_target, has_tools) = (tools::has_wasm_target(), tools::has_all_for_app());
    let is_fresh = app::is_fresh()?;
    let steps = Steps::of(
        further
            + match (is_fresh, has_target, has_tools) {
                (true, ..) => 1,
                (false, true, true) => 3,
                (false, true, false) | (false, false, true) => 4,
                (false, false, false) => 5,
            },
    );
    let server = || {
        steps.step("building the server", "2 min the first time", |step| {
            step.run(&mut command("cargo build --locked --profile start --package fourways"))
        })
    };
    if is_fresh {
        server()?;
    } else {
        if !has_target {
            steps.step("adding the WebAssembly target to Rust", "10 s", tools::wasm_target)?;
        }
        let tools = || {
            if has_tools {
                return unnumbered(tools::for_app);
            }
            steps.step("installing trunk and wasm-bindgen, once", "4 min", tools::for_app)
        };
        // Trunk later asks cargo for the same build, which is done by then.
        let code = || {
            server()?;
            steps.step("building the app's code", "2 min the first time", |step| {
                step.run(&mut command(&format!("cargo build {}", app::CARGO)))
            })
        };
        let (tools, ()) = side_by_side(tools, code)?;
        let path = tools.path()?;
        steps.step("bundling the app with trunk", "10 s", |step| {
            app::build(step, app::trunk().env("PATH", &path))
        })?;
    }
    Ok(steps)
}
