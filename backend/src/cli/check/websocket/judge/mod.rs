//! Judges the handshake of a socket and its frames, without I/O.

use fourways_shared::Reply;

use super::{
    Talk,
    frame::{Frame, PONG, TEXT},
};
use crate::cli::check::{
    fix,
    marks::seconds,
    recording::{Head, literal},
    verdict::{Finding, Rule},
};

pub(crate) const DELIVERY: Rule = Rule::new("websocket.delivery", "each event arrives when it is sent");
const UPGRADE: Rule = Rule::new("websocket.upgrade", "101 Switching Protocols (RFC 6455 4.1)");
const ACCEPT: Rule = Rule::new(
    "websocket.accept",
    "Sec-WebSocket-Accept matches the key, so the server itself agreed (RFC 6455 4.1)",
);
const SUBPROTOCOL: Rule = Rule::new(
    "websocket.subprotocol",
    "the offered subprotocol comes back, and none that was not offered (RFC 6455 4.1)",
);
const EXTENSIONS: Rule = Rule::new(
    "websocket.extensions",
    "no extension but the offered ones, no reserved bit without one (RFC 6455 9.1, 5.2)",
);
const EARLY_CUT: Rule = Rule::new("websocket.early_cut", "an upgraded connection stays open");
const PINGS: Rule =
    Rule::new("websocket.ping", "a ping is answered by a pong with its payload (RFC 6455 5.5.3)");
const RESUME: Rule =
    Rule::new("websocket.resume", "a new socket goes on after the cursor, and repeats nothing");

/// Delay of a pong, in milliseconds, at which a careful client would give up.
const SLOW_PONG_MS: u64 = 2000;

/// True if the connection was upgraded, so that frames can follow.
pub(crate) fn is_open(talk: &Talk) -> bool {
    talk.recording.status() == Some(101)
}

/// Judges the handshake. `quiet` is the socket that offered `permessage-deflate`.
pub(crate) fn opening(talk: &Talk, quiet: &Talk) -> Vec<Finding> {
    let raw = talk.recording.shown_heads();
    let upgrade = upgrade(talk);
    let Some(head) = talk.recording.head.as_ref().filter(|head| head.status == 101) else {
        return vec![upgrade.raw(talk.recording.shown())];
    };
    vec![
        upgrade.raw(&raw),
        accept(head, &talk.key).raw(&raw),
        subprotocol(head, talk.protocol).raw(&raw),
        extensions(quiet).raw(quiet.recording.shown_heads()),
    ]
}

fn upgrade(talk: &Talk) -> Finding {
    let Some(head) = &talk.recording.head else {
        return UPGRADE
            .fail(format!("no answer; the connection {}", talk.recording.end.words()))
            .fix(fix::UPGRADE);
    };
    let status = head.status;
    match status {
        101 if !head.has_token("Upgrade", "websocket") || !head.has_token("Connection", "upgrade") => UPGRADE
            .fail("101 without both Upgrade: websocket and Connection: Upgrade; browsers refuse that")
            .fix(fix::UPGRADE),
        101 => UPGRADE.pass("101"),
        200 | 400 | 426 | 502 => {
            UPGRADE.fail(format!("{status}: the upgrade headers are not forwarded")).fix(fix::UPGRADE)
        }
        404 => UPGRADE
            .fail("404: there is no WebSocket at this address, or the upgrade headers are not forwarded")
            .fix(fix::UPGRADE),
        300..=308 => {
            let place = literal(&head.header("Location").unwrap_or_default());
            UPGRADE.fail(format!("{status} to {place}: browsers follow no redirect here; use that address"))
        }
        401 | 403 => UPGRADE.fail(format!("{status}: refused; the server may want an Origin or a token")),
        _ => UPGRADE.fail(format!("the answer is {status}")).fix(fix::UPGRADE),
    }
}

fn accept(head: &Head, key: &str) -> Finding {
    let expected = actix_http::ws::hash_key(key.as_bytes());
    match head.header("Sec-WebSocket-Accept") {
        Some(value) if value.as_bytes() == expected => ACCEPT.pass(value),
        Some(value) => ACCEPT.fail(format!("it is {:?}, which does not match {key}", literal(&value))),
        None => ACCEPT.fail("not there"),
    }
}

fn subprotocol(head: &Head, offered: Option<&str>) -> Finding {
    match (offered, head.header("Sec-WebSocket-Protocol")) {
        (Some(offered), Some(value)) if value == offered => SUBPROTOCOL.pass(value),
        // The server may go on without a subprotocol, but a browser that offered one gives up (WebSockets Standard).
        (Some(offered), None) => SUBPROTOCOL
            .fail(format!("{offered} was offered and none came back: the path removes the field"))
            .fix("path:     let Sec-WebSocket-Protocol through both ways\nclient:   ?encoding=cbor works without it"),
        (_, Some(value)) => SUBPROTOCOL.fail(format!("{:?} was not offered", literal(&value))),
        (None, None) => SUBPROTOCOL.not_testable("none was offered, and none came"),
    }
}

