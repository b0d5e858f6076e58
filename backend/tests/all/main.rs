//! Everything that is promised of the server, in one test binary.
//!
//! `api` meets it over real sockets as its clients do; `log` holds the log to its laws, in memory and on the disk;
//! `process` runs the `fourways` command, kills it, drains it and fills its disk. `server` is the harness of those that
//! run the server inside the test, and `front` reaches it over TLS and HTTP/2; `testkit` has what all crates' tests share.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test fails by panicking, and prints what it counted"
)]

mod api;
mod encodings;
mod front;
mod log;
mod process;
mod server;

/// The program under test.
const FOURWAYS: &str = env!("CARGO_BIN_EXE_fourways");
