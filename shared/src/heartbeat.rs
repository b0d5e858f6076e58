//! The rule by which every client takes a silent connection for dead.

use std::time::Duration;

/// The interval between the server's heartbeats that a client assumes until the server names its own.
pub const DEFAULT: Duration = Duration::from_secs(15);

/// Returns the silence after which a connection counts as dead: 1.75 heartbeat intervals. That is less than two, so a
/// dead connection is found within two intervals, and leaves room for one heartbeat that is late.
pub fn dead_after(interval: Duration) -> Duration {
    interval.saturating_mul(7) / 4
}
