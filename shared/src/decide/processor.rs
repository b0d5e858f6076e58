//! Processor time, from a server that sleeps between two requests to one that never does.
//!
//! A processor that has slept takes longer for the same: it is woken, and its caches hold what others have left there.
//! How much longer depends on how long it slept. So constants are measured busy, and what rest costs beside them:
//!
//! - `busy` = Σ rate · busy cost, in cores
//! - each poll after a rest of g = 1/(polls, sends, openings and heartbeats a second) costs W · (g / 1 ms)^k more, with k below 1: W
//!   after a millisecond, ever less between requests that follow each other faster, and no more than after five
//! - a send, an opening or a heartbeat costs a multiple of that, which differs by technique
//! - each delivery of an event that comes after a rest costs C more, which differs by technique
//! - `rest` = Σ rate · multiple · W · (g / 1 ms)^k + deliveries · C: what resting costs if nothing ever found the server at work
//! - of all that comes, a share of 1 − cores finds it at rest, so cores = busy + rest · (1 − cores), which is
//!   (busy + rest)/(1 + rest); and `busy` alone from the first whole core on
//!
//! Both meet at one core, so the projection has no step.

use serde::{Deserialize, Serialize};

/// Rests are not measured longer than this, in milliseconds: what they cost more than it is not known.
const LONGEST_MS: f64 = 5.0;

/// What a machine's processor loses by resting; measured, as every constant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rest {
    /// W: what a wake-up after a millisecond of rest takes more, in microseconds.
    pub wake_up_us: f64,
    /// k: how that grows with the rest; from 0, not at all, to below 1.
    pub growth: f64,
}

impl Rest {
    /// What each of so many wake-ups a second takes more, in microseconds.
    pub fn each_us(&self, wake_ups_per_s: f64) -> f64 {
        let rest_ms = (1000.0 / wake_ups_per_s.max(f64::MIN_POSITIVE)).min(LONGEST_MS);
        self.wake_up_us * rest_ms.powf(self.growth)
    }

    /// In hundredths: more digits would be noise.
    #[must_use]
    pub fn rounded(self) -> Self {
        let round = |number: f64| (number * 100.0).round() / 100.0;
        Self { wake_up_us: round(self.wake_up_us), growth: round(self.growth) }
    }

    /// The line through the logarithms of pairs of wake-ups a second and what each took more, in microseconds (least
    /// squares). Nothing where fewer than two took more.
    pub fn fit(measured: &[(f64, f64)]) -> Self {
        let shown = measured.iter().filter(|(rate, us)| *rate > 0.0 && *us > 0.0);
        let points: Vec<(f64, f64)> = shown.map(|(rate, us)| ((1000.0 / rate).ln(), us.ln())).collect();
        let count = points.iter().map(|_| 1.0).sum::<f64>();
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(|point| point.0), mean(|point| point.1));
        let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
        if points.len() < 2 || spread <= 0.0 {
            return Self::default();
        }
        let slope = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>() / spread;
        let growth = slope.clamp(0.0, 0.99);
        Self { wake_up_us: (y - growth * x).exp(), growth }
    }
}

/// The cores of a load that takes so much of a busy server's time, and so much more of one that always rested before;
/// both in microseconds a second.
pub(super) fn cores(busy_us: f64, rest_us: f64) -> f64 {
    let (busy, rest) = (busy_us / 1e6, rest_us / 1e6);
    if busy >= 1.0 { busy } else { (busy + rest) / (1.0 + rest) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::fixtures::near;

    const REST: Rest = Rest { wake_up_us: 45.0, growth: 0.6 };

    #[test]
    fn a_longer_rest_costs_more_up_to_the_longest() {
        near(REST.each_us(1_000.0), 45.0);
        near(REST.each_us(250.0), 45.0 * 4_f64.powf(0.6));
        near(REST.each_us(0.0), REST.each_us(200.0));
        assert!(REST.each_us(1e7) < 0.2);
    }

    #[test]
    fn cores_grow_without_a_step_and_end_busy() {
        let mut before = 0.0;
        for clients in 1..4_000 {
            let rate = f64::from(clients) * 50.0;
            let cores = cores(rate * 10.0, rate * (REST.each_us(rate) + 2.0));
            assert!(cores > before && cores - before < 0.02, "{clients}: {cores} after {before}");
            before = cores;
        }
        near(cores(2e6, 9e5), 2.0);
    }

    #[test]
    fn a_fit_finds_what_made_the_measurements() {
        let measured: Vec<(f64, f64)> =
            [250.0, 1_000.0, 5_000.0].iter().map(|rate| (*rate, REST.each_us(*rate))).collect();
        let Rest { wake_up_us, growth } = Rest::fit(&measured);
        near(wake_up_us, 45.0);
        near(growth, 0.6);
        assert_eq!(Rest::fit(&[]), Rest::default());
    }
}
