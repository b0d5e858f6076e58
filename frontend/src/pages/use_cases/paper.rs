//! A text that several people write at once: a CRDT (`yrs`), and the way from typed text to an edit of it. Nothing in
//! this module knows a browser.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use fourways_shared::use_case::{is_plain, text::TEXT};
use yrs::{
    Assoc, Doc, GetString as _, IndexedSequence as _, OffsetKind, Options, StickyIndex, Text as _, TextRef,
    Transact as _, Update, updates::decoder::Decode as _,
};

/// The copy of the text that this page has.
pub(super) struct Paper {
    doc: Doc,
    text: TextRef,
}

impl Paper {
    /// Creates an empty text. No two writers may have the same `id`.
    pub(super) fn new(id: u64) -> Self {
        // Ids have 53 bits, so that JavaScript's numbers hold them.
        let options = Options {
            offset_kind: OffsetKind::Utf16,
            ..Options::with_client_id(yrs::ClientID::new(id & ((1 << 53) - 1)))
        };
        let doc = Doc::with_options(options);
        let text = doc.get_or_insert_text(TEXT);
        Self { doc, text }
    }

    pub(super) fn content(&self) -> String {
        self.text.get_string(&self.doc.transact())
    }

    /// Changes the text to `now`, and returns the change as an edit for the other writers; `None` if nothing changes.
    pub(super) fn write(&self, now: &str) -> Option<Box<str>> {
        let Change { at, removed, inserted } = change(&self.content(), now)?;
        let mut transaction = self.doc.transact_mut();
        if removed > 0 {
            self.text.remove_range(&mut transaction, at, removed);
        }
        if !inserted.is_empty() {
            self.text.insert(&mut transaction, at, inserted);
        }
        Some(BASE64_STANDARD.encode(transaction.encode_update_v1()).into())
    }

    /// Merges an edit of another writer. Returns false if the edit can't be read.
    pub(super) fn merge(&self, update: &str) -> bool {
        let bytes = BASE64_STANDARD.decode(update).ok().filter(|bytes| is_plain(bytes));
        let update = bytes.and_then(|bytes| Update::decode_v1(&bytes).ok());
        update.is_some_and(|update| self.doc.transact_mut().apply_update(update).is_ok())
    }

    /// Returns a sticky index, which keeps its place in the text while others write before it. `at` is in UTF-16 units,
    /// as browsers count.
    pub(super) fn hold(&self, at: u32) -> Option<StickyIndex> {
        let transaction = self.doc.transact();
        let at = at.min(self.text.len(&transaction));
        self.text.sticky_index(&transaction, at, Assoc::Before)
    }

    /// Returns the current position of a sticky index, in UTF-16 units.
    pub(super) fn place(&self, held: &StickyIndex) -> Option<u32> {
        held.get_offset(&self.doc.transact()).map(|offset| offset.index)
    }
}

/// A typed change: from `at` on, `removed` units are replaced by `inserted`.
#[derive(Debug, PartialEq, Eq)]
struct Change<'a> {
    at: u32,
    removed: u32,
    inserted: &'a str,
}

