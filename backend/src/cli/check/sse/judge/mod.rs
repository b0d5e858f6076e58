//! Judges recordings of streams, without I/O: every verdict follows from the recordings alone.

use fourways_shared::wire::sse::{Block, Parser};

use crate::cli::check::{
    fix,
    marks::seconds,
    recording::{Head, Recording, literal},
    verdict::{Finding, Rule, Verdict},
};

pub(crate) const BUFFERING: Rule =
    Rule::new("sse.buffering", "each event arrives when it is sent, not when a buffer is full");
pub(crate) const GZIP: Rule =
    Rule::new("sse.gzip", "compression, if there is any, passes each event on at once");
const RESUME: Rule = Rule::new(
    "sse.resume",
    "Last-Event-ID brings the events that followed, in order and once (HTML Standard 9.2.4)",
);

/// Longest pause within a burst, in milliseconds: reads that are further apart belong to different bursts.
const BURST_MS: u64 = 50;
/// Size of a burst that shows a full buffer: the smallest buffers in use have 4 KiB.
const BUFFER_BYTES: usize = 4096;
/// Shortest silence after a burst, in milliseconds, that distinguishes a full buffer from a stream that is merely fast.
const PAUSE_MS: u64 = 500;

/// Judges buffering without marks, by the times and sizes of the reads alone.
pub(crate) fn buffering(recording: &Recording) -> Finding {
    let (body, raw) = (recording.body(), recording.shown());
    let (Some(first), Some(last)) = (body.pieces.first(), body.pieces.last()) else {
        let seen =
            "nothing arrived; the stream is quiet, or held back. Give --publish-to, or a busier stream";
        return BUFFERING.not_testable(seen).raw(raw);
    };
    let waited_ms = first.ms.saturating_sub(recording.sent_ms);
    let took_ms = recording.ended_ms.saturating_sub(recording.sent_ms);
    let has_ended = !recording.end.is_open();
    if has_ended && recording.ended_ms.saturating_sub(first.ms) <= BURST_MS {
        if took_ms < PAUSE_MS {
            return BUFFERING
                .not_testable("the answer ended at once; this takes a stream that lasts")
                .raw(raw);
        }
        if blocks(recording) < 2 {
            let seen = "one event came together with the end; this takes a stream that goes on";
            return BUFFERING.not_testable(seen).raw(raw);
        }
        let seen = format!("everything came together at the end, after {}", seconds(waited_ms));
        return BUFFERING.fail(seen).fix(fix::BUFFERING).raw(raw);
    }
    if let Some(seen) = full_buffers(recording) {
        return BUFFERING.fail(seen).fix(fix::BUFFERING).raw(raw);
    }
    let seen = format!(
        "the first bytes came after {waited_ms} ms, {} reads over {}, none the size of a buffer",
        body.pieces.len(),
        seconds(last.ms.saturating_sub(first.ms))
    );
    BUFFERING.pass(seen).raw(raw)
}

/// Finds a burst of 4 KiB or more that stops in the middle of an event, with silence after it. No server sends half an
/// event, so this is a full buffer.
fn full_buffers(recording: &Recording) -> Option<String> {
    let body = recording.body();
    let next_ms = body.pieces.iter().skip(1).map(|next| next.ms).chain([recording.ended_ms]);
    let (mut parser, mut burst_bytes) = (Parser::default(), 0);
    for (piece, next_ms) in body.pieces.iter().zip(next_ms) {
        burst_bytes += piece.bytes.len();
        parser.push(&piece.bytes, |_| {});
        let pause_ms = next_ms.saturating_sub(piece.ms);
        if pause_ms >= PAUSE_MS && burst_bytes >= BUFFER_BYTES && parser.held_bytes() > 0 {
            return Some(format!(
                "{burst_bytes} bytes came at once and stopped in the middle of an event for {pause_ms} ms"
            ));
        }
        if pause_ms > BURST_MS {
            burst_bytes = 0;
        }
    }
    None
}

/// Counts the blocks that are complete.
fn blocks(recording: &Recording) -> usize {
    let (mut parser, mut count) = (Parser::default(), 0);
    for piece in &recording.body().pieces {
        parser.push(&piece.bytes, |_| count += 1);
    }
    count
}

/// Judges compression without marks, by the same stream with gzip and without.
pub(crate) fn gzip(plain: &Recording, packed: &Recording) -> Finding {
    let raw = packed.shown();
    let plain = buffering(plain).verdict;
    if plain != Verdict::Pass {
        return GZIP.not_testable("this takes a stream that passes without gzip").raw(raw);
    }
    let with_gzip = buffering(packed);
    let finding = match (is_gzip(packed.head.as_ref()), with_gzip.verdict) {
        (false, Verdict::Pass) => GZIP.pass("the stream is not compressed"),
        (true, Verdict::Pass) => on_but_flushing(&with_gzip.seen),
        (_, Verdict::NotTestable) => {
            GZIP.fail("with gzip nothing arrived; without it, events flow").fix(fix::GZIP)
        }
        (_, _) => GZIP.fail(format!("with gzip, {}", with_gzip.seen)).fix(fix::GZIP),
    };
    finding.raw(raw)
}

