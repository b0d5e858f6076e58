//! What an event carries.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use thiserror::Error;

/// Deepest nesting of arrays and objects in what is published. RFC 8259 9 lets a receiver set a limit, and readers of every
/// language do: one event that some of them can't parse would stop them all at the same place. Of the limits that are on
/// unless turned off, this is the smallest (.NET's System.Text.Json).
pub const MAX_DEPTH: usize = 64;

/// Why a JSON text is not taken.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("arrays and objects are nested more than {MAX_DEPTH} deep")]
pub struct TooDeep;

/// What was published: a JSON text, kept as it was written, or bytes.
#[derive(Clone, Debug)]
pub enum Data {
    /// One JSON value, in the publisher's own spelling.
    Json(Box<RawValue>),
    /// Bytes; base64 in JSON, a byte string in CBOR.
    Bytes(Bytes),
}

impl Data {
    /// A text as a JSON string.
    pub fn text(text: &str) -> Self {
        Self::json(&text)
    }

    /// A value as JSON; `null` for what has no JSON form.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Self {
        let raw = serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned());
        Self::Json(raw)
    }

    /// A JSON text as somebody else wrote it.
    ///
    /// # Errors
    /// If it nests too deeply.
    pub fn written(raw: Box<RawValue>) -> Result<Self, TooDeep> {
        if is_deep(raw.get().as_bytes()) { Err(TooDeep) } else { Ok(Self::Json(raw)) }
    }

    /// How many bytes were published.
    pub fn len(&self) -> usize {
        match self {
            Self::Json(raw) => raw.get().len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// Nothing was published.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Json(a), Self::Json(b)) => a.get() == b.get(),
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            _ => false,
        }
    }
}

/// Of a text that is known to be JSON.
fn is_deep(json: &[u8]) -> bool {
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    json.iter().any(|byte| {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => is_text = !is_text,
            b'[' | b'{' if !is_text => depth += 1,
            b']' | b'}' if !is_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > MAX_DEPTH
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_has_a_limit() {
        let nested = |open: &str, close: &str, depth: usize| open.repeat(depth) + "1" + &close.repeat(depth);
        let written = |json: String| Data::written(RawValue::from_string(json).unwrap()).map(|_| ());
        for (open, close) in [("[", "]"), ("{\"a\\\"[\":", "}")] {
            assert_eq!(written(nested(open, close, MAX_DEPTH)), Ok(()));
            assert_eq!(written(nested(open, close, MAX_DEPTH + 1)), Err(TooDeep));
        }
        assert_eq!(written(format!("[{}]", vec!["[[]]"; 1000].join(","))), Ok(()), "wide is not deep");
        assert_eq!(written(format!("\"{}\"", "[".repeat(1000))), Ok(()), "a text is not deep");
        assert_eq!(written(format!("\"\\\\{}\"", "[".repeat(1000))), Ok(()), "nor is one with a backslash");
    }
}
