//! Judges the answers to polls, without I/O.

use crate::cli::check::{
    fix,
    marks::{Mark, SPACING_MS, seconds},
    recording::{Head, Recording, literal},
    verdict::{Finding, Rule},
};

const STATUS: Rule = Rule::new("poll.status", "a complete answer with a status of success");
const CACHE_CONTROL: Rule =
    Rule::new("poll.cache_control", "Cache-Control forbids caches to reuse the answer (RFC 9111 5.2.2)");
const CACHED: Rule =
    Rule::new("poll.cached", "every poll is answered by the server, not by a cache on the path");
const REVALIDATION: Rule =
    Rule::new("poll.revalidation", "an ETag, and 304 for a client that has it (RFC 9110 13.1.2, 15.4.5)");
const HOLD: Rule = Rule::new("long_poll.hold", "the path leaves a held poll open until the server answers");
const WAKE: Rule = Rule::new("long_poll.wake", "an event ends a held poll at once");

/// True if a poll got a complete answer, so that there is something to judge.
pub(crate) fn is_answer(recording: &Recording) -> bool {
    matches!(recording.status(), Some(200 | 204)) && recording.body().is_complete
}

pub(crate) fn status(recording: &Recording) -> Finding {
    let took = seconds(recording.ended_ms.saturating_sub(recording.sent_ms));
    let finding = match recording.status() {
        Some(status @ (200 | 204)) if is_answer(recording) => STATUS.pass(format!("{status} after {took}")),
        Some(200 | 204) => STATUS
            .fail(format!("the answer is incomplete after {took}; the connection {}", recording.end.words())),
        Some(status) => STATUS.fail(format!("the answer is {status}")),
        None => STATUS.fail(format!("no answer within {took}; the connection {}", recording.end.words())),
    };
    finding.raw(recording.shown())
}

pub(crate) fn cache_control(recording: &Recording) -> Finding {
    const FIX: &str = "server:   Cache-Control: no-store";
    let head = recording.head.as_ref();
    let value =
        head.map(|head| head.values("Cache-Control").collect::<Vec<_>>().join(", ")).unwrap_or_default();
    let has = |token: &str| head.is_some_and(|head| head.has_token("Cache-Control", token));
    let is_stale_at_once =
        value.replace(' ', "").to_ascii_lowercase().split(',').any(|part| part == "max-age=0");
    let seen = literal(&value);
    let finding = if has("no-store") || has("no-cache") || (is_stale_at_once && !has("s-maxage")) {
        CACHE_CONTROL.pass(seen)
    } else if value.is_empty() {
        // RFC 9111 4.2.2: a cache may guess the lifetime if none is given.
        CACHE_CONTROL.lenient("no Cache-Control, so a cache may guess a lifetime").fix(FIX)
    } else {
        CACHE_CONTROL.lenient(format!("{seen}: a cache may reuse an old answer")).fix(FIX)
    };
    finding.raw(recording.shown_heads())
}

/// Judges whether a cache gave the second of two answers, more than a second apart. `mark` was published between them.
pub(crate) fn cached(first: &Recording, second: &Recording, mark: Option<&Mark>) -> Finding {
    let raw = format!("{}\n{}", first.shown(), second.shown());
    let (Some(a), Some(b)) = (&first.head, &second.head) else {
        return CACHED.not_testable("the second poll was not answered").raw(raw);
    };
    if !is_answer(second) {
        return CACHED
            .not_testable(format!("the second answer is {}, incomplete or no success", b.status))
            .raw(raw);
    }
    let (old, new) = (first.body().bytes(), second.body());
    let is_same = old == new.bytes();
    let published = mark.filter(|mark| mark.failure.is_none());
    let finding = if let Some(sign) = sign_of_cache(b) {
        CACHED.fail(sign)
    } else if published.is_some_and(|mark| new.arrived_ms(&mark.text).is_none()) && is_same {
        CACHED.fail("an event was published between two polls, but both answers are the same")
    } else if is_same && a.header("Date").is_some() && a.header("Date") == b.header("Date") {
        CACHED.fail(format!(
            "{} apart, both answers have the same body and the same Date",
            seconds(second.sent_ms.saturating_sub(first.sent_ms))
        ))
    } else if published.is_some() {
        CACHED.pass("an event that was published between two polls is in the second answer, or changed it")
    } else {
        CACHED.pass("no sign of a cache; nginx leaves none, so --publish-to would show more")
    };
    finding.fix(fix::CACHED).raw(raw)
}

