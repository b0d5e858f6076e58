//! Entries of the wire put together again: each request with everything that belongs to it.

use std::collections::BTreeMap;

use fourways_shared::lab::{Class, Part, Unit};

use crate::wire::Entry;

/// A request and the entries that followed, oldest first. Only the end is left of an exchange that began before the
/// oldest entry that the page keeps.
#[derive(Debug)]
pub(super) struct Exchange<'a> {
    pub(super) first: &'a Entry,
    pub(super) entries: Vec<&'a Entry>,
}

/// Groups entries by technique, connection and number of the request. Each request begins a new exchange, since a
/// browser that reconnects asks for the same address under the same number.
pub(super) fn exchanges<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<Exchange<'a>> {
    let mut exchanges: Vec<Exchange<'a>> = Vec::new();
    let mut latest: BTreeMap<_, usize> = BTreeMap::new();
    for entry in entries {
        let key = (entry.technique, entry.connection, entry.n);
        match latest.get(&key).copied() {
            Some(at) if entry.unit != Unit::Request => exchanges[at].entries.push(entry),
            _ => {
                latest.insert(key, exchanges.len());
                exchanges.push(Exchange { first: entry, entries: vec![entry] });
            }
        }
    }
    exchanges
}

impl<'a> Exchange<'a> {
    pub(super) fn request(&self) -> Option<&'a Entry> {
        (self.first.unit == Unit::Request).then_some(self.first)
    }

    pub(super) fn response(&self) -> Option<&'a Entry> {
        self.entries.iter().rfind(|entry| entry.unit == Unit::Response).copied()
    }

    /// Returns the time at which the answer began; `None` if there is none yet.
    pub(super) fn answered_ms(&self) -> Option<f64> {
        self.entries.iter().find(|entry| !entry.up && entry.unit != Unit::Cut).map(|entry| entry.at_ms)
    }

    /// Returns the time at which the last entry was on the wire.
    pub(super) fn ended_ms(&self) -> f64 {
        self.entries.last().map_or(self.first.at_ms, |entry| entry.at_ms)
    }

    pub(super) fn failure(&self) -> Option<&'a str> {
        self.entries.iter().rev().find_map(|entry| entry.failure.as_deref())
    }

    pub(super) fn frames(&self) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().copied().filter(|entry| entry.unit == Unit::Frame)
    }

    /// Returns the entries of the answer in which its body can be: all but frames and cuts.
    pub(super) fn bodies(&self) -> impl Iterator<Item = &'a Entry> {
        self.entries
            .iter()
            .copied()
            .filter(|entry| !entry.up && !matches!(entry.unit, Unit::Frame | Unit::Cut))
    }

    /// Returns the length of the body on the wire, and its length without chunk sizes.
    pub(super) fn body_sizes(&self) -> (u64, u64) {
        self.bodies().fold((0, 0), |(wire, clear), entry| {
            let own = entry.parts.iter().filter(|(part, _)| is_body(*part));
            let own: u64 = own.map(|(_, length)| u64::from(*length)).sum();
            (wire + entry.total() - entry.bytes(Class::Headers), clear + own)
        })
    }
}

/// Returns the body's bytes in an entry, without chunk sizes. If the server kept only some of the entry, they end with
/// a whole character, and a block with its empty line, so that the next block is not read as a part of this one.
pub(super) fn body(entry: &Entry) -> Vec<u8> {
    let spans = entry.spans().filter(|(part, ..)| is_body(*part));
    let mut bytes: Vec<u8> = spans.flat_map(|(.., bytes)| bytes.iter().copied()).collect();
    if (entry.raw.len() as u64) < entry.total() {
        end_with_a_character(&mut bytes);
        if matches!(entry.unit, Unit::Event | Unit::Comment) {
            bytes.extend_from_slice(b"\n\n");
        }
    }
    bytes
}

/// Returns the payload of a frame, unmasked. Only a text frame is sure to hold text (RFC 6455 5.6), so only its bytes
/// are cut to whole characters.
pub(super) fn message(frame: &Entry) -> Vec<u8> {
    let mut bytes = frame.unmasked();
    if frame.code == 1 && (frame.raw.len() as u64) < frame.total() {
        end_with_a_character(&mut bytes);
    }
    bytes
}

const fn is_body(part: Part) -> bool {
    matches!(part, Part::Field | Part::Wrapper | Part::Control | Part::Payload)
}

/// Removes the beginning of a character whose end is missing; bytes that are not UTF-8 at all stay.
fn end_with_a_character(bytes: &mut Vec<u8>) {
    if let Err(error) = str::from_utf8(bytes)
        && error.error_len().is_none()
    {
        bytes.truncate(error.valid_up_to());
    }
}

#[cfg(test)]
mod tests {
    use fourways_shared::{Technique, lab::WireRecord};

    use super::*;
    use crate::export::example::{self, entry};

    #[test]
    fn a_request_begins_an_exchange_even_on_the_same_connection() {
        let entries = example::conversation();
        let found: Vec<_> = exchanges(entries.iter())
            .iter()
            .map(|exchange| (exchange.first.technique, exchange.first.n, exchange.entries.len()))
            .collect();
        assert_eq!(
            found,
            [
                (Technique::ShortPoll, 1, 2),
                (Technique::LongPoll, 1, 3),
                (Technique::Sse, 1, 5),
                (Technique::Sse, 1, 2),
                (Technique::Websocket, 1, 6),
                (Technique::LongPoll, 2, 1),
            ]
        );
    }

    #[test]
    fn an_end_without_a_beginning_is_an_exchange_too() {
        let entries = example::conversation();
        let stream: Vec<_> =
            entries.iter().filter(|entry| entry.technique == Technique::Sse).skip(2).collect();
        let found = exchanges(stream.iter().copied());
        assert_eq!(
            (found.len(), found[0].request().is_none(), found[0].response().is_none()),
            (2, true, true)
        );
        assert_eq!((found[0].answered_ms(), found[0].entries.len()), (Some(stream[0].at_ms), 3));
    }

    #[test]
    fn what_is_cut_ends_with_a_whole_character() {
        let data = "ä".repeat(WireRecord::MAX_RAW);
        let parts: [(Part, &[u8]); 3] =
            [(Part::Chunk, b"1\r\n"), (Part::Field, b"data: "), (Part::Payload, data.as_bytes())];
        let block = entry(Technique::Sse, 1, Unit::Event, 0, false, 0, &parts);
        let text = String::from_utf8(body(&block)).unwrap();
        assert!(text.starts_with("data: ä") && text.ends_with("ä\n\n"));
        let mut bytes = vec![b'a', 0xff, b'b'];
        end_with_a_character(&mut bytes);
        assert_eq!(bytes, [b'a', 0xff, b'b'], "no text at all");
    }
}
