//! Requests as a browser writes them, with the header fields of `chromium.txt`.

use std::sync::LazyLock;

use fourways_shared::Cursor;

/// Topic that the clients read.
pub(crate) const TOPIC: &str = "lab.bench";
/// Topic that the clients send to. Nobody reads it, because a client's message is not always for all others.
pub(crate) const SENT: &str = "lab.sent";

static POLL: LazyLock<String> = LazyLock::new(|| section("poll"));
static STREAM: LazyLock<String> = LazyLock::new(|| section("stream"));
static SOCKET: LazyLock<String> = LazyLock::new(|| section("socket"));
static POST: LazyLock<String> = LazyLock::new(|| section("post"));

/// Returns a poll. `query` follows the topic; `known` is the `ETag` that the client has, sent as `If-None-Match`.
pub(crate) fn poll(query: &str, known: Option<&str>) -> Vec<u8> {
    let known = known.map_or(String::new(), |known| format!("If-None-Match: \"{known}\"\r\n"));
    format!("GET /v1/events?topic={TOPIC}{query} HTTP/1.1\r\n{}{known}\r\n", *POLL).into_bytes()
}

/// Returns the request for an event stream, which resumes after `last` by `Last-Event-ID`, as `EventSource` does.
pub(crate) fn stream(query: &str, last: Option<Cursor>) -> Vec<u8> {
    let last = last.map_or(String::new(), |last| format!("Last-Event-ID: {last}\r\n"));
    format!("GET /v1/stream?topic={TOPIC}{query} HTTP/1.1\r\n{}{last}\r\n", *STREAM).into_bytes()
}

/// Returns the request for a socket that subscribes at once.
pub(crate) fn socket(query: &str, after: Option<Cursor>) -> Vec<u8> {
    let after = after.map_or(String::new(), |after| format!("&after={after}"));
    format!("GET /v1/ws?topic={TOPIC}{after}{query} HTTP/1.1\r\n{}\r\n", *SOCKET).into_bytes()
}

/// Returns a publish by POST, of which `kind` is the content type.
pub(crate) fn post(topic: &str, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /v1/topics/{topic}/events HTTP/1.1\r\n{}Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}",
        *POST
    )
    .into_bytes()
}

/// Returns a JSON string of `bytes` bytes, quotes included; at least two.
pub(crate) fn payload(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes.saturating_sub(2)))
}

/// Returns the header fields of one kind of request, from `chromium.txt`.
fn section(name: &str) -> String {
    let mark = format!("[{name}]");
    let lines = include_str!("../chromium.txt").lines().skip_while(|line| **line != mark).skip(1);
    let mut fields = String::new();
    for line in lines.take_while(|line| !line.starts_with('[')) {
        if !line.is_empty() && !line.starts_with('#') {
            fields.extend([line, "\r\n"]);
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_whole() {
        let requests = [
            poll("&after=7-3", Some("7-3")),
            stream("", None),
            socket("&lab=x.1", None),
            post(SENT, "text/plain", ""),
        ];
        for request in requests {
            let text = String::from_utf8(request).unwrap();
            assert!(text.ends_with("\r\n\r\n") && text.matches("\r\n\r\n").count() == 1, "{text}");
            assert!(text.matches("\r\nHost: ").count() == 1 && text.lines().count() > 12, "{text}");
            assert!(!text.contains('#') && !text.contains('['), "{text}");
        }
        assert_eq!(payload(100).len(), 100);
    }
}
