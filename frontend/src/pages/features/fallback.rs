//! Where the path holds streams back, a page goes on by another technique, by itself and from the same cursor.

use std::time::Duration;

use fourways_shared::Technique;
use leptos::prelude::*;

use super::live::Live;

/// A stream's first words are on their way at once; what has brought none of them by then brings none.
const PROOF_MS: f64 = 6_000.0;

/// Leaves a technique that opens and brings nothing; true once it did. A server that can't be reached is no reason.
pub(super) fn fall_back(live: Live, from: Technique, to: Technique) -> RwSignal<bool> {
    let has_fallen = RwSignal::new(false);
    let look = move || {
        let is_chosen = live.technique.try_get_untracked() == Some(from);
        if is_chosen && live.has_been_silent_ms() > PROOF_MS {
            has_fallen.set(true);
            live.technique.set(to);
        }
    };
    let watch = set_interval_with_handle(look, Duration::from_secs(1));
    on_cleanup(move || {
        if let Ok(watch) = watch {
            watch.clear();
        }
    });
    has_fallen
}
