//! Times in the units of the wire and of the figures: whole microseconds and milliseconds, and fractions of them.

use std::time::Duration;

/// Returns the whole microseconds of a duration; [`u64::MAX`] for more than 584,000 years.
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Returns the whole milliseconds of a duration; [`u64::MAX`] for more than 584 million years.
pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Converts microseconds into milliseconds to calculate with.
#[expect(clippy::cast_precision_loss, reason = "microseconds since 1970 have 51 bits until the year 2106")]
pub const fn ms_of_us(us: u64) -> f64 {
    us as f64 / 1e3
}

/// Converts microseconds into seconds to calculate with.
#[expect(clippy::cast_precision_loss, reason = "microseconds since 1970 have 51 bits until the year 2106")]
pub const fn s_of_us(us: u64) -> f64 {
    us as f64 / 1e6
}
