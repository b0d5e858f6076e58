//! A block: the events that one commit writes to a segment, whole or not at all. Bytes to events and back, no I/O.
//!
//! ```text
//! mark 4 │ CRC-32 4 │ body length 4 │ events 4 │ synced 8 │ came 8 │ body
//! event: offset 8 │ published at 8 │ kind 1 │ topic 1 │ name 1 │ id 1 │ data 4 │ topic, name, id, data
//! ```
//!
//! Numbers are little-endian; those for topic, name, id and data are lengths in bytes. The kind is 0 for JSON, 1 for
//! bytes, 2 for a text (as a JSON string). The mark is the segment's own, derived from its [`Salt`]; the checksum
//! covers the salt and everything after the checksum. `synced` is the length of the segment that was certainly on the
//! disk when the block was begun: damage before that can't be a torn write. `came` is the arrival of the events on
//! the age clock, in microseconds.

use bytes::Bytes;
use fourways_shared::{Cursor, Data, Epoch, Event, EventName, Offset, Topic};
use serde_json::value::RawValue;

use crate::engine::keys::Content;

/// Length of a block's mark, in bytes.
pub(super) const MARK: usize = 4;
/// Mark of the blocks in segments whose salt does not determine it.
const COMMON_MARK: [u8; MARK] = *b"4WB1";
/// Length of a block's header, in bytes.
pub(super) const HEADER: usize = 32;
/// Length of an event before its texts, in bytes.
const EVENT_HEADER: usize = 24;
/// Bit in an event's kind: the event belongs to the same append as the event before it.
const CONTINUES: u8 = 0x80;
/// Longest body that a header may claim, in bytes: more than the largest request makes.
const MAX_BODY: u32 = 1 << 30;

/// The header of a block: everything known before the body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    checksum: u32,
    /// Length of the body, in bytes.
    pub body: u32,
    /// Number of events in the body; at least one.
    pub events: u32,
    /// Length of the segment that was on the disk when the block was begun, in bytes.
    pub synced: u64,
    /// Arrival of its events, by [`Ages`](crate::engine::Ages).
    pub arrived_us: u64,
}

/// The reason why bytes are not a block, or not a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    /// The file does not begin with a segment's header.
    #[error("the file header is damaged")]
    Head,
    /// The bytes do not begin with a block's header.
    #[error("no block begins here")]
    Magic,
    /// The bytes end before the block does.
    #[error("the block is cut short")]
    Short,
    /// The bytes differ from those that were written.
    #[error("the checksum is wrong")]
    Checksum,
    /// The checksum is right, but the block's offsets are not above those before it.
    #[error("the block's offsets do not follow those before it")]
    Order,
    /// The checksum is right, but the body does not consist of events.
    #[error("the block holds bytes that are not an event")]
    Event,
}

impl Header {
    /// Parses the header of a block in a segment with this salt. The checksum is not verified.
    ///
    /// # Errors
    /// If the bytes do not begin with such a header.
    pub(super) fn parse(bytes: &[u8], salt: Salt) -> Result<Self, Damage> {
        let header = bytes.get(..HEADER).ok_or(Damage::Short)?;
        if header[..MARK] != salt.mark() {
            return Err(Damage::Magic);
        }
        let parsed = Self {
            checksum: u32_at(header, 4),
            body: u32_at(header, 8),
            events: u32_at(header, 12),
            synced: u64_at(header, 16),
            arrived_us: u64_at(header, 24),
        };
        if parsed.body > MAX_BODY || parsed.events == 0 { Err(Damage::Magic) } else { Ok(parsed) }
    }

    /// Returns the length of the whole block, in bytes.
    pub(super) const fn length(&self) -> u64 {
        HEADER as u64 + self.body as u64
    }
}

/// Random bits of a segment. Every checksum in the segment begins with them, and they determine the mark of its
/// blocks.
///
/// Publishers can't know them. So published bytes are never taken for a block, although reading may begin anywhere
/// after damage, and the search for the next block does not stop at bytes that only look like one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Salt {
    /// No bits: in segments made before there were salts.
    None,
    /// The bits are in the checksums alone: in segments made before marks were salted.
    Checksums(u64),
    /// The bits are in the checksums and the marks: in all newer segments.
    Blocks(u64),
}

