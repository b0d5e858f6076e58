//! Processor time, from a server that idles between two requests to one that never does.
//!
//! A processor that was idle takes longer for the same work: it has to wake up, and its caches hold other data by then.
//! The extra time depends on the length of the idle time, called rest here. So the constants are measured on a busy
//! server, and the cost of waking up is modelled beside them:
//!
//! - `busy` = Σ rate · busy cost, in cores
//! - each poll after a rest of g = 1/(polls, sends, openings and heartbeats a second) costs W · (g / 1 ms)^k more, with
//!   k below 1: W after a millisecond, less the faster requests follow each other, and never more than after 5 ms
//! - a send, an opening or a heartbeat costs a multiple of that, which differs by technique
//! - each delivery of an event after a rest costs C more, which differs by technique
//! - `rest` = Σ rate · multiple · W · (g / 1 ms)^k + deliveries · C: the cost of waking up if every request found the
//!   server idle
//! - a share of 1 − cores of all requests finds the server idle, so cores = busy + rest · (1 − cores), which is
//!   (busy + rest)/(1 + rest); from one whole core on, cores = `busy`
//!
//! Both formulas give the same at one core, so the projection has no step.

use serde::{Deserialize, Serialize};

/// The longest rest that is measured, in milliseconds. The cost of a longer one is not known, and is taken as equal.
const LONGEST_MS: f64 = 5.0;

/// The cost of waking a machine's processor from idle; measured, like every constant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rest {
    /// W: extra processor time of a wake-up after a millisecond of rest, in microseconds.
    pub wake_up_us: f64,
    /// k: exponent of the growth with the rest, from 0 (no growth) to below 1.
    pub growth: f64,
}

impl Rest {
    /// Returns the extra processor time of each wake-up at this rate, in microseconds.
    pub fn each_us(&self, wake_ups_per_s: f64) -> f64 {
        let rest_ms = (1000.0 / wake_ups_per_s.max(f64::MIN_POSITIVE)).min(LONGEST_MS);
        self.wake_up_us * rest_ms.powf(self.growth)
    }

    /// Rounds both numbers to hundredths; more digits would be noise.
    #[must_use]
    pub fn rounded(self) -> Self {
        let round = |number: f64| (number * 100.0).round() / 100.0;
        Self { wake_up_us: round(self.wake_up_us), growth: round(self.growth) }
    }

    /// Fits a line by least squares to the logarithms of measured pairs: wake-ups a second, and the extra processor
    /// time of each in microseconds. Returns the default, all zero, if fewer than two pairs have extra time.
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

/// Returns the cores that a load takes, from the processor time on a busy server and the extra time if every request
/// found the server idle, both in microseconds a second.
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
