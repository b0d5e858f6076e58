//! Times in the formats of other tools, from milliseconds since the Unix epoch.

use crate::format::time_of_day;

/// Formats date and time in UTC, as in `2025-11-23T04:00:00.123Z` (RFC 3339). A time before 1970 is shown as the first
/// instant of 1970.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of days")]
pub fn iso(at_ms: f64) -> String {
    let at_ms = at_ms.max(0.0);
    let (year, month, day) = civil((at_ms / 86_400_000.0).floor() as u32);
    format!("{year:04}-{month:02}-{day:02}T{}Z", time_of_day(at_ms))
}

/// Formats a time as seconds with six decimals.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "2^53 µs end in the year 2255")]
pub(super) fn seconds(at_ms: f64) -> String {
    let us = (at_ms * 1000.0).round() as u64;
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

/// Returns year, month and day of a day counted from 1970-01-01. Years begin in March here, so that a leap day is the
/// last day of its year, and any 400 years have the same length.
fn civil(day: u32) -> (u64, u64, u64) {
    const DAYS_IN_400_YEARS: u64 = 146_097;
    let day = u64::from(day) + 719_468;
    let (era, day) = (day / DAYS_IN_400_YEARS, day % DAYS_IN_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (at_ms, expected) in [
            (0.0, "1970-01-01T00:00:00.000Z"),
            (-5.0, "1970-01-01T00:00:00.000Z"),
            (86_399_999.9, "1970-01-01T23:59:59.999Z"),
            (951_782_400_000.0, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999.0, "2024-02-29T23:59:59.999Z"),
            (1_709_251_200_000.0, "2024-03-01T00:00:00.000Z"),
            (1_735_689_599_000.0, "2024-12-31T23:59:59.000Z"),
            (1_763_870_400_123.4, "2025-11-23T04:00:00.123Z"),
            (4_107_542_400_000.0, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(iso(at_ms), expected);
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = civil(0);
        for day in 1..146_097 {
            let (year, month, date) = civil(day);
            let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
            let last = match before.1 {
                2 => 28 + u64::from(is_leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            let next = match before {
                (year, 12, 31) => (year + 1, 1, 1),
                (year, month, date) if date == last => (year, month + 1, 1),
                (year, month, date) => (year, month, date + 1),
            };
            assert_eq!((year, month, date), next);
            before = next;
        }
    }

    #[test]
    fn seconds_keep_microseconds() {
        assert_eq!(seconds(1_763_870_400_000.5), "1763870400.000500");
        assert_eq!([seconds(0.0), seconds(1234.567), seconds(-1.0)], ["0.000000", "1.234567", "0.000000"]);
    }
}
