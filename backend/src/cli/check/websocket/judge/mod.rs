//! What a socket's opening and its frames prove. No I/O.

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
    "Sec-WebSocket-Accept answers the key, so it was the server who agreed (RFC 6455 4.1)",
);
const SUBPROTOCOL: Rule = Rule::new(
    "websocket.subprotocol",
    "the offered subprotocol comes back, and none that was not offered (RFC 6455 4.1)",
);
const EXTENSIONS: Rule = Rule::new(
    "websocket.extensions",
    "no extension but the offered ones, no reserved bit without one (RFC 6455 9.1, 5.2)",
);
const EARLY_CUT: Rule = Rule::new("websocket.early_cut", "an upgraded connection goes on");
const PINGS: Rule =
    Rule::new("websocket.ping", "a ping is answered by a pong with its payload (RFC 6455 5.5.3)");
const RESUME: Rule =
    Rule::new("websocket.resume", "a new socket goes on after the cursor, with nothing twice");

/// A pong this late would make a careful client give up.
const SLOW_PONG_MS: u64 = 2000;

/// Whether frames may follow.
pub(crate) fn is_open(talk: &Talk) -> bool {
    talk.recording.status() == Some(101)
}

/// The findings of the handshake. `quiet` is the one that offered `permessage-deflate`.
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
            .fail("101, but without Upgrade: websocket and Connection: Upgrade: browsers refuse it")
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
        Some(value) => ACCEPT.fail(format!("it is {:?}, and no answer to {key}", literal(&value))),
        None => ACCEPT.fail("not there"),
    }
}

fn subprotocol(head: &Head, offered: Option<&str>) -> Finding {
    match (offered, head.header("Sec-WebSocket-Protocol")) {
        (Some(offered), Some(value)) if value == offered => SUBPROTOCOL.pass(value),
        // The server goes on without; but a browser that offered one gives up (WebSockets Standard).
        (Some(offered), None) => SUBPROTOCOL
            .fail(format!("{offered} was offered and nothing came back: the path drops the field"))
            .fix("path:     let Sec-WebSocket-Protocol through both ways\nclient:   ?encoding=cbor does the same"),
        (_, Some(value)) => SUBPROTOCOL.fail(format!("{:?} was not offered", literal(&value))),
        (None, None) => SUBPROTOCOL.not_testable("none was offered, and none came"),
    }
}

fn extensions(quiet: &Talk) -> Finding {
    let Some(head) = quiet.recording.head.as_ref().filter(|head| head.status == 101) else {
        return EXTENSIONS.fail("offered permessage-deflate, the upgrade failed; without it, it passed");
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
        EXTENSIONS.pass(format!("permessage-deflate was offered and taken: {}", literal(&value)))
    } else {
        EXTENSIONS.pass("permessage-deflate was offered and not taken")
    }
}

/// The code of the server's goodbye.
pub(crate) fn close_code(frames: &[Frame]) -> Option<u16> {
    frames.iter().find_map(Frame::close_code)
}

/// Cut a moment after the 101, though both sides talked: a filter that let the upgrade pass and not the frames.
pub(crate) fn early_cut(talk: &Talk, talked_ms: u64) -> Finding {
    let recording = &talk.recording;
    let lived_ms = recording.ended_ms.saturating_sub(recording.head_ms);
    let after = format!("{} after the 101", seconds(lived_ms));
    let finding = match close_code(&talk.frames) {
        // Protocol errors (RFC 6455 7.4.1), to which nothing was given cause.
        Some(code @ (1002 | 1007 | 1011)) => EARLY_CUT.fail(format!("the server closed with {code} {after}")),
        Some(code) => EARLY_CUT.lenient(format!("the server closed with {code} {after}")),
        None if recording.end.is_open() || lived_ms >= talked_ms => {
            EARLY_CUT.pass(format!("in use until {after}"))
        }
        None => {
            let ended = recording.end.words();
            let seen = format!("it {ended} {after}, without a close frame, though it was in use");
            EARLY_CUT.fail(seen).fix(fix::EARLY_CUT)
        }
    };
    finding.raw(recording.shown())
}

/// Each ping's pong has its payload; an answer only to the latest of several is allowed (RFC 6455 5.5.3).
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

/// The cursor of the first event, and those that followed it.
pub(crate) fn resumable(talk: &Talk) -> Option<(String, Vec<String>)> {
    let mut cursors = cursors(&talk.frames).into_iter();
    let first = cursors.next()?;
    let follow: Vec<_> = cursors.collect();
    (!follow.is_empty()).then_some((first, follow))
}

/// Why there is nothing to resume from.
pub(crate) fn not_resumable(talk: &Talk) -> Finding {
    RESUME.not_testable("it takes two events; fewer came").raw(talk.recording.shown())
}

fn cursors(frames: &[Frame]) -> Vec<String> {
    let texts = frames.iter().filter(|frame| frame.opcode == TEXT);
    let replies = texts.filter_map(|frame| Reply::from_json(std::str::from_utf8(&frame.payload).ok()?));
    let events = replies.filter_map(|reply| if let Reply::Event(event) = reply { Some(event) } else { None });
    events.map(|event| event.cursor.to_string()).collect()
}

/// What a second socket brought, held against what had followed the cursor on the first.
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

/// RFC 6455 knows no resume.
pub(crate) fn resume_of_another() -> Finding {
    RESUME.not_testable("WebSocket itself has no resume; only Fourways' own protocol is known here")
}

#[cfg(test)]
mod tests;
