//! The request rates of each technique, derived from the load alone.

use super::Load;
use crate::Technique;

/// The request rates of one client, and the share of the time in which its connection is open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking {
    /// Requests a second that bring events, or that open a stream or socket.
    pub(super) full_per_s: f64,
    /// Requests a second that bring nothing.
    pub(super) empty_per_s: f64,
    /// Share of the time, 0 to 1, in which the client's connection is open.
    pub(super) open: f64,
    /// Heartbeats a second on the client's stream or socket.
    pub(super) beats_per_s: f64,
}

/// Time for which the server keeps an idle connection open (`backend/src/net/http2`), in seconds.
pub(super) const KEEP_ALIVE_S: f64 = 75.0;
/// Default interval between the server's heartbeats (`--heartbeat`), in seconds.
pub(super) const HEARTBEAT_S: f64 = 15.0;
/// Shortest time to divide by, in seconds: dividing by less could overflow, so a shorter time is raised to this one.
const LEAST_S: f64 = 0.001;

impl Asking {
    /// Derives the rates of one technique under a load, where λ is the number of events a second.
    ///
    /// - **Short polling** every T: 1/T requests a second. The probability of no event within T is e^(−λT), so
    ///   e^(−λT)/T of the requests are empty. The others bring λT/(1 − e^(−λT)) events each, λ a second in all. The
    ///   connection is kept alive for 75 s of every T, or for all of T if that is shorter.
    /// - **Long polling** held for at most H: a cycle ends with the next event or at H, whichever is first. Its mean
    ///   length is the integral of e^(−λt) from 0 to H, (1 − e^(−λH))/λ, so there are λ/(1 − e^(−λH)) requests a second
    ///   (renewal theorem): between λ and λ + 1/H, and 1/H without events. A share of e^(−λH) is empty, which is
    ///   λ/(e^(λH) − 1) a second; the remaining λ bring one event each. The round trip is left out. While an answer and
    ///   the next request travel, more events gather and share an answer, so near one event per round trip this is an
    ///   upper bound.
    /// - **SSE and WebSocket**: one opening per lifetime, and a connection that is always open. A lifetime has as many
    ///   heartbeats as whole intervals fit into it.
    pub(super) fn of(technique: Technique, load: &Load) -> Self {
        let events = load.events_per_s;
        match technique {
            Technique::ShortPoll => {
                let poll = load.poll_s.max(LEAST_S);
                let empty_per_s = (-events * poll).exp() / poll;
                Self {
                    full_per_s: 1.0 / poll - empty_per_s,
                    empty_per_s,
                    open: (KEEP_ALIVE_S / poll).min(1.0),
                    beats_per_s: 0.0,
                }
            }
            Technique::LongPoll => {
                let hold = load.hold_s.max(LEAST_S);
                // Without events this is 0/0, which is NaN; `min` then returns 1/H, the limit.
                let empty_per_s = (events / (events * hold).exp_m1()).min(1.0 / hold);
                Self { full_per_s: events, empty_per_s, open: 1.0, beats_per_s: 0.0 }
            }
            Technique::Sse | Technique::Websocket => {
                let lifetime = load.lifetime_s.max(LEAST_S);
                let beats_per_s = (lifetime / HEARTBEAT_S).floor() / lifetime;
                Self { full_per_s: 1.0 / lifetime, empty_per_s: 0.0, open: 1.0, beats_per_s }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{Answers, fixtures::near};

    fn load() -> Load {
        Answers::default().load()
    }

    #[test]
    fn a_share_of_e_to_the_minus_rate_times_interval_is_empty() {
        let asks = Asking::of(Technique::ShortPoll, &Load { poll_s: 2.0, events_per_s: 0.5, ..load() });
        near(asks.empty_per_s, 0.5 / std::f64::consts::E);
        near(asks.full_per_s + asks.empty_per_s, 0.5);
        let quiet = Asking::of(Technique::ShortPoll, &Load { poll_s: 2.0, events_per_s: 0.0, ..load() });
        near(quiet.empty_per_s, 0.5);
        near(quiet.full_per_s, 0.0);
    }

    #[test]
    fn a_stream_beats_at_each_interval_that_it_lives_to_see() {
        for (lifetime_s, expected) in [(5.0, 0.0), (20.0, 0.05), (1800.0, 1.0 / 15.0)] {
            near(Asking::of(Technique::Sse, &Load { lifetime_s, ..load() }).beats_per_s, expected);
        }
        near(Asking::of(Technique::LongPoll, &load()).beats_per_s, 0.0);
    }

    #[test]
    fn long_polls_lie_between_the_events_and_the_events_with_the_deadlines() {
        for hold_s in [0.5, 25.0, 60.0] {
            for events_per_s in [0.0, 1e-9, 1.0 / 60.0, 0.2, 1.0, 10.0, 1e4] {
                let asks = Asking::of(Technique::LongPoll, &Load { events_per_s, hold_s, ..load() });
                let requests = asks.full_per_s + asks.empty_per_s;
                assert!(
                    requests >= events_per_s.max(1.0 / hold_s) * (1.0 - 1e-9),
                    "{requests}, {events_per_s}"
                );
                assert!(
                    requests <= (events_per_s + 1.0 / hold_s) * (1.0 + 1e-9),
                    "{requests}, {events_per_s}"
                );
                if events_per_s > 0.01 {
                    near(requests, events_per_s / (1.0 - (-events_per_s * hold_s).exp()));
                }
            }
        }
    }

    /// Compares the formulas with a simulation of long polls from a fixed seed.
    #[test]
    fn the_formulas_agree_with_a_simulation() {
        let load = Load { events_per_s: 0.2, hold_s: 5.0, poll_s: 5.0, ..load() };
        let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
        let mut gap_s = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let uniform = (f64::from(u32::try_from(seed >> 32).unwrap()) + 1.0) / 4_294_967_296.0;
            -uniform.ln() / load.events_per_s
        };
        let (cycles, mut time_s, mut empty) = (200_000_i32, 0.0, 0);
        for _ in 0..cycles {
            let gap = gap_s();
            time_s += gap.min(load.hold_s);
            empty += i32::from(gap >= load.hold_s);
        }
        let (requests, share) = (f64::from(cycles) / time_s, f64::from(empty) / f64::from(cycles));
        let asks = Asking::of(Technique::LongPoll, &load);
        assert!((requests / (asks.full_per_s + asks.empty_per_s) - 1.0).abs() < 0.01, "{requests}: {asks:?}");
        assert!((share * requests / asks.empty_per_s - 1.0).abs() < 0.02, "{share}: {asks:?}");
        // A short poll of the same interval is empty with the same probability.
        let asks = Asking::of(Technique::ShortPoll, &load);
        assert!((share / load.poll_s / asks.empty_per_s - 1.0).abs() < 0.02, "{share}: {asks:?}");
    }
}
