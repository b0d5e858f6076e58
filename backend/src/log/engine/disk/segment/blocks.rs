//! Reading a segment's blocks, each whole and checked.

use std::io;

use super::Segment;
use crate::log::engine::disk::{
    block::{self, Damage, HEADER, Header, MARK},
    files::OpenFile,
};

/// Bytes of one read; a longer block is read whole.
pub(super) const READ_BYTES: usize = 128 * 1024;
/// The same of a read for one event: what lies between two places of the index.
pub(super) const ONE_BYTES: usize = 20 * 1024;

impl Segment {
    /// A whole, checked block.
    pub(super) fn block_at(&self, at: u64, end: u64) -> Result<(Header, Vec<u8>), ReadError> {
        let mut buffer = Buffer::of(READ_BYTES);
        let (header, _) = self.block_in(&mut buffer, at, end)?;
        let from = usize::try_from(at - buffer.at).unwrap_or(0);
        buffer.bytes.truncate(from + HEADER + header.body as usize);
        Ok((header, buffer.bytes.split_off(from)))
    }

    /// The block at this place, through a buffer that is filled again where it does not reach.
    pub(super) fn block_in<'a>(
        &self,
        buffer: &'a mut Buffer,
        at: u64,
        end: u64,
    ) -> Result<(Header, &'a [u8]), ReadError> {
        if !buffer.has(at, HEADER) {
            buffer.fill(&*self.file, at, end, buffer.length)?;
        }
        let header = Header::parse(buffer.from(at), self.salt)?;
        if at + header.length() > end {
            return Err(Damage::Short.into());
        }
        let whole = HEADER + header.body as usize;
        if !buffer.has(at, whole) {
            buffer.fill(&*self.file, at, end, whole.max(buffer.length))?;
        }
        Ok((header, block::body(&header, buffer.from(at), self.salt)?))
    }

    /// The next place at or after `from` where a whole block begins, and what it knew to be on the disk.
    pub(super) fn next_block(&self, from: u64, end: u64) -> io::Result<Option<(u64, u64)>> {
        let mut buffer = Buffer::of(READ_BYTES);
        let (mut at, mark) = (from, self.salt.mark());
        while at + HEADER as u64 <= end {
            if !buffer.has(at, HEADER) {
                buffer.fill(&*self.file, at, end, READ_BYTES)?;
            }
            let seen = buffer.from(at);
            let Some(near) = seen.windows(MARK).position(|window| window == mark) else {
                at += (seen.len().saturating_sub(MARK - 1)).max(1) as u64;
                continue;
            };
            at += near as u64;
            // What is no head, or says that it is longer than the file, is not read for.
            let head = buffer.from(at);
            if head.len() >= HEADER
                && !Header::parse(head, self.salt).is_ok_and(|header| at + header.length() <= end)
            {
                at += 1;
                continue;
            }
            match self.block_at(at, end) {
                Ok((header, _)) => return Ok(Some((at, header.synced))),
                Err(ReadError::Io(error)) => return Err(error),
                Err(ReadError::Damage(_)) => at += 1,
            }
        }
        Ok(None)
    }
}

pub(super) enum ReadError {
    Io(io::Error),
    Damage(Damage),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Damage> for ReadError {
    fn from(damage: Damage) -> Self {
        Self::Damage(damage)
    }
}

/// A piece of a file.
pub(super) struct Buffer {
    /// How much is read at once.
    length: usize,
    at: u64,
    bytes: Vec<u8>,
}

impl Buffer {
    /// An empty one, filled with so much at once.
    pub(super) const fn of(length: usize) -> Self {
        Self { length, at: 0, bytes: Vec::new() }
    }

    fn has(&self, at: u64, length: usize) -> bool {
        at >= self.at && at + length as u64 <= self.at + self.bytes.len() as u64
    }

    fn from(&self, at: u64) -> &[u8] {
        usize::try_from(at - self.at).ok().and_then(|from| self.bytes.get(from..)).unwrap_or_default()
    }

    fn fill(&mut self, file: &dyn OpenFile, at: u64, end: u64, length: usize) -> io::Result<()> {
        let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(length);
        self.at = at;
        self.bytes.resize(length, 0);
        file.read_exact_at(&mut self.bytes, at)
    }
}
