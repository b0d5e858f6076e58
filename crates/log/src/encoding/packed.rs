//! Compressed encodings that refer to no earlier data, so that each is made once and is the same for all subscribers.
//!
//! A compressor for each connection would compress better, but multiply the memory of a connection by more than ten and
//! the CPU time of a delivery by several (`fourways-bench compression`).

use bytes::{BufMut, Bytes, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// The header of a gzip stream (RFC 1952 2.3): deflate, no name, no time, unknown system. An event stream has no end of
/// its own, so the trailer of 2.3.1 is never written.
pub const GZIP_HEAD: [u8; 10] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF];

/// The last bytes of a deflate flush, which permessage-deflate strips from every message (RFC 7692 7.2.1).
const FLUSHED: [u8; 4] = [0, 0, 0xFF, 0xFF];

/// The compression level: zlib's default.
const LEVEL: u32 = 6;

/// Compresses the bytes to deflate blocks (RFC 1951) that end at a byte boundary, so that further blocks can follow.
pub fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() / 2 + 64);
    let mut compressor = Compress::new(Compression::new(LEVEL), false);
    loop {
        let taken = usize::try_from(compressor.total_in()).unwrap_or(usize::MAX);
        let status = compressor.compress_vec(&bytes[taken..], &mut out, FlushCompress::Full);
        let has_room = out.len() < out.capacity();
        // Done once all input is consumed and the output had room for the whole flush.
        if status.is_err() || (compressor.total_in() == bytes.len() as u64 && has_room) {
            return out;
        }
        out.reserve(bytes.len() / 2 + 64);
    }
}

/// Compresses a message to the payload of a permessage-deflate frame (RFC 7692 7.2.1).
pub fn message(json: &[u8]) -> Vec<u8> {
    let mut packed = deflated(json);
    packed.truncate(packed.strip_suffix(&FLUSHED).map_or(packed.len(), <[u8]>::len));
    packed
}

/// Wraps the bytes in stored, uncompressed blocks (RFC 1951 3.2.4), for data too short for compression to pay.
pub fn stored(bytes: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(bytes.len() + 5);
    for piece in bytes.chunks(usize::from(u16::MAX)) {
        // `chunks` above makes no piece longer than a `u16` can say.
        let length = u16::try_from(piece.len()).unwrap_or(u16::MAX);
        out.put_u8(0);
        out.put_u16_le(length);
        out.put_u16_le(!length);
        out.put_slice(piece);
    }
    out.freeze()
}

/// The reason why a client's message can't be decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnpackError {
    /// The message is longer than allowed; decompression stopped at the limit.
    TooLong,
    /// The data is not a deflate stream, or ends within a block.
    Broken,
}

/// Decompresses a client's message to at most `max_bytes` bytes.
///
/// # Errors
/// [`UnpackError::TooLong`] beyond `max_bytes`, [`UnpackError::Broken`] if the data can't be decompressed.
pub fn unpacked(packed: &[u8], max_bytes: usize) -> Result<Bytes, UnpackError> {
    let mut decompressor = Decompress::new(false);
    let mut out = Vec::with_capacity(packed.len().saturating_mul(3).min(max_bytes) + 1);
    for input in [packed, &FLUSHED] {
        let before = decompressor.total_in();
        loop {
            let taken = usize::try_from(decompressor.total_in() - before).unwrap_or(usize::MAX);
            let status = decompressor.decompress_vec(&input[taken..], &mut out, FlushDecompress::Sync);
            if out.len() > max_bytes {
                return Err(UnpackError::TooLong);
            }
            let has_taken_all = decompressor.total_in() - before == input.len() as u64;
            match status {
                Err(_) => return Err(UnpackError::Broken),
                // RFC 7692 7.2.3.5: a message may end with a final block.
                Ok(Status::StreamEnd) => return Ok(out.into()),
                Ok(_) if has_taken_all && out.len() < out.capacity() => break,
                // The decompressor has room and input, and made no progress.
                Ok(Status::BufError) if out.len() < out.capacity() => return Err(UnpackError::Broken),
                Ok(_) => out.reserve((out.len() + 64).min(max_bytes + 1 - out.len()).max(1)),
            }
        }
    }
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::write::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_message_comes_out_as_it_went_in(bytes in prop::collection::vec(0_u8..4, 0..5000)) {
            prop_assert_eq!(&unpacked(&message(&bytes), 5000).unwrap()[..], &bytes[..]);
            if !bytes.is_empty() {
                prop_assert_eq!(unpacked(&message(&bytes), bytes.len() - 1), Err(UnpackError::TooLong));
            }
        }

        #[test]
        fn blocks_of_both_kinds_make_one_stream(pieces in prop::collection::vec((any::<bool>(), "[a-z]{0,300}"), 0..20)) {
            let mut stream = GzDecoder::new(Vec::new());
            stream.write_all(&GZIP_HEAD).unwrap();
            let mut expected = String::new();
            for (is_stored, piece) in pieces {
                expected += &piece;
                let block = if is_stored { stored(piece.as_bytes()).to_vec() } else { deflated(piece.as_bytes()) };
                stream.write_all(&block).unwrap();
                stream.flush().unwrap();
                prop_assert_eq!(std::str::from_utf8(stream.get_ref()).unwrap(), &expected, "each piece is there at once");
            }
        }

        #[test]
        fn whatever_a_client_sends_is_bounded(packed in prop::collection::vec(any::<u8>(), 0..500)) {
            if let Ok(bytes) = unpacked(&packed, 1000) {
                prop_assert!(bytes.len() <= 1000);
            }
        }
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let bomb = message(&vec![0; 50_000_000]);
        assert!(bomb.len() < 100_000);
        assert_eq!(unpacked(&bomb, 1 << 20), Err(UnpackError::TooLong));
        assert_eq!(unpacked(b"\xff\xff", 1000), Err(UnpackError::Broken));
    }

    #[test]
    fn long_blocks_are_stored_in_pieces() {
        let bytes = vec![b'x'; 200_000];
        let mut stream = GzDecoder::new(Vec::new());
        stream.write_all(&GZIP_HEAD).unwrap();
        stream.write_all(&stored(&bytes)).unwrap();
        stream.flush().unwrap();
        assert_eq!(stream.get_ref(), &bytes);
    }
}