impl Salt {
    /// Returns the mark that blocks begin with.
    pub(super) fn mark(self) -> [u8; MARK] {
        match self {
            Self::None | Self::Checksums(_) => COMMON_MARK,
            Self::Blocks(bits) => {
                let mut hasher = crc32fast::Hasher::new();
                hasher.update(&COMMON_MARK);
                hasher.update(&bits.to_le_bytes());
                hasher.finalize().to_le_bytes()
            }
        }
    }

    /// Draws new random bits.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub(super) fn fresh() -> std::io::Result<Self> {
        getrandom::u64().map(Self::Blocks).map_err(|error| std::io::Error::other(error.to_string()))
    }

    /// Gives every sequence of bytes that looks like a block the checksum that it should have.
    #[cfg(fuzzing)]
    pub(super) fn right(self, bytes: &mut [u8]) {
        for at in 0..bytes.len() {
            let Ok(header) = Header::parse(&bytes[at..], self) else { continue };
            let end = at + HEADER + header.body as usize;
            if end <= bytes.len() {
                let checksum = self.checksum(&bytes[at + 8..end]);
                bytes[at + 4..at + 8].copy_from_slice(&checksum.to_le_bytes());
            }
        }
    }

    fn checksum(self, covered: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        if let Self::Checksums(bits) | Self::Blocks(bits) = self {
            hasher.update(&bits.to_le_bytes());
        }
        hasher.update(covered);
        hasher.finalize()
    }
}

/// Verifies the checksum of a whole block, and returns its body.
///
/// # Errors
/// If the block is cut short or its checksum is wrong.
pub(super) fn body<'a>(header: &Header, block: &'a [u8], salt: Salt) -> Result<&'a [u8], Damage> {
    let end = HEADER + header.body as usize;
    let covered = block.get(8..end).ok_or(Damage::Short)?;
    if salt.checksum(covered) != header.checksum {
        return Err(Damage::Checksum);
    }
    Ok(&block[HEADER..end])
}

/// A block being built. Its header is written last.
#[derive(Debug, Default)]
pub(super) struct Builder {
    bytes: Vec<u8>,
    events: u32,
}

impl Builder {
    /// Appends an event; `continues` as in [`Stored`]. The lengths fit, because the types of the texts limit them.
    pub(super) fn push(&mut self, event: &Event, continues: bool) {
        if self.bytes.is_empty() {
            self.bytes.resize(HEADER, 0);
        }
        let (kind, data): (u8, &[u8]) = match &event.data {
            Data::Json(raw) => (0, raw.get().as_bytes()),
            Data::Bytes(bytes) => (1, bytes),
            Data::Text(raw) => (2, raw.get().as_bytes()),
        };
        let topic = event.topic.as_str();
        // The default name is stored as an empty one.
        let name = if event.name == EventName::DEFAULT { "" } else { event.name.as_str() };
        let id = event.id.as_ref().map_or("", |id| id.as_str());
        let out = &mut self.bytes;
        out.extend_from_slice(&event.cursor.offset.0.to_le_bytes());
        out.extend_from_slice(&event.published_at_us.to_le_bytes());
        // Topic, name and id are at most 128 bytes long, by their types.
        let short = |text: &str| u8::try_from(text.len()).unwrap_or(u8::MAX);
        let kind = if continues { kind | CONTINUES } else { kind };
        out.extend_from_slice(&[kind, short(topic), short(name), short(id)]);
        out.extend_from_slice(&u32::try_from(data.len()).unwrap_or(u32::MAX).to_le_bytes());
        for text in [topic.as_bytes(), name.as_bytes(), id.as_bytes(), data] {
            out.extend_from_slice(text);
        }
        self.events += 1;
    }

    /// Completes the block; `synced` and `arrived_us` as in [`Header`].
    pub(super) fn finish(mut self, synced: u64, arrived_us: u64, salt: Salt) -> Block {
        let body = u32::try_from(self.bytes.len().saturating_sub(HEADER)).unwrap_or(u32::MAX);
        let header = &mut self.bytes[..HEADER];
        header[..MARK].copy_from_slice(&salt.mark());
        header[8..12].copy_from_slice(&body.to_le_bytes());
        header[12..16].copy_from_slice(&self.events.to_le_bytes());
        header[16..24].copy_from_slice(&synced.to_le_bytes());
        header[24..32].copy_from_slice(&arrived_us.to_le_bytes());
        let checksum = salt.checksum(&self.bytes[8..]);
        self.bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        let header = Header { checksum, body, events: self.events, synced, arrived_us };
        Block { header, bytes: self.bytes }
    }
}

