//! Tests of everything that the server promises, in one test binary.
//!
//! `api` tests the server over real sockets, as its clients see it; `process` runs the `fourways` command, kills it,
//! drains it and fills its disk; `cluster` runs three of them with three NATS servers and breaks what it can. `server` is the harness for tests that run the server inside the test process, and
//! `front` reaches it over TLS and HTTP/2. The crate `testkit` has the parts that the tests of all crates share; the
//! log's own tests are in the crate `log`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test fails by panicking, and prints what it counted"
)]

mod api;
mod cluster;
mod front;
mod process;
mod server;

/// The program under test.
const FOURWAYS: &str = env!("CARGO_BIN_EXE_fourways");
