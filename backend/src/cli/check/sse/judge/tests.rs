//! Tests of the judge with invented recordings.

use super::*;
use crate::cli::check::recording::{Arrival, End};

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\
                    X-Accel-Buffering: no\r\nTransfer-Encoding: chunked";

/// Returns the recording of a stream that was watched for ten seconds.
fn recording(head: &str, arrivals: &[(u64, &str)]) -> Recording {
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len()).into_bytes();
    let arrivals = arrivals.iter().map(|(ms, text)| Arrival { ms: *ms, bytes: chunk(text) }).collect();
    Recording { head: Head::parse(head.as_bytes()), arrivals, ended_ms: 10_000, ..Recording::default() }
}

#[test]
fn reads_that_follow_the_events_pass_and_silence_proves_nothing() {
    let flowing = recording(HEAD, &[(10, ": hi\n\n"), (1010, "data: 1\n\n"), (2010, "data: 2\n\n")]);
    assert_eq!(buffering(&flowing).verdict, Verdict::Pass);
    assert_eq!(buffering(&recording(HEAD, &[])).verdict, Verdict::NotTestable);
}

#[test]
fn a_stream_that_comes_whole_at_its_end_is_held_back() {
    let whole = recording(HEAD, &[(9970, "data: 1\n\ndata: 2\n\n")]);
    let whole = Recording { end: End::Closed, ..whole };
    assert_eq!(buffering(&whole).verdict, Verdict::Fail);
    let one = Recording { end: End::Closed, ..recording(HEAD, &[(9970, "data: 1\n\n")]) };
    assert_eq!(buffering(&one).verdict, Verdict::NotTestable);
    let soon =
        Recording { end: End::Closed, ended_ms: 20, ..recording(HEAD, &[(10, "data: 1\n\ndata: 2\n\n")]) };
    assert_eq!(buffering(&soon).verdict, Verdict::NotTestable);
}

#[test]
fn full_buffers_that_cut_events_in_two_are_seen() {
    let event = format!("data: {}\n\n", "x".repeat(92)); // 100 bytes
    let stream = event.repeat(100);
    let (first, rest) = stream.split_at(4096);
    let (second, third) = rest.split_at(4096);
    let held = recording(HEAD, &[(1000, first), (3000, second), (5000, third)]);
    let finding = buffering(&held);
    assert_eq!(finding.verdict, Verdict::Fail);
    assert!(finding.seen.starts_with("4096 bytes came at once"), "{}", finding.seen);
    // About as many bytes, but whole events: this is only a busy server.
    let (first, rest) = stream.split_at(4100);
    let busy = recording(HEAD, &[(1000, first), (3000, rest)]);
    assert_eq!(buffering(&busy).verdict, Verdict::Pass);
}

#[test]
fn gzip_fails_when_it_holds_back_what_flows_without() {
    let flowing = recording(HEAD, &[(10, "data: 1\n\n"), (1010, "data: 2\n\n")]);
    assert_eq!(gzip(&flowing, &flowing).verdict, Verdict::Pass);
    assert_eq!(gzip(&flowing, &recording(HEAD, &[])).verdict, Verdict::Fail);
    assert_eq!(gzip(&recording(HEAD, &[]), &flowing).verdict, Verdict::NotTestable);

    let packed = Head::parse(format!("{HEAD}\r\nContent-Encoding: gzip").as_bytes());
    let plain = BUFFERING.pass("3 of 3");
    let flushing = gzip_with_marks(&plain, GZIP.pass("3 of 3").raw("bytes"), packed.as_ref());
    assert_eq!((flushing.verdict, flushing.raw.as_str()), (Verdict::Lenient, "bytes"));
    assert_eq!(gzip_with_marks(&plain, GZIP.fail("none"), packed.as_ref()).verdict, Verdict::Fail);
    // nginx holds back even the head, so Content-Encoding is not seen.
    assert_eq!(gzip_with_marks(&plain, GZIP.fail("none"), None).verdict, Verdict::Fail);
    let held = BUFFERING.fail("none");
    assert_eq!(gzip_with_marks(&held, GZIP.fail("none"), None).verdict, Verdict::NotTestable);
}

#[test]
fn a_resume_is_compared_with_what_followed_before() {
    let events = |ids: &[u32]| {
        let text = ids.iter().map(|id| format!("id: {id}\ndata: x\n\n")).collect::<Vec<_>>().concat();
        recording(HEAD, &[(10, "id: 0\n\n"), (20, &text)])
    };
    let from = resumable(&events(&[1, 2, 3])).unwrap();
    assert_eq!((from.id.as_str(), from.follow.len()), ("1", 2));
    assert_eq!(resume(&from, &events(&[2, 3, 4])).verdict, Verdict::Pass);
    let repeated = resume(&from, &events(&[1, 2, 3]));
    assert!(repeated.verdict == Verdict::Fail && repeated.seen.contains("came again"), "{}", repeated.seen);
    assert!(resume(&from, &events(&[])).seen.contains("nothing came"));
    assert_eq!(resume(&from, &events(&[3, 4])).verdict, Verdict::Fail);
    assert!(has_all(&from, &events(&[2, 3])) && !has_all(&from, &events(&[2])));
}

#[test]
fn without_ids_there_is_no_resume() {
    assert_eq!(not_resumable(&recording(HEAD, &[(1, "data: a\n\ndata: b\n\n")])).verdict, Verdict::Lenient);
    assert_eq!(not_resumable(&recording(HEAD, &[(1, "id: 1\ndata: a\n\n")])).verdict, Verdict::NotTestable);
    assert!(resumable(&recording(HEAD, &[(1, "id: 1\ndata: a\n\n")])).is_none());
}
