//! `cargo xtask start`: builds app and server for looking at them, as quickly as can be, and serves the lab.

use crate::{
    app,
    run::{check, command, say},
    steps::{Steps, side_by_side, spoken, unnumbered},
    tools,
};

/// Runs until it is stopped. What follows `start` goes to `fourways serve`.
///
/// # Errors
/// If something can't be installed or built, or the server ends with an error.
pub(crate) fn run(flags: &[String]) -> anyhow::Result<()> {
    let (has_target, has_tools) = (tools::has_wasm_target(), tools::has_all_for_app());
    let is_fresh = app::is_fresh()?;
    let steps = Steps::of(match (is_fresh, has_target, has_tools) {
        (true, ..) => 1,
        (false, true, true) => 3,
        (false, true, false) | (false, false, true) => 4,
        (false, false, false) => 5,
    });
    let server = || {
        steps.step("building the server", "2 min the first time", |step| {
            step.run(&mut command("cargo build --locked --profile start --package fourways"))
        })
    };
    if is_fresh {
        server()?;
    } else {
        if !has_target {
            steps.step("adding WebAssembly to the Rust toolchain", "10 s", tools::wasm_target)?;
        }
        let tools = || {
            if has_tools {
                return unnumbered(tools::for_app);
            }
            steps.step("installing trunk and wasm-bindgen, once", "4 min", tools::for_app)
        };
        // Trunk builds just this again, and finds it built.
        let code = || {
            server()?;
            steps.step("building the app's code", "2 min the first time", |step| {
                step.run(&mut command(&format!("cargo build {}", app::CARGO)))
            })
        };
        let (tools, ()) = side_by_side(tools, code)?;
        let path = tools.path()?;
        steps.step("putting the app together", "10 s", |step| {
            app::build(step, app::trunk().env("PATH", &path))
        })?;
    }
    say(&format!(
        "\nBuilt in {}. The lab is at the address below; stop it with Ctrl+C.",
        spoken(steps.elapsed())
    ));
    let mut serve = command("target/start/fourways serve --app");
    check(serve.arg(app::folder()).args(flags))
}
