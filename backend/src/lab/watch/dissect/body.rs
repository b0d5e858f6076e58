//! The parser of a poll's JSON: it tells the events from what is wrapped around them.

use fourways_shared::lab::Part;

use super::Sink;

/// Nesting depth of an event, which begins with `{"events":[{`.
const EVENT_DEPTH: u32 = 3;

/// The parser of a body that arrives in pieces. It follows the nesting only: an object in `events` is an event.
#[derive(Clone, Debug, Default)]
pub(super) struct PollBody {
    depth: u32,
    in_text: bool,
    is_escaped: bool,
    /// Last name or text at depth 1, at most 8 bytes of it.
    name: Vec<u8>,
    /// True inside the array of events, as opposed to that of a reset's topics.
    in_events: bool,
}

impl PollBody {
    pub(super) fn take(&mut self, bytes: &[u8], sink: &mut dyn Sink) {
        let mut from = 0;
        let mut part = self.part();
        for (at, byte) in bytes.iter().enumerate() {
            let was = part;
            let closes = self.step(*byte);
            part = self.part();
            // A closing brace belongs to the object that it closes.
            let next = if closes { at + 1 } else { at };
            if part != was {
                if next > from {
                    sink.part(was, &bytes[from..next]);
                }
                from = next;
            }
        }
        if from < bytes.len() {
            sink.part(part, &bytes[from..]);
        }
    }

    const fn part(&self) -> Part {
        if self.in_events && self.depth >= EVENT_DEPTH { Part::Payload } else { Part::Wrapper }
    }

    /// Parses one byte. True if it closes an object or array.
    fn step(&mut self, byte: u8) -> bool {
        if self.in_text {
            if self.depth == 1 && byte != b'"' && self.name.len() < 8 {
                self.name.push(byte);
            }
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.in_text = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => {
                self.in_text = true;
                if self.depth == 1 {
                    self.name.clear();
                }
            }
            b'{' | b'[' => {
                if self.depth == 1 {
                    self.in_events = byte == b'[' && self.name == b"events";
                }
                self.depth += 1;
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return true;
            }
            _ => {}
        }
        false
    }
}
