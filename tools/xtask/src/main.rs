//! All set-up and every check, on a fresh machine that has rustup and Debian or Ubuntu's apt.
//!
//! `cargo xtask start` builds the app and the server and serves the lab; `cargo xtask test` runs every check;
//! `cargo xtask release` makes the binary to deploy. What is missing is installed, once, and said.

mod app;
mod attack;
mod audit;
mod cost;
mod dev;
mod engines;
mod fuzz;
mod libraries;
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
cargo xtask start [flags of `fourways serve`]   build app and server for looking at them, and serve the lab
cargo xtask test [--quick] [section …]          every check; sections: format, walls, lints, native, wasm, browser, api
cargo xtask release                             the binary to deploy, target/release/fourways
cargo xtask app                                 only the app of a release, into dist
cargo xtask dev [flags of `trunk serve`]        serve the app with live reload, before a running server
cargo xtask cost [--rounds 3]                   what a delivery costs, beside the floor and nchan
cargo xtask engines                             the lab and its client in Firefox and WebKit
cargo xtask libraries                           event streams as libraries of other languages read them
cargo xtask attack [--door TEXT]                 what each door costs who knocks, and everybody else
cargo xtask timing [row …] [--busy N]           how long start and test take; the suite N times on a busy machine
cargo xtask fuzz [--seconds 600] [target …]     every parser that reads from the network, with inputs made up
cargo xtask audit                               licences, sources, duplicates and known holes of what is built in";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) =
        arguments.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    let outcome = match command {
        "start" => start::run(rest),
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

/// The workspace's folder.
fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).map_or_else(|| here.clone(), PathBuf::from)
}
