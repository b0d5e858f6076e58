//! Unpacks the body of a recording, chunks (RFC 9112 7.1) and then gzip (RFC 1952), and keeps the time at which each
//! byte arrived.

use std::io::Write as _;

use flate2::write::GzDecoder;

use super::recording::{Arrival, End, Recording};

/// A body without its framing and compression.
#[derive(Clone, Debug, Default)]
pub(crate) struct Body {
    /// The pieces in which the body arrived, none of them empty.
    pub(crate) pieces: Vec<Arrival>,
    /// The body has ended as its framing says (RFC 9112 8). If false, the body is under way or was cut.
    pub(crate) is_complete: bool,
    /// The body ends with the connection, so an end can't be told from a cut (RFC 9112 6.3).
    pub(crate) ends_by_close: bool,
}

impl Body {
    /// Returns all bytes that have arrived.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.pieces.iter().flat_map(|piece| piece.bytes.iter().copied()).collect()
    }

    /// Returns the time at which a text had arrived in full for the first time.
    pub(crate) fn arrived_ms(&self, text: &str) -> Option<u64> {
        let mut seen = Vec::new();
        for piece in &self.pieces {
            // The text may lie across two reads.
            let from = seen.len().saturating_sub(text.len());
            seen.extend_from_slice(&piece.bytes);
            if seen[from..].windows(text.len().max(1)).any(|window| window == text.as_bytes()) {
                return Some(piece.ms);
            }
        }
        None
    }
}

impl Recording {
    /// Unpacks the bytes that arrived, up to the first that can't be unpacked.
    pub(crate) fn body(&self) -> Body {
        let mut body = self.unchunked();
        let is_packed = |head: &super::recording::Head| {
            head.has_token("Content-Encoding", "gzip") || head.has_token("Content-Encoding", "x-gzip")
        };
        if self.head.as_ref().is_some_and(is_packed) {
            body.pieces = gunzipped(&body.pieces);
        }
        body
    }

    fn unchunked(&self) -> Body {
        let Some(head) = &self.head else { return Body::default() };
        let is_closed = self.end == End::Closed;
        let is_chunked = head.has_token("Transfer-Encoding", "chunked");
        if is_chunked {
            let mut chunks = Chunks::default();
            let pieces = self.arrivals.iter().map(|a| Arrival { ms: a.ms, bytes: chunks.push(&a.bytes) });
            let pieces = pieces.filter(|piece| !piece.bytes.is_empty()).collect();
            return Body { pieces, is_complete: chunks.state == State::Done, ends_by_close: false };
        }
        let length = head.header("Content-Length").and_then(|length| length.parse::<usize>().ok());
        let got = self.arrivals.iter().map(|arrival| arrival.bytes.len()).sum::<usize>();
        let is_complete = match (head.status, length) {
            // A 204 and a 304 have no body (RFC 9112 6.3); after a 101 another protocol is spoken.
            (204 | 304, _) => true,
            (101, _) => false,
            (_, Some(length)) => got >= length,
            (_, None) => is_closed,
        };
        let ends_by_close = length.is_none() && head.status == 200;
        Body { pieces: self.arrivals.clone(), is_complete, ends_by_close }
    }
}

fn gunzipped(pieces: &[Arrival]) -> Vec<Arrival> {
    let mut unpacking = GzDecoder::new(Vec::new());
    let mut out = Vec::new();
    for piece in pieces {
        let is_read = unpacking.write_all(&piece.bytes).and_then(|()| unpacking.flush()).is_ok();
        let bytes = std::mem::take(unpacking.get_mut());
        if !bytes.is_empty() {
            out.push(Arrival { ms: piece.ms, bytes });
        }
        if !is_read {
            break;
        }
    }
    out
}

/// A parser of the chunked coding that accepts the bytes in any pieces.
#[derive(Debug, Default)]
struct Chunks {
    state: State,
    line: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Content(usize),
    /// The line end after a chunk's content.
    After,
    Trailer,
    Done,
    /// The bytes are not in the chunked coding; the rest is ignored.
    Broken,
}

