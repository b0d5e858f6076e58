//! The parser of HTTP/2 (RFC 9113): many requests on one connection, each on its own stream. Heads are compressed by
//! HPACK (RFC 7541).

use std::fmt;

use fluke_hpack::Decoder;
use fourways_shared::{
    Technique,
    lab::{Part, Unit},
};

use super::{Sink, body::PollBody, events::Lines, hpack};

/// Length of the preface that a client sends before its first frame (RFC 9113 3.4).
const PREFACE: usize = 24;
/// Length of a frame's head (RFC 9113 4.1).
const FRAME_HEAD: usize = 9;
/// Length of the longest head that is parsed.
const MAX_HEAD: usize = 64 * 1024;
/// Size of the compression table for a client's heads: the default, since the server announces none (RFC 9113 6.5.2).
const UP_TABLE_BYTES: usize = 4096;
/// Size of the compression table for the server's heads: the most that browsers allow.
const DOWN_TABLE_BYTES: usize = 65_536;
/// Size of the longest list of fields that is decoded: a few octets can name a long field of the table many times.
/// After a longer list, no further head of this direction is decoded.
const MAX_FIELDS: usize = 64 * 1024;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// The receiver of a connection's requests.
pub(in crate::lab) trait Heard {
    /// Begins a request on a stream. Returns its technique; `None` if the stream is of no interest.
    fn asked(&mut self, stream: u32, target: &str) -> Option<Technique>;
    /// Returns the sink for one direction of a stream; `None` if the stream is of no interest.
    fn sink(&mut self, stream: u32, is_up: bool) -> Option<Box<dyn Sink + '_>>;
    /// Receives the text of the head whose parts the sink got last.
    fn head(&mut self, stream: u32, is_up: bool, text: &str);
    /// Ends a request: its answer is whole, or the stream was reset.
    fn over(&mut self, stream: u32);
}

/// The parser of both directions of a connection.
pub(in crate::lab) struct Http2 {
    up: Side,
    down: Side,
    streams: Vec<Stream>,
}

struct Stream {
    id: u32,
    body: Body,
}

enum Body {
    Events(Lines),
    Poll(PollBody),
}

struct Side {
    skip: usize,
    head: Vec<u8>,
    frame: Option<Frame>,
    table: Decoder<'static>,
    table_bytes: usize,
    /// Header block so far, which may arrive in several frames.
    block: Vec<u8>,
    /// True once a head could not be decoded: the table may differ from the sender's, so no later head is decoded.
    is_lost: bool,
}

#[derive(Clone, Copy)]
struct Frame {
    left: usize,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl fmt::Debug for Http2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2").field("streams", &self.streams.len()).finish_non_exhaustive()
    }
}

impl Side {
    fn new(skip: usize, table_bytes: usize) -> Self {
        let mut table = Decoder::new();
        table.set_max_table_size(table_bytes);
        Self { skip, head: Vec::new(), frame: None, table, table_bytes, block: Vec::new(), is_lost: false }
    }

    /// Decodes the fields of a head; `None` if they can't be decoded or are longer than [`MAX_FIELDS`].
    fn fields(&mut self, block: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        if self.is_lost || !hpack::is_sound(block, self.table_bytes) {
            self.is_lost = true;
            return None;
        }
        let (mut fields, mut bytes) = (Vec::new(), 0);
        let decoded = self.table.decode_with_cb(block, |name, value| {
            // The size of a field list, by RFC 9113 6.5.2.
            bytes += name.len() + value.len() + 32;
            if bytes <= MAX_FIELDS {
                fields.push((name.into_owned(), value.into_owned()));
            }
        });
        self.is_lost = decoded.is_err() || bytes > MAX_FIELDS;
        (!self.is_lost).then_some(fields)
    }
}

impl Http2 {
    pub(in crate::lab) fn new() -> Self {
        let (up, down) = (Side::new(PREFACE, UP_TABLE_BYTES), Side::new(0, DOWN_TABLE_BYTES));
        Self { up, down, streams: Vec::new() }
    }

    /// Parses bytes that were read from the client, or written to it.
    pub(in crate::lab) fn take(&mut self, is_up: bool, mut bytes: &[u8], heard: &mut dyn Heard) {
        while !bytes.is_empty() {
            let side = if is_up { &mut self.up } else { &mut self.down };
            if side.skip > 0 {
                let count = side.skip.min(bytes.len());
                side.skip -= count;
                bytes = &bytes[count..];
                continue;
            }
            let Some(frame) = side.frame else {
                let count = (FRAME_HEAD - side.head.len()).min(bytes.len());
                side.head.extend_from_slice(&bytes[..count]);
                bytes = &bytes[count..];
                if let [a, b, c, kind, flags, s1, s2, s3, s4] = side.head[..] {
                    let left = u32::from_be_bytes([0, a, b, c]) as usize;
                    let stream = u32::from_be_bytes([s1 & 0x7f, s2, s3, s4]);
                    side.frame = Some(Frame { left, kind, flags, stream });
                    self.begin(is_up, heard);
                }
                continue;
            };
            let count = frame.left.min(bytes.len());
            let (own, rest) = bytes.split_at(count);
            bytes = rest;
            self.carry(is_up, frame, own, heard);
            let left = frame.left - count;
            let side = if is_up { &mut self.up } else { &mut self.down };
            side.frame = Some(Frame { left, ..frame });
            if left == 0 {
                self.end(is_up, heard);
            }
        }
    }

