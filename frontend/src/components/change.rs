//! [`Change`] changes a signal's value on a copy, so that a closure which reads the same signal meanwhile reads the old value.
//!
//! `Update::update` locks the signal while its closure runs, and a closure that reads the same signal ends the app with a panic. Clippy refuses
//! it everywhere (`clippy.toml`); this is what there is instead.

use leptos::prelude::{GetUntracked, Set};

/// A signal that can be changed.
pub(crate) trait Change {
    /// What it holds.
    type Value;

    /// Changes the value and tells who reads it. False if the signal's page has gone, and nothing was changed.
    fn changed(&self, change: impl FnOnce(&mut Self::Value)) -> bool;

    /// The same where it does not matter whether the page is still there.
    fn change(&self, change: impl FnOnce(&mut Self::Value)) {
        self.changed(change);
    }
}

impl<T, S: GetUntracked<Value = T> + Set<Value = T>> Change for S {
    type Value = T;

    fn changed(&self, change: impl FnOnce(&mut T)) -> bool {
        let Some(mut value) = self.try_get_untracked() else { return false };
        change(&mut value);
        // A page that goes while its own code runs takes the value with it.
        self.try_set(value).is_none()
    }
}
