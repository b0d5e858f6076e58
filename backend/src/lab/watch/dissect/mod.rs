//! Incremental parsers that split the bytes of a connection into parts: start lines, headers, chunks, frames and so on.
//!
//! The bytes may arrive in any pieces. The parsers know what this server and browsers write: HTTP/1.1 (RFC 9112), one
//! request at a time; HTTP/2 (RFC 9113), many at once; event streams (HTML Standard 9.2); frames (RFC 6455). They never
//! fail: bytes that they can't parse count as framing.

mod body;
mod events;
mod frames;
mod head;
mod hpack;
mod http2;

use fourways_shared::lab::{Part, Unit};

use self::{body::PollBody, events::Chunks, frames::Frames, head::Head};

pub(super) use self::http2::{Heard, Http2};

/// The receiver of the parts.
pub(super) trait Sink {
    /// Receives bytes of the current unit.
    fn part(&mut self, part: Part, bytes: &[u8]);
    /// Ends the current unit. `code` is that of `WireRecord`.
    fn end(&mut self, unit: Unit, code: u16);
}

/// Ignores all parts, for parsing ahead.
impl Sink for () {
    fn part(&mut self, _: Part, _: &[u8]) {}
    fn end(&mut self, _: Unit, _: u16) {}
}

/// The parser of one request and its answer, up to the next request; or of a socket, from its upgrade to its end.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    up: Up,
    down: Down,
}

#[derive(Clone, Debug)]
enum Up {
    Head(Head),
    /// The head is over. Nothing follows that of a `GET`; bytes that do are counted as [`Part::Wrapper`].
    Quiet,
    Frames(Frames),
}

#[derive(Clone, Debug)]
enum Down {
    Head(Head),
    Body(PollBody, u64),
    Chunks(Chunks),
    Frames(Frames),
    Over,
}

impl Exchange {
    pub(super) fn new() -> Self {
        Self { up: Up::Head(Head::default()), down: Down::Head(Head::default()) }
    }

    /// True if the answer is whole: bytes that are read next are of another request.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.down, Down::Over)
    }

    /// Parses bytes that were read from the client.
    pub(super) fn up(&mut self, mut bytes: &[u8], sink: &mut dyn Sink) {
        while !bytes.is_empty() {
            match &mut self.up {
                Up::Head(head) => {
                    let Some(lines) = head.take(&mut bytes) else { return };
                    lines.tell(Unit::Request, 0, sink);
                    self.up = Up::Quiet;
                }
                Up::Quiet => return sink.part(Part::Wrapper, bytes),
                Up::Frames(frames) => frames.take(&mut bytes, sink),
            }
        }
    }

    /// Parses bytes that were written to the client.
    pub(super) fn down(&mut self, mut bytes: &[u8], sink: &mut dyn Sink) {
        while !bytes.is_empty() {
            match &mut self.down {
                Down::Head(head) => {
                    let Some(lines) = head.take(&mut bytes) else { return };
                    let status = lines.status();
                    lines.tell(Unit::Response, status, sink);
                    self.answer(status, &lines);
                }
                Down::Body(body, left) => {
                    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    body.take(&bytes[..length], sink);
                    *left -= length as u64;
                    bytes = &bytes[length..];
                    if *left == 0 {
                        sink.end(Unit::Body, 0);
                        self.down = Down::Over;
                    }
                }
                Down::Chunks(chunks) => {
                    chunks.take(&mut bytes, sink);
                    if chunks.is_over() {
                        self.down = Down::Over;
                    }
                }
                Down::Frames(frames) => frames.take(&mut bytes, sink),
                Down::Over => return sink.part(Part::Wrapper, bytes),
            }
        }
    }

    /// Decides by the head of a response how its body is delimited (RFC 9112 6.3).
    fn answer(&mut self, status: u16, lines: &head::Lines) {
        self.down = match (status, lines.is_chunked(), lines.content_length()) {
            (101, ..) => {
                self.up = Up::Frames(Frames::default());
                Down::Frames(Frames::default())
            }
            (100..200, ..) => Down::Head(Head::default()),
            (204 | 304, ..) | (_, false, None | Some(0)) => Down::Over,
            (_, true, _) => Down::Chunks(Chunks::default()),
            (_, false, Some(length)) => Down::Body(PollBody::default(), length),
        };
    }
}

#[cfg(fuzzing)]
mod fuzz;

