//! When a connection that says nothing is dead: one rule for every client.

use std::time::Duration;

/// How often the server gives a sign of life, until it says so itself.
pub const DEFAULT: Duration = Duration::from_secs(15);

/// After so much silence a connection is taken for dead: less than two intervals, so that it is found within two, and enough for
/// one sign of life that is late.
pub fn dead_after(interval: Duration) -> Duration {
    interval.saturating_mul(7) / 4
}
