//! The keeper of the texts: it merges what everybody writes, as every writer does, and puts the whole text down now and then,
//! so that nobody who comes has to read everything from the beginning.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use fourways_shared::{
    Event, Filter, Offset,
    feature::{
        self,
        text::{Edit, State, states},
    },
};
use yrs::{Doc, ReadTxn as _, StateVector, Transact as _, Update, updates::decoder::Decode as _};

use super::{Due, Machine, Readers, Say, filter};

/// Edits after which the whole text is put down.
const EDITS: u32 = 100;
/// Texts that are kept, and the largest of them: put down, and what was written since.
const MAX_TEXTS: usize = 100;
const MAX_BYTES: usize = 4 << 20;

#[derive(Default)]
pub(super) struct Texts {
    texts: BTreeMap<Box<str>, Text>,
}

#[derive(Default)]
struct Text {
    doc: Doc,
    through: Offset,
    /// Edits since the text was put down.
    edits: u32,
    /// Of the text as it was put down, and of the edits since.
    bytes: usize,
    is_too_large: bool,
}

impl Machine for Texts {
    fn reads(&self) -> Vec<Filter> {
        filter("feature.text.>").into_iter().collect()
    }

    fn hear(&mut self, event: &Event, _: u64) {
        let Some(name) = feature::rest(&event.topic, "text") else { return };
        let offset = event.cursor.offset;
        if let Some(name) = name.strip_suffix(".state") {
            if let Some(State { through, update }) = feature::read_servers(event)
                && let Some(text) = self.texts.get_mut(name)
                && text.merge(&update)
            {
                (text.edits, text.bytes) = (0, update.len());
                text.through = text.through.max(through);
            }
            return;
        }
        let Some(Edit { update }) = feature::read(event) else { return };
        if self.texts.len() >= MAX_TEXTS && !self.texts.contains_key(name) {
            return;
        }
        let text = self.texts.entry(name.into()).or_default();
        if !text.is_too_large && text.merge(&update) {
            text.bytes += update.len();
            // Where it stops being put down, readers go on from what was.
            text.is_too_large = text.bytes > MAX_BYTES;
            text.edits += 1;
        }
        text.through = offset;
    }

    fn due(&mut self, _: u64, _: &mut Readers) -> Due {
        let says = self
            .texts
            .iter()
            .filter(|(_, text)| text.edits >= EDITS && !text.is_too_large)
            .filter_map(|(name, text)| {
                let update = text.doc.transact().encode_state_as_update_v1(&StateVector::default());
                let state = State { through: text.through, update: BASE64_STANDARD.encode(update).into() };
                Say::of(states(name), &state).map(|say| say.once(&format!("text-{}", text.through.0)))
            });
        Due { says: says.collect(), again: None }
    }
}

impl Text {
    /// False: it is no update, and left out, as every writer leaves it out too.
    fn merge(&self, update: &str) -> bool {
        // Anybody may have written it: should the library stumble over it, that is the end of this update, not of the task.
        let merged = catch_unwind(AssertUnwindSafe(|| {
            let bytes = BASE64_STANDARD.decode(update).ok().filter(|bytes| feature::is_plain(bytes))?;
            self.doc.transact_mut().apply_update(Update::decode_v1(&bytes).ok()?).ok()
        }));
        matches!(merged, Ok(Some(())))
    }
}
