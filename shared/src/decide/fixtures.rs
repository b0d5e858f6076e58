//! Fixtures: invented numbers of a plausible size. Only tests may use them.

use super::{Answers, Constants, Question, Rest, TechniqueConstants};

/// Returns invented constants.
pub(super) fn constants() -> Constants {
    let short_poll = TechniqueConstants {
        request_up_bytes: 420.0,
        response_head_bytes: 310.0,
        framing_per_event_bytes: 95.0,
        empty_up_bytes: 440.0,
        empty_down_bytes: 160.0,
        keepalive_bytes_per_s: 0.0,
        cpu_us_per_request: 40.0,
        cpu_us_per_delivery: 1.0,
        cpu_us_empty: 25.0,
        cpu_us_cold: 0.0,
        cpu_us_per_send: 45.0,
        cpu_us_per_beat: 0.0,
        rest_per_opening: 0.0,
        rest_per_send: 1.1,
        rest_per_beat: 0.0,
        memory_per_held_connection_bytes: 14e3,
        memory_per_sender_bytes: 0.0,
    };
    let long_poll = TechniqueConstants {
        empty_down_bytes: 140.0,
        cpu_us_per_request: 45.0,
        cpu_us_empty: 30.0,
        cpu_us_cold: 12.0,
        memory_per_held_connection_bytes: 20e3,
        memory_per_sender_bytes: 25e3,
        ..short_poll
    };
    let sse = TechniqueConstants {
        request_up_bytes: 430.0,
        response_head_bytes: 330.0,
        framing_per_event_bytes: 130.0,
        empty_up_bytes: 0.0,
        empty_down_bytes: 0.0,
        keepalive_bytes_per_s: 0.6,
        cpu_us_per_request: 60.0,
        cpu_us_per_delivery: 7.0,
        cpu_us_empty: 0.0,
        cpu_us_cold: 5.0,
        cpu_us_per_send: 45.0,
        cpu_us_per_beat: 6.0,
        rest_per_opening: 3.0,
        rest_per_send: 1.1,
        rest_per_beat: 0.6,
        memory_per_held_connection_bytes: 18.9e3,
        memory_per_sender_bytes: 25e3,
    };
    let websocket = TechniqueConstants {
        request_up_bytes: 520.0,
        response_head_bytes: 200.0,
        framing_per_event_bytes: 125.0,
        cpu_us_per_request: 70.0,
        cpu_us_per_delivery: 6.9,
        cpu_us_per_send: 12.0,
        cpu_us_per_beat: 11.0,
        rest_per_send: 0.7,
        rest_per_beat: 0.9,
        memory_per_held_connection_bytes: 19.7e3,
        memory_per_sender_bytes: 0.0,
        ..sse
    };
    Constants {
        measured_on: "1970-01-01".to_owned(),
        machine: "fixture".to_owned(),
        rest: Rest { wake_up_us: 45.0, growth: 0.6 },
        techniques: [short_poll, long_poll, sse, websocket],
    }
}

/// Returns constants that are all zero: the worst that a file can contain without being refused.
pub(super) fn zeros() -> Constants {
    Constants { rest: Rest::default(), techniques: [TechniqueConstants::default(); 4], ..constants() }
}

/// Returns every combination of options, with the default number of clients.
pub(super) fn every_answer() -> Vec<Answers> {
    Question::ALL.into_iter().fold(vec![Answers::default()], |sets, question| {
        let places = question.options().len().max(1);
        let widened =
            sets.into_iter().flat_map(|set| (0..places).map(move |place| set.with(question, place)));
        widened.collect()
    })
}

/// Panics unless the numbers agree to nine digits.
#[track_caller]
pub(super) fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{found} instead of {expected}");
}
