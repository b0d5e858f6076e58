//! The keeper of the texts: it merges all edits, like every page does, and publishes a snapshot of a text from time to
//! time, so that a new reader need not read every edit from the beginning.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use fourways_shared::{
    Event, Filter, Offset,
    use_case::{
        self,
        text::{Edit, State, states},
    },
};
use yrs::{Doc, ReadTxn as _, StateVector, Transact as _, Update, updates::decoder::Decode as _};

use super::{Due, Machine, Publication, Readers, filter};

/// Number of edits after which a snapshot is published.
const EDITS: u32 = 100;
/// Most texts that are kept; edits of further ones are ignored.
const MAX_TEXTS: usize = 100;
/// Size of the largest text, in bytes of base64: its last snapshot and the edits since.
const MAX_BYTES: usize = 4 << 20;

#[derive(Default)]
pub(super) struct Texts {
    texts: BTreeMap<Box<str>, Text>,
}

#[derive(Default)]
struct Text {
    doc: Doc,
    through: Offset,
    /// Number of edits since the last snapshot.
    edits: u32,
    /// Size of the last snapshot and of the edits since, in bytes of base64.
    bytes: usize,
    /// True once the text was larger than [`MAX_BYTES`]: it gets no further snapshot.
    is_too_large: bool,
}

impl Machine for Texts {
    fn reads(&self) -> Vec<Filter> {
        filter("use-case.text.>").into_iter().collect()
    }

    fn apply(&mut self, event: &Event, _: u64) {
        let Some(name) = use_case::rest(&event.topic, "text") else { return };
        let offset = event.cursor.offset;
        if let Some(name) = name.strip_suffix(".state") {
            if let Some(State { through, update }) = use_case::read_if_from_server(event)
                && let Some(text) = self.texts.get_mut(name)
                && text.merge(&update)
            {
                (text.edits, text.bytes) = (0, update.len());
                text.through = text.through.max(through);
            }
            return;
        }
        let Some(Edit { update }) = use_case::read(event) else { return };
        if self.texts.len() >= MAX_TEXTS && !self.texts.contains_key(name) {
            return;
        }
        let text = self.texts.entry(name.into()).or_default();
        if !text.is_too_large && text.merge(&update) {
            text.bytes += update.len();
            // Readers of a text that gets no further snapshot continue from its last one.
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
                Publication::of(states(name), &state).map(|say| say.once(&format!("text-{}", text.through.0)))
            });
        Due { says: says.collect(), again: None }
    }
}

impl Text {
    /// Merges an update in base64. False if the update is invalid: it is left out, as every page leaves it out too.
    fn merge(&self, update: &str) -> bool {
        // Anybody may have written the update: if the library panics over it, only the update is left out.
        let merged = catch_unwind(AssertUnwindSafe(|| {
            let bytes = BASE64_STANDARD.decode(update).ok().filter(|bytes| use_case::is_plain(bytes))?;
            self.doc.transact_mut().apply_update(Update::decode_v1(&bytes).ok()?).ok()
        }));
        matches!(merged, Ok(Some(())))
    }
}
