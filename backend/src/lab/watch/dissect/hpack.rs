//! A check of header blocks (RFC 7541) before they are decoded: the decoder panics at a malformed table size.

/// True if all representations in the block can be parsed, and none sets a table size above `max_table`.
pub(super) fn is_sound(mut block: &[u8], max_table: usize) -> bool {
    while let Some(first) = block.first() {
        let rest = match first.leading_zeros() {
            // RFC 7541 6.1: indexed.
            0 => integer(block, 7).map(|(_, rest)| rest),
            // RFC 7541 6.2.1: literal with indexing.
            1 => literal(block, 6),
            // RFC 7541 6.3: a table size.
            2 => integer(block, 5).filter(|(size, _)| *size <= max_table).map(|(_, rest)| rest),
            // RFC 7541 6.2.2 and 6.2.3: other literals.
            _ => literal(block, 4),
        };
        let Some(rest) = rest else { return false };
        block = rest;
    }
    true
}

/// Skips a literal: an index or a name, and a value (RFC 7541 6.2). Returns the rest of the block.
fn literal(block: &[u8], prefix: u32) -> Option<&[u8]> {
    let (index, rest) = integer(block, prefix)?;
    let rest = if index == 0 { string(rest)? } else { rest };
    string(rest)
}

/// Skips a string (RFC 7541 5.2). Returns the rest of the block.
fn string(block: &[u8]) -> Option<&[u8]> {
    let (length, rest) = integer(block, 7)?;
    rest.get(length..)
}

/// Parses an integer (RFC 7541 5.1) of at most five octets; none in a valid block is longer. Returns it and the rest.
fn integer(block: &[u8], prefix: u32) -> Option<(usize, &[u8])> {
    let mask = (1_usize << prefix) - 1;
    let (first, mut rest) = block.split_first()?;
    let mut value = usize::from(*first) & mask;
    if value < mask {
        return Some((value, rest));
    }
    for shift in [0, 7, 14, 21] {
        let (octet, after) = rest.split_first()?;
        rest = after;
        value += usize::from(octet & 0x7F) << shift;
        if octet & 0x80 == 0 {
            return Some((value, rest));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use fluke_hpack::Decoder;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn examples_of_the_rfc_are_sound_and_what_is_cut_off_is_not() {
        // RFC 7541 C.3.1, and C.4.1 with Huffman codes.
        let plain = b"\x82\x86\x84\x41\x0fwww.example.com";
        let packed = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
        for block in [&plain[..], packed, b"", b"\x20\x82", b"\x3f\xe1\x1f\x82"] {
            assert!(is_sound(block, 4096), "{block:?}");
        }
        for block in
            [&plain[..10], &packed[..6], b"\x3f", b"\x3f\xff\xff\xff\xff\xff", b"\x3f\xe2\x1f", b"\x40"]
        {
            assert!(!is_sound(block, 4096), "{block:?}");
        }
    }

    proptest! {
        /// No block that passes the check makes the decoder panic.
        #[test]
        fn what_is_sound_does_no_harm(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..5)) {
            let mut decoder = Decoder::new();
            for block in blocks.iter().filter(|block| is_sound(block, 4096)) {
                drop(decoder.decode(block));
            }
        }
    }
}
