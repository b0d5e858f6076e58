//! Tests of the judge with invented answers.

use super::*;
use crate::cli::check::{
    recording::{Arrival, End},
    verdict::Verdict,
};

/// Returns a complete answer that was requested and received at these times.
fn answer(status: &str, fields: &str, body: &str, sent_ms: u64, ended_ms: u64) -> Recording {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{fields}", body.len());
    let arrivals = vec![Arrival { ms: ended_ms, bytes: body.as_bytes().to_vec() }];
    Recording { head: Head::parse(head.as_bytes()), arrivals, sent_ms, ended_ms, ..Recording::default() }
}

fn ok(fields: &str, body: &str) -> Recording {
    answer("200 OK", fields, body, 0, 5)
}

fn mark(failure: Option<&str>) -> Mark {
    Mark { text: "mark-1".to_owned(), sent_ms: 1000, failure: failure.map(str::to_owned) }
}

#[test]
fn only_a_whole_answer_is_one() {
    assert_eq!(status(&ok("", "{}")).verdict, Verdict::Pass);
    assert_eq!(status(&answer("204 No Content", "", "", 0, 5)).verdict, Verdict::Pass);
    assert_eq!(status(&answer("502 Bad Gateway", "", "", 0, 5)).verdict, Verdict::Fail);
    let mut short = ok("", "{}");
    short.arrivals[0].bytes.pop();
    assert_eq!(status(&short).verdict, Verdict::Fail);
    assert_eq!(status(&Recording { end: End::Reset, ..Recording::default() }).verdict, Verdict::Fail);
}

#[test]
fn cache_control_is_what_forbids_keeping() {
    let verdict = |fields: &str| cache_control(&ok(fields, "{}")).verdict;
    for good in ["no-store", "No-Cache", "private, max-age=0"] {
        assert_eq!(verdict(&format!("Cache-Control: {good}")), Verdict::Pass, "{good}");
    }
    for weak in ["max-age=5", "public", "max-age=0, s-maxage=9"] {
        assert_eq!(verdict(&format!("Cache-Control: {weak}")), Verdict::Lenient, "{weak}");
    }
    assert_eq!(verdict(""), Verdict::Lenient);
}

#[test]
fn a_cache_is_known_by_what_it_says() {
    let first = ok("Date: a", "{}");
    for sign in ["Age: 3", "X-Cache: HIT from here", "CF-Cache-Status: HIT", "Cache-Status: edge; hit"] {
        assert_eq!(cached(&first, &ok(sign, "{ }"), None).verdict, Verdict::Fail, "{sign}");
    }
    for none in ["Age: 0", "X-Cache: MISS", "Date: b"] {
        assert_eq!(cached(&first, &ok(none, "{}"), None).verdict, Verdict::Pass, "{none}");
    }
    assert_eq!(cached(&first, &ok("Date: a", "{}"), None).verdict, Verdict::Fail);
}

#[test]
fn a_cache_that_says_nothing_is_known_by_the_event_that_is_missing() {
    let (first, date) = (ok("Date: a", "{}"), "Date: b");
    let published = mark(None);
    assert_eq!(cached(&first, &ok(date, "{}"), Some(&published)).verdict, Verdict::Fail);
    assert_eq!(cached(&first, &ok(date, "{\"mark-1\"}"), Some(&published)).verdict, Verdict::Pass);
    // On an address of another server, all that is known is that the answer changed.
    assert_eq!(cached(&first, &ok(date, "{1}"), Some(&published)).verdict, Verdict::Pass);
    assert_eq!(cached(&first, &ok(date, "{}"), Some(&mark(Some("403")))).verdict, Verdict::Pass);
    assert_eq!(cached(&first, &Recording::default(), None).verdict, Verdict::NotTestable);
}

#[test]
fn a_tag_saves_the_body() {
    let before = ok("ETag: \"1\"", "{}");
    let verdict = |again: Recording| revalidation(&before, Some(&again)).verdict;
    assert_eq!(verdict(answer("304 Not Modified", "", "", 0, 1)), Verdict::Pass);
    assert_eq!(verdict(ok("ETag: \"2\"", "{}")), Verdict::NotTestable);
    assert_eq!(verdict(ok("ETag: \"1\"", "{}")), Verdict::Fail);
    assert_eq!(verdict(Recording::default()), Verdict::Fail);
    assert_eq!(revalidation(&ok("", "{}"), None).verdict, Verdict::Lenient);
}

#[test]
fn a_hold_is_cut_held_or_short() {
    let verdict = |status: &str, ms| held(&answer(status, "", "", 0, ms), 20_000).verdict;
    assert_eq!(verdict("204 No Content", 20_005), Verdict::Pass);
    assert_eq!(verdict("204 No Content", 9000), Verdict::Lenient);
    assert_eq!(verdict("504 Gateway Time-out", 2000), Verdict::Fail);
    assert_eq!(verdict("404 Not Found", 5), Verdict::NotTestable);
    let cut = Recording { end: End::Closed, ended_ms: 2000, ..Recording::default() };
    assert!(held(&cut, 20_000).seen.contains("was closed after 2.0 s"));
}

#[test]
fn an_event_ends_a_held_poll_at_once() {
    let woke = |body: &str, ms| woken(&answer("200 OK", "", body, 0, ms), &mark(None)).verdict;
    assert_eq!(woke("[\"mark-1\"]", 1012), Verdict::Pass);
    assert_eq!(woke("[\"mark-1\"]", 9000), Verdict::Fail);
    assert_eq!(woke("[]", 1012), Verdict::Fail);
    let refused = mark(Some("403"));
    assert_eq!(woken(&answer("200 OK", "", "", 0, 1), &refused).verdict, Verdict::NotTestable);
}
