//! The API, held to its own description: schemathesis asks a server everything that `openapi.json` says can be asked,
//! and more.

use std::process::Command;

use anyhow::Context as _;
use fourways_e2e::{Server, run};

/// Paths that are left out: streams and sockets have no end, and a rehearsal takes seconds.
const WITHOUT: [&str; 4] = ["/v1/stream", "/v1/ws", "/v1/lab/ws", "/v1/rehearsal"];
/// Checks that are left out: a cursor of another log is well-formed and refused, an open server asks for no token, and
/// `OpenAPI` 3.1 has no place for the method QUERY (a test of the server's own holds methods to the description).
const LEFT_OUT: &str = "positive_data_acceptance,ignored_auth,unsupported_method,allow_header_conformance";

#[test]
fn every_answer_is_as_described() {
    run(async || {
        let program = std::env::var_os("FOURWAYS_SCHEMATHESIS")
            .context("FOURWAYS_SCHEMATHESIS is not set: run `cargo xtask test`")?;
        let server = Server::with(&["--source", "none", "--publish-rate", "0", "--max-wait", "100ms"])?;
        let mut ask = Command::new(program);
        ask.arg("run").arg(format!("{}/openapi.json", server.url()));
        ask.args(WITHOUT.iter().flat_map(|path| ["--exclude-path", path]));
        ask.args(["--exclude-checks", LEFT_OUT, "--max-examples", "40", "--seed", "1"]);
        ask.args(["--request-timeout", "60", "--no-color"]);
        let answer = ask.output().context("schemathesis can't be started")?;
        let (out, errors) =
            (String::from_utf8_lossy(&answer.stdout), String::from_utf8_lossy(&answer.stderr));
        anyhow::ensure!(answer.status.success(), "{out}\n{errors}");
        Ok(())
    });
}
