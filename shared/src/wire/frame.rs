//! Heads and masks of WebSocket frames (RFC 6455 5.2 and 5.3), for everything that reads or writes frames by hand.

/// The bit that marks the last frame of a message.
pub const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
/// The second byte where two bytes of length follow, and where eight do.
const MEDIUM: u8 = 126;
const LONG: u8 = 127;
/// Payload lengths up to here stand in the second byte itself.
const MAX_SHORT: usize = 125;

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// The first byte: the final bit, three reserved bits and the opcode.
    pub first: u8,
    /// Mask of the payload; `None` for a frame of a server.
    pub mask: Option<[u8; 4]>,
    /// Length of the payload, in bytes.
    pub length: u64,
}

/// The bytes of a head: 2 to 14.
#[derive(Clone, Copy, Debug)]
pub struct HeadBytes {
    bytes: [u8; 14],
    count: usize,
}

impl FrameHead {
    /// Parses the head at the beginning of `bytes`, and returns it with its size in bytes; `None` while it is not whole.
    pub fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let [first, second] = *bytes.first_chunk()?;
        let (length, size) = match second & !MASKED {
            MEDIUM => (u64::from(u16::from_be_bytes(*bytes[2..].first_chunk()?)), 4),
            LONG => (u64::from_be_bytes(*bytes[2..].first_chunk()?), 10),
            short => (u64::from(short), 2),
        };
        if second & MASKED == 0 {
            return Some((Self { first, mask: None, length }, size));
        }
        Some((Self { first, mask: Some(*bytes[size..].first_chunk()?), length }, size + 4))
    }

    /// Encodes the head, with the shortest form of the length.
    pub fn write(&self) -> HeadBytes {
        let mut head = HeadBytes { bytes: [0; 14], count: 0 };
        let mask_bit = if self.mask.is_some() { MASKED } else { 0 };
        match (u8::try_from(self.length), u16::try_from(self.length)) {
            (Ok(short), _) if usize::from(short) <= MAX_SHORT => head.push(&[self.first, mask_bit | short]),
            (_, Ok(medium)) => {
                head.push(&[self.first, mask_bit | MEDIUM]);
                head.push(&medium.to_be_bytes());
            }
            _ => {
                head.push(&[self.first, mask_bit | LONG]);
                head.push(&self.length.to_be_bytes());
            }
        }
        if let Some(mask) = self.mask {
            head.push(&mask);
        }
        head
    }

    /// Returns the opcode (RFC 6455 11.8).
    pub const fn opcode(&self) -> u8 {
        self.first & 0x0F
    }

    /// Returns the three reserved bits, which only an extension may set.
    pub const fn reserved(&self) -> u8 {
        (self.first >> 4) & 0x7
    }
}

impl HeadBytes {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.count..self.count + bytes.len()].copy_from_slice(bytes);
        self.count += bytes.len();
    }
}

impl std::ops::Deref for HeadBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.count]
    }
}

/// Masks a payload from its first byte on, or removes the mask.
pub fn masked(payload: &[u8], mask: [u8; 4]) -> impl Iterator<Item = u8> {
    payload.iter().zip(mask.into_iter().cycle()).map(|(byte, mask)| byte ^ mask)
}

/// Returns a whole frame as a client writes it.
pub fn client_frame(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let head = FrameHead { first, mask: Some(mask), length: payload.len() as u64 };
    head.write().iter().copied().chain(masked(payload, mask)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_back_and_is_as_short_as_can_be() {
        for (length, size) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10), (u64::MAX, 10)] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let head = FrameHead { first: FINAL | 0x52, mask, length };
                let bytes = head.write();
                assert_eq!(bytes.len(), size + if mask.is_some() { 4 } else { 0 });
                assert_eq!(FrameHead::read(&[&bytes, &b"rest"[..]].concat()), Some((head, bytes.len())));
                assert_eq!((head.opcode(), head.reserved()), (2, 5));
                for part in 0..bytes.len() {
                    assert_eq!(FrameHead::read(&bytes[..part]), None, "{part} of {length}");
                }
            }
        }
    }

    #[test]
    fn a_masked_frame_is_as_the_rfc_shows() {
        // RFC 6455 5.7.
        let frame = client_frame(0x81, b"Hello", [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(frame, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }
}
