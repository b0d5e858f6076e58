//! How often each technique asks, from nothing but a load.

use super::Load;
use crate::Technique;

/// How often one client asks, and how long its connection is open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking {
    /// Requests a second that bring events, or open a stream or socket.
    pub(super) full_per_s: f64,
    /// Requests a second that bring nothing.
    pub(super) empty_per_s: f64,
    /// The share of the time, 0 to 1, in which its connection is open.
    pub(super) open: f64,
    /// Heartbeats a second.
    pub(super) beats_per_s: f64,
}

/// How long the server keeps a quiet connection open (`backend/src/server.rs`), in seconds.
pub(super) const KEEP_ALIVE_S: f64 = 75.0;
/// The server's own, `--heartbeat`, in seconds.
pub(super) const HEARTBEAT_S: f64 = 15.0;
/// The least time that is taken as it is, in seconds: a division by less could overflow.
const LEAST_S: f64 = 0.001;

impl Asking {
    /// - **Short polling** every T: 1/T requests a second. No event comes within T with probability e^(−λT), so
    ///   e^(−λT)/T of them are empty. The others bring λT/(1 − e^(−λT)) events each, λ a second in all. Kept alive,
    ///   the connection is open for 75 s of every T, or for all of it.
    /// - **Long polling** held for at most H: a cycle ends with the next event or at H, whichever is first. Its mean
    ///   is the integral of e^(−λt) from 0 to H, (1 − e^(−λH))/λ, so there are λ/(1 − e^(−λH)) requests a second
    ///   (renewal theorem): between λ and λ + 1/H, and 1/H without events. A share of e^(−λH) is empty, which makes
    ///   λ/(e^(λH) − 1) a second; the rest is λ, one event each. The round trip is left out. While an answer and the
    ///   next request travel, further events gather and share an answer, so at rates near one a round trip this is an
    ///   upper bound.
    /// - **SSE and WebSocket**: one opening in a lifetime, open all the time; as many heartbeats as whole intervals of
    ///   them fit in.
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
                // 0/0 without events; `min` then takes 1/H, which is the limit.
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

    /// The formulas against the thing itself: polls that are played through, from a fixed seed.
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
        // An interval without event has the same chance in a short poll of that interval.
        let asks = Asking::of(Technique::ShortPoll, &load);
        assert!((share / load.poll_s / asks.empty_per_s - 1.0).abs() < 0.02, "{share}: {asks:?}");
    }
}
