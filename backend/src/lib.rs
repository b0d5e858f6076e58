//! Fourways, the server: one ordered log of events, delivered by short polling, long polling, SSE and WebSocket.
//!
//! An event's walk: [`publish`] parses it, an [`engine`] numbers and keeps it, the engine's [`engine::Tail`] indexes it
//! and wakes who waits, each [`subscription::Subscription`] returns it in a batch, [`encoding`] has made its bytes at
//! most once, and a [`delivery`] frames and writes them. Arrows one way only: the log knows no delivery, a delivery
//! knows no engine.

pub mod access;
mod backlog;
mod body;
pub mod config;
pub mod connection;
mod drain;
mod fields;
mod http2;
mod open_files;
mod routes;
pub mod server;
pub mod tls;

pub mod delivery;
pub mod encoding;
pub mod engine;
pub mod publish;
pub mod subscription;

pub mod app;
pub mod features;
pub mod lab;
pub mod ledger;
pub mod listen;
pub mod metrics;
pub mod presence;
pub mod problem;
pub mod rehearsal;
pub mod roster;
pub mod sources;
pub mod topics;
pub mod traces;

pub mod cli;

#[cfg(fuzzing)]
#[expect(clippy::unwrap_used, reason = "a fuzz target fails by panicking")]
pub mod fuzzing;

mod sync;
