//! `cargo xtask api`: schemathesis asks a server everything that `openapi.json` says can be asked, and more.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;

use crate::{
    root,
    run::{check, command, step},
    tools,
};

/// Streams and sockets have no end, and a rehearsal takes seconds.
const WITHOUT: [&str; 4] = ["/v1/stream", "/v1/ws", "/v1/lab/ws", "/v1/rehearsal"];
/// A cursor of another log is well-formed and refused, and an open server asks nobody who they are.
const LEFT_OUT: &str = "positive_data_acceptance,ignored_auth";

/// Ends with the check.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already is what is wanted.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Builds the server and asks it.
pub(crate) fn run() -> anyhow::Result<()> {
    let schemathesis = tools::schemathesis()?;
    check(&mut command("cargo build --locked --package fourways"))?;
    step("The API, held to its own description");
    let mut server = Command::new(root().join("target/debug/fourways"))
        .args(["serve", "--memory", "--source", "none", "--listen", "127.0.0.1:0"])
        .args(["--publish-rate", "0", "--max-wait", "100ms"])
        .stderr(Stdio::piped())
        .spawn()
        .map(Server)
        .context("the server could not be started")?;
    let mut lines =
        BufReader::new(server.0.stderr.take().context("no standard error")?).lines().map_while(Result::ok);
    let address = lines
        .find_map(|line| line.split("http://").nth(1).map(str::to_owned))
        .context("it does not listen")?;
    // The pipe is emptied until the server ends, so that it never blocks on it.
    std::thread::spawn(move || lines.for_each(drop));
    let mut ask = Command::new(schemathesis);
    ask.arg("run").arg(format!("http://{address}/openapi.json"));
    ask.args(WITHOUT.iter().flat_map(|path| ["--exclude-path", path]));
    ask.args([
        "--exclude-checks",
        LEFT_OUT,
        "--max-examples",
        "40",
        "--seed",
        "1",
        "--request-timeout",
        "10",
        "--no-color",
    ]);
    check(&mut ask)
}
