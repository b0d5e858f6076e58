//! [`Change`] updates the value of a signal on a copy, so a closure that reads the signal during the update sees the
//! old value.
//!
//! `Update::update` locks the signal while its closure runs; a closure that reads the same signal then panics and ends
//! the app. Clippy therefore forbids it everywhere (`clippy.toml`), and this trait takes its place.

use leptos::prelude::{GetUntracked, Set};

/// A signal whose value can be changed through a copy.
pub(crate) trait Change {
    /// Type of the signal's value.
    type Value;

    /// Changes the value and notifies the signal's subscribers. Returns false, and changes nothing, if the signal was
    /// disposed with its page.
    fn changed(&self, change: impl FnOnce(&mut Self::Value)) -> bool;

    /// Changes the value as [`Self::changed`] does, where it does not matter whether the page is still there.
    fn change(&self, change: impl FnOnce(&mut Self::Value)) {
        self.changed(change);
    }
}

impl<T, S: GetUntracked<Value = T> + Set<Value = T>> Change for S {
    type Value = T;

    fn changed(&self, change: impl FnOnce(&mut T)) -> bool {
        let Some(mut value) = self.try_get_untracked() else { return false };
        change(&mut value);
        // If the page is left while its own code runs, the value is discarded with it.
        self.try_set(value).is_none()
    }
}
