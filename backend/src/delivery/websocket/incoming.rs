//! The client's side of a WebSocket: frames are assembled to messages, within the limits and rules of RFC 6455.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use actix_codec::Decoder as _;
use actix_http::ws::{CloseCode, Codec, Frame, Item, ProtocolError};
use actix_web::web;
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use futures_util::Stream as _;

use fourways_log::encoding::packed::{self, UnpackError};

/// One message of the client, or the end of reading.
pub(crate) enum Message {
    Text(ByteString),
    Binary(Bytes),
    Ping(Bytes),
    Pong,
    /// The client closes the connection, with its code if it gave one.
    Close(Option<u16>),
    /// The connection ended without a close frame.
    Gone,
    /// The client broke a rule: the code and the reason to close the connection with (RFC 6455 7.4.1).
    Violation(CloseCode, &'static str),
}

/// The reader of a client's frames. Owned by its socket and polled on the worker's thread.
pub(crate) struct Incoming {
    payload: web::Payload,
    codec: Codec,
    buffer: BytesMut,
    max_bytes: usize,
    /// True if permessage-deflate was negotiated.
    unpacks: bool,
    /// True if the frame at the start of the buffer had the bit for a compressed message.
    is_packed: bool,
    partial: Option<Partial>,
    /// True once the client broke a rule: nothing further can be parsed.
    is_broken: bool,
}

/// A message whose last frame has not arrived.
struct Partial {
    is_text: bool,
    is_packed: bool,
    bytes: BytesMut,
}

const TOO_LONG: &str = "the message is longer than the limit";
/// The bit of a frame's first byte that marks a compressed message (RFC 6455 5.2, RFC 7692 6).
const RSV1: u8 = 0x40;

impl Incoming {
    pub(crate) fn new(payload: web::Payload, max_bytes: usize, unpacks: bool) -> Self {
        Self {
            payload,
            codec: Codec::new().max_size(max_bytes),
            buffer: BytesMut::new(),
            max_bytes,
            unpacks,
            is_packed: false,
            partial: None,
            is_broken: false,
        }
    }

