//! Fourways, the server: one ordered log of events, delivered by short polling, long polling, SSE and WebSocket.
//!
//! An event's walk: [`publish`] parses it, an engine of the [`log`] numbers and keeps it, the engine's tail indexes it and
//! wakes who waits, each subscription returns it in a batch, its bytes have been made at most once, and a [`delivery`]
//! frames and writes them. Arrows one way only: the log knows no delivery, a delivery knows no engine.

pub mod clock;
pub mod config;
pub mod problem;
pub mod server;
pub mod worker;

pub mod access;
pub mod cli;
pub mod delivery;
pub mod lab;
pub mod log;
pub mod net;
pub mod operate;
pub mod publish;

mod routes;

#[cfg(fuzzing)]
#[expect(clippy::unwrap_used, reason = "a fuzz target fails by panicking")]
pub mod fuzzing;
