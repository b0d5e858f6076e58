//! Judges the head of a stream, without I/O.

use crate::cli::check::{
    fix,
    marks::seconds,
    recording::{Head, Recording, literal},
    verdict::{Finding, Rule},
};

const STATUS: Rule = Rule::new("sse.status", "200; anything else ends an EventSource (HTML Standard 9.2.3)");
const CONTENT_TYPE: Rule =
    Rule::new("sse.content_type", "text/event-stream, or EventSource gives up (HTML Standard 9.2.3)");
const CACHE_CONTROL: Rule = Rule::new(
    "sse.cache_control",
    "no-store or no-cache, so that no cache replays the stream (RFC 9111 5.2.2)",
);
const LENGTH: Rule =
    Rule::new("sse.content_length", "no Content-Length: a stream has no length (RFC 9112 6.3)");
const ACCEL: Rule = Rule::new("sse.x_accel_buffering", "X-Accel-Buffering: no, which nginx obeys");

/// Returns one finding for each field, or only one if there is no stream.
pub(crate) fn judge(recording: &Recording) -> Vec<Finding> {
    let raw = recording.shown_heads();
    let Some(head) = &recording.head else {
        let seen = format!(
            "no head within {}; the connection {}",
            seconds(recording.ended_ms.saturating_sub(recording.sent_ms)),
            recording.end.words()
        );
        let finding = if recording.end.is_open() {
            // The server may wait for its first event. If the check publishes marks, `sse.buffering` decides.
            STATUS.not_testable(seen)
        } else {
            STATUS.fail(seen)
        };
        return vec![finding.raw(raw)];
    };
    let status = if head.status == 200 {
        STATUS.pass("200")
    } else {
        STATUS.fail(format!("the answer is {}", head.status))
    };
    if head.status != 200 {
        return vec![status.raw(raw)];
    }
    let findings = [status, content_type(head), cache_control(head), length(head, recording), accel(head)];
    findings.into_iter().map(|finding| finding.raw(raw.clone())).collect()
}

fn content_type(head: &Head) -> Finding {
    let value = head.header("Content-Type").unwrap_or_default();
    let (essence, parameters) = value.split_once(';').unwrap_or((&value, ""));
    if !essence.trim().eq_ignore_ascii_case("text/event-stream") {
        return CONTENT_TYPE.fail(format!("Content-Type is {:?}", literal(&value)));
    }
    let charset = parameters.to_ascii_lowercase();
    if charset.contains("charset") && !charset.contains("utf-8") {
        return CONTENT_TYPE
            .lenient(format!("Content-Type is {:?}, but it is read as UTF-8", literal(&value)))
            .fix("server:   Content-Type: text/event-stream");
    }
    CONTENT_TYPE.pass(literal(&value))
}

fn cache_control(head: &Head) -> Finding {
    const FIX: &str = "server:   Cache-Control: no-cache, no-transform";
    let value = literal(&head.values("Cache-Control").collect::<Vec<_>>().join(", "));
    if head.header("Age").is_some() {
        return CACHE_CONTROL
            .fail("the answer has an Age: it comes from a cache (RFC 9111 5.1)")
            .fix(fix::CACHED);
    }
    if ["no-store", "no-cache"].iter().any(|token| head.has_token("Cache-Control", token)) {
        return CACHE_CONTROL.pass(value);
    }
    if value.is_empty() {
        return CACHE_CONTROL.lenient("no Cache-Control").fix(FIX);
    }
    if ["public", "max-age", "s-maxage"].iter().any(|token| head.has_token("Cache-Control", token)) {
        return CACHE_CONTROL.fail(format!("Cache-Control is {value:?}")).fix(FIX);
    }
    CACHE_CONTROL.lenient(format!("Cache-Control is {value:?}")).fix(FIX)
}

fn length(head: &Head, recording: &Recording) -> Finding {
    if let Some(length) = head.header("Content-Length") {
        return LENGTH.fail(format!("Content-Length is {:?}", literal(&length))).fix(fix::BUFFERING);
    }
    if recording.body().ends_by_close {
        return LENGTH
            .lenient("neither length nor chunks: a cut can't be told from an end")
            .fix("nginx:    chunked_transfer_encoding on;   and HTTP/1.1 on both sides");
    }
    LENGTH.pass("none")
}

fn accel(head: &Head) -> Finding {
    const FIX: &str = "server:   X-Accel-Buffering: no";
    match head.header("X-Accel-Buffering") {
        Some(value) if value.eq_ignore_ascii_case("no") => ACCEL.pass("no"),
        Some(value) => ACCEL.lenient(format!("it is {:?}", literal(&value))).fix(FIX),
        // nginx obeys the field and does not pass it on.
        None if head.header("Server").is_some_and(|server| server.contains("nginx")) => {
            ACCEL.not_testable("not there, but the answer is from nginx, which removes the field")
        }
        None => {
            ACCEL.lenient("not there; an nginx that is added in front later would hold events back").fix(FIX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::{recording::End, verdict::Verdict};

    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\
                        X-Accel-Buffering: no\r\nTransfer-Encoding: chunked";

    fn judged(head: &str) -> Vec<Finding> {
        judge(&Recording { head: Head::parse(head.as_bytes()), ..Recording::default() })
    }

    fn named(findings: &[Finding], check: &str) -> Verdict {
        findings.iter().find(|finding| finding.check == check).unwrap().verdict
    }

    #[test]
    fn a_good_head_passes_and_each_fault_is_named() {
        assert!(judged(HEAD).iter().all(|finding| finding.verdict == Verdict::Pass));
        let with = |from: &str, to: &str| judged(&HEAD.replace(from, to));
        assert_eq!(named(&with("text/event-stream", "text/plain"), "sse.content_type"), Verdict::Fail);
        let latin = with("text/event-stream", "text/event-stream;charset=latin1");
        assert_eq!(named(&latin, "sse.content_type"), Verdict::Lenient);
        assert_eq!(named(&with("no-cache", "max-age=60"), "sse.cache_control"), Verdict::Fail);
        assert_eq!(named(&with("Cache-Control: no-cache", "X: y"), "sse.cache_control"), Verdict::Lenient);
        assert_eq!(named(&with("X-Accel", "Age: 3\r\nX-Accel"), "sse.cache_control"), Verdict::Fail);
        assert_eq!(
            named(&with("Transfer-Encoding: chunked", "Content-Length: 9"), "sse.content_length"),
            Verdict::Fail
        );
        assert_eq!(
            named(&with("Transfer-Encoding: chunked", "X: y"), "sse.content_length"),
            Verdict::Lenient
        );
        let accel = "X-Accel-Buffering: no";
        assert_eq!(
            named(&with(accel, "Server: nginx/1.22.1"), "sse.x_accel_buffering"),
            Verdict::NotTestable
        );
        assert_eq!(named(&with(accel, "Server: other"), "sse.x_accel_buffering"), Verdict::Lenient);
        assert_eq!(named(&with("200 OK", "502 Bad Gateway"), "sse.status"), Verdict::Fail);
    }

    #[test]
    fn without_a_head_only_a_broken_connection_fails() {
        let silent = Recording { ended_ms: 5000, ..Recording::default() };
        assert_eq!(named(&judge(&silent), "sse.status"), Verdict::NotTestable);
        let refused = Recording { end: End::Failed("refused".to_owned()), ..Recording::default() };
        assert_eq!(named(&judge(&refused), "sse.status"), Verdict::Fail);
    }
}
