//! Crossovers: the points at which one technique becomes cheaper than another, everything else equal.

use super::{Constants, Cost, Load, cost::project, numeral::Rough};
use crate::Technique;

/// The points at which the cheaper of two techniques changes; `None` if it does not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Crossovers {
    /// Interval between short polls, in seconds, above which they take less bandwidth than SSE.
    pub poll_s_bandwidth: Option<f64>,
    /// Interval between short polls, in seconds, above which they take less processor time than SSE.
    pub poll_s_cpu: Option<f64>,
    /// Sends a minute from each client above which WebSocket takes fewer bytes up than SSE with a POST for each send; 0
    /// if it always does.
    pub sends_per_min: Option<f64>,
}

impl Crossovers {
    /// Shortest and longest interval between short polls that is searched, in seconds.
    pub const POLL_S: [f64; 2] = [0.1, 600.0];

    /// Returns one sentence for each crossover that exists.
    pub fn sentences(&self) -> Vec<String> {
        let poll = |interval: Option<f64>, what: &str| {
            interval.map(|seconds| {
                format!("Short polling takes less {what} than SSE above {} s.", Rough(seconds))
            })
        };
        let sends = self.sends_per_min.map(|sends| match sends {
            sends if sends > 0.0 => {
                format!(
                    "A client that sends more than {} times a minute sends less by WebSocket.",
                    Rough(sends)
                )
            }
            _ => "A client sends less by WebSocket, however rarely it does.".to_owned(),
        });
        let all = [poll(self.poll_s_bandwidth, "bandwidth"), poll(self.poll_s_cpu, "processor time"), sends];
        all.into_iter().flatten().collect()
    }
}

/// Finds the crossovers under a load.
///
/// The cost of short polling depends on the interval T by (e^(−λT) · empty + (1 − e^(−λT)) · full)/T. Both e^(−λT)/T
/// and (1 − e^(−λT))/T fall as T grows, so it crosses the cost of SSE, which does not depend on T, at most once, and
/// bisection finds that point. Bytes up are linear in the sends, so two points give that crossover.
pub fn crossovers(load: &Load, constants: &Constants) -> Crossovers {
    let poll_s = |measure: fn(&Cost) -> f64| {
        falls_below_zero(Crossovers::POLL_S, |poll_s| {
            let costs = project(&Load { poll_s, ..*load }, constants);
            measure(&costs[Technique::ShortPoll.index()]) - measure(&costs[Technique::Sse.index()])
        })
    };
    let saved = |sends_per_s: f64| {
        let costs = project(&Load { sends_per_s, ..*load }, constants);
        costs[Technique::Sse.index()].up_bytes_per_s - costs[Technique::Websocket.index()].up_bytes_per_s
    };
    let (without, with_one) = (saved(0.0), saved(1.0));
    Crossovers {
        poll_s_bandwidth: poll_s(Cost::bandwidth),
        poll_s_cpu: poll_s(|cost| cost.cores),
        sends_per_min: match without {
            without if without > 0.0 => Some(0.0),
            without if with_one > without => Some(60.0 * without.abs() / (with_one - without)),
            _ => None,
        },
    }
}

/// Returns the point between two positive numbers at which a falling function reaches zero. `None` if it is not above
/// zero at the lower number, or still is at the higher one. Bisects on a log scale to within a millionth.
fn falls_below_zero([mut low, mut high]: [f64; 2], falling: impl Fn(f64) -> f64) -> Option<f64> {
    let above = |place| falling(place) > 0.0;
    if !above(low) || above(high) {
        return None;
    }
    while high / low > 1.0 + 1e-6 {
        let middle = (low * high).sqrt();
        if above(middle) { low = middle } else { high = middle }
    }
    Some(high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{
        Answers,
        fixtures::{constants, every_answer, zeros},
    };

    #[test]
    fn each_side_of_a_crossover_is_cheaper_by_another_technique() {
        let constants = constants();
        let mut found = [0; 3];
        for load in every_answer().iter().map(Answers::load) {
            let points = crossovers(&load, &constants);
            let cheaper = |poll_s: f64, measure: fn(&Cost) -> f64| {
                let costs = project(&Load { poll_s, ..load }, &constants);
                measure(&costs[Technique::ShortPoll.index()]) < measure(&costs[Technique::Sse.index()])
            };
            if let Some(poll_s) = points.poll_s_bandwidth {
                found[0] += 1;
                assert!(!cheaper(poll_s * 0.99, Cost::bandwidth) && cheaper(poll_s * 1.01, Cost::bandwidth));
            }
            if let Some(poll_s) = points.poll_s_cpu {
                found[1] += 1;
                assert!(
                    !cheaper(poll_s * 0.99, |cost| cost.cores) && cheaper(poll_s * 1.01, |cost| cost.cores)
                );
            }
            if let Some(sends) = points.sends_per_min {
                found[2] += 1;
                for (factor, expected) in [(0.99, false), (1.01, true)] {
                    let costs = project(&Load { sends_per_s: sends * factor / 60.0, ..load }, &constants);
                    let [sse, socket] =
                        [Technique::Sse, Technique::Websocket].map(|t| costs[t.index()].up_bytes_per_s);
                    assert_eq!(socket < sse, expected, "{sends} a minute, {load:?}");
                }
            }
        }
        assert!(found.iter().all(|count| *count > 0), "{found:?}");
    }

    #[test]
    fn where_nothing_costs_anything_nothing_crosses() {
        let points = crossovers(&Answers::default().load(), &zeros());
        // A send still takes its payload, and on a socket also the mask, so WebSocket saves nothing.
        assert_eq!(points, Crossovers::default());
        assert!(points.sentences().is_empty());
    }

    #[test]
    fn sentences_say_two_digits() {
        let points = Crossovers { poll_s_bandwidth: Some(19.04), poll_s_cpu: None, sends_per_min: Some(0.0) };
        assert_eq!(
            points.sentences(),
            [
                "Short polling takes less bandwidth than SSE above 19 s.",
                "A client sends less by WebSocket, however rarely it does."
            ]
        );
    }

    #[test]
    fn a_falling_function_is_followed_to_zero() {
        for root in [0.11, 1.0, 599.0] {
            let found = falls_below_zero([0.1, 600.0], |place| root - place).unwrap();
            assert!((found / root - 1.0).abs() < 1e-5, "{found} instead of {root}");
        }
        assert_eq!(falls_below_zero([0.1, 600.0], |place| 0.05 - place), None);
        assert_eq!(falls_below_zero([0.1, 600.0], |place| 601.0 - place), None);
        assert_eq!(falls_below_zero([0.1, 600.0], |_| f64::NAN), None);
    }
}
