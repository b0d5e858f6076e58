//! Tests of the log: its laws against a model, the rules for readers that lag, wrong clocks, and what the disk keeps
//! through restarts, faults and damage.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test fails by panicking, and prints what it counted"
)]

mod clocks;
mod conformance;
mod costs;
mod disk;
mod encodings;
mod engines;
mod failing;
mod faults;
mod followed;
mod lag;
mod laws;
mod sim;