fn extensions(quiet: &Talk) -> Finding {
    let Some(head) = quiet.recording.head.as_ref().filter(|head| head.status == 101) else {
        return EXTENSIONS.fail("the upgrade failed with permessage-deflate offered, and passed without");
    };
    let value = head.values("Sec-WebSocket-Extensions").collect::<Vec<_>>().join(", ");
    let accepted = head.has_token("Sec-WebSocket-Extensions", "permessage-deflate");
    let mut others = value.split(',').filter_map(|one| one.split(';').next()).map(str::trim);
    if let Some(other) = others.find(|name| !name.is_empty() && *name != "permessage-deflate") {
        return EXTENSIONS.fail(format!("{:?} was not offered", literal(other)));
    }
    if quiet.frames.iter().any(|frame| frame.reserved != 0) && !accepted {
        return EXTENSIONS.fail("frames have reserved bits set, and no extension was agreed on");
    }
    if quiet.frames.iter().any(|frame| frame.is_masked) {
        return EXTENSIONS.fail("the server masks its frames, which a client must refuse (RFC 6455 5.1)");
    }
    if accepted {
        EXTENSIONS.pass(format!("permessage-deflate was offered and accepted: {}", literal(&value)))
    } else {
        EXTENSIONS.pass("permessage-deflate was offered and not accepted")
    }
}

/// Returns the code of the server's close frame, if there is one.
pub(crate) fn close_code(frames: &[Frame]) -> Option<u16> {
    frames.iter().find_map(Frame::close_code)
}

/// Judges whether the connection was cut shortly after the 101 although both sides used it: the sign of a filter that
/// passes the upgrade but not the frames. `talked_ms` is the time for which the check used the connection.
pub(crate) fn early_cut(talk: &Talk, talked_ms: u64) -> Finding {
    let recording = &talk.recording;
    let lived_ms = recording.ended_ms.saturating_sub(recording.head_ms);
    let after = format!("{} after the 101", seconds(lived_ms));
    let finding = match close_code(&talk.frames) {
        // Protocol errors (RFC 6455 7.4.1), for which the check gave no cause.
        Some(code @ (1002 | 1007 | 1011)) => EARLY_CUT.fail(format!("the server closed with {code} {after}")),
        Some(code) => EARLY_CUT.lenient(format!("the server closed with {code} {after}")),
        None if recording.end.is_open() || lived_ms >= talked_ms => {
            EARLY_CUT.pass(format!("in use until {after}"))
        }
        None => {
            let ended = recording.end.words();
            let seen = format!("it {ended} {after}, without a close frame, although it was in use");
            EARLY_CUT.fail(seen).fix(fix::EARLY_CUT)
        }
    };
    finding.raw(recording.shown())
}

/// Judges the pongs, each of which has the payload of its ping. Answering only the latest of several pings is allowed
/// (RFC 6455 5.5.3).
pub(crate) fn pings(talk: &Talk) -> Finding {
    let raw = talk.recording.shown();
    let pongs = talk.frames.iter().filter(|frame| frame.opcode == PONG);
    let times: Vec<u64> = pongs
        .filter_map(|pong| {
            let number: usize = std::str::from_utf8(&pong.payload).ok()?.parse().ok()?;
            Some(pong.ms.saturating_sub(*talk.pings_ms.get(number)?))
        })
        .collect();
    let sent = talk.pings_ms.len();
    let finding = match times.iter().max() {
        None if sent == 0 => PINGS.not_testable("it ended before a ping was due"),
        None if !talk.recording.end.is_open() => PINGS.not_testable("it ended before a pong came"),
        None => PINGS.fail(format!("{sent} pings were sent, no pong came")),
        Some(&slowest) => {
            let seen = format!("{} pongs to {sent} pings, the slowest after {slowest} ms", times.len());
            if slowest < SLOW_PONG_MS { PINGS.pass(seen) } else { PINGS.lenient(seen) }
        }
    };
    finding.raw(raw)
}

/// Returns the cursor of the first event and those that followed, if there are at least two events.
pub(crate) fn resumable(talk: &Talk) -> Option<(String, Vec<String>)> {
    let mut cursors = cursors(&talk.frames).into_iter();
    let first = cursors.next()?;
    let follow: Vec<_> = cursors.collect();
    (!follow.is_empty()).then_some((first, follow))
}

/// Returns the finding for a socket on which too few events came to resume from.
pub(crate) fn not_resumable(talk: &Talk) -> Finding {
    RESUME.not_testable("this takes two events; fewer came").raw(talk.recording.shown())
}

fn cursors(frames: &[Frame]) -> Vec<String> {
    let texts = frames.iter().filter(|frame| frame.opcode == TEXT);
    let replies = texts.filter_map(|frame| Reply::from_json(std::str::from_utf8(&frame.payload).ok()?));
    let events = replies.filter_map(|reply| if let Reply::Event(event) = reply { Some(event) } else { None });
    events.map(|event| event.cursor.to_string()).collect()
}

/// Judges a resume: compares the events on the second socket with those that had followed the cursor on the first.
pub(crate) fn resume(follow: &[String], again: &Talk) -> Finding {
    let came = cursors(&again.frames);
    let (shown, expected) = (came.join(", "), follow.join(", "));
    let finding = if came == follow {
        RESUME.pass(format!("after the first came {shown}, as before"))
    } else {
        RESUME.fail(format!("after the first came {shown:?}; before, {expected:?} followed it"))
    };
    finding.raw(again.recording.shown())
}

/// Returns the finding for a server other than Fourways: RFC 6455 has no resume.
pub(crate) fn resume_of_another() -> Finding {
    RESUME.not_testable("WebSocket itself has no resume; only Fourways' own protocol is known here")
}

#[cfg(test)]
mod tests;
