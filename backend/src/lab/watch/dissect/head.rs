//! The parser of a message's head: its start line and header fields (RFC 9112 2.1).

use fourways_shared::lab::{Part, Unit};

use super::Sink;

/// Length of the longest head; a longer one is cut here, and its rest counts as what follows a head.
const MAX_BYTES: usize = 64 * 1024;

/// The parser of a head that arrives in pieces.
#[derive(Clone, Debug, Default)]
pub(super) struct Head(Vec<u8>);

/// A whole head, with its empty line.
pub(super) struct Lines(Vec<u8>);

impl Head {
    /// Consumes bytes up to the empty line; returns the head once it is whole.
    pub(super) fn take(&mut self, bytes: &mut &[u8]) -> Option<Lines> {
        let from = self.0.len().saturating_sub(3);
        let before = self.0.len();
        self.0.extend_from_slice(bytes);
        let end = self.0[from..].windows(4).position(|four| four == b"\r\n\r\n").map(|at| from + at + 4);
        let end = end.or((self.0.len() >= MAX_BYTES).then_some(self.0.len()));
        let Some(end) = end else {
            *bytes = &[];
            return None;
        };
        *bytes = &bytes[end - before..];
        self.0.truncate(end);
        Some(Lines(std::mem::take(&mut self.0)))
    }
}

impl Lines {
    pub(super) fn tell(&self, unit: Unit, code: u16, sink: &mut dyn Sink) {
        let end = self.0.iter().position(|byte| *byte == b'\n').map_or(self.0.len(), |at| at + 1);
        sink.part(Part::StartLine, &self.0[..end]);
        sink.part(Part::Headers, &self.0[end..]);
        sink.end(unit, code);
    }

    /// Returns the status code; 0 if there is none.
    pub(super) fn status(&self) -> u16 {
        let digits = self.0.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
        digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }

    pub(super) fn is_chunked(&self) -> bool {
        self.field("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    }

    pub(super) fn content_length(&self) -> Option<u64> {
        self.field("content-length")?.parse().ok()
    }

    fn field(&self, name: &str) -> Option<&str> {
        let lines = self.0.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
        let mut fields = lines.filter_map(|line| line.split_once(':'));
        fields.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}
