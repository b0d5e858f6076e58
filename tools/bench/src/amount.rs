//! Conversions of counts and times to numbers for computation.

use std::time::Duration;

/// Converts a count to a float, for division and comparison.
#[expect(clippy::cast_precision_loss, reason = "2^52 events, bytes or nanoseconds are not reached in a run")]
pub(crate) const fn float(count: u64) -> f64 {
    count as f64
}

/// Rounds to the nearest whole count; a negative amount and NaN make 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` stays within the type's range, and what is negative makes 0"
)]
pub(crate) fn whole(amount: f64) -> usize {
    amount.round() as usize
}

/// Parses a number of seconds on the command line, from 0.001 to 86400.
///
/// # Errors
/// If the text is no number or out of range. The error is one line for people.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    let is_usable = (0.001..=86_400.0).contains(&seconds);
    if is_usable {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("must be from 0.001 to 86400".to_owned())
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
