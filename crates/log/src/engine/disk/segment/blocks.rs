//! Reading the blocks of a segment, each whole and verified.

use std::io;

use super::Segment;
use crate::engine::disk::{
    block::{self, Damage, HEADER, Header, MARK},
    files::OpenFile,
};

/// Length of one read, in bytes. A longer block is read as a whole.
pub(super) const READ_BYTES: usize = 128 * 1024;
/// Length of a read for a single event, in bytes: about the distance between two entries of the index.
pub(super) const ONE_BYTES: usize = 20 * 1024;

impl Segment {
    /// Returns the whole, verified block at a position.
    pub(super) fn block_at(&self, at: u64, end: u64) -> Result<(Header, Vec<u8>), ReadError> {
        let mut buffer = Buffer::of(READ_BYTES);
        let (header, _) = self.block_in(&mut buffer, at, end)?;
        let from = usize::try_from(at - buffer.at).unwrap_or(0);
        buffer.bytes.truncate(from + HEADER + header.body as usize);
        Ok((header, buffer.bytes.split_off(from)))
    }

    /// Returns the block at a position, from the buffer if it reaches that far; otherwise the buffer is filled again.
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

    /// Finds the next position at or after `from` where a whole block begins, and returns it with the block's
    /// `synced`.
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
            // Bytes that are no header, or one whose block would exceed the file, are not worth a read.
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

/// A piece of a file in memory.
pub(super) struct Buffer {
    /// Length of one fill, in bytes.
    length: usize,
    at: u64,
    bytes: Vec<u8>,
}

impl Buffer {
    /// Creates an empty buffer that reads `length` bytes at once.
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