/// Returns the field in which a cache says that it gave the answer, in words.
fn sign_of_cache(head: &Head) -> Option<String> {
    if let Some(age) = head.header("Age").filter(|age| age.trim() != "0") {
        return Some(format!("Age is {:?}: a cache kept the answer (RFC 9111 5.1)", literal(&age)));
    }
    ["Cache-Status", "X-Cache", "X-Cache-Status", "CF-Cache-Status", "X-Proxy-Cache"].iter().find_map(
        |name| {
            let value = head.values(name).find(|value| value.to_ascii_lowercase().contains("hit"))?;
            Some(format!("{name} is {:?}", literal(value)))
        },
    )
}

/// Returns the `ETag` of an answer for `If-None-Match`, unless it has control characters.
pub(crate) fn etag(recording: &Recording) -> Option<String> {
    let tag = recording.head.as_ref()?.header("ETag")?;
    (!tag.chars().any(char::is_control)).then_some(tag)
}

/// Judges the answer to a poll that sent the `ETag` of the answer before. `again` is `None` if that had no `ETag`.
pub(crate) fn revalidation(before: &Recording, again: Option<&Recording>) -> Finding {
    const FIX: &str =
        "server:   ETag, and 304 for an If-None-Match that still matches\npath:     let both through";
    let (Some(tag), Some(again)) = (etag(before), again) else {
        return REVALIDATION
            .lenient("no ETag: a poll that brings nothing new costs a whole answer")
            .fix(FIX)
            .raw(before.shown_heads());
    };
    let tag = literal(&tag);
    let finding = match again.status() {
        Some(304) => REVALIDATION.pass(format!("304 for {tag}")),
        Some(status @ 200..=299) if etag(again).is_some_and(|new| literal(&new) != tag) => {
            REVALIDATION.not_testable(format!("{status} with another ETag: the answer changed meanwhile"))
        }
        Some(status) => REVALIDATION.fail(format!("{status} for {tag}, which had not changed")),
        None => {
            REVALIDATION.fail(format!("no answer to If-None-Match: the connection {}", again.end.words()))
        }
    };
    finding.fix(FIX).raw(again.shown())
}

/// Judges a poll of a topic without events, which asked to be held for `hold_ms`.
pub(crate) fn held(recording: &Recording, hold_ms: u64) -> Finding {
    let took_ms = recording.ended_ms.saturating_sub(recording.sent_ms);
    let took = seconds(took_ms);
    let finding = match recording.status() {
        Some(200 | 204) if took_ms + SPACING_MS < hold_ms => HOLD
            .lenient(format!("answered after {took} of {}; the server may allow no more", seconds(hold_ms))),
        Some(200 | 204) => HOLD.pass(format!("held for {took}; longer was not tried")),
        Some(status @ (408 | 502..=504 | 524)) => HOLD.fail(format!("cut with {status} after {took}")),
        Some(status) => HOLD.not_testable(format!("the answer is {status}")),
        None => HOLD.fail(format!("no answer: the connection {} after {took}", recording.end.words())),
    };
    finding.fix(fix::HOLD).raw(recording.shown())
}

/// Judges a held poll by the event that should end it.
pub(crate) fn woken(recording: &Recording, mark: &Mark) -> Finding {
    let raw = recording.shown();
    if let Some(failure) = &mark.failure {
        let seen =
            format!("the check could not publish its own event ({}); set --publish-to", literal(failure));
        return WAKE.not_testable(seen).raw(raw);
    }
    let finding = match recording.body().arrived_ms(&mark.text) {
        Some(ms) if ms.saturating_sub(mark.sent_ms) < SPACING_MS => {
            WAKE.pass(format!("answered {} ms after the event", ms.saturating_sub(mark.sent_ms)))
        }
        Some(ms) => {
            WAKE.fail(format!("answered only {} ms after the event", ms.saturating_sub(mark.sent_ms)))
        }
        None => WAKE.fail("an event was published, and the poll ended without it"),
    };
    finding.fix(fix::HOLD).raw(raw)
}

#[cfg(test)]
mod tests;
