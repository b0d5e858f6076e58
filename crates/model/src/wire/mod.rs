//! The wire of one technique: an entry for each head, body, block and frame, oldest first.
//!
//! The server records the wire byte by byte. Where it can't (no channel to the server, or a request that never reached
//! it), the page's own record stands in, as far as a page can see.

mod entry;

use std::collections::VecDeque;

use fourways_shared::lab::{Class, Unit};

pub use self::entry::Entry;

/// Number of entries kept at most.
const MAX_ENTRIES: usize = 100_000;
/// Number of bytes kept at most, in all entries.
const MAX_BYTES: usize = 64 << 20;

/// A condition on the entries that are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub kind: Kind,
    /// Text that must appear in the entry's bytes, name or failure, in upper or lower case; empty for any entry.
    pub search: String,
}

/// Kind of entry that a filter accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    All,
    /// Entries that carry events, in either direction.
    Data,
    /// Heads of requests and answers.
    Heads,
    /// Entries of any other kind, such as heartbeats.
    Control,
}

impl Kind {
    pub const ALL: [(Self, &str); 4] =
        [(Self::All, "All"), (Self::Data, "Data"), (Self::Heads, "Heads"), (Self::Control, "Control")];
}

/// The entries of a technique that are kept, and the numbers of those that match the filter. The oldest entries are
/// dropped first.
#[derive(Debug, Default)]
pub struct Wire {
    entries: VecDeque<Entry>,
    next: u64,
    bytes: usize,
    filter: Filter,
    matches: VecDeque<u64>,
    /// Number of payload bytes of all entries ever added.
    pub payload: u64,
    /// Number of bytes of all entries ever added.
    pub total: u64,
}

impl Filter {
    fn matches(&self, entry: &Entry) -> bool {
        if self.kind != Kind::All && self.kind != entry.kind() {
            return false;
        }
        let search = self.search.as_bytes();
        let within =
            |text: &[u8]| text.windows(search.len()).any(|window| window.eq_ignore_ascii_case(search));
        search.is_empty()
            || within(entry.name().as_bytes())
            || entry.failure.as_ref().is_some_and(|failure| within(failure.as_bytes()))
            || within(&entry.raw)
            || entry.decoded.as_ref().is_some_and(|decoded| within(decoded.as_bytes()))
            || (entry.up && entry.unit == Unit::Frame && within(&entry.unmasked()))
    }
}

impl Wire {
    /// Adds an entry under the next number, and drops the oldest entries beyond the limits.
    pub fn push(&mut self, mut entry: Entry) {
        entry.seq = self.next;
        self.next += 1;
        self.payload += entry.bytes(Class::Payload);
        self.total += entry.total();
        self.bytes += entry.raw.len();
        if self.filter.matches(&entry) {
            self.matches.push_back(entry.seq);
        }
        self.entries.push_back(entry);
        while self.entries.len() > MAX_ENTRIES || self.bytes > MAX_BYTES {
            let Some(gone) = self.entries.pop_front() else { break };
            self.bytes -= gone.raw.len();
            if self.matches.front() == Some(&gone.seq) {
                self.matches.pop_front();
            }
        }
    }

    /// Returns the number of entries ever added.
    pub const fn count(&self) -> u64 {
        self.next
    }

    pub fn set_filter(&mut self, filter: Filter) {
        if filter == self.filter {
            return;
        }
        self.matches =
            self.entries.iter().filter(|entry| filter.matches(entry)).map(|entry| entry.seq).collect();
        self.filter = filter;
    }

    /// Returns the number of matching entries before number `end`.
    pub fn matching(&self, end: u64) -> usize {
        self.matches.partition_point(|seq| *seq < end)
    }

    /// Returns the matching entries with indices `from` to `to`, `to` excluded, counted back from the newest one before
    /// `end`.
    pub fn window(&self, end: u64, from: usize, to: usize) -> impl Iterator<Item = &Entry> {
        let count = self.matching(end);
        let (last, first) = (count.saturating_sub(from), count.saturating_sub(to));
        self.matches.range(first..last).rev().filter_map(|seq| self.get(*seq))
    }

    /// Returns the entry below or above another one in the list, whose top is the newest entry before `end`, with its
    /// index; the top if `of` is `None`. At either end of the list, the entry there is returned again. Returns `None`
    /// if no entry matches.
    pub fn neighbour(&self, end: u64, of: Option<u64>, below: bool) -> Option<(u64, usize)> {
        let count = self.matching(end);
        let at = of.map(|seq| count.saturating_sub(1 + self.matches.partition_point(|other| *other < seq)));
        let place = match at {
            None => 0,
            Some(at) if below => (at + 1).min(count.saturating_sub(1)),
            Some(at) => at.saturating_sub(1),
        };
        Some((*self.matches.get(count.checked_sub(1 + place)?)?, place))
    }

