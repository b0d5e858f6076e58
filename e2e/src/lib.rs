//! The lab and its clients, from outside: a real server, a real Chromium, real Node clients.
//!
//! `FOURWAYS_BINARY` names the server that has the app built in, `FOURWAYS_AXE` the script of axe-core;
//! `cargo xtask test` sets both.

mod browser;
mod files;
mod meddler;
mod page;
mod proxy;
mod refusal;
mod server;

pub use self::{
    browser::Browser,
    meddler::{Fault, Meddler},
    page::TECHNIQUES,
    proxy::{Kind, Proxy},
    refusal::refuse_once,
    server::Server,
};

use std::time::Duration;

/// Longest that anything may take; a test that waits so long has failed.
pub const DEADLINE: Duration = Duration::from_secs(40);

/// Runs a test to its end.
///
/// # Panics
/// With what the test found wrong.
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
pub fn run(test: impl AsyncFnOnce() -> anyhow::Result<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test()).unwrap();
}
