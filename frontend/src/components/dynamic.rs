//! What changes on the page, through a few types only.
//!
//! Every closure in a view makes its own copy of the code that keeps a node up to date, two kilobytes or more each.
//! Through these all of them share one copy; the app is a quarter smaller for it.

use leptos::prelude::*;

/// Text that follows what it reads.
pub(crate) fn text<T: ToString>(read: impl Fn() -> T + Send + Sync + 'static) -> Signal<String> {
    Signal::derive(move || read().to_string())
}

/// A part of the view that is made again when what it reads changes.
pub(crate) fn part<V: IntoAny>(make: impl Fn() -> V + Send + 'static) -> Box<dyn FnMut() -> AnyView + Send> {
    Box::new(move || make().into_any())
}
