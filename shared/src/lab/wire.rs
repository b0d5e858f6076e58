//! The bytes on the wire as the server read and wrote them, split into parts.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Technique;

/// The kinds of bytes on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Part {
    /// The request line or status line (RFC 9112 3, 4).
    StartLine,
    /// The header fields and the empty line after them.
    Headers,
    /// The size of a chunk and the line ends around it (RFC 9112 7.1).
    Chunk,
    /// Names, colons and line ends of an event stream; lines other than `data` whole (HTML Standard 9.2.5).
    Field,
    /// The JSON of a poll's body around its events.
    Wrapper,
    /// The head of a frame: two to ten bytes (RFC 6455 5.2), or nine with HTTP/2 (RFC 9113 4.1).
    FrameHead,
    /// The four bytes that mask a client's payload (RFC 6455 5.3).
    Mask,
    /// The payload of a frame without an event: replies, commands, pings.
    Control,
    /// An event, in the form that all four techniques carry.
    Payload,
}

/// The classes into which all figures are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Start lines and header fields of HTTP.
    Headers,
    /// The bytes that frame events inside a stream or body.
    Framing,
    /// The events themselves.
    Payload,
}

impl Part {
    /// All parts, indexed by their number on the wire.
    pub const ALL: [Self; 9] = [
        Self::StartLine,
        Self::Headers,
        Self::Chunk,
        Self::Field,
        Self::Wrapper,
        Self::FrameHead,
        Self::Mask,
        Self::Control,
        Self::Payload,
    ];

    /// Returns the class as which the part is counted.
    pub const fn class(self) -> Class {
        match self {
            Self::StartLine | Self::Headers => Class::Headers,
            Self::Payload => Class::Payload,
            _ => Class::Framing,
        }
    }

    /// Returns the label of the part, for people.
    pub const fn label(self) -> &'static str {
        [
            "start line",
            "headers",
            "chunk size",
            "SSE fields",
            "JSON around the events",
            "frame header",
            "mask",
            "control",
            "payload",
        ][self as usize]
    }
}

impl From<Part> for u8 {
    fn from(part: Part) -> Self {
        part as Self
    }
}

impl TryFrom<u8> for Part {
    type Error = &'static str;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        Self::ALL.get(usize::from(number)).copied().ok_or("no part of the wire has this number")
    }
}

/// The kinds of unit; each wire record holds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// The head of a request.
    Request,
    /// The head of a response.
    Response,
    /// The whole body of a response.
    Body,
    /// A block of an event stream with an event.
    Event,
    /// A block of an event stream without an event: a comment, or a heartbeat with its cursor.
    Comment,
    /// The last chunk of a response, with its trailer.
    End,
    /// A WebSocket frame.
    Frame,
    /// A fault cut the connection here.
    Cut,
}

/// One unit on the wire, as the server sends it to the page that owns the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireRecord {
    /// Technique of the stream.
    #[serde(rename = "t")]
    pub technique: Technique,
    /// Number of the request among those of the technique, counted by the page.
    pub n: u32,
    /// Number of the connection, counted by the server over all visitors.
    #[serde(rename = "c")]
    pub connection: u32,
    /// True if the unit went from the page to the server.
    pub up: bool,
    /// Kind of the unit.
    #[serde(rename = "u")]
    pub unit: Unit,
    /// Status of a response, or opcode of a frame; otherwise 0.
    #[serde(rename = "s")]
    pub code: u16,
    /// Time when the server read or wrote the unit's first part, µs since the Unix epoch.
    #[serde(rename = "at")]
    pub at_us: u64,
    /// Parts of the unit in order, with their lengths in bytes.
    #[serde(rename = "p")]
    pub parts: Vec<(Part, u32)>,
    /// Text of a head whose bytes are compressed (HPACK, RFC 7541).
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    pub decoded: Option<String>,
    /// The first [`WireRecord::MAX_RAW`] bytes of the unit.
    #[serde(skip)]
    pub raw: Vec<u8>,
    /// Length of `raw` in the binary message; set by [`write_records`].
    #[serde(rename = "l")]
    kept: u32,
}

impl WireRecord {
    /// Number of bytes of a unit that are kept; the rest is counted only.
    pub const MAX_RAW: usize = 16 * 1024;

    /// Creates a record without bytes.
    pub const fn new(technique: Technique, n: u32, connection: u32, up: bool) -> Self {
        Self {
            technique,
            n,
            connection,
            up,
            unit: Unit::Request,
            code: 0,
            at_us: 0,
            parts: Vec::new(),
            decoded: None,
            raw: Vec::new(),
            kept: 0,
        }
    }

    /// Appends bytes of a part; those of the last part extend it.
    pub fn push(&mut self, part: Part, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        match self.parts.last_mut() {
            Some((last, so_far)) if *last == part => *so_far = so_far.saturating_add(length),
            _ => self.parts.push((part, length)),
        }
        let room = Self::MAX_RAW - self.raw.len();
        self.raw.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Returns the number of bytes of a class.
    pub fn bytes(&self, class: Class) -> u64 {
        self.parts
            .iter()
            .filter(|(part, _)| part.class() == class)
            .map(|(_, length)| u64::from(*length))
            .sum()
    }
}

/// Numbers of bytes in one direction, by class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Bytes of [`Class::Headers`].
    pub headers: u64,
    /// Bytes of [`Class::Framing`].
    pub framing: u64,
    /// Bytes of [`Class::Payload`].
    pub payload: u64,
}

