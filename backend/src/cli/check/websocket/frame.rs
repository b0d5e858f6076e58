//! WebSocket frames (RFC 6455 5.2), read as a server sends them and written as a client does.

use fourways_shared::wire::frame::{FINAL, FrameHead, client_frame};

/// Opcode of a text frame; the ones below are those of control frames (RFC 6455 11.8).
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;

/// Length of the longest payload that is read. A longer frame ends the reading: no check needs one.
const MAX_PAYLOAD_BYTES: usize = 4 << 20;

/// One frame from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Time at which the last byte of the frame arrived, in milliseconds since the check began.
    pub(crate) ms: u64,
    pub(crate) opcode: u8,
    /// The three reserved bits, which only an extension may set (RFC 6455 5.2).
    pub(crate) reserved: u8,
    /// The frame is masked, which a server's frame must not be (RFC 6455 5.1).
    pub(crate) is_masked: bool,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// Returns the code of a close frame, or 1005 if it has none (RFC 6455 7.1.5).
    pub(crate) fn close_code(&self) -> Option<u16> {
        let code = |payload: &[u8]| Some(u16::from_be_bytes([*payload.first()?, *payload.get(1)?]));
        (self.opcode == CLOSE).then(|| code(&self.payload).unwrap_or(1005))
    }
}

/// A parser of frames that accepts the bytes in any pieces.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    held: Vec<u8>,
}

impl Frames {
    /// Returns the frames that this piece completes.
    pub(crate) fn push(&mut self, ms: u64, piece: &[u8]) -> Vec<Frame> {
        self.held.extend_from_slice(piece);
        let (mut frames, mut read) = (Vec::new(), 0);
        while let Some((frame, length)) = parse(ms, &self.held[read..]) {
            frames.push(frame);
            read += length;
        }
        self.held.drain(..read);
        frames
    }
}

/// Returns the first frame and its length in bytes; `None` if it is incomplete or too long.
fn parse(ms: u64, bytes: &[u8]) -> Option<(Frame, usize)> {
    // A masked frame is an error of the server, but its length must be known to read the next one.
    let (head, size) = FrameHead::read(bytes)?;
    let length = usize::try_from(head.length).ok().filter(|length| *length <= MAX_PAYLOAD_BYTES)?;
    let payload = bytes.get(size..size + length)?.to_vec();
    let is_masked = head.mask.is_some();
    let frame = Frame { ms, opcode: head.opcode(), reserved: head.reserved(), is_masked, payload };
    Some((frame, size + length))
}

/// Returns a frame as a client writes it: masked (RFC 6455 5.3). A payload of more than 125 bytes, the limit of control
/// frames, is cut off.
pub(crate) fn write(opcode: u8, payload: &[u8], mask: u32) -> Vec<u8> {
    let payload = &payload[..payload.len().min(125)];
    client_frame(FINAL | opcode, payload, mask.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_in_any_pieces() {
        let mut wire = b"\x81\x05Hello\x89\x00\x82\x7E\x01\x00".to_vec();
        wire.extend([7; 256]);
        wire.extend(b"\x88\x02\x03\xE9");
        for size in 1..wire.len() {
            let mut frames = Frames::default();
            let read: Vec<_> =
                wire.chunks(size).zip(0..).flat_map(|(piece, ms)| frames.push(ms, piece)).collect();
            let opcodes: Vec<_> = read.iter().map(|frame| (frame.opcode, frame.payload.len())).collect();
            assert_eq!(opcodes, [(TEXT, 5), (PING, 0), (2, 256), (CLOSE, 2)], "{size}");
            assert_eq!((read[3].close_code(), read[0].close_code()), (Some(1001), None));
        }
    }

    #[test]
    fn what_is_written_is_masked_as_the_rfc_shows() {
        // RFC 6455 5.7: a masked "Hello".
        let expected = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
        assert_eq!(write(TEXT, b"Hello", 0x37fa_213d), expected);
    }

    #[test]
    fn a_length_that_lies_is_not_waited_for() {
        let mut frames = Frames::default();
        assert!(frames.push(0, b"\x82\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF").is_empty());
    }
}
