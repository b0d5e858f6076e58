//! What a client sends: frames put together to messages, with every limit and rule of RFC 6455 on the way.

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

/// One message, or what ends the reading.
pub(super) enum Message {
    Text(ByteString),
    Binary(Bytes),
    Ping(Bytes),
    Pong,
    /// The client says goodbye, with its code.
    Close(Option<u16>),
    /// The connection ended without a goodbye.
    Gone,
    /// The client broke a rule; the code and the reason to close with (RFC 6455 7.4.1).
    Violation(CloseCode, &'static str),
}

pub(super) struct Incoming {
    payload: web::Payload,
    codec: Codec,
    buffer: BytesMut,
    max_bytes: usize,
    partial: Option<Partial>,
    is_broken: bool,
}

/// A message of which the last frame has not come.
struct Partial {
    is_text: bool,
    bytes: BytesMut,
}

impl Incoming {
    pub(super) fn new(payload: web::Payload, max_bytes: usize) -> Self {
        let codec = Codec::new().max_size(max_bytes);
        Self { payload, codec, buffer: BytesMut::new(), max_bytes, partial: None, is_broken: false }
    }

    pub(super) fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Message> {
        loop {
            if self.is_broken {
                // What follows can't be understood any more; it is read so that our close frame gets out.
                self.buffer.clear();
            } else if !self.buffer.is_empty() {
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

    fn take(&mut self, frame: Frame) -> Option<Message> {
        match frame {
            Frame::Ping(payload) => Some(Message::Ping(payload)),
            Frame::Pong(_) => Some(Message::Pong),
            Frame::Close(reason) => Some(Message::Close(reason.map(|reason| reason.code.into()))),
            Frame::Text(_) | Frame::Binary(_) if self.partial.is_some() => {
                Some(self.broken(CloseCode::Protocol, "a message began inside another"))
            }
            Frame::Text(bytes) => Some(self.whole(true, bytes)),
            Frame::Binary(bytes) => Some(self.whole(false, bytes)),
            Frame::Continuation(item) => self.continued(item),
        }
    }

    fn continued(&mut self, item: Item) -> Option<Message> {
        let (bytes, is_last) = match item {
            Item::FirstText(bytes) | Item::FirstBinary(bytes) if self.partial.is_some() => {
                drop(bytes);
                return Some(self.broken(CloseCode::Protocol, "a message began inside another"));
            }
            Item::FirstText(bytes) => {
                self.partial = Some(Partial { is_text: true, bytes: BytesMut::new() });
                (bytes, false)
            }
            Item::FirstBinary(bytes) => {
                self.partial = Some(Partial { is_text: false, bytes: BytesMut::new() });
                (bytes, false)
            }
            Item::Continue(bytes) => (bytes, false),
            Item::Last(bytes) => (bytes, true),
        };
        let Some(mut partial) = self.partial.take() else {
            return Some(self.broken(CloseCode::Protocol, "a message continued that had not begun"));
        };
        if partial.bytes.len() + bytes.len() > self.max_bytes {
            return Some(self.broken(CloseCode::Size, "the message is longer than the limit"));
        }
        partial.bytes.extend_from_slice(&bytes);
        if is_last {
            return Some(self.whole(partial.is_text, partial.bytes.freeze()));
        }
        self.partial = Some(partial);
        None
    }

    fn whole(&mut self, is_text: bool, bytes: Bytes) -> Message {
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
            ProtocolError::Overflow => self.broken(CloseCode::Size, "the message is longer than the limit"),
            ProtocolError::UnmaskedFrame => self.broken(CloseCode::Protocol, "a client must mask its frames"),
            ProtocolError::InvalidLength(_) => {
                self.broken(CloseCode::Protocol, "a control frame has at most 125 bytes")
            }
            ProtocolError::BadOpCode | ProtocolError::InvalidOpcode(_) => {
                self.broken(CloseCode::Protocol, "the opcode is reserved")
            }
            ProtocolError::ContinuationNotStarted => {
                self.broken(CloseCode::Protocol, "a message continued that had not begun")
            }
            ProtocolError::ContinuationStarted => {
                self.broken(CloseCode::Protocol, "a message began inside another")
            }
            _ => self.broken(CloseCode::Protocol, "the frame breaks RFC 6455"),
        }
    }

    fn broken(&mut self, code: CloseCode, reason: &'static str) -> Message {
        self.is_broken = true;
        self.partial = None;
        Message::Violation(code, reason)
    }
}
