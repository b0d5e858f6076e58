//! The one harness of all tests: `Process` starts the server as its own process, `own_address` gives a test a loopback
//! address that no other test has, `raw` speaks HTTP byte by byte, `proxy` puts a real proxy in front of a server.
//!
//! Tests and `bench` use it; nothing that ships does.

mod address;
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

/// Longest that a test waits for anything. At least ten times what the slowest step takes on a quiet machine, so that a
/// busy machine is no failure.
pub const DEADLINE: Duration = Duration::from_mins(2);

/// Headers of a WebSocket upgrade request (RFC 6455, section 4.1), each line ended but the last.
pub const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                           Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

/// Says on standard error, past the harness that keeps what tests print, that a test did nothing here and why.
///
/// # Panics
/// Where `CI` is set: there every test runs.
pub fn skipped(why: &str) {
    // Nobody reads standard error, then.
    drop(writeln!(std::io::stderr(), "SKIPPED: {why}"));
    assert!(std::env::var_os("CI").is_none(), "in CI nothing is skipped: {why}");
}
