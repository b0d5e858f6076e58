//! One unit of the wire, recorded by the server or, where the server can't see it, by the page.

use fourways_shared::{
    Cursor, Offset, Technique,
    lab::{Class, Part, Unit, WireRecord},
    time::ms_of_us,
};

use super::Kind;
use crate::record::{Record, RecordKind, Spans};

/// One unit of the wire: a head, a body, a block, a frame, or a cut.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Number of the entry in its wire, counted from 0 without gaps.
    pub seq: u64,
    pub technique: Technique,
    /// Number of the technique's request that the entry belongs to, counted by the page.
    pub n: u32,
    /// Number of the connection at the server; `None` if only the page saw the entry.
    pub connection: Option<u32>,
    /// True if the entry went from the page to the server.
    pub up: bool,
    pub unit: Unit,
    /// HTTP status of a response or opcode of a frame; else 0.
    pub code: u16,
    /// Time at the server, by the server's clock, in milliseconds since the Unix epoch; the page's guess if only the
    /// page saw the entry.
    pub at_ms: f64,
    /// Parts in order, with their lengths in bytes.
    pub parts: Vec<(Part, u32)>,
    /// Bytes of the parts in order. Bytes beyond the server's limit are missing.
    pub raw: Vec<u8>,
    /// Text of a compressed head (HPACK, RFC 7541), a field a line.
    pub decoded: Option<String>,
    /// First and last offset of the events in the entry, and the number of events.
    pub events: Option<(u64, u64, u32)>,
    /// Failure in the page's words, if the entry is one.
    pub failure: Option<String>,
}

impl Entry {
    /// Creates the entry of a record of the server.
    pub fn of_server(record: WireRecord) -> Self {
        let at_ms = ms_of_us(record.at_us);
        let events = offsets(&record);
        let failure = (record.unit == Unit::Cut).then(|| "cut by the fault".to_owned());
        let WireRecord { technique, n, connection, up, unit, code, parts, raw, decoded, .. } = record;
        let connection = Some(connection);
        Self { seq: 0, technique, n, connection, up, unit, code, at_ms, parts, raw, decoded, events, failure }
    }

    /// Creates the entries of a record of the page: the bytes sent, then the bytes received, then the cut if it failed.
    /// `offset_ms` converts the page's times to the server's.
    pub fn of_page(record: &Record, offset_ms: f64) -> Vec<Self> {
        let offsets: Vec<u64> = record.events.iter().map(|d| d.event.cursor.offset.0).collect();
        let events = match (offsets.first(), offsets.last()) {
            (Some(first), Some(last)) => Some((*first, *last, length(&offsets))),
            _ => None,
        };
        let entry = |up, unit, code, at_ms: f64, spans: &Spans| Self {
            seq: 0,
            technique: record.technique,
            n: record.n,
            connection: None,
            up,
            unit,
            code,
            at_ms: at_ms + offset_ms,
            parts: spans.iter().map(|(part, bytes)| (*part, length(bytes))).collect(),
            raw: spans.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect(),
            decoded: None,
            events: None,
            failure: None,
        };
        let mut entries = Vec::new();
        if !record.up.is_empty() {
            let unit = if record.code == 0 { Unit::Frame } else { Unit::Request };
            let code = u16::from(unit == Unit::Frame);
            entries.push(entry(true, unit, code, record.began_ms, &record.up));
        }
        if !record.down.is_empty() {
            let unit = match (record.technique, record.code) {
                (Technique::Websocket, 0) => Unit::Frame,
                (Technique::Sse, 0) => Unit::Event,
                _ => Unit::Response,
            };
            let code = if unit == Unit::Frame { 1 } else { record.code };
            entries.push(Self { events, ..entry(false, unit, code, record.ended_ms, &record.down) });
        }
        if record.kind == RecordKind::Failed {
            let failure = Some(record.status.clone());
            entries.push(Self { failure, ..entry(false, Unit::Cut, 0, record.ended_ms, &Vec::new()) });
        }
        entries
    }

    /// Returns the number of bytes of a class, those not kept included.
    pub fn bytes(&self, class: Class) -> u64 {
        self.parts
            .iter()
            .filter(|(part, _)| part.class() == class)
            .map(|(_, length)| u64::from(*length))
            .sum()
    }

    /// Returns the number of all bytes, those not kept included.
    pub fn total(&self) -> u64 {
        self.parts.iter().map(|(_, length)| u64::from(*length)).sum()
    }

