//! Tests of the engine whose order NATS keeps, with real NATS servers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test fails by panicking, and prints what it counted"
)]

mod audit;
mod beginnings;
#[path = "../../../log/tests/all/conformance.rs"]
mod conformance;
mod engine;
mod kit;
