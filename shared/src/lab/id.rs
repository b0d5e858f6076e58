//! The identity of a page in the lab: a random id that only this page knows.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The id of a page: 16 characters of `a-z 2-9` without those that look alike, which hold 80 random bits. Anybody who
/// knows the id can break the page's streams, so it appears in no link, no log and no list.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabId([u8; Self::LENGTH]);

impl LabId {
    const LENGTH: usize = 16;
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

    /// Creates an id from random bytes, of which the five low bits each count.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(bytes.map(|byte| Self::LETTERS[usize::from(byte & 31)]))
    }

    /// Returns the id as it appears in the query of an address.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Hides the text: anybody who reads an id in a log could use it.
impl fmt::Debug for LabId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LabId(…)")
    }
}

impl From<LabId> for String {
    fn from(id: LabId) -> Self {
        id.as_str().to_owned()
    }
}

impl TryFrom<String> for LabId {
    type Error = TagError;

    fn try_from(text: String) -> Result<Self, TagError> {
        text.parse()
    }
}

impl FromStr for LabId {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, TagError> {
        let bytes: [u8; Self::LENGTH] = text.as_bytes().try_into().map_err(|_| TagError)?;
        if bytes.iter().all(|byte| Self::LETTERS.contains(byte)) { Ok(Self(bytes)) } else { Err(TagError) }
    }
}

/// The tag that a page puts into the address of each of its requests, as `lab=id.n`: its id, and the request's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Id of the page.
    pub id: LabId,
    /// Number of the request; the page counts each technique from 1.
    pub n: u32,
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.id.as_str(), self.n)
    }
}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, TagError> {
        let (id, n) = text.split_once('.').ok_or(TagError)?;
        Ok(Self { id: id.parse()?, n: n.parse().map_err(|_| TagError)? })
    }
}

/// The text is not the id of a page, or not a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagError;

impl fmt::Display for TagError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a lab id has 16 characters of a-z and 2-9")
    }
}

impl std::error::Error for TagError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_read_as_it_is_written() {
        let tag = Tag {
            id: LabId::from_random([0, 37, 74, 111, 148, 185, 222, 3, 40, 77, 114, 151, 188, 225, 6, 43]),
            n: 12,
        };
        assert_eq!(tag.to_string().parse(), Ok(tag));
        for bad in
            ["", "abc.1", "aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaa.", "aaaaaaaaaaaaaaa0.1", "AAAAAAAAAAAAAAAA.1"]
        {
            assert_eq!(bad.parse::<Tag>(), Err(TagError), "{bad}");
        }
        assert!(!format!("{tag:?}").contains(tag.id.as_str()));
    }
}