    /// Returns the name of the unit, in one or two words.
    pub fn name(&self) -> &'static str {
        match (self.unit, self.code) {
            (Unit::Request, _) => "request",
            (Unit::Response, _) => "response",
            (Unit::Body, _) => "body",
            (Unit::Event, _) => "event",
            (Unit::Comment, _) => "place",
            (Unit::End, _) => "end",
            (Unit::Frame, 1) => "text",
            (Unit::Frame, 2) => "binary",
            (Unit::Frame, 8) => "close",
            (Unit::Frame, 9) => "ping",
            (Unit::Frame, 10) => "pong",
            (Unit::Frame, _) => "frame",
            (Unit::Cut, _) => "cut",
        }
    }

    /// Returns each part with its length and its bytes. Bytes beyond the server's limit are missing.
    pub fn spans(&self) -> impl Iterator<Item = (Part, u32, &[u8])> {
        let mut rest = &self.raw[..];
        self.parts.iter().map(move |(part, length)| {
            let (own, others) = rest.split_at((*length as usize).min(rest.len()));
            rest = others;
            (*part, *length, own)
        })
    }

    /// Returns the payload of a frame as it was before a browser masked it (RFC 6455 5.3).
    pub fn unmasked(&self) -> Vec<u8> {
        let mut mask: [u8; 4] = [0; 4];
        let mut clear = Vec::with_capacity(self.raw.len());
        for (part, _, bytes) in self.spans() {
            match part {
                Part::Mask => mask = bytes.try_into().unwrap_or_default(),
                Part::Payload | Part::Control => {
                    clear.extend(bytes.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
                }
                _ => {}
            }
        }
        clear
    }

    /// Returns the text of the wanted parts alone; a compressed head gives the text that HTTP/1.1 would have.
    pub fn text(&self, wanted: fn(Part) -> bool) -> String {
        if let Some(decoded) = self.decoded.as_ref().filter(|_| wanted(Part::StartLine)) {
            return as_http1(decoded, wanted(Part::Headers));
        }
        let bytes: Vec<u8> = self
            .spans()
            .filter(|(part, ..)| wanted(*part))
            .flat_map(|(.., bytes)| bytes.iter().copied())
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(super) fn kind(&self) -> Kind {
        match self.unit {
            Unit::Request | Unit::Response => Kind::Heads,
            _ if self.bytes(Class::Payload) > 0 => Kind::Data,
            _ => Kind::Control,
        }
    }
}

/// Formats a head of HTTP/2 (RFC 9113 8.3) as HTTP/1.1 would have it.
fn as_http1(decoded: &str, with_headers: bool) -> String {
    let pseudo = |name: &str| decoded.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let mut text = match (pseudo(":method"), pseudo(":path"), pseudo(":status")) {
        (Some(method), Some(path), _) => format!("{method} {path} HTTP/2\r\n"),
        (.., status) => format!("HTTP/2 {}\r\n", status.unwrap_or_default()),
    };
    if with_headers {
        let host = pseudo(":authority").map(|host| format!("host: {host}\r\n"));
        text.extend(host);
        let fields = decoded.lines().filter(|line| !line.starts_with(':'));
        text.extend(fields.flat_map(|line| [line, "\r\n"]));
        text.push_str("\r\n");
    }
    text
}

fn length<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

/// Returns first offset, last offset and number of the events in a record, as the JSON of each event names its cursor.
fn offsets(record: &WireRecord) -> Option<(u64, u64, u32)> {
    const MARK: &[u8] = b"\"cursor\":\"";
    if record.up {
        return None;
    }
    let mut found: Option<(u64, u64, u32)> = None;
    let mut rest = &record.raw[..];
    for (part, length) in &record.parts {
        let (own, others) = rest.split_at((*length as usize).min(rest.len()));
        rest = others;
        if *part != Part::Payload {
            continue;
        }
        // The envelope's cursor comes first, so a member of that name in the publisher's data is ignored.
        let begin = own.windows(MARK.len()).position(|window| window == MARK).map(|at| at + MARK.len());
        let text = begin.and_then(|begin| own[begin..].split(|byte| *byte == b'"').next());
        let cursor = text.and_then(|text| std::str::from_utf8(text).ok()?.parse::<Cursor>().ok());
        if let Some(Cursor { offset: Offset(offset), .. }) = cursor {
            found = Some(found.map_or((offset, offset, 1), |(first, _, count)| (first, offset, count + 1)));
        }
    }
    found
}
