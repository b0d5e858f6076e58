//! The lab and its clients, from outside: a real server, a real Chromium, real Node clients.
//!
//! `cargo xtask test` sets what they need: `FOURWAYS_BINARY` names the server, `FOURWAYS_APP` the folder of the app where
//! that has none built in, `FOURWAYS_AXE` the script of axe-core, `FOURWAYS_SCHEMATHESIS` the program of that name.

mod browser;
mod engine;
mod files;
mod meddler;
mod monkey;
mod page;
mod refusal;
mod server;
mod session;

pub use self::{
    browser::Browser,
    engine::{Engine, Foreign},
    meddler::{Fault, Meddler},
    monkey::monkey,
    page::{PAGES, TECHNIQUES},
    refusal::refuse_once,
    server::Server,
};

use std::sync::LazyLock;

pub use fourways_testkit::{DEADLINE, Kind, Proxy, own_address};
use tokio::runtime::{Builder, Runtime};

/// One for all tests: connections to a driver outlive the test that has opened them.
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

/// Runs a test to its end.
///
/// # Panics
/// With what the test found wrong.
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
pub fn run(test: impl AsyncFnOnce() -> anyhow::Result<()>) {
    ready();
    RUNTIME.block_on(test()).unwrap();
}

/// To be called before the first HTTP client is made: what they have built in of TLS has no cryptography of its own.
pub fn ready() {
    // Somebody was first, with the same.
    drop(tokio_rustls::rustls::crypto::ring::default_provider().install_default());
}
