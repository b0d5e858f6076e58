//! All set-up and every check, on a fresh machine that has rustup and Debian or Ubuntu's apt.
//!
//! `cargo xtask start` builds the app and the server and serves the lab; `cargo xtask test` runs every check;
//! `cargo xtask cost` measures what a delivery costs. What is missing is installed, once, and said.

mod api;
mod app;
mod audit;
mod cost;
mod dev;
mod fuzz;
mod run;
mod start;
mod test;
mod tidy;
mod tools;

use std::{path::PathBuf, process::ExitCode};

const HELP: &str = "\
cargo xtask start [flags of `fourways serve`]   build everything and serve the lab
cargo xtask app                                 build only the app, into dist
cargo xtask dev [flags of `trunk serve`]        serve the app with live reload, before a running server
cargo xtask test                                every check: format, lints, walls, unit, integration, race, wasm, browser
cargo xtask cost --fanout DIR [--runs 3]        what a delivery costs, beside the floor and nchan
cargo xtask fuzz [--seconds 600] [target …]      every parser that reads from the network, with inputs made up
cargo xtask api                                 the API, held to openapi.json by schemathesis
cargo xtask audit                               licences, sources, duplicates and known holes of what is built in";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) =
        arguments.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    let outcome = match command {
        "start" => start::run(rest),
        "api" => api::run(),
        "app" => app::build(),
        "dev" => dev::run(rest),
        "test" => test::run(),
        "cost" => cost::run(rest),
        "fuzz" => fuzz::run(rest),
        "audit" => audit::run(),
        _ => {
            run::say(HELP);
            return if matches!(command, "" | "help" | "--help" | "-h") {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            };
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            run::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The workspace's folder.
fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or_else(|| here.clone(), PathBuf::from)
}