#[cfg(fuzzing)]
pub use self::fuzz::fuzz;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Heard {
        parts: Vec<(Part, String)>,
        units: Vec<(Unit, u16)>,
    }

    impl Sink for Heard {
        fn part(&mut self, part: Part, bytes: &[u8]) {
            let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
            match self.parts.last_mut() {
                Some((last, so_far)) if *last == part => so_far.push_str(&text),
                _ => self.parts.push((part, text)),
            }
        }

        fn end(&mut self, unit: Unit, code: u16) {
            self.units.push((unit, code));
            self.parts.push((Part::Control, "|".to_owned()));
        }
    }

    /// Parses the bytes in one piece and byte by byte, and asserts that the results are equal and no byte is lost.
    fn heard(down: &[u8], upgrade: bool) -> (Heard, Exchange) {
        let begin = || {
            let mut exchange = Exchange::new();
            if upgrade {
                exchange.down(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", &mut Heard::default());
            }
            exchange
        };
        let (mut whole, mut exchange) = (Heard::default(), begin());
        exchange.down(down, &mut whole);
        let (mut pieces, mut other) = (Heard::default(), begin());
        for byte in down {
            other.down(std::slice::from_ref(byte), &mut pieces);
        }
        assert_eq!((&whole.units, &whole.parts), (&pieces.units, &pieces.parts));
        let all: usize = whole.parts.iter().map(|(_, text)| text.chars().count()).sum();
        assert_eq!(all - whole.units.len(), down.len(), "every byte is a part of something");
        (whole, exchange)
    }

    #[test]
    fn a_polls_answer_is_head_wrapper_and_events() {
        let event = r#"{"type":"event","topic":"a","cursor":"1-2","data":{"x":["]},\"",1]}}"#;
        let body = format!("{{\"reset\":{{\"a\":[{{}}]}},\"events\":[{event},{event}],\"cursor\":\"1-2\"}}");
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let (heard, exchange) = heard((head + &body).as_bytes(), false);
        assert_eq!(heard.units, [(Unit::Response, 200), (Unit::Body, 0)]);
        let payload: Vec<_> = heard.parts.iter().filter(|(part, _)| *part == Part::Payload).collect();
        assert_eq!(payload, [&(Part::Payload, event.to_owned()), &(Part::Payload, event.to_owned())]);
        assert_eq!(heard.parts[0], (Part::StartLine, "HTTP/1.1 200 OK\r\n".to_owned()));
        assert!(exchange.is_over());
    }

    #[test]
    fn an_empty_answer_has_no_body() {
        for head in ["HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"] {
            let (heard, exchange) = heard(head.as_bytes(), false);
            assert!(exchange.is_over() && heard.units.len() == 1, "{:?}", heard.units);
        }
    }

    #[test]
    fn a_stream_is_chunks_of_fields_and_data() {
        let chunk = |block: &str| format!("{:x}\r\n{block}\r\n", block.len());
        let chunks = chunk("retry: 2000\nid: 1-2\nevent: heartbeat\ndata: {}\n\n")
            + &chunk("id: 1-3\nevent: message\ndata: {\"a\":1}\ndata:b\n\n")
            + "0\r\n\r\n";
        let text = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}");
        let (heard, exchange) = heard(text.as_bytes(), false);
        let units: Vec<_> = heard.units.iter().map(|(unit, _)| *unit).collect();
        assert_eq!(units, [Unit::Response, Unit::Comment, Unit::Event, Unit::End], "{:?}", heard.parts);
        let payload: Vec<_> =
            heard.parts.iter().filter(|(part, _)| *part == Part::Payload).map(|(_, text)| &**text).collect();
        assert_eq!(payload, ["{\"a\":1}", "b"]);
        assert!(exchange.is_over());
    }

    #[test]
    fn frames_are_told_by_what_they_carry() {
        let event = br#"{"type":"event","topic":"a"}"#;
        let mut down = vec![0x81, u8::try_from(event.len()).unwrap()];
        down.extend_from_slice(event);
        down.extend_from_slice(&[0x81, 3]);
        down.extend_from_slice(b"{} ");
        down.extend_from_slice(&[0x89, 0, 0x81, 126, 1, 0]);
        down.extend(event.iter().copied().chain(std::iter::repeat(b' ')).take(256));
        let (heard, _) = heard(&down, true);
        assert_eq!(heard.units, [(Unit::Frame, 1), (Unit::Frame, 1), (Unit::Frame, 9), (Unit::Frame, 1)]);
        let payloads = heard.parts.iter().filter(|(part, _)| *part == Part::Payload);
        assert_eq!(payloads.map(|(_, text)| text.chars().count()).collect::<Vec<_>>(), [event.len(), 256]);
    }

    #[test]
    fn a_masked_publish_is_payload_and_a_masked_ping_is_not() {
        let mut exchange = Exchange::new();
        let mut sink = Heard::default();
        exchange.up(b"GET /v1/ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", &mut sink);
        exchange.down(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", &mut sink);
        let mask = [7, 8, 9, 10];
        for (text, part) in
            [(r#"{"type":"publish","topic":"a"}"#, Part::Payload), (r#"{"type":"ping"}"#, Part::Control)]
        {
            let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap()];
            frame.extend_from_slice(&mask);
            frame.extend(text.bytes().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
            let mut sink = Heard::default();
            exchange.up(&frame, &mut sink);
            let parts: Vec<_> = sink.parts.iter().map(|(part, _)| *part).take(3).collect();
            assert_eq!(parts, [Part::FrameHead, Part::Mask, part]);
        }
    }
}
