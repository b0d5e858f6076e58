//! The three ways to read a segment: on from an offset, the events at given offsets, and the offsets of the newest
//! events.

use std::io;

use fourways_shared::{Epoch, Event};

use super::{
    Mark, Segment,
    blocks::{Buffer, ONE_BYTES, READ_BYTES, ReadError},
};
use crate::engine::disk::{
    block::{self, Damage},
    reading::Last,
};

/// Bytes that differ from those that were written: they are reported, and never served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {damage} at byte {at}; the lost events come after offset {after}")]
pub(in super::super) struct Hole {
    /// Path of the file.
    pub path: String,
    /// Position of the damage in the file.
    pub at: u64,
    /// Kind of the damage.
    pub damage: Damage,
    /// Offset of the last event before the damage.
    pub after: u64,
}

/// Result of one read.
#[derive(Debug, Default)]
pub(in super::super) struct Found {
    /// The events, in the order of offsets.
    pub events: Vec<Event>,
    /// Offset up to which everything was examined.
    pub through: u64,
    /// The read stopped at one of its limits, so there may be more events in this segment.
    pub is_full: bool,
    /// Number of bytes of the file that were examined.
    pub looked: u64,
    /// Damage that stopped the read, right after `through`.
    pub hole: Option<Hole>,
    /// Offset to go on after, behind the damage.
    pub resumes_after: Option<u64>,
}

/// The request of a read.
#[derive(Clone, Copy)]
pub(in super::super) struct Wanted<'a> {
    /// Offset after which events are wanted.
    pub after: u64,
    /// Offset up to which events are wanted, included.
    pub through: u64,
    /// True for the topics that are wanted.
    pub takes: &'a dyn Fn(&str) -> bool,
    /// Hashes of the wanted topics if they are few, to skip pieces without them.
    pub marks: Option<&'a [Mark]>,
    /// Number of events wanted at most.
    pub limit: usize,
    /// Size of the data after which the read ends, in bytes.
    pub bytes: usize,
    /// Number of bytes of the file after which the read ends.
    pub look: u64,
}

impl Segment {
    /// Reads on from an offset.
    ///
    /// # Errors
    /// If the file can't be read. Damage is not an error: see [`Found::hole`].
    pub(in super::super) fn read(&self, wanted: Wanted<'_>, epoch: Epoch) -> io::Result<Found> {
        let mut found = Found { through: wanted.after, ..Found::default() };
        if !self.has_head {
            found.hole = Some(self.hole(0, Damage::Head, wanted.after));
            return Ok(found);
        }
        let (mut at, end, last) = {
            let index = self.index();
            (index.place_of(wanted.after), index.length, index.last)
        };
        let mut bytes = 0;
        let is_sparse = wanted.limit == 1 || wanted.marks.is_some();
        let mut buffer = Buffer::of(if is_sparse { ONE_BYTES } else { READ_BYTES });
        while at < end {
            if let Some(marks) = wanted.marks {
                let (next, passed) = self.index().skip(at, marks);
                at = next;
                // The range may end before `passed`; and `last` bounds it, because events that were committed
                // meanwhile were not examined.
                if let Some(passed) = passed {
                    found.through = found.through.max(passed.min(wanted.through).min(last));
                }
                if at >= end || found.through >= wanted.through {
                    break;
                }
            }
            if found.looked >= wanted.look {
                found.is_full = true;
                return Ok(found);
            }
            let events = match self.block_in(&mut buffer, at, end) {
                Ok(block) => block,
                Err(ReadError::Io(error)) => return Err(error),
                Err(ReadError::Damage(damage)) => {
                    let hole = self.hole(at, damage, found.through);
                    match self.next_place(&hole)? {
                        // The damage lies before the range: nothing that is wanted is lost.
                        Some((place, first)) if first <= wanted.after + 1 => {
                            at = place;
                            continue;
                        }
                        _ => found.hole = Some(hole),
                    }
                    return Ok(found);
                }
            };
            let (header, body) = events;
            at += header.length();
            found.looked += header.length();
            for stored in block::events(body) {
                let Ok(stored) = stored else {
                    found.hole = Some(self.hole(at, Damage::Event, found.through));
                    return Ok(found);
                };
                // A block whose offsets are not above those before it was reported when the segment was opened.
                if stored.offset <= found.through {
                    continue;
                }
                if stored.offset > wanted.through {
                    found.through = wanted.through;
                    return Ok(found);
                }
                if found.events.len() >= wanted.limit || bytes >= wanted.bytes {
                    found.is_full = true;
                    return Ok(found);
                }
                if (wanted.takes)(stored.topic) {
                    match stored.event(epoch) {
                        Ok(event) => {
                            bytes += event.data.len();
                            found.events.push(event);
                        }
                        Err(damage) => {
                            found.hole = Some(self.hole(at, damage, found.through));
                            return Ok(found);
                        }
                    }
                }
                found.through = stored.offset;
            }
        }
        Ok(found)
    }

