//! The bytes of an event for each technique, encoded at most once and shared by all subscribers.

pub mod packed;

use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};
use fourways_shared::{
    Event,
    wire::{
        self,
        frame::{FINAL, FrameHead},
    },
};

/// An event and its encodings.
///
/// Shared by `Arc`: the tail's indices, batches and archive reads hold it, on every worker. It needs no lock: the event
/// never changes, and each encoding is a `OnceLock`, filled by the first worker that asks for it. Clones of the `Bytes`
/// share their memory, so an encoding lives until retention has dropped the event and the last socket has written it.
#[derive(Debug)]
pub struct Encoded {
    event: Event,
    websocket_text: OnceLock<Bytes>,
    websocket_binary: OnceLock<Bytes>,
    sse: OnceLock<SseBytes>,
    rare: OnceLock<Box<RareEncodings>>,
}

/// The encodings that few events need: compressed, or without the envelope.
#[derive(Debug, Default)]
struct RareEncodings {
    packed_websocket: OnceLock<Bytes>,
    packed_sse: OnceLock<SseBytes>,
    raw_sse: OnceLock<SseBytes>,
    packed_raw_sse: OnceLock<SseBytes>,
}

/// The form in which an SSE stream wants its events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SseForm {
    /// True if `data` is the published data alone, without the envelope.
    pub is_raw: bool,
    /// The size in bytes from which blocks of a gzip stream are compressed; `None` if the stream is not gzip.
    pub packs_from: Option<usize>,
}

/// The SSE block of an event, in both framings.
#[derive(Debug)]
pub struct SseBytes {
    /// The block inside an HTTP/1.1 chunk (RFC 9112 7.1).
    pub chunk: Bytes,
    /// The block alone, for HTTP/1.0 and HTTP/2, which have no chunks.
    pub block: Bytes,
}

impl Encoded {
    /// Wraps an event, with nothing encoded yet.
    pub const fn new(event: Event) -> Self {
        Self {
            event,
            websocket_text: OnceLock::new(),
            websocket_binary: OnceLock::new(),
            sse: OnceLock::new(),
            rare: OnceLock::new(),
        }
    }

    /// Returns the event.
    pub const fn event(&self) -> &Event {
        &self.event
    }

    /// Returns the event's offset.
    pub const fn offset(&self) -> u64 {
        self.event.cursor.offset.0
    }

    /// Returns the size that retention counts for the event, in bytes: the published data, and an estimate of what the
    /// tail and one encoding need.
    pub fn retained_bytes(&self) -> u64 {
        512 + 2 * self.event.data.len() as u64
    }

    /// Returns the JSON text that all four techniques carry, as a view into the WebSocket frame.
    pub fn json(&self) -> Bytes {
        let frame = self.websocket_text();
        frame.slice(header_bytes(frame)..)
    }

    /// Returns the event as a text message in one frame. A server's frames are unmasked, so the bytes are the same for
    /// all subscribers (RFC 6455 5.1, 5.2).
    pub fn websocket_text(&self) -> &Bytes {
        self.websocket_text.get_or_init(|| {
            // An event always serializes; if it did not, an empty object would keep the frame a valid message.
            let json = serde_json::to_vec(&self.event).unwrap_or_else(|_| b"{}".to_vec());
            frame(Opcode::Text, &json)
        })
    }

    /// Returns the event as a binary message in one frame, in CBOR.
    pub fn websocket_binary(&self) -> &Bytes {
        self.websocket_binary.get_or_init(|| frame(Opcode::Binary, &wire::cbor::write_event(&self.event)))
    }

    /// Returns the event's SSE block in the given form.
    pub fn sse(&self, form: SseForm) -> &SseBytes {
        let plain = if form.is_raw { &self.rare().raw_sse } else { &self.sse };
        let plain = plain.get_or_init(|| SseBytes::of(&self.sse_block(form.is_raw)));
        let Some(from_bytes) = form.packs_from else { return plain };
        let packed = if form.is_raw { &self.rare().packed_raw_sse } else { &self.rare().packed_sse };
        packed.get_or_init(|| {
            let stored = || SseBytes::of(&packed::stored(&plain.block));
            if plain.block.len() < from_bytes {
                return stored();
            }
            let deflated = packed::deflated(&plain.block);
            if deflated.len() < plain.block.len() { SseBytes::of(&deflated) } else { stored() }
        })
    }

    fn sse_block(&self, is_raw: bool) -> Vec<u8> {
        let mut block = Vec::with_capacity(self.event.data.len() + 256);
        if is_raw {
            wire::sse::write_raw(&mut block, &self.event);
        } else {
            let json = self.json();
            // `json` was written by serde_json, so it is UTF-8.
            let text = std::str::from_utf8(&json).unwrap_or("{}");
            wire::sse::write_event(&mut block, self.event.cursor, &self.event.name, text);
        }
        block
    }

