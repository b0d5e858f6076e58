//! The processing of uploaded files: the pieces of a file arrive as events, then it is hashed, packed and indexed, a
//! slice at a time, so that other tasks get their turn. After a restart, an unfinished file is rebuilt from its pieces
//! in the log and processed again from the first step.

use std::{
    collections::{BTreeMap, HashMap},
    io::Write as _,
    time::Duration,
};

use flate2::{Compression, write::DeflateEncoder};
use fourways_shared::{
    Data, Event, Filter, Topic,
    use_case::{
        self,
        upload::{Found, MAX_BYTES, Step, UploadMessage},
    },
};
use sha2::{Digest as _, Sha256};

use super::{Due, Machine, Publication, Readers, filter};

/// Bytes of each file that are processed in one turn.
const SLICE: usize = 256 * 1024;
/// Most files that are processed at once.
const MAX_JOBS: usize = 32;
/// Most bytes that all of these files may have together.
const MAX_HELD: u64 = 128 << 20;
/// Time without a piece after which an unfinished file is given up.
const PATIENCE_US: u64 = 15 * 60 * 1_000_000;
/// Most different words that are counted in a file; later ones are left out.
const MAX_WORDS: usize = 50_000;
/// Number of the most common words that are reported.
const SHOWN: usize = 8;

#[derive(Default)]
pub(super) struct Uploads {
    /// Unfinished jobs, by the end of their topics: `VISITOR.JOB`.
    jobs: BTreeMap<Box<str>, Job>,
}

struct Job {
    topic: Topic,
    of: u64,
    bytes: Vec<u8>,
    heard_us: u64,
    /// Number of received bytes that was published last.
    said: u64,
    /// Reason for the refusal of the file.
    refused: Option<String>,
    work: Option<Box<Work>>,
}

/// The processing of a file that has arrived whole.
struct Work {
    step: Step,
    done: usize,
    hash: Sha256,
    packed: DeflateEncoder<Counted>,
    words: HashMap<Box<str>, u64>,
    /// Beginning of the current word, whose end may be in the next slice.
    begun: String,
    found: Found,
}

/// A writer that counts bytes and discards them.
#[derive(Default)]
struct Counted(u64);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Machine for Uploads {
    fn reads(&self) -> Vec<Filter> {
        ["use-case.upload.>", "use-case.pieces.>"].into_iter().filter_map(filter).collect()
    }

    fn apply(&mut self, event: &Event, at_us: u64) {
        if let Some(name) = use_case::rest(&event.topic, "pieces") {
            if let (Some(job), Data::Bytes(piece)) = (self.jobs.get_mut(name), &event.data)
                && job.refused.is_none()
                && job.bytes.len() as u64 + piece.len() as u64 <= job.of
            {
                job.bytes.extend_from_slice(piece);
                job.heard_us = at_us;
            }
            return;
        }
        let Some(name) = use_case::rest(&event.topic, "upload") else { return };
        let is_own = use_case::is_from_server(event);
        match use_case::read(event) {
            Some(UploadMessage::Begun { bytes, .. }) if !self.jobs.contains_key(name) => {
                let promised: u64 = self.jobs.values().map(|job| job.of.min(MAX_BYTES)).sum();
                let refused = if bytes > MAX_BYTES {
                    Some(format!("it has {bytes} bytes; at most {MAX_BYTES} are allowed"))
                } else if self.jobs.len() >= MAX_JOBS || promised + bytes > MAX_HELD {
                    Some("too many files are being processed; try again later".to_owned())
                } else {
                    None
                };
                let job = Job {
                    topic: event.topic.clone(),
                    of: bytes,
                    bytes: Vec::new(),
                    heard_us: at_us,
                    said: u64::MAX,
                    refused,
                    work: None,
                };
                self.jobs.insert(name.into(), job);
            }
            Some(UploadMessage::Cancelled) => drop(self.jobs.remove(name)),
            Some(UploadMessage::Done(_) | UploadMessage::Refused { .. }) if is_own => {
                drop(self.jobs.remove(name));
            }
            _ => {}
        }
    }

