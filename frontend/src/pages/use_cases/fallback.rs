//! Falling back: where the path holds streams back, a page goes on by another technique, by itself and from the same
//! cursor.

use std::time::Duration;

use fourways_shared::Technique;
use leptos::prelude::*;

use crate::streams::live::Live;

/// Time in which a stream must bring something, in milliseconds: its first bytes are sent at once, so one that has
/// brought nothing by then is held back.
const PROOF_MS: f64 = 6_000.0;

/// Switches from one technique to another if the first opens and brings nothing. The returned signal is true once that
/// has happened. A server that can't be reached is no reason to switch.
pub(super) fn fall_back(live: Live, from: Technique, to: Technique) -> RwSignal<bool> {
    let has_fallen = RwSignal::new(false);
    let look = move || {
        let is_chosen = live.technique.try_get_untracked() == Some(from);
        if is_chosen && live.silence_ms() > PROOF_MS {
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
