//! Sets up the project and runs every check, on a fresh machine that has rustup and the apt of Debian or Ubuntu.
//!
//! `cargo xtask start` builds the app and the server and serves the lab; `cargo xtask test` runs every check;
//! `cargo xtask release` builds the binary to deploy. Missing tools are installed once, and each command says so.

mod app;
mod attack;
mod audit;
mod cluster;
mod cost;
mod dev;
mod engines;
mod fuzz;
mod libraries;
mod prose;
mod release;
mod run;
mod start;
mod steps;
mod test;
mod tidy;
mod timing;
mod tools;

use std::{path::PathBuf, process::ExitCode};

const HELP: &str = "\
cargo xtask start [flags of `fourways serve`]   build the app and the server quickly, and serve the lab
cargo xtask test [--quick] [section …]          run the checks; sections: format, walls, lints, native, wasm, browser, api
cargo xtask cluster [flags]                     serve the lab from three servers of one log, behind a balancer
cargo xtask cluster measure [what …]            measure three servers: publishes, delays, costs, a fresh one, a deploy
cargo xtask cluster faults [110 [1000000]]      break three servers this often, over this many events, and check all
cargo xtask release                             build the binary to deploy, target/release/fourways
cargo xtask app                                 build only the app of a release, into dist
cargo xtask dev [flags of `trunk serve`]        serve the app with live reload, in front of a running server
cargo xtask cost [--rounds 3]                   measure a delivery, beside a bare write loop (the floor) and nchan
cargo xtask engines                             test the lab and its client in Firefox and WebKit
cargo xtask libraries                           test event streams with client libraries of other languages
cargo xtask attack [--door TEXT]                attack each door of the server, and check what that costs
cargo xtask timing [row …] [--busy N]           time start and test; or run the suite N times on a busy machine
cargo xtask fuzz [--seconds 600] [target …]     fuzz every parser that reads from the network
cargo xtask audit                               check dependencies: licences, sources, duplicates, vulnerabilities";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) =
        arguments.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    let outcome = match command {
        "start" => start::run(rest),
        "cluster" => cluster::run(rest),
        "release" => release::run(),
        "app" => release::app_alone(),
        "dev" => dev::run(rest),
        "test" => test::run(rest),
        "attack" => attack::run(rest),
        "cost" => cost::run(rest),
        "engines" => engines::run(),
        "libraries" => libraries::run(),
        "fuzz" => fuzz::run(rest),
        "audit" => audit::run(),
        "timing" => timing::run(rest),
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

/// Returns the root folder of the workspace.
fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).map_or_else(|| here.clone(), PathBuf::from)
}