impl Chunks {
    fn push(&mut self, mut piece: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some(&byte) = piece.first() {
            match self.state {
                State::Content(left) => {
                    let (taken, rest) = piece.split_at(left.min(piece.len()));
                    out.extend_from_slice(taken);
                    self.state =
                        if taken.len() == left { State::After } else { State::Content(left - taken.len()) };
                    piece = rest;
                    continue;
                }
                State::Done | State::Broken => break,
                _ if byte == b'\n' => self.end_line(),
                // No size needs a line of this length.
                _ if self.line.len() > 4096 => self.state = State::Broken,
                _ => self.line.push(byte),
            }
            piece = &piece[1..];
        }
        out
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = line.trim();
        self.state = match self.state {
            State::Size => match usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)
            {
                Ok(0) => State::Trailer,
                Ok(size) => State::Content(size),
                Err(_) => State::Broken,
            },
            State::After if line.is_empty() => State::Size,
            State::After => State::Broken,
            State::Trailer if line.is_empty() => State::Done,
            state => state,
        };
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::cli::check::recording::Head;

    fn recording(head: &str, arrivals: &[(u64, &[u8])]) -> Recording {
        let arrivals =
            arrivals.iter().map(|(ms, bytes)| Arrival { ms: *ms, bytes: bytes.to_vec() }).collect();
        Recording { head: Head::parse(head.as_bytes()), arrivals, ..Recording::default() }
    }

    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n";

    #[test]
    fn chunks_come_apart_in_any_pieces() {
        let wire = b"4;x=1\r\nab\nc\r\n00a\r\n0123456789\r\n0\r\nA: b\r\n\r\n";
        for size in 1..wire.len() {
            let arrivals: Vec<_> = wire.chunks(size).zip(0..).map(|(bytes, ms)| (ms, bytes)).collect();
            let body = recording(CHUNKED, &arrivals).body();
            assert_eq!(
                (body.bytes().as_slice(), body.is_complete),
                (&b"ab\nc0123456789"[..], true),
                "{size}"
            );
        }
    }

    #[test]
    fn a_cut_is_told_from_an_end() {
        let cut = Recording { end: End::Closed, ..recording(CHUNKED, &[(1, b"3\r\nabc\r\n")]) };
        assert!(!cut.body().is_complete && cut.body().bytes() == b"abc");
        let short = Recording {
            end: End::Closed,
            ..recording("HTTP/1.1 200 OK\r\nContent-Length: 4", &[(1, b"abc")])
        };
        assert!(!short.body().is_complete);
        let plain = Recording { end: End::Closed, ..recording("HTTP/1.1 200 OK", &[(1, b"abc")]) };
        assert!(plain.body().is_complete && plain.body().ends_by_close);
        assert!(recording("HTTP/1.1 304 Not Modified", &[]).body().is_complete);
        assert!(recording(CHUNKED, &[(1, b"zz\r\nabc")]).body().bytes().is_empty());
    }

    #[test]
    fn a_text_is_dated_by_the_read_that_completes_it() {
        let body = recording("HTTP/1.1 200 OK", &[(1, b"xx ma"), (7, b"rk-1 "), (9, b"mark-2")]).body();
        assert_eq!(body.arrived_ms("mark-1"), Some(7));
        assert_eq!((body.arrived_ms("mark-2"), body.arrived_ms("mark-3")), (Some(9), None));
    }

    #[test]
    fn gzip_that_is_flushed_gives_each_event_its_time() {
        let mut packing = GzEncoder::new(Vec::new(), Compression::default());
        let mut arrivals = Vec::new();
        for (ms, event) in [(10, "data: one\n\n"), (20, "data: two\n\n")] {
            packing.write_all(event.as_bytes()).unwrap();
            packing.flush().unwrap();
            arrivals.push(Arrival { ms, bytes: std::mem::take(packing.get_mut()) });
        }
        let head = Head::parse(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip");
        let body = Recording { head, arrivals, ..Recording::default() }.body();
        assert_eq!((body.arrived_ms("one"), body.arrived_ms("two")), (Some(10), Some(20)));
    }
}
