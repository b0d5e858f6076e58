//! The system's clock, as the server writes times: in microseconds since the Unix epoch.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the microseconds since the Unix epoch, by the system's clock.
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
