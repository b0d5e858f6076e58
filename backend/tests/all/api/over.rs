//! The tests of the contract again, over TLS and over HTTP/2.

use crate::front::{self, Way};

/// Runs each of these tests of [`super::contract`] by each way.
macro_rules! over {
    ($($test:ident)*) => {
        mod tls {
            $(#[test] fn $test() { super::front::by(super::Way::Tls, super::super::contract::$test); })*
        }

        mod http2 {
            $(#[test] fn $test() { super::front::by(super::Way::Http2, super::super::contract::$test); })*
        }

        const TESTS: &[&str] = &[$(stringify!($test)),*];
    };
}

over! {
    publishing_answers_with_the_cursor_and_a_poll_returns_the_event
    a_poll_without_after_begins_at_the_head
    an_etag_is_a_cursor_and_304_means_nothing_is_new
    limit_and_last_and_policy_choose_what_comes
    a_limited_poll_goes_on_where_it_ended
    a_poll_says_that_there_is_more
    raw_data_are_what_was_published
    a_long_poll_is_held_until_an_event_or_the_deadline
    a_preference_to_wait_is_honoured_and_capped
    lines_are_published_all_or_none_and_a_key_makes_a_repeat_harmless
    texts_and_bytes_travel_too
    a_stream_opens_with_its_place_and_frames_every_event
    last_event_id_wins_over_after
    a_heartbeat_moves_the_place_without_an_event
    a_reader_that_no_longer_chunks_gets_plain_blocks
    an_unknown_topic_is_an_empty_one
    topics_are_listed_with_what_is_retained
    a_cursor_behind_retention_gets_a_reset_that_says_what_is_left
    a_feed_publishes_at_the_wished_rate_and_only_under_lab
    whatever_has_get_has_head_which_holds_nothing_and_has_no_body
    the_probes_are_not_kept_and_the_description_is_not_sent_twice
    who_polls_a_quiet_topic_is_never_told_that_it_lost_something
    a_read_may_say_what_it_wants_in_a_body
}

#[test]
fn the_whole_contract_is_there() {
    let text = include_str!("contract.rs");
    let tests: Vec<&str> =
        text.split("#[test]\npub(super) fn ").skip(1).filter_map(|rest| rest.split('(').next()).collect();
    assert!(tests.len() > 15 && !text.contains("#[test]\nfn "), "{tests:?}");
    assert_eq!(tests, TESTS);
}
