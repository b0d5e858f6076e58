//! What was on the wire, part by part, as the server read and wrote it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Technique;

/// What some bytes of the wire are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Part {
    /// Request line or status line (RFC 9112 3, 4).
    StartLine,
    /// Header fields and the empty line after them.
    Headers,
    /// A chunk's size and the line ends around it (RFC 9112 7.1).
    Chunk,
    /// Names, colons and line ends of an event stream; lines other than `data` whole (HTML Standard 9.2.5).
    Field,
    /// What a poll's body wraps around its events.
    Wrapper,
    /// A frame's two to ten bytes (RFC 6455 5.2).
    FrameHead,
    /// The four bytes that a client's payload is masked with (RFC 6455 5.3).
    Mask,
    /// Payload of a frame that carries no event: replies, commands, pings.
    Control,
    /// An event, as all four carry it.
    Payload,
}

/// What figures are split by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// HTTP's lines.
    Headers,
    /// What carries an event inside a stream or body.
    Framing,
    /// Events.
    Payload,
}

impl Part {
    /// All, by their number.
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

    /// What it counts as.
    pub const fn class(self) -> Class {
        match self {
            Self::StartLine | Self::Headers => Class::Headers,
            Self::Payload => Class::Payload,
            _ => Class::Framing,
        }
    }

    /// For people.
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

/// What a record is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A request's head.
    Request,
    /// A response's head.
    Response,
    /// A response's whole body.
    Body,
    /// A block of an event stream that brings data.
    Event,
    /// A block without an event: a heartbeat with its place, a comment.
    Comment,
    /// A chunk that ends the answer.
    End,
    /// A WebSocket frame.
    Frame,
    /// The connection was cut by a fault.
    Cut,
}

/// One unit of the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireRecord {
    /// Whose stream.
    #[serde(rename = "t")]
    pub technique: Technique,
    /// Which of the technique's requests, by the page's own count.
    pub n: u32,
    /// The connection's number; the server counts all.
    #[serde(rename = "c")]
    pub connection: u32,
    /// From the page to the server.
    pub up: bool,
    /// What it is.
    #[serde(rename = "u")]
    pub unit: Unit,
    /// A response's status; a frame's opcode; otherwise 0.
    #[serde(rename = "s")]
    pub code: u16,
    /// When the server read its last byte or wrote its first, µs since the Unix epoch.
    #[serde(rename = "at")]
    pub at_us: u64,
    /// Its parts in order, with their lengths in bytes.
    #[serde(rename = "p")]
    pub parts: Vec<(Part, u32)>,
    /// The head in words, where its bytes are compressed (HPACK, RFC 7541).
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    pub decoded: Option<String>,
    /// Its bytes; the first [`WireRecord::MAX_RAW`] of them.
    #[serde(skip)]
    pub raw: Vec<u8>,
    /// How many of its bytes are in `raw`.
    #[serde(rename = "l")]
    kept: u32,
}

impl WireRecord {
    /// What is beyond is counted, not kept.
    pub const MAX_RAW: usize = 16 * 1024;

    /// Without bytes yet.
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

    /// Appends bytes.
    pub fn push(&mut self, part: Part, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        match self.parts.last_mut() {
            Some((last, so_far)) if *last == part => *so_far = so_far.saturating_add(length),
            _ => self.parts.push((part, length)),
        }
        let room = Self::MAX_RAW - self.raw.len();
        self.raw.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Bytes of this class.
    pub fn bytes(&self, class: Class) -> u64 {
        self.parts
            .iter()
            .filter(|(part, _)| part.class() == class)
            .map(|(_, length)| u64::from(*length))
            .sum()
    }
}

/// Bytes in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// HTTP's lines.
    pub headers: u64,
    /// Chunks, fields, frames, wrappers.
    pub framing: u64,
    /// Events.
    pub payload: u64,
}

impl Split {
    /// Adds bytes of this class.
    pub const fn add(&mut self, class: Class, bytes: u64) {
        match class {
            Class::Headers => self.headers += bytes,
            Class::Framing => self.framing += bytes,
            Class::Payload => self.payload += bytes,
        }
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, more: Self) -> Self {
        Self {
            headers: self.headers + more.headers,
            framing: self.framing + more.framing,
            payload: self.payload + more.payload,
        }
    }

    /// All of them.
    pub const fn total(&self) -> u64 {
        self.headers + self.framing + self.payload
    }
}

/// What one technique of one page came to, in bytes above TCP, as the server read and wrote them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests whose first line was read.
    pub requests: u64,
    /// Polls that were answered without an event.
    pub empty: u64,
    /// Connections that carried them.
    pub connections: u64,
    /// To the server, without those of empty polls.
    pub up: Split,
    /// To the page, without those of empty polls.
    pub down: Split,
    /// To the server, of polls that brought nothing.
    pub empty_up: u64,
    /// To the page, of polls that brought nothing.
    pub empty_down: u64,
}

impl Counts {
    /// All bytes to the server.
    pub const fn total_up(&self) -> u64 {
        self.up.total() + self.empty_up
    }

    /// Both together.
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

    /// All bytes to the page.
    pub const fn total_down(&self) -> u64 {
        self.down.total() + self.empty_down
    }
}

/// Records as one binary message: a line of JSON that says what they are, then the bytes of all, one after the other.
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

/// Reads what [`write_records`] wrote.
///
/// # Errors
/// If it is something else.
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

/// A message is no list of wire records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordsError;

impl fmt::Display for RecordsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the message is no list of wire records")
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
