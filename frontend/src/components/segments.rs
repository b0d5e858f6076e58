//! One choice of a few: a radio group with arrow keys (WAI-ARIA APG "radio group").

use leptos::{ev::KeyboardEvent, prelude::*};
use wasm_bindgen::JsCast as _;

use super::dynamic::text;

#[component]
pub(crate) fn Segments<T: Copy + PartialEq + Send + Sync + 'static>(
    /// What is chosen, for those who don't see it.
    label: &'static str,
    /// Value and text of each.
    choices: Vec<(T, &'static str)>,
    /// The chosen one.
    chosen: Signal<T>,
    /// Called with another one.
    #[prop(into)]
    choose: Callback<T>,
) -> impl IntoView {
    let values: Vec<T> = choices.iter().map(|(value, _)| *value).collect();
    let turn = move |event: KeyboardEvent| {
        let here = values.iter().position(|value| *value == chosen.get_untracked()).unwrap_or(0);
        let next = match event.key().as_str() {
            "ArrowRight" | "ArrowDown" => (here + 1) % values.len(),
            "ArrowLeft" | "ArrowUp" => (here + values.len() - 1) % values.len(),
            _ => return,
        };
        event.prevent_default();
        choose.run(values[next]);
        let group = event.current_target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
        let buttons = group.and_then(|group| group.query_selector_all("[role=radio]").ok());
        #[expect(clippy::cast_possible_truncation, reason = "there are a few")]
        let button = buttons.and_then(|buttons| buttons.item(next as u32));
        if let Some(button) = button.and_then(|button| button.dyn_into::<web_sys::HtmlElement>().ok()) {
            // Focus that can't be moved stays where it is.
            drop(button.focus());
        }
    };
    let buttons = choices.into_iter().map(move |(value, label)| {
        let is_chosen = move || chosen.get() == value;
        view! {
            <button
                type="button"
                role="radio"
                aria-checked=text(is_chosen)
                tabindex=text(move || if is_chosen() { "0" } else { "-1" })
                on:click=move |_| choose.run(value)
            >
                {label}
            </button>
        }
    });
    view! { <div class="seg" role="radiogroup" aria-label=label on:keydown=turn>{buttons.collect_view()}</div> }
}