    /// Returns the text message compressed without a window (RFC 7692 7.2.1), or uncompressed if its frame is shorter
    /// than `from_bytes` or compression does not make it shorter.
    pub fn packed_websocket_text(&self, from_bytes: usize) -> &Bytes {
        let plain = self.websocket_text();
        if plain.len() < from_bytes {
            return plain;
        }
        self.rare().packed_websocket.get_or_init(|| {
            let packed = packed::message(&self.json());
            if packed.len() >= plain.len() {
                return plain.clone();
            }
            let mut frame = BytesMut::with_capacity(packed.len() + 10);
            write_frame(&mut frame, Opcode::Text, &packed);
            // RFC 7692 6: RSV1 marks a compressed message.
            frame[0] |= 0x40;
            frame.freeze()
        })
    }

    fn rare(&self) -> &RareEncodings {
        self.rare.get_or_init(Box::default)
    }
}

impl SseBytes {
    fn of(block: &[u8]) -> Self {
        let head = format!("{:x}\r\n", block.len()).len();
        let chunk = chunk(block);
        Self { block: chunk.slice(head..head + block.len()), chunk }
    }
}

/// Wraps the bytes in one chunk of a chunked body (RFC 9112 7.1).
pub fn chunk(bytes: &[u8]) -> Bytes {
    let mut chunk = BytesMut::with_capacity(bytes.len() + 12);
    chunk.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk.freeze()
}

/// The opcodes of the frames that this server sends (RFC 6455 11.8).
#[derive(Clone, Copy, Debug)]
pub enum Opcode {
    /// A text message, in UTF-8.
    Text = 0x1,
    /// A binary message.
    Binary = 0x2,
    /// The end of the connection, with a code and a reason.
    Close = 0x8,
    /// A question whether the peer is still there.
    Ping = 0x9,
    /// The answer to a ping, with the ping's payload.
    Pong = 0xA,
}

/// Returns one final, unmasked frame (RFC 6455 5.2).
pub fn frame(opcode: Opcode, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(payload.len() + 10);
    write_frame(&mut frame, opcode, payload);
    frame.freeze()
}

/// Appends one final, unmasked frame (RFC 6455 5.2).
pub fn write_frame(out: &mut BytesMut, opcode: Opcode, payload: &[u8]) {
    let head = FrameHead { first: FINAL | opcode as u8, mask: None, length: payload.len() as u64 };
    out.extend_from_slice(&head.write());
    out.extend_from_slice(payload);
}

fn header_bytes(frame: &[u8]) -> usize {
    FrameHead::read(frame).map_or(0, |(_, size)| size)
}

#[cfg(test)]
mod tests {
    use fourways_shared::{Cursor, Data, Epoch, EventName, Offset};

    use super::*;

    fn encoded(data: &str) -> Encoded {
        Encoded::new(Event {
            topic: "a".parse().unwrap(),
            cursor: Cursor { epoch: Epoch::from_bits(7), offset: Offset(3) },
            name: EventName::DEFAULT,
            id: None,
            published_at_us: 1,
            data: Data::Json(serde_json::from_str(data).unwrap()),
        })
    }

    #[test]
    fn every_form_carries_the_same_json() {
        for data in
            ["1".to_owned(), format!("\"{}\"", "x".repeat(200)), format!("\"{}\"", "x".repeat(70_000))]
        {
            let encoded = encoded(&data);
            let json = format!(
                r#"{{"type":"event","topic":"a","cursor":"7-3","name":"message","published_at":1,"data":{data}}}"#
            );
            assert_eq!(encoded.json(), json);
            let block = format!("id: 7-3\nevent: message\ndata: {json}\n\n");
            assert_eq!(encoded.sse(SseForm::default()).block, block.as_bytes());
            assert_eq!(
                encoded.sse(SseForm::default()).chunk,
                format!("{:x}\r\n{block}\r\n", block.len()).as_bytes()
            );
            assert!(encoded.websocket_text().ends_with(json.as_bytes()));
        }
    }

    #[test]
    fn a_frame_has_the_shortest_length() {
        assert_eq!(&frame(Opcode::Text, b"hi")[..], b"\x81\x02hi");
        assert_eq!(&frame(Opcode::Binary, &[0; 125])[..2], [0x82, 125]);
        assert_eq!(&frame(Opcode::Text, &[0; 126])[..4], [0x81, 126, 0, 126]);
        assert_eq!(&frame(Opcode::Text, &vec![0; 65_535])[..4], [0x81, 126, 255, 255]);
        assert_eq!(&frame(Opcode::Text, &vec![0; 65_536])[..10], [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn data_with_line_breaks_is_one_sse_event() {
        let block = encoded("{\n1: 2}".replace('1', "\"a\"").as_str());
        let text = std::str::from_utf8(&block.sse(SseForm::default()).block).unwrap();
        assert!(text.contains("\ndata: {\"type\"") && text.contains("{\ndata: \"a\": 2}}\n\n"), "{text}");
    }
}
