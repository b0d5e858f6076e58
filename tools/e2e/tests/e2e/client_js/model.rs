//! `client.js` in a simulated world where everything goes wrong (`client-js/tests/`): in Node, on a clock of its own,
//! without a browser.

use std::{collections::BTreeMap, process::Command, time::Duration};

use anyhow::Context as _;
use fourways_shared::Advice;
use serde_json::json;

/// Number of steps of the model; a million take half a minute.
const STEPS: &str = "300000";

fn run(script: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let script = format!("{}/../../client-js/tests/{script}", env!("CARGO_MANIFEST_DIR"));
    let output =
        Command::new("node").arg(script).args(arguments).output().context("node can't be started")?;
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    anyhow::ensure!(output.status.success(), "{out}{errors}");
    Ok(())
}

#[test]
fn each_event_comes_once_and_in_order_or_a_break_is_told() {
    run("model.mjs", &["--steps", STEPS]).unwrap();
}

#[test]
fn what_is_asked_of_nothing_and_why_it_waits_is_said() {
    run("edges.mjs", &[]).unwrap();
}

/// The rules for retrying stand once, in `Advice`; this holds `client.js` to them.
#[test]
fn it_tries_again_and_stops_as_all_clients_do() {
    let word = |advice| if advice == Advice::Stop { "stop" } else { "retry" };
    let statuses: BTreeMap<u16, &str> = (200..600)
        // A response with the status 205 can't be made with a body.
        .filter(|status| *status != 205)
        .map(|status| (status, word(Advice::of_status(status, Some(Duration::ZERO)))))
        .collect();
    let closes: BTreeMap<u16, &str> =
        (1000..5000).map(|code| (code, word(Advice::of_close(code, "")))).collect();
    run("table.mjs", &[&json!({ "status": statuses, "close": closes }).to_string()]).unwrap();
}
