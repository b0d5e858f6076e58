//! Counts and times as numbers to compute with.

use std::time::Duration;

/// A count to divide by or to compare.
#[expect(clippy::cast_precision_loss, reason = "2^52 events, bytes or nanoseconds are not reached in a run")]
pub(crate) const fn float(count: u64) -> f64 {
    count as f64
}

/// The nearest whole count; 0 for what is none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` stays within the type's range, and what is negative makes 0"
)]
pub(crate) fn whole(amount: f64) -> usize {
    amount.round() as usize
}

/// A number of seconds on the command line.
///
/// # Errors
/// One line for people.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds is expected".to_owned())?;
    let is_usable = (0.001..=86_400.0).contains(&seconds);
    if is_usable {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("allowed are 0.001 to 86400".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_rounded_and_never_negative() {
        for (amount, expected) in [(-3.0, 0), (0.4, 0), (0.5, 1), (41.7, 42), (f64::NAN, 0)] {
            assert_eq!(whole(amount), expected, "{amount}");
        }
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["", "x", "0", "-1", "NaN", "inf", "86401"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
