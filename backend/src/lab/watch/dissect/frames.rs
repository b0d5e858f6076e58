//! The parser of WebSocket frames (RFC 6455 5.2).

use fourways_shared::{
    lab::{Part, Unit},
    wire::frame::{FrameHead, masked},
};

use super::Sink;

/// Beginnings of the text messages that carry an event; all others are control messages. A binary message always counts
/// as an event.
const EVENTS: [&[u8]; 2] = [br#"{"type":"event""#, br#"{"type":"publish""#];
/// Length of the longest of [`EVENTS`].
const PEEK: usize = 17;

/// The parser of frames that arrive in pieces.
#[derive(Clone, Debug)]
pub(super) enum Frames {
    Head(Vec<u8>),
    /// The first bytes of the payload, as many as it takes to know if it is an event.
    Peek {
        opcode: u8,
        mask: [u8; 4],
        left: u64,
        seen: Vec<u8>,
    },
    Payload {
        opcode: u8,
        part: Part,
        left: u64,
    },
}

impl Default for Frames {
    fn default() -> Self {
        Self::Head(Vec::new())
    }
}

impl Frames {
    pub(super) fn take(&mut self, bytes: &mut &[u8], sink: &mut dyn Sink) {
        match self {
            Self::Head(head) => {
                while let Some(byte) = bytes.first() {
                    head.push(*byte);
                    *bytes = &bytes[1..];
                    if let Some(next) = after(head, sink) {
                        *self = next;
                        return;
                    }
                }
            }
            Self::Peek { opcode, mask, left, seen } => {
                let wanted = usize::try_from(*left).unwrap_or(usize::MAX).min(PEEK);
                let length = bytes.len().min(wanted - seen.len());
                seen.extend_from_slice(&bytes[..length]);
                *bytes = &bytes[length..];
                if seen.len() < wanted {
                    return;
                }
                let clear: Vec<u8> = masked(seen, *mask).collect();
                let is_event = EVENTS.iter().any(|begin| clear.starts_with(begin)) || *opcode == 2;
                let part = if is_event { Part::Payload } else { Part::Control };
                sink.part(part, seen);
                let left = *left - wanted as u64;
                *self = Self::payload(*opcode, part, left, sink);
            }
            Self::Payload { opcode, part, left } => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                sink.part(*part, &bytes[..length]);
                *bytes = &bytes[length..];
                let left = *left - length as u64;
                *self = Self::payload(*opcode, *part, left, sink);
            }
        }
    }

    fn payload(opcode: u8, part: Part, left: u64, sink: &mut dyn Sink) -> Self {
        if left > 0 {
            return Self::Payload { opcode, part, left };
        }
        sink.end(Unit::Frame, u16::from(opcode));
        Self::default()
    }
}

/// Returns the state after the head of a frame; `None` while the head is not whole.
fn after(head: &[u8], sink: &mut dyn Sink) -> Option<Frames> {
    let (FrameHead { mask, length, .. }, size) = FrameHead::read(head)?;
    let (fixed, mask_bytes) = head.split_at(size - mask.map_or(0, |mask| mask.len()));
    sink.part(Part::FrameHead, fixed);
    if mask.is_some() {
        sink.part(Part::Mask, mask_bytes);
    }
    let opcode = head[0] & 0x0f;
    let is_control = opcode >= 8;
    Some(match length {
        0 => Frames::payload(opcode, Part::Control, 0, sink),
        left if is_control => Frames::Payload { opcode, part: Part::Control, left },
        left => Frames::Peek { opcode, mask: mask.unwrap_or_default(), left, seen: Vec::new() },
    })
}
