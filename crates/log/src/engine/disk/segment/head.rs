//! The header of a segment's file: 32 bytes with the format, the epoch, the offset before the first event, and the
//! salt.

use fourways_shared::Epoch;

use crate::engine::disk::block::Salt;

/// First bytes of a segment. The salt follows, then the log's epoch, the base and a checksum.
const FILE_MAGIC: [u8; 4] = *b"4WL3";
/// First bytes of a segment whose salt is in the checksums alone. The rest is as for [`FILE_MAGIC`].
const SECOND_MAGIC: [u8; 4] = *b"4WL2";
/// First bytes of a segment without a salt. Epoch, base and a checksum follow.
const FIRST_MAGIC: [u8; 8] = *b"4WAYSLOG";
/// Bound that every offset is below, so that adding to one never overflows.
pub(super) const MAX_OFFSET: u64 = 1 << 62;
/// Length of the header, in bytes.
pub(super) const FILE_HEADER_BYTES: usize = 32;
pub(super) const FILE_HEADER: u64 = FILE_HEADER_BYTES as u64;

pub(super) fn file_header(base: u64, epoch: Epoch, salt: Salt) -> [u8; FILE_HEADER_BYTES] {
    let mut header = [0; FILE_HEADER_BYTES];
    if let Salt::Checksums(bits) | Salt::Blocks(bits) = salt {
        let is_common = matches!(salt, Salt::Checksums(_));
        header[..4].copy_from_slice(if is_common { &SECOND_MAGIC } else { &FILE_MAGIC });
        header[4..12].copy_from_slice(&bits.to_le_bytes());
        header[12..20].copy_from_slice(&epoch.bits().to_le_bytes());
        header[20..28].copy_from_slice(&base.to_le_bytes());
        let checksum = crc32fast::hash(&header[..28]);
        header[28..].copy_from_slice(&checksum.to_le_bytes());
    } else {
        header[..8].copy_from_slice(&FIRST_MAGIC);
        header[8..16].copy_from_slice(&epoch.bits().to_le_bytes());
        header[16..24].copy_from_slice(&base.to_le_bytes());
        let checksum = crc32fast::hash(&header[..24]);
        header[24..28].copy_from_slice(&checksum.to_le_bytes());
    }
    header
}

/// The contents of a segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Epoch in which the segment was made.
    pub(super) epoch: Epoch,
    /// Offset that all of the segment's offsets are above.
    pub(super) base: u64,
    pub(super) salt: Salt,
}

impl Head {
    /// Parses a header; `None` if the bytes are not a valid one.
    pub(super) fn read(bytes: &[u8; FILE_HEADER_BYTES]) -> Option<Self> {
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let (epoch, base, salt) = if bytes[..8] == FIRST_MAGIC {
            (number(8), number(16), Salt::None)
        } else if bytes.starts_with(&SECOND_MAGIC) {
            (number(12), number(20), Salt::Checksums(number(4)))
        } else {
            (number(12), number(20), Salt::Blocks(number(4)))
        };
        let epoch = Epoch::from_bits(epoch);
        let is_one = base < MAX_OFFSET && *bytes == file_header(base, epoch, salt);
        is_one.then_some(Self { epoch, base, salt })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_of_each_kind_is_read_as_it_was_written() {
        let epoch = Epoch::from_bits(9);
        for salt in [Salt::None, Salt::Checksums(5), Salt::Blocks(5)] {
            let bytes = file_header(40, epoch, salt);
            assert_eq!(Head::read(&bytes), Some(Head { epoch, base: 40, salt }));
            for at in 0..FILE_HEADER_BYTES {
                let mut changed = bytes;
                changed[at] ^= 1;
                assert_eq!(Head::read(&changed), None, "{salt:?}, byte {at}");
            }
        }
    }
}
