//! The times at which events are published during a measurement.

use std::time::Duration;

use crate::amount::{float, whole};

/// Returns `count` times within the window that resemble a Poisson process: independent of each other, at a steady mean
/// rate.
///
/// The gaps are the middles of `count` equal slices of the exponential distribution, in an order that is always the
/// same. If the gaps were drawn at random, the mean of thirty would be off by a fifth, and so would the figures that
/// depend on it (the share of empty polls, the rate at which holds expire). The first event comes half a gap after the
/// beginning, the last half a gap before the end.
pub(crate) fn poisson(count: usize, window: Duration) -> Vec<Duration> {
    let middle = |at: usize| (float(at as u64) + 0.5) / float(count as u64);
    let mut gaps: Vec<f64> = (0..count).map(|at| -(1.0 - middle(at)).ln()).collect();
    shuffle(&mut gaps);
    spread(&gaps, window)
}

/// Returns `count` times within the window at equal distances.
pub(crate) fn steady(count: usize, window: Duration) -> Vec<Duration> {
    spread(&vec![1.0; count], window)
}

/// Returns the number of events that a rate makes within the window, rounded.
pub(crate) fn count_of(per_s: f64, window: Duration) -> usize {
    whole(per_s * window.as_secs_f64())
}

/// Converts gaps to times since the beginning of the window. Only the proportions of the gaps count.
fn spread(gaps: &[f64], window: Duration) -> Vec<Duration> {
    let unit = window.as_secs_f64() / gaps.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let mut at = -gaps.first().copied().unwrap_or_default() / 2.0;
    let times = gaps.iter().map(|gap| {
        at += gap;
        Duration::from_secs_f64((at * unit).max(0.0))
    });
    times.collect()
}

/// Shuffles by the method of Fisher and Yates, with random numbers of Marsaglia's xorshift from a fixed seed.
fn shuffle(gaps: &mut [f64]) {
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    for at in (1..gaps.len()).rev() {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let other = usize::try_from(seed % (at as u64 + 1)).unwrap_or(0);
        gaps.swap(at, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_lie_within_the_window_in_order() {
        let window = Duration::from_secs(30);
        for times in [poisson(40, window), steady(40, window), poisson(1, window), poisson(0, window)] {
            assert!(times.is_sorted() && times.iter().all(|at| *at < window), "{times:?}");
        }
        assert_eq!(steady(2, window), [Duration::from_millis(7500), Duration::from_millis(22_500)]);
        assert_eq!(count_of(0.5, window), 15);
    }

    #[test]
    fn as_many_gaps_are_long_as_a_poisson_process_has() {
        let times = poisson(200, Duration::from_secs(200));
        let longer = |than: f64| {
            let gaps = times.windows(2).map(|pair| (pair[1].saturating_sub(pair[0])).as_secs_f64());
            float(gaps.filter(|gap| *gap > than).count() as u64) / 200.0
        };
        for than in [0.5_f64, 1.0, 2.0, 3.0] {
            assert!((longer(than) - (-than).exp()).abs() < 0.02, "{than}: {}", longer(than));
        }
    }
}