    pub(crate) fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Message> {
        loop {
            if self.is_broken {
                // The rest can't be parsed. It is read and discarded, so that our close frame gets out.
                self.buffer.clear();
            } else if !self.buffer.is_empty() {
                // The decoder knows no extensions, so the bit is hidden from it.
                if self.unpacks && self.buffer[0] & RSV1 != 0 {
                    self.buffer[0] &= !RSV1;
                    self.is_packed = true;
                }
                // The decoder checks the length only once the whole frame has arrived, however long it claims to be.
                if let Some((code, reason)) = self.is_too_long().or_else(|| self.is_bad_close()) {
                    return Poll::Ready(self.broken(code, reason));
                }
                match self.codec.decode(&mut self.buffer) {
                    Ok(Some(frame)) => {
                        if let Some(message) = self.take(frame) {
                            return Poll::Ready(message);
                        }
                        continue;
                    }
                    Ok(None) => {}
                    Err(error) => return Poll::Ready(self.violation(&error)),
                }
            } else {
                // An idle socket holds no buffer.
                self.buffer = BytesMut::new();
            }
            match Pin::new(&mut self.payload).poll_next(cx) {
                Poll::Ready(Some(Ok(bytes))) => self.buffer.extend_from_slice(&bytes),
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Message::Gone),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Returns the violation if the frame at the start of the buffer claims to be longer than allowed (RFC 6455 5.2,
    /// 5.5).
    fn is_too_long(&self) -> Option<(CloseCode, &'static str)> {
        let length = match *self.buffer.get(1)? & 0x7F {
            126 => u64::from(u16::from_be_bytes(self.buffer.get(2..4)?.try_into().ok()?)),
            127 => u64::from_be_bytes(self.buffer.get(2..10)?.try_into().ok()?),
            short => u64::from(short),
        };
        let is_control = self.buffer[0] & 0x08 != 0;
        if is_control && length > 125 {
            return Some((CloseCode::Protocol, "a control frame has at most 125 bytes"));
        }
        let is_long = usize::try_from(length).map_or(true, |length| length > self.max_bytes);
        is_long.then_some((CloseCode::Size, TOO_LONG))
    }

    /// Returns the violation if the frame at the start of the buffer is a malformed close frame (RFC 6455 5.5.1, 7.4).
    /// The decoder would not tell its faults from others.
    fn is_bad_close(&self) -> Option<(CloseCode, &'static str)> {
        let [first, second, ..] = *self.buffer else { return None };
        if first & 0x0F != 0x08 || second & 0x80 == 0 {
            return None;
        }
        let (mask, masked) = self.buffer.get(2..6 + usize::from(second & 0x7F))?.split_at(4);
        let payload: Vec<u8> = masked.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        match *payload {
            [] => None,
            [_] => Some((CloseCode::Protocol, "a close code has two bytes")),
            [high, low, ref reason @ ..] => match u16::from_be_bytes([high, low]) {
                1000..=1003 | 1007..=1014 | 3000..=4999 => std::str::from_utf8(reason)
                    .is_err()
                    .then_some((CloseCode::Invalid, "the reason of a close must be UTF-8")),
                _ => Some((CloseCode::Protocol, "there is no such close code")),
            },
        }
    }

    fn take(&mut self, frame: Frame) -> Option<Message> {
        let is_packed = std::mem::take(&mut self.is_packed);
        let begins = matches!(
            frame,
            Frame::Text(_)
                | Frame::Binary(_)
                | Frame::Continuation(Item::FirstText(_) | Item::FirstBinary(_))
        );
        if is_packed && !begins {
            // RFC 7692 6.1: only the first frame of a message has the bit, and no control frame is compressed.
            return Some(self.broken(CloseCode::Protocol, "only the first frame of a message may set RSV1"));
        }
        match frame {
            Frame::Ping(payload) => Some(Message::Ping(payload)),
            Frame::Pong(_) => Some(Message::Pong),
            Frame::Close(reason) => Some(Message::Close(reason.map(|reason| reason.code.into()))),
            Frame::Text(_) | Frame::Binary(_) if self.partial.is_some() => {
                Some(self.broken(CloseCode::Protocol, "a message began before the last one ended"))
            }
            Frame::Text(bytes) => Some(self.whole(true, is_packed, bytes)),
            Frame::Binary(bytes) => Some(self.whole(false, is_packed, bytes)),
            Frame::Continuation(item) => self.continued(item, is_packed),
        }
    }

    fn continued(&mut self, item: Item, is_packed: bool) -> Option<Message> {
        let (bytes, is_last) = match item {
            Item::FirstText(bytes) | Item::FirstBinary(bytes) if self.partial.is_some() => {
                drop(bytes);
                return Some(self.broken(CloseCode::Protocol, "a message began before the last one ended"));
            }
            Item::FirstText(bytes) => {
                self.partial = Some(Partial { is_text: true, is_packed, bytes: BytesMut::new() });
                (bytes, false)
            }
            Item::FirstBinary(bytes) => {
                self.partial = Some(Partial { is_text: false, is_packed, bytes: BytesMut::new() });
                (bytes, false)
            }
            Item::Continue(bytes) => (bytes, false),
            Item::Last(bytes) => (bytes, true),
        };
        let Some(mut partial) = self.partial.take() else {
            return Some(self.broken(CloseCode::Protocol, "a continuation frame came without a message"));
        };
        if partial.bytes.len() + bytes.len() > self.max_bytes {
            return Some(self.broken(CloseCode::Size, TOO_LONG));
        }
        partial.bytes.extend_from_slice(&bytes);
        if is_last {
            return Some(self.whole(partial.is_text, partial.is_packed, partial.bytes.freeze()));
        }
        self.partial = Some(partial);
        None
    }

    fn whole(&mut self, is_text: bool, is_packed: bool, bytes: Bytes) -> Message {
        let bytes = if is_packed { packed::unpacked(&bytes, self.max_bytes) } else { Ok(bytes) };
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(UnpackError::TooLong) => {
                return self.broken(CloseCode::Size, TOO_LONG);
            }
            Err(UnpackError::Broken) => {
                return self.broken(CloseCode::Invalid, "the message can't be decompressed");
            }
        };
        if !is_text {
            return Message::Binary(bytes);
        }
        match ByteString::try_from(bytes) {
            Ok(text) => Message::Text(text),
            Err(_) => self.broken(CloseCode::Invalid, "a text message must be UTF-8"),
        }
    }

    fn violation(&mut self, error: &ProtocolError) -> Message {
        match error {
            ProtocolError::Overflow => self.broken(CloseCode::Size, TOO_LONG),
            ProtocolError::UnmaskedFrame => self.broken(CloseCode::Protocol, "a client must mask its frames"),
            ProtocolError::InvalidLength(_) => {
                self.broken(CloseCode::Protocol, "a control frame has at most 125 bytes")
            }
            ProtocolError::BadOpCode | ProtocolError::InvalidOpcode(_) => {
                self.broken(CloseCode::Protocol, "the opcode is reserved")
            }
            ProtocolError::ContinuationNotStarted => {
                self.broken(CloseCode::Protocol, "a continuation frame came without a message")
            }
            ProtocolError::ContinuationStarted => {
                self.broken(CloseCode::Protocol, "a message began before the last one ended")
            }
            _ => self.broken(CloseCode::Protocol, "the frame violates RFC 6455"),
        }
    }

    fn broken(&mut self, code: CloseCode, reason: &'static str) -> Message {
        self.is_broken = true;
        self.partial = None;
        Message::Violation(code, reason)
    }
}

/// Reads the bytes as frames, to their end, and checks that no message is longer than allowed and that there are no
/// more messages than bytes.
///
/// # Panics
/// If a message is too long, or there are more messages than bytes.
#[cfg(fuzzing)]
pub fn fuzz(bytes: &[u8]) {
    const MAX_BYTES: usize = 300;
    let unpacks = bytes.first().is_some_and(|byte| byte % 2 == 0);
    let mut incoming =
        Incoming::new(crate::fuzzing::payload(crate::fuzzing::pieces(bytes)), MAX_BYTES, unpacks);
    let mut messages = 0;
    loop {
        match crate::fuzzing::with_context(|cx| incoming.poll_message(cx)) {
            Poll::Ready(Message::Text(text)) => assert!(text.len() <= MAX_BYTES),
            Poll::Ready(Message::Binary(bytes)) => assert!(bytes.len() <= MAX_BYTES),
            Poll::Ready(Message::Ping(payload)) => assert!(payload.len() <= 125),
            Poll::Ready(Message::Pong | Message::Close(_) | Message::Violation(..)) => {}
            Poll::Ready(Message::Gone) | Poll::Pending => return,
        }
        messages += 1;
        assert!(messages <= bytes.len(), "a message takes bytes");
    }
}
