//! Cursors: a reader's place in the log, which survives a change of technique, of server and of connection.

use std::{fmt, num::NonZeroU32, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// The number of an event in the log, counted over all topics. The first event has 1; 0 is the place before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Offset(pub u64);

/// One life of the log: a log that was lost begins again under another epoch.
///
/// Without epochs, a log of 3 events that is lost and grows to 4 again would tell a client at offset 3 that it missed
/// one event, when all four are new to it. The epoch differs, so the client gets a reset instead. Written in base 36.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// Makes an epoch of random bits. The lower 48 are kept, which take ten characters at most.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits & 0xFFFF_FFFF_FFFF)
    }

    /// Returns an epoch that differs from this one.
    #[must_use]
    pub const fn another(self) -> Self {
        Self::from_bits(!self.0)
    }

    /// Returns the epoch as a number, for storage.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl FromStr for Epoch {
    type Err = CursorError;

    /// Parses the canonical form only: lower case, without leading zeros.
    fn from_str(text: &str) -> Result<Self, CursorError> {
        let epoch = u64::from_str_radix(text, 36).ok().map(Self);
        epoch
            .filter(|epoch| epoch.to_string() == text)
            .ok_or_else(|| CursorError(text.chars().take(40).collect()))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0_u8; 13]; // 36^13 > 2^64
        let mut rest = self.0;
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b"0123456789abcdefghijklmnopqrstuvwxyz"[usize::try_from(rest % 36).unwrap_or(0)];
            rest /= 36;
            if rest == 0 {
                break;
            }
        }
        f.write_str(std::str::from_utf8(&digits[at..]).unwrap_or_default())
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A reader's place in the log, as epoch and offset: everything up to and including `offset` has been seen.
///
/// To a client it is one opaque, URL-safe string (`k3f9-1842`): the `ETag` of a short poll, `after=` of any read,
/// the `id:` of an SSE event, `after` of a WebSocket subscribe.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// Epoch that the offset belongs to.
    pub epoch: Epoch,
    /// Offset of the last event that was seen.
    pub offset: Offset,
}

/// The error for a text that is not a cursor or an epoch; holds its first 40 characters.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("cursor {0:?} is not one that this server gave out; pass back the last one unchanged")]
pub struct CursorError(String);

impl FromStr for Cursor {
    type Err = CursorError;

    /// Parses the canonical form only: a cursor has one spelling, so equal cursors are equal texts.
    fn from_str(text: &str) -> Result<Self, CursorError> {
        let parse = || {
            let (epoch, offset) = text.split_once('-')?;
            let cursor = Self {
                epoch: Epoch(u64::from_str_radix(epoch, 36).ok()?),
                offset: Offset(offset.parse().ok()?),
            };
            (cursor.to_string() == text).then_some(cursor)
        };
        parse().ok_or_else(|| CursorError(text.chars().take(40).collect()))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.offset.0)
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The place at which a read begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum After {
    /// At the head: only events published from now on.
    #[default]
    Head,
    /// At the oldest retained event.
    Earliest,
    /// With the newest `n` events of the topics.
    Last(NonZeroU32),
    /// With the first event after this cursor.
    Cursor(Cursor),
}

impl FromStr for After {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        match text {
            "earliest" => Ok(Self::Earliest),
            cursor => cursor.parse().map(Self::Cursor),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_canonical_spelling_is_a_cursor() {
        for text in
            ["", "-", "k3f9", "k3f9-", "-1", "K3f9-1", "k3f9-01", "0k3f9-1", "k3f9-+1", "k3f9-1 ", "k3f9-1-2"]
        {
            assert!(text.parse::<Cursor>().is_err(), "{text:?}");
        }
        assert_eq!("0-0".parse::<Cursor>().unwrap().offset, Offset(0));
    }

    proptest! {
        #[test]
        fn a_cursor_survives_its_text(epoch: u64, offset: u64) {
            let cursor = Cursor { epoch: Epoch::from_bits(epoch), offset: Offset(offset) };
            prop_assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
            prop_assert!(cursor.to_string().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
        }

        #[test]
        fn what_is_taken_is_the_cursors_own_text(text in "\\PC{0,12}|[0-9a-z+]{0,14}-[0-9+]{0,21}") {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }
    }
}