    /// Returns the events at these offsets, which rise. Events that are not there or can't be read are left out.
    ///
    /// # Errors
    /// If the file can't be read.
    pub(in super::super) fn read_these(&self, offsets: &[u64], epoch: Epoch) -> io::Result<Vec<Event>> {
        let mut found = Vec::with_capacity(offsets.len());
        let mut left = offsets.iter().copied().peekable();
        let end = self.index().length;
        let mut buffer = Buffer::of(if offsets.len() == 1 { ONE_BYTES } else { READ_BYTES });
        let mut at = 0;
        while let Some(next) = left.peek().copied().filter(|_| self.has_head) {
            // Skips what lies in between, as far as the index has entries.
            at = self.index().place_of(next - 1).max(at);
            if at >= end {
                break;
            }
            let (header, body) = match self.block_in(&mut buffer, at, end) {
                Ok(block) => block,
                Err(ReadError::Io(error)) => return Err(error),
                Err(ReadError::Damage(damage)) => match self.next_place(&self.hole(at, damage, next - 1))? {
                    Some((place, _)) => {
                        at = place;
                        continue;
                    }
                    None => break,
                },
            };
            at += header.length();
            for stored in block::events(body).flatten() {
                while left.next_if(|wanted| *wanted < stored.offset).is_some() {}
                if left.next_if_eq(&stored.offset).is_some() {
                    found.extend(stored.event(epoch).ok());
                }
            }
        }
        Ok(found)
    }

    /// Returns the offsets of the last `limit` events that are wanted. Damage is skipped.
    ///
    /// # Errors
    /// If the file can't be read.
    pub(in super::super) fn newest_offsets(&self, wanted: Wanted<'_>) -> io::Result<Vec<u64>> {
        let Wanted { after, through, takes, marks, limit, .. } = wanted;
        let (mut newest, mut passed) = (Last::of(limit), after);
        if !self.has_head {
            return Ok(Vec::new());
        }
        let (mut at, end) = {
            let index = self.index();
            (index.place_of(after), index.length)
        };
        let mut buffer = Buffer::of(if marks.is_some() { ONE_BYTES } else { READ_BYTES });
        while at < end {
            if let Some(marks) = marks {
                at = self.index().skip(at, marks).0;
                if at >= end {
                    break;
                }
            }
            match self.block_in(&mut buffer, at, end) {
                Ok((header, body)) => {
                    at += header.length();
                    for stored in block::events(body).flatten() {
                        if stored.offset > through {
                            return Ok(newest.into_vec());
                        }
                        // Skipped as in a read: a block whose offsets are not above those before it.
                        if stored.offset <= passed {
                            continue;
                        }
                        passed = stored.offset;
                        if takes(stored.topic) {
                            newest.push(stored.offset);
                        }
                    }
                }
                Err(ReadError::Io(error)) => return Err(error),
                Err(ReadError::Damage(damage)) => match self.next_place(&self.hole(at, damage, after))? {
                    Some((place, _)) => at = place,
                    None => break,
                },
            }
        }
        Ok(newest.into_vec())
    }

    /// Returns the offset after which reading goes on behind damage; `None` if nothing follows.
    ///
    /// # Errors
    /// If the file can't be read.
    pub(in super::super) fn resumes_after(&self, hole: &Hole) -> io::Result<Option<u64>> {
        Ok(self.next_place(hole)?.map(|(_, first)| first.saturating_sub(1)))
    }

    /// Finds the first readable block behind damage; returns its position and its first offset.
    fn next_place(&self, hole: &Hole) -> io::Result<Option<(u64, u64)>> {
        if !self.has_head {
            return Ok(None);
        }
        let end = self.index().length;
        let Some((at, _)) = self.next_block(hole.at + 1, end)? else { return Ok(None) };
        let first = self.block_at(at, end).ok().and_then(|(header, bytes)| {
            let body = block::body(&header, &bytes, self.salt).ok()?;
            block::events(body).next()?.ok().map(|stored| stored.offset)
        });
        Ok(first.map(|first| (at, first)))
    }

    fn hole(&self, at: u64, damage: Damage, after: u64) -> Hole {
        Hole { path: self.path.display().to_string(), at, damage, after }
    }
}