    /// Begins a frame, once its head is whole. The bytes of frames with a header block are reported when the block has
    /// been decoded and the visitor is known.
    fn begin(&mut self, is_up: bool, heard: &mut dyn Heard) {
        let side = if is_up { &mut self.up } else { &mut self.down };
        let Some(frame) = side.frame else { return };
        if !matches!(frame.kind, HEADERS | CONTINUATION)
            && let Some(mut sink) = heard.sink(frame.stream, is_up)
        {
            sink.part(Part::FrameHead, &side.head);
        }
        if frame.left == 0 {
            self.end(is_up, heard);
        }
    }

    fn carry(&mut self, is_up: bool, frame: Frame, bytes: &[u8], heard: &mut dyn Heard) {
        let side = if is_up { &mut self.up } else { &mut self.down };
        match frame.kind {
            HEADERS | CONTINUATION if !side.is_lost => {
                let room = MAX_HEAD.saturating_sub(side.block.len());
                side.block.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            DATA if !is_up => {
                let stream = self.streams.iter_mut().find(|stream| stream.id == frame.stream);
                if let (Some(stream), Some(mut sink)) = (stream, heard.sink(frame.stream, is_up)) {
                    match &mut stream.body {
                        Body::Events(lines) => lines.take(bytes, &mut *sink),
                        Body::Poll(body) => body.take(bytes, &mut *sink),
                    }
                }
            }
            _ => {
                if let Some(mut sink) = heard.sink(frame.stream, is_up) {
                    sink.part(Part::FrameHead, bytes);
                }
            }
        }
    }

    fn end(&mut self, is_up: bool, heard: &mut dyn Heard) {
        let side = if is_up { &mut self.up } else { &mut self.down };
        let Some(frame) = side.frame.take() else { return };
        let head = std::mem::take(&mut side.head);
        let is_last = frame.flags & END_STREAM != 0;
        match frame.kind {
            HEADERS | CONTINUATION if frame.flags & END_HEADERS != 0 => {
                self.headers(is_up, frame, &head, heard);
            }
            DATA if !is_up => self.data(frame, heard),
            RST_STREAM => self.over(frame.stream, heard),
            _ => {}
        }
        if is_last && !is_up {
            self.over(frame.stream, heard);
        }
    }

    fn headers(&mut self, is_up: bool, frame: Frame, head: &[u8], heard: &mut dyn Heard) {
        let side = if is_up { &mut self.up } else { &mut self.down };
        let block = std::mem::take(&mut side.block);
        let Some(fields) = side.fields(unpadded(&block, frame.flags)) else { return };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let value =
            |wanted: &str| fields.iter().find(|(name, _)| name == wanted.as_bytes()).map(|(_, v)| text(v));
        if is_up {
            let Some(technique) = value(":path").and_then(|target| heard.asked(frame.stream, &target)) else {
                return;
            };
            let body = match technique {
                Technique::Sse => Body::Events(Lines::default()),
                _ => Body::Poll(PollBody::default()),
            };
            self.streams.push(Stream { id: frame.stream, body });
        }
        let status = value(":status").and_then(|status| status.parse().ok()).unwrap_or(0);
        if let Some(mut sink) = heard.sink(frame.stream, is_up) {
            sink.part(Part::FrameHead, head);
            sink.part(Part::Headers, &block);
        }
        let line = |(name, value): &(Vec<u8>, Vec<u8>)| format!("{}: {}\n", text(name), text(value));
        let words = fields.iter().map(line).collect::<Vec<_>>().concat();
        heard.head(frame.stream, is_up, &words);
        if let Some(mut sink) = heard.sink(frame.stream, is_up) {
            sink.end(if is_up { Unit::Request } else { Unit::Response }, status);
        }
    }

    /// Ends a DATA frame. One of an event stream is a unit; the body of a poll is a unit when the stream ends.
    fn data(&mut self, frame: Frame, heard: &mut dyn Heard) {
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == frame.stream) else { return };
        let unit = match &mut stream.body {
            Body::Events(lines) => lines.end(),
            Body::Poll(_) if frame.flags & END_STREAM != 0 => Unit::Body,
            Body::Poll(_) => return,
        };
        if let Some(mut sink) = heard.sink(frame.stream, false) {
            sink.end(unit, 0);
        }
    }

    fn over(&mut self, stream: u32, heard: &mut dyn Heard) {
        let count = self.streams.len();
        self.streams.retain(|known| known.id != stream);
        if self.streams.len() < count {
            heard.over(stream);
        }
    }
}