    /// Returns the entry with this number, if it is still kept.
    pub fn get(&self, seq: u64) -> Option<&Entry> {
        let first = self.entries.front()?.seq;
        self.entries.get(usize::try_from(seq.checked_sub(first)?).ok()?)
    }

    /// Returns all entries that are kept, oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter()
    }
}

/// A builder of entries, shared with the tests of other modules.
#[cfg(test)]
pub mod tests {
    use fourways_shared::{
        Technique,
        lab::{Part, WireRecord},
    };

    use super::*;

    pub fn entry(unit: Unit, up: bool, parts: &[(Part, &str)]) -> Entry {
        let mut record = WireRecord::new(Technique::Sse, 1, 1, up);
        for (part, text) in parts {
            record.push(*part, text.as_bytes());
        }
        record.unit = unit;
        Entry::of_server(record)
    }

    fn event(offset: u64) -> Entry {
        let json = format!(
            "{{\"type\":\"event\",\"topic\":\"a\",\"cursor\":\"1-{offset}\",\"data\":{{\"cursor\":\"x\"}}}}"
        );
        entry(Unit::Event, false, &[(Part::Field, "data: "), (Part::Payload, &json), (Part::Field, "\n\n")])
    }

    #[test]
    fn entries_know_their_events() {
        assert_eq!(event(7).events, Some((7, 7, 1)));
        assert_eq!(entry(Unit::Comment, false, &[(Part::Field, "id: 1-7\n\n")]).events, None);
    }

    #[test]
    fn a_filter_takes_the_same_entries_before_and_after() {
        let mut wire = Wire::default();
        let filter = Filter { kind: Kind::Data, search: "1-3".to_owned() };
        for offset in 0..20 {
            wire.push(entry(Unit::Comment, false, &[(Part::Field, "id: 1-3\n\n")]));
            wire.push(event(offset));
        }
        wire.set_filter(filter.clone());
        let before = wire.matching(u64::MAX);
        assert_eq!(before, 1, "1-3 and no other");
        wire.push(event(30));
        assert_eq!(wire.matching(u64::MAX), before + 1);
        assert_eq!(wire.matching(wire.count() - 1), before, "what is newer than the end is not counted");
        let shown: Vec<_> = wire.window(u64::MAX, 0, 10).map(|entry| entry.events.unwrap().0).collect();
        assert_eq!(shown, [30, 3]);
        assert_eq!(wire.window(u64::MAX, 1, 2).count(), 1);
        let newest = wire.neighbour(u64::MAX, None, true).unwrap();
        let older = wire.neighbour(u64::MAX, Some(newest.0), true).unwrap();
        assert_eq!((newest.1, older.1), (0, 1));
        assert_eq!(
            wire.neighbour(u64::MAX, Some(older.0), true),
            Some(older),
            "there is nothing below the last"
        );
        assert_eq!(wire.neighbour(u64::MAX, Some(older.0), false), Some(newest));
        wire.set_filter(Filter::default());
        assert_eq!(wire.matching(u64::MAX), 41);
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let mut wire = Wire::default();
        for offset in 0..(MAX_ENTRIES as u64 + 10) {
            wire.push(event(offset));
        }
        assert_eq!((wire.entries().count(), wire.matching(u64::MAX)), (MAX_ENTRIES, MAX_ENTRIES));
        assert_eq!((wire.get(9), wire.get(10).unwrap().seq), (None, 10));
        let big = "x".repeat(1 << 20);
        for _ in 0..100 {
            wire.push(entry(Unit::Frame, false, &[(Part::Payload, &big[..16_000])]));
        }
        assert!(wire.bytes <= MAX_BYTES);
    }

    #[test]
    fn a_compressed_head_is_told_as_http1_would() {
        let decoded =
            Some(":method: GET\n:path: /v1/stream?topic=a\n:authority: x\naccept: */*\n".to_owned());
        let head = Entry { decoded, ..entry(Unit::Request, true, &[(Part::Headers, "\u{2}x")]) };
        assert_eq!(head.text(|part| part == Part::StartLine), "GET /v1/stream?topic=a HTTP/2\r\n");
        let whole = head.text(|part| matches!(part, Part::StartLine | Part::Headers));
        assert!(whole.ends_with("host: x\r\naccept: */*\r\n\r\n"), "{whole}");
        assert!(Filter { search: "stream".to_owned(), ..Filter::default() }.matches(&head));
    }

    #[test]
    fn a_masked_frame_is_searched_as_it_was_meant() {
        let mut record = WireRecord::new(Technique::Websocket, 1, 1, true);
        record.push(Part::FrameHead, &[0x81, 0x84]);
        record.push(Part::Mask, &[1, 2, 3, 4]);
        record.push(Part::Control, &[b'p' ^ 1, b'i' ^ 2, b'n' ^ 3, b'g' ^ 4]);
        record.unit = Unit::Frame;
        let frame = Entry::of_server(record);
        assert_eq!(frame.unmasked(), b"ping");
        assert!(Filter { search: "PING".to_owned(), ..Filter::default() }.matches(&frame));
    }
}
