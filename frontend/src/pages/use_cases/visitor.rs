//! The visitor's identity in the use cases: an id that only the visitor's own pages know, and a name for the others.

use leptos::prelude::*;

use crate::browser::page;

const ID: &str = "fourways-visitor";
const NAME: &str = "fourways-name";

const NAMES: [&str; 12] = [
    "Ada", "Alan", "Barbara", "Donald", "Edsger", "Frances", "Grace", "John", "Leslie", "Margaret",
    "Niklaus", "Radia",
];

/// Returns the visitor's id, which is the same in all windows of this browser, and a secret: topics that only this
/// visitor reads have it in their names.
///
/// Two windows that are opened at the same moment, on a first visit, don't see each other's id yet. A window that later
/// finds another id stored reloads, and begins again with that one.
pub(super) fn id() -> String {
    let id = page::kept(ID).unwrap_or_else(|| {
        let bytes = page::random_bytes();
        let id: String = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(digit).collect();
        page::keep(ID, &id);
        id
    });
    let own = id.clone();
    let other = window_event_listener(leptos::ev::storage, move |_| {
        if page::kept(ID).is_some_and(|kept| kept != own) {
            page::reload();
        }
    });
    on_cleanup(move || other.remove());
    id
}

fn digit(value: u8) -> Option<char> {
    char::from_digit(u32::from(value), 16)
}

/// Returns the visitor's name in this window, to be changed by the visitor. The name typed last is kept in this
/// browser.
pub(super) fn name() -> RwSignal<String> {
    let suggested = || {
        let at = page::id().bytes().map(usize::from).sum::<usize>() % NAMES.len();
        NAMES[at].to_owned()
    };
    let name = RwSignal::new(page::kept(NAME).unwrap_or_else(suggested));
    Effect::new(move |before: Option<()>| {
        let typed = name.get();
        if before.is_some() {
            page::keep(NAME, &typed);
        }
    });
    name
}
