//! The system's clock in the unit of every time that the server writes: microseconds since the Unix epoch.

use std::time::{SystemTime, UNIX_EPOCH};

use fourways_shared::time::micros;

/// Returns the system's time in microseconds since the Unix epoch; 0 if the clock is before the epoch.
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    micros(since)
}
