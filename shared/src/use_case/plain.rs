//! A check that an update of a document is nothing but text. An update (`lib0` encoding, version 1) may hold values
//! nested as deep as the update is long, and the decoder recurses into them: an update from a stranger could overflow
//! its stack, so each is checked before it is decoded.

use std::collections::BTreeSet;

/// True if the blocks of an update are text, deletions and gaps only, and no count is larger than the update can hold.
/// Whether the update fits the document is not checked.
pub fn is_plain(update: &[u8]) -> bool {
    let mut rest = Rest(update);
    scan(&mut rest).is_some() && rest.0.is_empty()
}

/// Most UTF-16 code units that one writer may have written: more than a log holds, and a sum of two can't overflow.
const MAX_CLOCK: u32 = 1 << 30;
const GAP: u8 = 10;
const COLLECTED: u8 = 0;
const DELETED: u8 = 1;
const STRING: u8 = 4;
const HAS_ORIGIN: u8 = 0x80;
const HAS_RIGHT_ORIGIN: u8 = 0x40;
const KIND: u8 = 0x1F;

/// The bytes that are not parsed yet.
struct Rest<'a>(&'a [u8]);

fn scan(rest: &mut Rest<'_>) -> Option<()> {
    let mut writers = BTreeSet::new();
    for _ in 0..rest.count()? {
        let blocks = rest.count().filter(|blocks| *blocks > 0)?;
        // Each writer appears once, with at least one block.
        writers.insert(rest.client()?).then_some(())?;
        let mut clock = rest.clock()?;
        for _ in 0..blocks {
            let length = block(rest).filter(|length| *length > 0)?;
            clock = Some(clock + length).filter(|clock| *clock <= MAX_CLOCK)?;
        }
    }
    // The deletions: for each writer the start and the length of every range.
    let mut writers = BTreeSet::new();
    for _ in 0..rest.count()? {
        writers.insert(rest.client()?).then_some(())?;
        for _ in 0..rest.count().filter(|ranges| *ranges > 0)? {
            let (from, length) = (rest.clock()?, rest.clock().filter(|length| *length > 0)?);
            Some(from + length).filter(|clock| *clock <= MAX_CLOCK)?;
        }
    }
    Some(())
}

/// Parses a block and returns its length, in UTF-16 code units.
fn block(rest: &mut Rest<'_>) -> Option<u32> {
    let info = rest.byte()?;
    if matches!(info, GAP | COLLECTED) {
        return rest.clock();
    }
    if info & HAS_ORIGIN != 0 {
        rest.place()?;
    }
    if info & HAS_RIGHT_ORIGIN != 0 {
        rest.place()?;
    }
    if info & (HAS_ORIGIN | HAS_RIGHT_ORIGIN) == 0 {
        const NAMED: u64 = 1;
        if rest.number()? == NAMED {
            rest.text()?;
        } else {
            rest.place()?;
        }
    }
    // Any other bit or kind stands for maps, types, documents or values.
    match info & !(HAS_ORIGIN | HAS_RIGHT_ORIGIN) & (KIND | 0x20) {
        DELETED => rest.clock(),
        STRING => {
            u32::try_from(rest.text()?.encode_utf16().count()).ok().filter(|length| *length <= MAX_CLOCK)
        }
        _ => None,
    }
}

impl<'a> Rest<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Parses an unsigned integer: seven bits per byte, the lowest first.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// Parses the number of a writer: at most 53 bits, so that a JavaScript number can hold it.
    fn client(&mut self) -> Option<u64> {
        self.number().filter(|client| *client < 1 << 53)
    }

    fn clock(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok().filter(|clock| *clock <= MAX_CLOCK)
    }

    /// Parses the number of items that follow; each takes at least one byte.
    fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.0.len()).then_some(count)
    }

    fn place(&mut self) -> Option<()> {
        self.client()?;
        self.clock().map(drop)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns an update of one writer with one block, made of this info byte and content.
    fn update(info: u8, content: &[u8]) -> Vec<u8> {
        [&[1, 1, 7, 0, info, 1, 4][..], b"text", content, &[0]].concat()
    }

    #[test]
    fn text_and_deletions_are_plain_and_nothing_else_is() {
        assert!(is_plain(&[0, 0]), "an update of nothing");
        assert!(is_plain(&update(STRING, &[2, b'h', b'i'])));
        assert!(is_plain(&update(DELETED, &[3])));
        for kind in [2, 3, 5, 6, 7, 8, 9, 11, 31] {
            assert!(!is_plain(&update(kind, &[1, 117, 1, 1, b'x', 117, 0])), "{kind}");
        }
        assert!(!is_plain(&update(STRING | 0x20, &[2, b'h', b'i'])), "a member of a map");
        assert!(!is_plain(&[&update(STRING, &[1, b'h'])[..], &[0]].concat()), "more than it says");
        assert!(!is_plain(&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0]), "more writers than it has bytes");
        assert!(!is_plain(&update(STRING, &[200, b'h'])));
        assert!(
            !is_plain(&[1, 2, 7, 0, COLLECTED, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, COLLECTED, 1, 0]),
            "a clock over its end"
        );
        assert!(
            !is_plain(&[1, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x1F, 0, 0]),
            "a client's number over 53 bits"
        );
        assert!(!is_plain(&[]));
    }
}
