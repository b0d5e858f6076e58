//! The server as its clients meet it, over real sockets.
//!
//! `server` is the harness; `access` holds who gets in, `origin` by which pages, `presence` who is there, `limits` how much of it, `history` what a cache may keep, `contract` holds the wire contract line by line, `bad_input` what is refused and how,
//! `resume` what every technique promises, `frames` the rules of RFC 6455, `leaving` that nobody is kept, `lab` what the
//! lab counts and breaks, `check` what `fourways check` finds behind a real nginx, `tls`
//! what is spoken inside TLS.
#![cfg(not(feature = "shuttle"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod access;
mod attack;
mod bad_input;
mod check;
mod compression;
mod contract;
mod dead;
mod frames;
mod history;
mod lab;
mod leaving;
mod ledger;
mod limits;
mod metrics;
mod nginx;
mod openapi;
mod origin;
mod presence;
mod rehearsal;
mod resume;
mod roster;
mod server;
mod tls;
