//! The parser of an event stream in chunks (RFC 9112 7.1; HTML Standard 9.2.6).

use fourways_shared::lab::{Part, Unit};

use super::Sink;

/// The parser of chunks that arrive in pieces. This server writes whole blocks into each chunk, so a chunk is a unit.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunks {
    at: At,
    lines: Lines,
    is_over: bool,
}

/// The position of the parser in the chunks.
#[derive(Clone, Debug, Default)]
enum At {
    /// The start of the line with the chunk's size.
    #[default]
    Size,
    /// The line with the chunk's size; holds the value of its hexadecimal digits so far.
    SizeOf(u64),
    /// The data of the chunk; holds the number of bytes that are left.
    Data(u64),
    /// The line end after the data.
    End,
    /// The lines after the last chunk.
    Trailer,
}

impl Chunks {
    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }

    pub(super) fn take(&mut self, bytes: &mut &[u8], sink: &mut dyn Sink) {
        while let (false, Some(byte)) = (self.is_over, bytes.first().copied()) {
            if let At::Data(left) = &mut self.at {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                self.lines.take(&bytes[..length], sink);
                *left -= length as u64;
                *bytes = &bytes[length..];
                if *left == 0 {
                    self.at = At::End;
                }
                continue;
            }
            sink.part(Part::Chunk, &bytes[..1]);
            *bytes = &bytes[1..];
            let so_far = if let At::SizeOf(size) = self.at { size } else { 0 };
            match (&self.at, byte) {
                (At::Size | At::SizeOf(_), b'\n') if so_far == 0 => self.at = At::Trailer,
                (At::Size | At::SizeOf(_), b'\n') => self.at = At::Data(so_far),
                (At::Size | At::SizeOf(_), byte) => {
                    if let Some(digit) = char::from(byte).to_digit(16) {
                        self.at = At::SizeOf(so_far.saturating_mul(16).saturating_add(u64::from(digit)));
                    }
                }
                (At::End, b'\n') => {
                    sink.end(self.lines.end(), 0);
                    self.at = At::Size;
                }
                (At::Trailer, b'\n') => {
                    sink.end(Unit::End, 0);
                    self.is_over = true;
                }
                _ => {}
            }
        }
    }
}

/// The parser of the lines of an event stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    at: Line,
    /// Length of the current line so far.
    length: usize,
    /// Number of bytes of the line that are those of [`HEARTBEAT`] at the same index.
    alike: usize,
    has_data: bool,
    is_heartbeat: bool,
}

/// The position of the parser in a line.
#[derive(Clone, Debug, Default)]
enum Line {
    /// A beginning of `data:`; holds the number of its bytes so far.
    Name(usize),
    /// The position after the colon of `data:`, where one space is skipped.
    Colon,
    /// The value of a `data` field.
    Data,
    /// The start of a line.
    #[default]
    Begin,
    /// Another field or a comment.
    Other,
}

const DATA: &[u8] = b"data:";
/// Name of a heartbeat block, which carries a cursor and no event.
const HEARTBEAT: &[u8] = b"event: heartbeat";

impl Lines {
    /// Ends the current block and returns its kind.
    pub(super) fn end(&mut self) -> Unit {
        let is_event = std::mem::take(&mut self.has_data) & !std::mem::take(&mut self.is_heartbeat);
        if is_event { Unit::Event } else { Unit::Comment }
    }

    pub(super) fn take(&mut self, bytes: &[u8], sink: &mut dyn Sink) {
        let mut from = 0;
        let mut part_of_run = None;
        for (at, byte) in bytes.iter().enumerate() {
            let part = self.step(*byte);
            if part_of_run.is_some_and(|run| run != part) {
                sink.part(part_of_run.unwrap_or(part), &bytes[from..at]);
                from = at;
            }
            part_of_run = Some(part);
        }
        if let Some(part) = part_of_run {
            sink.part(part, &bytes[from..]);
        }
    }

    fn step(&mut self, byte: u8) -> Part {
        if byte == b'\n' {
            self.is_heartbeat |= self.length == HEARTBEAT.len() && self.alike == self.length;
            (self.at, self.length, self.alike) = (Line::Begin, 0, 0);
            return Part::Field;
        }
        self.alike += usize::from(HEARTBEAT.get(self.length) == Some(&byte));
        self.length += 1;
        let seen = match self.at {
            Line::Begin => 0,
            Line::Name(seen) => seen,
            Line::Colon if byte == b' ' => {
                self.at = Line::Data;
                return Part::Field;
            }
            Line::Colon | Line::Data => {
                self.at = Line::Data;
                return if self.is_heartbeat { Part::Field } else { Part::Payload };
            }
            Line::Other => return Part::Field,
        };
        self.at = match (DATA.get(seen) == Some(&byte), seen + 1 == DATA.len()) {
            (false, _) => Line::Other,
            (true, false) => Line::Name(seen + 1),
            (true, true) => {
                self.has_data = true;
                Line::Colon
            }
        };
        Part::Field
    }
}
