//! Table rows that stay in place while other rows come and go, so the keyboard focus stays too.

use std::sync::Arc;

use leptos::prelude::*;

/// Creates the row of a key.
pub(crate) type Make = Arc<dyn Fn(String) -> AnyView + Send + Sync>;

/// Renders one row per key; a row keeps its own contents up to date. All tables use this one function, because each
/// further instance would add some kilobytes to the app.
pub(crate) fn rows(keys: impl Fn() -> Vec<String> + Send + Sync + 'static, make: Make) -> AnyView {
    let keys = Memo::new(move |_| keys());
    let each: Signal<Vec<String>> = keys.into();
    view! { <For each=move || each.get() key=Clone::clone children=move |key| make(key) /> }.into_any()
}