impl Split {
    /// Adds bytes to a class.
    pub const fn add(&mut self, class: Class, bytes: u64) {
        match class {
            Class::Headers => self.headers += bytes,
            Class::Framing => self.framing += bytes,
            Class::Payload => self.payload += bytes,
        }
    }

    /// Returns the sum of two splits.
    #[must_use]
    pub const fn plus(self, more: Self) -> Self {
        Self {
            headers: self.headers + more.headers,
            framing: self.framing + more.framing,
            payload: self.payload + more.payload,
        }
    }

    /// Returns the number of bytes of all classes.
    pub const fn total(&self) -> u64 {
        self.headers + self.framing + self.payload
    }
}

/// The counts of one technique of one page. Bytes are those above TCP, as the server read and wrote them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Number of requests whose first line was read.
    pub requests: u64,
    /// Number of polls that were answered without an event.
    pub empty: u64,
    /// Number of connections that carried the requests; one of HTTP/2 counts for the technique of its first request.
    pub connections: u64,
    /// Bytes to the server, without those of empty polls.
    pub up: Split,
    /// Bytes to the page, without those of empty polls.
    pub down: Split,
    /// Bytes to the server of polls that returned no event.
    pub empty_up: u64,
    /// Bytes to the page of polls that returned no event.
    pub empty_down: u64,
}

impl Counts {
    /// Returns the number of all bytes to the server.
    pub const fn total_up(&self) -> u64 {
        self.up.total() + self.empty_up
    }

    /// Returns the sum of two counts.
    #[must_use]
    pub const fn plus(self, more: Self) -> Self {
        Self {
            requests: self.requests + more.requests,
            empty: self.empty + more.empty,
            connections: self.connections + more.connections,
            up: self.up.plus(more.up),
            down: self.down.plus(more.down),
            empty_up: self.empty_up + more.empty_up,
            empty_down: self.empty_down + more.empty_down,
        }
    }

    /// Returns the number of all bytes to the page.
    pub const fn total_down(&self) -> u64 {
        self.down.total() + self.empty_down
    }
}

/// Encodes records as one binary message: a line of JSON that describes them, then the bytes of all in the same order.
pub fn write_records(records: &mut [WireRecord]) -> Vec<u8> {
    for record in &mut *records {
        record.kept = u32::try_from(record.raw.len()).unwrap_or(u32::MAX);
    }
    let mut message = serde_json::to_vec(&records).unwrap_or_default();
    message.push(b'\n');
    for record in records {
        message.extend_from_slice(&record.raw);
    }
    message
}

/// Parses a message of [`write_records`].
///
/// # Errors
/// If the message is anything else.
pub fn read_records(message: &[u8]) -> Result<Vec<WireRecord>, RecordsError> {
    let end = message.iter().position(|byte| *byte == b'\n').ok_or(RecordsError)?;
    let (line, mut rest) = (&message[..end], &message[end + 1..]);
    let mut records: Vec<WireRecord> = serde_json::from_slice(line).map_err(|_| RecordsError)?;
    for record in &mut records {
        let (own, others) = rest.split_at_checked(record.kept as usize).ok_or(RecordsError)?;
        record.raw = own.to_vec();
        rest = others;
    }
    Ok(records)
}

/// The message is not a list of wire records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordsError;

impl fmt::Display for RecordsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the message is not a list of wire records")
    }
}

impl std::error::Error for RecordsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_are_written() {
        let mut first = WireRecord::new(Technique::Websocket, 1, 7, true);
        first.push(Part::FrameHead, &[0x81, 0x85]);
        first.push(Part::Mask, &[0, 10, 13, 255]);
        first.push(Part::Payload, b"\n\n");
        first.push(Part::Payload, b"abc");
        first.unit = Unit::Frame;
        let mut second = WireRecord::new(Technique::Sse, 2, 8, false);
        second.push(Part::Payload, &vec![b'x'; WireRecord::MAX_RAW + 5]);
        let mut records = [first, second];
        let message = write_records(&mut records);
        let read = read_records(&message).unwrap();
        assert_eq!(read, records);
        assert_eq!(read[0].parts, [(Part::FrameHead, 2), (Part::Mask, 4), (Part::Payload, 5)]);
        assert_eq!((read[0].bytes(Class::Framing), read[0].bytes(Class::Payload)), (6, 5));
        assert_eq!(read[1].bytes(Class::Payload), read[1].raw.len() as u64 + 5, "counted, not kept");
        for bad in [&b"[]"[..], b"\n", &message[..message.len() - 1], b"[{\"t\":\"sse\"}]\n"] {
            assert_eq!(read_records(bad), Err(RecordsError));
        }
    }
}