    fn due(&mut self, now_us: u64, _: &mut Readers) -> Due {
        let mut due = Due::default();
        for job in self.jobs.values_mut() {
            let is_whole = job.bytes.len() as u64 == job.of;
            let is_left = !is_whole && now_us > job.heard_us + PATIENCE_US;
            let refused =
                job.refused.clone().or_else(|| is_left.then(|| "its pieces stopped arriving".to_owned()));
            let said = match refused {
                Some(why) => Some(UploadMessage::Refused { why: why.into() }),
                None => job.go_on(),
            };
            if job.work.is_some() {
                due.again = Some(Duration::ZERO);
            }
            let Some(said) = said else { continue };
            let is_end = !matches!(said, UploadMessage::Step { .. });
            let say = Publication::of(Some(job.topic.clone()), &said);
            due.says.extend(say.map(|say| if is_end { say.once("end") } else { say }));
        }
        due
    }
}

impl Job {
    /// Processes the next slice; returns the progress or the result, or `None` if nothing changed.
    fn go_on(&mut self) -> Option<UploadMessage> {
        let here = self.bytes.len() as u64;
        if here < self.of || self.work.is_none() {
            if here == self.of {
                self.work = Some(Box::new(Work::new()));
            }
            let is_news = std::mem::replace(&mut self.said, here) != here;
            return is_news.then_some(UploadMessage::Step { step: Step::Receive, done: here, of: self.of });
        }
        let work = self.work.as_mut()?;
        if let Some(step) = work.slice(&self.bytes) {
            return Some(UploadMessage::Step { step, done: work.done as u64, of: self.of });
        }
        Some(UploadMessage::Done(work.found.clone()))
    }
}

impl Work {
    fn new() -> Self {
        Self {
            step: Step::Hash,
            done: 0,
            hash: Sha256::new(),
            packed: DeflateEncoder::new(Counted::default(), Compression::best()),
            words: HashMap::new(),
            begun: String::new(),
            found: Found::default(),
        }
    }

    /// Processes the next slice and returns its step; `None` once every step is done.
    fn slice(&mut self, bytes: &[u8]) -> Option<Step> {
        if self.done == bytes.len() && self.done > 0 || bytes.is_empty() {
            let next = Step::ALL.into_iter().find(|step| *step > self.step);
            self.end(self.step);
            (self.step, self.done) = (next?, 0);
        }
        let mut slice = &bytes[self.done..bytes.len().min(self.done + SLICE)];
        // A full slice ends after an ASCII byte, so that no character is split.
        if let Some(last) = slice.iter().rposition(u8::is_ascii).filter(|_| slice.len() == SLICE) {
            slice = &slice[..=last];
        }
        match self.step {
            Step::Receive => {}
            Step::Hash => self.hash.update(slice),
            // The result is ignored: the writer is a counter, which never fails.
            Step::Pack => drop(self.packed.write_all(slice)),
            Step::Index => self.index(slice),
        }
        self.done += slice.len();
        Some(self.step)
    }

    fn end(&mut self, step: Step) {
        match step {
            Step::Receive => {}
            Step::Hash => {
                let digest = std::mem::take(&mut self.hash).finalize();
                let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
                let digits = digits.filter_map(|digit| char::from_digit(u32::from(digit), 16));
                self.found.sha256 = digits.collect::<String>().into();
            }
            Step::Pack => {
                drop(self.packed.try_finish());
                self.found.packed_bytes = self.packed.get_ref().0;
            }
            Step::Index => {
                self.word();
                let mut all: Vec<(Box<str>, u64)> = self.words.drain().collect();
                all.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
                all.truncate(SHOWN);
                self.found.commonest = all;
            }
        }
    }

    /// Counts the lines and words of a slice. Bytes that are not UTF-8 end a word.
    fn index(&mut self, slice: &[u8]) {
        self.found.lines += slice.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
        for chunk in slice.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_alphanumeric() {
                    self.begun.extend(character.to_lowercase());
                } else {
                    self.word();
                }
            }
            if !chunk.invalid().is_empty() {
                self.word();
            }
        }
    }

    fn word(&mut self) {
        if self.begun.is_empty() {
            return;
        }
        self.found.words += 1;
        if let Some(count) = self.words.get_mut(self.begun.as_str()) {
            *count += 1;
        } else if self.words.len() < MAX_WORDS && self.begun.len() <= 40 {
            self.words.insert(self.begun.as_str().into(), 1);
        }
        self.begun.clear();
    }
}
