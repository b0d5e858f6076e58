//! Fourways, the server: one ordered log of events, delivered by short polling, long polling, SSE and WebSocket.
//!
//! An event's walk: [`publish`] parses the event, an engine of [`fourways_log`] numbers and keeps it, the engine's tail
//! indexes it and wakes the subscriptions that wait, each subscription returns it in a batch, and a [`delivery`] frames
//! and writes its bytes, which are encoded at most once per format for all subscribers. Arrows point one way only: the
//! log knows no delivery, a delivery knows no engine.

pub mod clock;
pub mod config;
pub mod problem;
pub mod server;
pub mod worker;

pub mod access;
pub mod cli;
pub mod delivery;
pub mod lab;
pub mod net;
pub mod operate;
pub mod publish;

mod routes;

#[cfg(fuzzing)]
#[expect(clippy::unwrap_used, reason = "a fuzz target fails by panicking")]
pub mod fuzzing;
