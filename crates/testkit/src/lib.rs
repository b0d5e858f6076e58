//! The test harness: `Process` starts the server as a separate process, `own_address` gives a test a loopback address
//! that no other test has, `raw` speaks HTTP byte by byte, `proxy` puts a real proxy in front of a server,
//! `nats` starts NATS servers and cuts them from each other, and balances connections over servers.
//!
//! Tests and `bench` use this crate; nothing that ships does.

mod address;
#[cfg(feature = "nats")]
mod balancer;
#[cfg(feature = "nats")]
mod link;
#[cfg(feature = "nats")]
mod nats;
mod process;
#[cfg(feature = "proxy")]
mod proxy;
#[cfg(feature = "raw")]
mod raw;
mod reaper;

use std::{io::Write as _, time::Duration};

#[cfg(feature = "proxy")]
pub use self::proxy::{Kind, Proxy};
#[cfg(feature = "raw")]
pub use self::raw::{Answer, Wire};
pub use self::{address::own_address, process::Process, reaper::Reaper};
#[cfg(feature = "nats")]
pub use self::{balancer::Balancer, link::Link, nats::Nats};

/// Maximum time that a test waits for anything. At least ten times as long as the slowest step takes on a quiet
/// machine, so that no test fails because the machine is busy.
pub const DEADLINE: Duration = Duration::from_mins(2);

/// Headers of a WebSocket upgrade request (RFC 6455, section 4.1), each line ended but the last.
pub const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                           Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

/// Reports that a test was skipped, and why, on standard error. The report bypasses the harness, which captures the
/// output of tests.
///
/// # Panics
/// If `CI` is set, because every test must run there.
pub fn skipped(why: &str) {
    // An error means that nobody reads standard error.
    drop(writeln!(std::io::stderr(), "SKIPPED: {why}"));
    assert!(std::env::var_os("CI").is_none(), "in CI nothing is skipped: {why}");
}