/// A complete block, with the header that its bytes begin with.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) header: Header,
    pub(super) bytes: Vec<u8>,
}

/// An event as stored in a body: cheap to look at, and only converted if it is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored<'a> {
    /// Offset of the event.
    pub offset: u64,
    /// Time of publishing by the system clock, in microseconds since the Unix epoch.
    pub published_at_us: u64,
    kind: u8,
    /// The event belongs to the same append as the event before it.
    pub continues: bool,
    /// Name of its topic.
    pub topic: &'a str,
    name: &'a str,
    /// Idempotency key of the publisher; empty if there was none.
    pub id: &'a str,
    data: &'a [u8],
}

impl Stored<'_> {
    /// Returns the hash by which an idempotency key recognises the event.
    pub(super) fn content(&self) -> Content {
        Content::of_event(self.kind, self.name, self.data)
    }

    /// Converts the stored bytes into an event.
    ///
    /// # Errors
    /// If no publisher could have published such an event.
    pub(super) fn event(&self, epoch: Epoch) -> Result<Event, Damage> {
        let text = || std::str::from_utf8(self.data).map(str::to_owned).map_err(|_| Damage::Event);
        let data = match self.kind {
            0 => Data::Json(RawValue::from_string(text()?).map_err(|_| Damage::Event)?),
            1 => Data::Bytes(Bytes::copy_from_slice(self.data)),
            2 => Data::Text(RawValue::from_string(text()?).map_err(|_| Damage::Event)?),
            _ => return Err(Damage::Event),
        };
        let name = if self.name.is_empty() { Ok(EventName::DEFAULT) } else { self.name.parse() };
        let id = if self.id.is_empty() { None } else { Some(self.id.parse().map_err(|_| Damage::Event)?) };
        Ok(Event {
            topic: Topic::parse(self.topic).map_err(|_| Damage::Event)?,
            cursor: Cursor { epoch, offset: Offset(self.offset) },
            name: name.map_err(|_| Damage::Event)?,
            id,
            published_at_us: self.published_at_us,
            data,
        })
    }
}

/// Returns the events of a verified body, in order.
pub(super) fn events(body: &[u8]) -> impl Iterator<Item = Result<Stored<'_>, Damage>> {
    let mut rest = body;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some((stored, length)) = stored(rest) else {
            rest = &[];
            return Some(Err(Damage::Event));
        };
        rest = &rest[length..];
        Some(Ok(stored))
    })
}

