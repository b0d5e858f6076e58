//! Rows of a table that stay as they are while others come and go, so that the focus stays too.

use std::sync::Arc;

use leptos::prelude::*;

/// Makes the row of a key.
pub(crate) type Make = Arc<dyn Fn(String) -> AnyView + Send + Sync>;

/// A row for each key; what changes within a row, the row follows itself. One type for all tables: each further one
/// would be some kilobytes of the app.
pub(crate) fn rows(keys: impl Fn() -> Vec<String> + Send + Sync + 'static, make: Make) -> AnyView {
    let keys = Memo::new(move |_| keys());
    let each: Signal<Vec<String>> = keys.into();
    view! { <For each=move || each.get() key=Clone::clone children=move |key| make(key) /> }.into_any()
}