/// Returns a header block without its padding and priority (RFC 9113 6.2).
fn unpadded(block: &[u8], flags: u8) -> &[u8] {
    let padding = if flags & PADDED == 0 { 0 } else { usize::from(block.first().copied().unwrap_or(0)) };
    let before = usize::from(flags & PADDED != 0) + if flags & PRIORITY == 0 { 0 } else { 5 };
    block.get(before..block.len().saturating_sub(padding)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Log {
        parts: Vec<(u32, bool, Part, usize)>,
        units: Vec<(u32, Unit, u16)>,
        over: Vec<u32>,
        heads: Vec<String>,
    }

    struct Half<'a>(&'a mut Log, u32, bool);

    impl Sink for Half<'_> {
        fn part(&mut self, part: Part, bytes: &[u8]) {
            self.0.parts.push((self.1, self.2, part, bytes.len()));
        }

        fn end(&mut self, unit: Unit, code: u16) {
            self.0.units.push((self.1, unit, code));
        }
    }

    impl Heard for Log {
        fn asked(&mut self, _: u32, target: &str) -> Option<Technique> {
            match target {
                "/sse" => Some(Technique::Sse),
                "/poll" => Some(Technique::ShortPoll),
                _ => None,
            }
        }

        fn sink(&mut self, stream: u32, is_up: bool) -> Option<Box<dyn Sink + '_>> {
            (stream % 4 == 1).then(|| Box::new(Half(self, stream, is_up)) as Box<dyn Sink>)
        }

        fn head(&mut self, _: u32, _: bool, text: &str) {
            self.heads.push(text.to_owned());
        }

        fn over(&mut self, stream: u32) {
            self.over.push(stream);
        }
    }

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        frame.extend_from_slice(&[kind, flags]);
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        frame
    }

    fn encoded(fields: &[(&str, &str)]) -> Vec<u8> {
        let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        fluke_hpack::Encoder::new().encode(fields)
    }

    #[test]
    fn a_head_that_unpacks_to_more_than_it_should_is_told_nobody_and_costs_nothing() {
        let mut http2 = Http2::new();
        let mut log = Log::default();
        // A field of 3,900 octets enters the table (RFC 7541 6.2.1; its length by 5.1), and is then named 15,900 times.
        let mut head = b"\x40\x01x\x7f\xbd\x1d".to_vec();
        head.resize(head.len() + 3_900, b'y');
        let mut up = vec![b'x'; PREFACE];
        up.extend(frame(HEADERS, END_HEADERS, 1, &head));
        up.extend(frame(HEADERS, END_HEADERS, 5, &[0xbe; 15_900]));
        up.extend(frame(HEADERS, END_HEADERS | END_STREAM, 9, &encoded(&[(":path", "/sse")])));
        http2.take(true, &up, &mut log);
        assert!(http2.up.is_lost && log.units.is_empty(), "{:?}", log.units);
    }

    #[test]
    fn streams_are_told_apart_in_whatever_pieces_they_come() {
        let mut up = vec![b'x'; PREFACE];
        up.extend(frame(4, 0, 0, &[0; 6]));
        up.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, &encoded(&[(":path", "/sse")])));
        up.extend(frame(HEADERS, END_HEADERS | END_STREAM, 3, &encoded(&[(":path", "/other")])));
        up.extend(frame(HEADERS, END_HEADERS | END_STREAM, 5, &encoded(&[(":path", "/poll")])));
        up.extend(frame(8, 0, 1, &[0; 4]));
        let mut down = frame(HEADERS, END_HEADERS, 1, &encoded(&[(":status", "200")]));
        down.extend(frame(DATA, 0, 1, b"id: 1-1\nevent: heartbeat\ndata: {}\n\n"));
        down.extend(frame(HEADERS, END_HEADERS | END_STREAM, 5, &encoded(&[(":status", "304")])));
        down.extend(frame(DATA, 0, 1, b"id: 1-2\ndata: {}\n\n"));
        down.extend(frame(DATA, 0, 3, b"not ours"));
        for piece in [1, 7, 10_000] {
            let (mut http2, mut log) = (Http2::new(), Log::default());
            up.chunks(piece).for_each(|bytes| http2.take(true, bytes, &mut log));
            down.chunks(piece).for_each(|bytes| http2.take(false, bytes, &mut log));
            let units = [
                (1, Unit::Request, 0),
                (5, Unit::Request, 0),
                (1, Unit::Response, 200),
                (1, Unit::Comment, 0),
                (5, Unit::Response, 304),
                (1, Unit::Event, 0),
            ];
            assert_eq!(log.units, units, "in pieces of {piece}");
            assert_eq!(log.over, [5]);
            let sum = |wanted: Part| {
                log.parts
                    .iter()
                    .filter(|(stream, _, part, _)| *stream == 1 && *part == wanted)
                    .map(|p| p.3)
                    .sum::<usize>()
            };
            // A request, a window update, a response and two frames of data: five heads of nine bytes, and the four
            // bytes of the update.
            assert_eq!((sum(Part::FrameHead), sum(Part::Payload)), (5 * 9 + 4, 2));
            assert!(log.heads[0].contains(":path: /sse"));
        }
    }
}