fn stored(bytes: &[u8]) -> Option<(Stored<'_>, usize)> {
    let header = bytes.get(..EVENT_HEADER)?;
    let mut rest = &bytes[EVENT_HEADER..];
    let mut take = |length: usize| {
        let (own, others) = rest.split_at_checked(length)?;
        rest = others;
        Some(own)
    };
    let text = |bytes| std::str::from_utf8(bytes).ok();
    let (topic, name, id) = (take(header[17].into())?, take(header[18].into())?, take(header[19].into())?);
    let data = take(u32_at(header, 20) as usize)?;
    let stored = Stored {
        offset: u64_at(header, 0),
        published_at_us: u64_at(header, 8),
        kind: header[16] & !CONTINUES,
        continues: header[16] & CONTINUES != 0,
        topic: text(topic)?,
        name: text(name)?,
        id: text(id)?,
        data,
    };
    Some((stored, EVENT_HEADER + topic.len() + name.len() + id.len() + data.len()))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SALT: Salt = Salt::Blocks(7);

    #[test]
    fn a_block_of_another_segment_is_none_here() {
        let block = block();
        let header = Header::parse(&block, SALT).unwrap();
        for other in [Salt::None, Salt::Checksums(7), Salt::Blocks(8), Salt::Blocks(0)] {
            assert_eq!(Header::parse(&block, other), Err(Damage::Magic), "it begins otherwise");
        }
        for other in [Salt::None, Salt::Checksums(8), Salt::Blocks(0)] {
            assert_eq!(body(&header, &block, other), Err(Damage::Checksum));
        }
    }

    fn event(offset: u64, topic: &str, name: &str, id: Option<&str>, data: Data) -> Event {
        Event {
            topic: topic.parse().unwrap(),
            cursor: Cursor { epoch: Epoch::from_bits(9), offset: Offset(offset) },
            name: name.parse().unwrap(),
            id: id.map(|id| id.parse().unwrap()),
            published_at_us: 1_700_000_000_000_000 + offset,
            data,
        }
    }

    #[test]
    fn a_block_of_each_kind_is_read() {
        for salt in [Salt::None, Salt::Checksums(7), Salt::Blocks(7)] {
            let block = block_of(salt);
            let header = Header::parse(&block, salt).unwrap();
            assert_eq!(events(body(&header, &block, salt).unwrap()).flatten().count(), 2, "{salt:?}");
        }
    }

    fn block() -> Vec<u8> {
        block_of(SALT)
    }

    fn block_of(salt: Salt) -> Vec<u8> {
        let mut builder = Builder::default();
        builder.push(&event(1, "a.b", "message", None, Data::text("ä \"quoted\"")), false);
        builder.push(&event(5, "c", "tick", Some("k-1"), Data::Bytes(Bytes::from_static(b"\0\xff"))), true);
        builder.finish(4096, 77, salt).bytes
    }

    #[test]
    fn events_come_out_as_they_went_in() {
        let block = block();
        let header = Header::parse(&block, SALT).unwrap();
        assert_eq!((header.events, header.synced, header.length()), (2, 4096, block.len() as u64));
        let read: Vec<Event> = events(body(&header, &block, SALT).unwrap())
            .map(|stored| stored.unwrap().event(Epoch::from_bits(9)).unwrap())
            .collect();
        assert_eq!(read[0].data, Data::text("ä \"quoted\""));
        assert_eq!((read[0].name.as_str(), &read[0].id), ("message", &None));
        assert_eq!((read[1].topic.as_str(), read[1].cursor.offset), ("c", Offset(5)));
        assert_eq!((read[1].name.as_str(), read[1].id.as_ref().unwrap().as_str()), ("tick", "k-1"));
        assert_eq!(header.arrived_us, 77);
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_noticed() {
        let block = block();
        for at in 0..block.len() {
            let mut changed = block.clone();
            changed[at] ^= 0x40;
            let seen = Header::parse(&changed, SALT)
                .and_then(|header| body(&header, &changed, SALT).map(<[u8]>::len));
            assert!(seen.is_err(), "byte {at}");
            let cut = &block[..at];
            assert!(
                Header::parse(cut, SALT)
                    .and_then(|header| body(&header, cut, SALT).map(<[u8]>::len))
                    .is_err(),
                "{at}"
            );
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_what_would_be_written(bytes: Vec<u8>, at: usize, with: u8) {
            // Bytes that are not a block, and the body of a good block with a byte changed behind the checksum's
            // back.
            let block = block();
            let mut changed = body(&Header::parse(&block, SALT).unwrap(), &block, SALT).unwrap().to_vec();
            let at = at % changed.len();
            changed[at] = with;
            for body_of in [bytes.as_slice(), changed.as_slice()] {
                let read = events(body_of).map_while(Result::ok);
                let read = read.map_while(|stored| stored.event(Epoch::from_bits(9)).ok());
                let read: Vec<Event> = read.collect();
                let mut builder = Builder::default();
                for event in &read {
                    builder.push(event, false);
                }
                // A block without events is never written.
                if read.is_empty() {
                    continue;
                }
                let written = builder.finish(0, 77, SALT).bytes;
                let header = Header::parse(&written, SALT).unwrap();
                let again = events(body(&header, &written, SALT).unwrap());
                let again: Vec<Event> =
                    again.map(|stored| stored.unwrap().event(Epoch::from_bits(9)).unwrap()).collect();
                prop_assert_eq!(again.len(), read.len());
                for (again, read) in again.iter().zip(&read) {
                    prop_assert_eq!((&again.topic, again.cursor, &again.data), (&read.topic, read.cursor, &read.data));
                }
            }
            prop_assert!(Header::parse(&bytes, SALT).is_err(), "no random bytes have a header's checksum");
        }
    }
}
