//! Tests of the judge with invented sockets.

use super::*;
use crate::cli::check::{
    recording::{Arrival, End, Recording},
    verdict::Verdict,
    websocket::frame::{CLOSE, PING},
};

/// The sample key of RFC 6455 1.3; `HEAD` has the answer to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const HEAD: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: a";

fn talk(head: &str) -> Talk {
    let recording = Recording { head: Head::parse(head.as_bytes()), ended_ms: 5000, ..Recording::default() };
    Talk { recording, key: KEY.to_owned(), protocol: Some("a"), ..Talk::default() }
}

fn frame(ms: u64, opcode: u8, payload: &[u8]) -> Frame {
    Frame { ms, opcode, reserved: 0, is_masked: false, payload: payload.to_vec() }
}

fn verdicts(head: &str) -> Vec<Verdict> {
    opening(&talk(head), &talk(HEAD)).iter().map(|finding| finding.verdict).collect()
}

#[test]
fn a_good_opening_passes() {
    assert_eq!(verdicts(HEAD), [Verdict::Pass; 4]);
}

#[test]
fn a_status_names_the_headers_that_are_missing() {
    for status in [200, 400, 426, 502] {
        let findings = opening(&talk(&format!("HTTP/1.1 {status} X")), &talk(HEAD));
        assert_eq!((findings.len(), findings[0].verdict), (1, Verdict::Fail));
        assert!(findings[0].seen.contains("upgrade headers are not forwarded"), "{}", findings[0].seen);
        assert!(findings[0].fix.as_deref().unwrap().contains("proxy_set_header Upgrade $http_upgrade;"));
    }
    assert!(upgrade(&talk("HTTP/1.1 301 X\r\nLocation: https://b/")).seen.contains("https://b/"));
    assert_eq!(upgrade(&Talk::default()).verdict, Verdict::Fail);
}

#[test]
fn each_part_of_the_opening_can_be_wrong() {
    let (pass, fail) = (Verdict::Pass, Verdict::Fail);
    assert_eq!(verdicts(&HEAD.replace("Upgrade: WebSocket", "X: y")), [fail, pass, pass, pass]);
    assert_eq!(verdicts(&HEAD.replace("s3pP", "AAAA")), [pass, fail, pass, pass]);
    assert_eq!(verdicts(&HEAD.replace("Protocol: a", "Protocol: b")), [pass, pass, fail, pass]);
    assert_eq!(verdicts(&HEAD.replace("Sec-WebSocket-Protocol: a", "X: y")), [pass, pass, fail, pass]);
}

#[test]
fn extensions_are_those_that_were_offered() {
    let deflate = talk(&format!("{HEAD}\r\nSec-WebSocket-Extensions: permessage-deflate; a=1"));
    assert_eq!(extensions(&deflate).verdict, Verdict::Pass);
    let other = talk(&format!("{HEAD}\r\nSec-WebSocket-Extensions: permessage-deflate, x-foo"));
    assert!(extensions(&other).seen.contains("x-foo"));
    let reserved = Frame { reserved: 4, ..frame(1, TEXT, b"") };
    assert_eq!(extensions(&Talk { frames: vec![reserved.clone()], ..talk(HEAD) }).verdict, Verdict::Fail);
    assert_eq!(extensions(&Talk { frames: vec![reserved], ..deflate }).verdict, Verdict::Pass);
    let masked = Frame { is_masked: true, ..frame(1, TEXT, b"") };
    assert_eq!(extensions(&Talk { frames: vec![masked], ..talk(HEAD) }).verdict, Verdict::Fail);
}

#[test]
fn a_cut_after_the_101_is_told_from_a_goodbye() {
    let ended = |end: End, ended_ms, frames| {
        let mut talk = Talk { frames, ..talk(HEAD) };
        talk.recording.end = end;
        talk.recording.ended_ms = ended_ms;
        early_cut(&talk, 5000).verdict
    };
    assert_eq!(ended(End::Open, 5000, vec![]), Verdict::Pass);
    assert_eq!(ended(End::Closed, 700, vec![]), Verdict::Fail);
    assert_eq!(ended(End::Reset, 2700, vec![]), Verdict::Fail);
    assert_eq!(ended(End::Closed, 700, vec![frame(700, CLOSE, &[3, 233])]), Verdict::Lenient);
    assert_eq!(ended(End::Closed, 700, vec![frame(700, CLOSE, &[3, 234])]), Verdict::Fail);
    assert_eq!(ended(End::Closed, 6000, vec![]), Verdict::Pass);
}

#[test]
fn pongs_are_matched_by_their_payload() {
    let judged = |frames, end| {
        let mut talk = Talk { frames, pings_ms: vec![500, 1500], ..talk(HEAD) };
        talk.recording.end = end;
        pings(&talk)
    };
    let good = judged(vec![frame(510, PONG, b"0"), frame(1530, PONG, b"1")], End::Open);
    assert_eq!(
        (good.verdict, good.seen.as_str()),
        (Verdict::Pass, "2 pongs to 2 pings, the slowest after 30 ms")
    );
    // Only the latest ping is answered.
    assert_eq!(judged(vec![frame(1530, PONG, b"1")], End::Open).verdict, Verdict::Pass);
    assert_eq!(judged(vec![frame(3501, PONG, b"1")], End::Open).verdict, Verdict::Lenient);
    assert_eq!(
        judged(vec![frame(510, PONG, b"7"), frame(510, PING, b"0")], End::Open).verdict,
        Verdict::Fail
    );
    assert_eq!(judged(vec![], End::Closed).verdict, Verdict::NotTestable);
    assert_eq!(pings(&talk(HEAD)).verdict, Verdict::NotTestable);
}

#[test]
fn a_resume_brings_the_same_cursors() {
    let events = |offsets: &[u64]| {
        let text = |offset: &u64| {
            let event = format!(
                r#"{{"type":"event","topic":"a","cursor":"k-{offset}","name":"message","published_at":1,"data":1}}"#
            );
            frame(1, TEXT, event.as_bytes())
        };
        Talk { frames: offsets.iter().map(text).collect(), ..talk(HEAD) }
    };
    let (first, follow) = resumable(&events(&[1, 2, 3])).unwrap();
    assert_eq!((first.as_str(), follow.join(" ").as_str()), ("k-1", "k-2 k-3"));
    assert_eq!(resume(&follow, &events(&[2, 3])).verdict, Verdict::Pass);
    assert_eq!(resume(&follow, &events(&[1, 2, 3])).verdict, Verdict::Fail);
    assert_eq!(resume(&follow, &events(&[])).verdict, Verdict::Fail);
    assert!(resumable(&events(&[1])).is_none());
}

#[test]
fn an_arrival_is_evidence() {
    let mut cut = talk(HEAD);
    cut.recording.arrivals.push(Arrival { ms: 3, bytes: b"\x81\x00".to_vec() });
    cut.recording.end = End::Reset;
    assert!(early_cut(&cut, 9000).raw.contains("+3 ms, 2 bytes: \\x81\\x00"));
}
