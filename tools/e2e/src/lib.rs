//! The lab and its clients, from outside: a real server, a real Chromium, real Node clients.
//!
//! `cargo xtask test` sets the environment: `FOURWAYS_BINARY` names the server, `FOURWAYS_APP` the folder of the app
//! where the server has none built in, `FOURWAYS_AXE` the script of axe-core, `FOURWAYS_SCHEMATHESIS` the program of
//! that name.

mod browser;
mod engine;
mod faulty_proxy;
mod files;
mod monkey;
mod page;
mod refusal;
mod server;
mod session;

pub use self::{
    browser::Browser,
    engine::{Engine, Foreign},
    faulty_proxy::{Fault, FaultyProxy},
    monkey::monkey,
    page::{PAGES, TECHNIQUES},
    refusal::refuse_once,
    server::Server,
};

use std::sync::LazyLock;

pub use fourways_testkit::{DEADLINE, Kind, Proxy, own_address};
use tokio::runtime::{Builder, Runtime};

/// The runtime of all tests: connections to a driver outlive the test that has opened them.
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

/// Runs a test to its end.
///
/// # Panics
/// If the test fails.
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
pub fn run(test: impl AsyncFnOnce() -> anyhow::Result<()>) {
    ready();
    RUNTIME.block_on(test()).unwrap();
}

/// Installs the cryptography for TLS, which the HTTP clients are built without. Must be called before the first of them
/// is made.
pub fn ready() {
    // Fails only if the same provider is installed already.
    drop(tokio_rustls::rustls::crypto::ring::default_provider().install_default());
}