/// Judges compression with marks. `plain` and `with_gzip` are the findings about the marks on the stream without gzip
/// and on the one with it; `head` is the latter's.
pub(crate) fn gzip_with_marks(plain: &Finding, with_gzip: Finding, head: Option<&Head>) -> Finding {
    let raw = with_gzip.raw.clone();
    let finding = match (plain.verdict, with_gzip.verdict) {
        (Verdict::Pass, Verdict::Pass) if is_gzip(head) => on_but_flushing(&with_gzip.seen),
        (Verdict::Pass, Verdict::Pass) => GZIP.pass("the stream is not compressed"),
        (Verdict::Pass, _) => return with_gzip,
        _ => GZIP.not_testable("this takes a stream that passes without gzip; see sse.buffering"),
    };
    finding.raw(raw)
}

fn on_but_flushing(seen: &str) -> Finding {
    GZIP.lenient(format!("Content-Encoding is gzip, flushed after each event: {seen}")).fix(fix::GZIP)
}

fn is_gzip(head: Option<&Head>) -> bool {
    head.is_some_and(|head| head.header("Content-Encoding").is_some())
}

/// A position in a stream, and the events that were seen after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resumable {
    /// Id of the first event that was seen.
    pub(crate) id: String,
    /// Ids of the events after the first, at most [`COMPARED`] of them.
    follow: Vec<String>,
}

/// Number of events after the first that are compared, at most.
const COMPARED: usize = 3;

/// True for a block with data that is not a heartbeat: a heartbeat can have an id and data, and brings no event.
fn is_event(block: &Block) -> bool {
    block.data.is_some() && block.name != "heartbeat"
}

/// Returns the ids of the events, in order. An event without an id keeps that of the event before, which is not counted
/// again.
fn ids(recording: &Recording) -> Vec<String> {
    let (mut ids, mut parser): (Vec<String>, _) = (Vec::new(), Parser::default());
    for piece in &recording.body().pieces {
        parser.push(&piece.bytes, |block| {
            let (is_event, id) = (is_event(&block), block.last_event_id);
            if is_event && !id.is_empty() && ids.last() != Some(&id) {
                ids.push(id);
            }
        });
    }
    ids
}

/// Returns the first event and those after it, if there are two with ids. An id with control characters, which a header
/// field can't carry, is not sent (HTML Standard 9.2.4 sends an id as UTF-8).
pub(crate) fn resumable(recording: &Recording) -> Option<Resumable> {
    let mut ids = ids(recording).into_iter();
    let id = ids.next().filter(|id| !id.chars().any(char::is_control))?;
    let follow: Vec<_> = ids.take(COMPARED).collect();
    (!follow.is_empty()).then_some(Resumable { id, follow })
}

/// Returns the finding for a stream from which nothing can be resumed, with the reason.
pub(crate) fn not_resumable(recording: &Recording) -> Finding {
    let mut has_events = false;
    let mut parser = Parser::default();
    for piece in &recording.body().pieces {
        parser.push(&piece.bytes, |block| has_events |= is_event(&block));
    }
    let finding = if has_events && ids(recording).is_empty() {
        RESUME
            .lenient("events have no id: those that are sent while a client reconnects are lost to it")
            .fix("server:   id: with every event, and honour Last-Event-ID")
    } else {
        RESUME.not_testable("this takes two events with ids; fewer came")
    };
    finding.raw(recording.shown())
}

/// True once enough events have come after the reconnect to compare them.
pub(crate) fn has_all(from: &Resumable, after: &Recording) -> bool {
    ids(after).len() >= from.follow.len()
}

/// Judges a resume: compares the events that came after the reconnect with those that had followed before.
pub(crate) fn resume(from: &Resumable, after: &Recording) -> Finding {
    let ids = ids(after);
    let came = literal(&ids.join(", "));
    let (id, follow) = (literal(&from.id), literal(&from.follow.join(", ")));
    let finding = if ids.starts_with(&from.follow) {
        RESUME.pass(format!("after {id} came {follow}"))
    } else if ids.contains(&from.id) {
        RESUME.fail(format!("{id} came again, although Last-Event-ID named it: {came}"))
    } else if ids.is_empty() {
        RESUME.fail(format!("after {id} nothing came; {follow} followed it before"))
    } else {
        RESUME.fail(format!("after {id} came {came}; {follow} followed it before"))
    };
    finding
        .fix("path:     let Last-Event-ID through\nserver:   keep a log, and start after that id")
        .raw(after.shown())
}

#[cfg(test)]
mod tests;