/// Returns the difference of two texts as one change; `None` if there is none.
fn change<'a>(before: &str, now: &'a str) -> Option<Change<'a>> {
    if before == now {
        return None;
    }
    let prefix: usize =
        before.chars().zip(now.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    let (old, new) = (&before[prefix..], &now[prefix..]);
    let suffix: usize =
        old.chars().rev().zip(new.chars().rev()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    let removed = units(&old[..old.len() - suffix]);
    Some(Change { at: units(&before[..prefix]), removed, inserted: &new[..new.len() - suffix] })
}

/// Returns the length of a text in UTF-16 units, as browsers count.
fn units(text: &str) -> u32 {
    u32::try_from(text.encode_utf16().count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_is_one_change() {
        let of = |before, now| change(before, now).map(|c| (c.at, c.removed, c.inserted.to_owned()));
        assert_eq!(of("abc", "abc"), None);
        assert_eq!(of("abc", "abxc"), Some((2, 0, "x".into())));
        assert_eq!(of("aaa", "aa"), Some((2, 1, String::new())));
        assert_eq!(of("a😀b", "a😀éb"), Some((3, 0, "é".into())));
        assert_eq!(of("", "new"), Some((0, 0, "new".into())));
        assert_eq!(of("one two", "one 2"), Some((4, 3, "2".into())));
    }

    #[test]
    fn a_place_stays_where_it_is_while_another_writes_before_it() {
        let (mine, other) = (Paper::new(1), Paper::new(2));
        other.merge(&mine.write("hello world").unwrap());
        let held = mine.hold(5).unwrap();
        mine.merge(&other.write("oh, hello world").unwrap());
        assert_eq!((mine.place(&held), mine.content().as_str()), (Some(9), "oh, hello world"));
        assert!(!mine.merge("no update"));
    }

    /// Returns a random number (xorshift64*).
    fn random(state: &mut u64) -> usize {
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        usize::try_from(state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap()
    }

    /// Edits come from strangers: one that was damaged on purpose is refused or merged, and the page goes on.
    #[test]
    fn a_damaged_edit_ends_nothing() {
        let mut state = 99_991;
        let writer = Paper::new(1);
        let edits: Vec<Vec<u8>> = ["hello", "hello world", "oh 😀 world", "wor", "word and more"]
            .into_iter()
            .filter_map(|text| BASE64_STANDARD.decode(&*writer.write(text)?).ok())
            .collect();
        for round in 0..20_000 {
            let mut bytes = edits[random(&mut state) % edits.len()].clone();
            for _ in 0..=random(&mut state) % 4 {
                let at = random(&mut state) % bytes.len();
                match random(&mut state) % 4 {
                    0 => bytes[at] ^= 1 << (random(&mut state) % 8),
                    1 => bytes[at] = [0, 1, 127, 128, 255][random(&mut state) % 5],
                    2 => bytes.truncate(at.max(1)),
                    _ => bytes.insert(at, 255),
                }
            }
            let reader = Paper::new(2 + round);
            for edit in &edits[..random(&mut state) % edits.len()] {
                assert!(reader.merge(&BASE64_STANDARD.encode(edit)), "an edit is plain");
            }
            reader.merge(&BASE64_STANDARD.encode(&bytes));
            let text = reader.content();
            reader.write(&format!("{text}!"));
        }
    }

    #[test]
    fn a_thousand_random_edits_of_three_writers_online_and_offline_converge() {
        for seed in 1..=5_u64 {
            let mut state = seed * 7_919;
            let papers = [Paper::new(1), Paper::new(2), Paper::new(3)];
            // Edits that each writer has still to receive from the others; a writer who is offline receives none.
            let mut unheard: [Vec<Box<str>>; 3] = Default::default();
            for _ in 0..1_000 {
                let who = random(&mut state) % 3;
                let mut text: Vec<char> = papers[who].content().chars().collect();
                let at = random(&mut state) % (text.len() + 1);
                if random(&mut state).is_multiple_of(3) && at < text.len() {
                    let end = text.len().min(at + 1 + random(&mut state) % 5);
                    text.drain(at..end);
                } else {
                    let words = ["a", "é", "😀", "two words", "\n"][random(&mut state) % 5];
                    text.splice(at..at, words.chars());
                }
                let now: String = text.into_iter().collect();
                if let Some(edit) = papers[who].write(&now) {
                    assert_eq!(papers[who].content(), now);
                    for other in (0..3).filter(|other| *other != who) {
                        unheard[other].push(edit.clone());
                    }
                }
                if random(&mut state).is_multiple_of(10) {
                    let online = random(&mut state) % 3;
                    for edit in unheard[online].drain(..) {
                        assert!(papers[online].merge(&edit));
                    }
                }
            }
            for (paper, unheard) in papers.iter().zip(unheard) {
                assert!(unheard.iter().all(|edit| paper.merge(edit)));
            }
            let contents = papers.map(|paper| paper.content());
            assert!(contents[0] == contents[1] && contents[1] == contents[2] && !contents[0].is_empty());
        }
    }
}
