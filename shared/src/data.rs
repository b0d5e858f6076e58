//! The data that an event carries, and the JSON that the server accepts as such.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use thiserror::Error;

/// Depth to which arrays and objects in published data may be nested. RFC 8259 9 lets a receiver set a limit, and JSON
/// parsers do: a reader whose parser refuses one event would be stuck at that event. Of the limits that parsers have by
/// default, this is the smallest (.NET's System.Text.Json).
pub const MAX_DEPTH: usize = 64;

/// The reason why published JSON is refused: not all readers would get the same value from it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DataError {
    /// The nesting is deeper than [`MAX_DEPTH`], at which some parsers fail.
    #[error("arrays and objects are nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// A string contains half a character, as in `"\ud800"`. JSON can spell it, but it is not text (RFC 8259 8.2).
    #[error(
        "a string contains half a character (an unpaired \\u surrogate), which not every encoding can represent"
    )]
    HalfCharacter,
    /// A number is too large, as in `1e400`: most parsers read infinity or refuse it (RFC 8259 6).
    #[error("a number is too large for 64-bit floating point")]
    TooLarge,
}

/// Published data: JSON, kept as it was written, plain text, or bytes.
#[derive(Clone, Debug)]
pub enum Data {
    /// One JSON value, spelled as the publisher spelled it.
    Json(Box<RawValue>),
    /// Plain text, kept as the JSON string that every envelope carries; a read with `data=raw` gets the text itself.
    Text(Box<RawValue>),
    /// Raw bytes: base64 in JSON, a byte string in CBOR.
    Bytes(Bytes),
}

impl Data {
    /// Makes a JSON string of a text.
    pub fn text(text: &str) -> Self {
        Self::json(&text)
    }

    /// Makes [`Data::Text`] of plain text.
    pub fn plain(text: &str) -> Self {
        match Self::json(&text) {
            Self::Json(raw) => Self::Text(raw),
            other => other,
        }
    }

    /// Serializes a value as JSON; a value without a JSON form becomes `null`.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Self {
        let raw = serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned());
        Self::Json(raw)
    }

    /// Accepts JSON that a client wrote, as it is.
    ///
    /// # Errors
    /// If some readers would get another value from the JSON, or could not parse it.
    pub fn from_client_json(raw: Box<RawValue>) -> Result<Self, DataError> {
        check_json(raw.get()).map(|()| Self::Json(raw))
    }

    /// Returns the size of the data in bytes: of JSON and text, as written in JSON.
    pub fn len(&self) -> usize {
        match self {
            Self::Json(raw) | Self::Text(raw) => raw.get().len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// Returns the first `chars` characters of the JSON, to show to people; for bytes, their number.
    pub fn preview(&self, chars: usize) -> String {
        match self {
            Self::Json(raw) | Self::Text(raw) => raw.get().chars().take(chars).collect(),
            Self::Bytes(bytes) => format!("{} bytes", bytes.len()),
        }
    }

    /// True if the data has no bytes. JSON always has some.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Json(a) | Self::Text(a), Self::Json(b) | Self::Text(b)) => a.get() == b.get(),
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            _ => false,
        }
    }
}

/// Checks a text that is known to be valid JSON.
fn check_json(json: &str) -> Result<(), DataError> {
    let bytes = json.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = text_end(bytes, at + 1)?;
                continue;
            }
            b'-' | b'0'..=b'9' => {
                let length = bytes[at..].iter().take_while(|byte| is_of_number(**byte)).count();
                let number = &json[at..at + length];
                // A short number without an exponent can't be too large.
                let may_be_large = length > 300 || number.contains(['e', 'E']);
                if may_be_large && !number.parse::<f64>().is_ok_and(f64::is_finite) {
                    return Err(DataError::TooLarge);
                }
                at += length;
                continue;
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(DataError::TooDeep);
        }
        at += 1;
    }
    Ok(())
}

const fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')
}

/// Returns the index just after the string that `at` is inside of.
fn text_end(json: &[u8], mut at: usize) -> Result<usize, DataError> {
    let unit = |at: usize| {
        let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    loop {
        match json.get(at) {
            None => return Ok(at),
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => match unit(at) {
                None => at += 2,
                Some(0xD800..=0xDBFF) if matches!(unit(at + 6), Some(0xDC00..=0xDFFF)) => at += 12,
                Some(0xD800..=0xDFFF) => return Err(DataError::HalfCharacter),
                Some(_) => at += 6,
            },
            Some(_) => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_has_a_limit() {
        let nested = |open: &str, close: &str, depth: usize| open.repeat(depth) + "1" + &close.repeat(depth);
        let written = |json: String| Data::from_client_json(RawValue::from_string(json).unwrap()).map(|_| ());
        for (open, close) in [("[", "]"), ("{\"a\\\"[\":", "}")] {
            assert_eq!(written(nested(open, close, MAX_DEPTH)), Ok(()));
            assert_eq!(written(nested(open, close, MAX_DEPTH + 1)), Err(DataError::TooDeep));
        }
        assert_eq!(written(format!("[{}]", vec!["[[]]"; 1000].join(","))), Ok(()), "wide is not deep");
        assert_eq!(written(format!("\"{}\"", "[".repeat(1000))), Ok(()), "a text is not deep");
        assert_eq!(written(format!("\"\\\\{}\"", "[".repeat(1000))), Ok(()), "nor is one with a backslash");
    }

    #[test]
    fn what_some_encoding_can_not_say_is_not_taken() {
        let written =
            |json: &str| Data::from_client_json(RawValue::from_string(json.to_owned()).unwrap()).map(|_| ());
        for json in [
            r#""cut \ud83d""#,
            r#"{"a\udc00":1}"#,
            r#"["\ud83d\n"]"#,
            r#""\ud83d\ud83d\ude00""#,
            r#""\ude00\ud83d""#,
        ] {
            assert_eq!(written(json), Err(DataError::HalfCharacter), "{json}");
        }
        for json in
            [r#""\ud83d\ude00""#, r#""\\ud83d""#, r#"{"\u00e4":"\uFFFF"}"#, "1e308", "-1E-999", "[1e5,0.1]"]
        {
            assert_eq!(written(json), Ok(()), "{json}");
        }
        for json in ["1e400", r#"{"a":[-1.5E309]}"#, &"9".repeat(310)] {
            assert_eq!(written(json), Err(DataError::TooLarge), "{json}");
        }
        assert_eq!(written(&"9".repeat(308)), Ok(()));
    }
}
