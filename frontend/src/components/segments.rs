//! A choice of one among a few: a radio group with arrow keys (WAI-ARIA APG "radio group").

use fourways_shared::Technique;
use leptos::{ev::KeyboardEvent, prelude::*};
use wasm_bindgen::JsCast as _;

use super::{dynamic::text, icon::Glyph};

#[component]
pub(crate) fn Segments(
    /// Accessible name of the group.
    label: &'static str,
    /// Texts of the choices, in order.
    choices: Vec<&'static str>,
    /// True if the choices are the techniques in order; each then shows its glyph and colour.
    #[prop(optional)]
    techniques: bool,
    /// Index of the chosen one.
    chosen: Signal<usize>,
    /// Called with the index of a choice that is clicked or reached by an arrow key.
    #[prop(into)]
    choose: Callback<usize>,
) -> impl IntoView {
    let count = choices.len();
    let turn = move |event: KeyboardEvent| {
        let here = chosen.get_untracked();
        let next = match event.key().as_str() {
            "ArrowRight" | "ArrowDown" => (here + 1) % count,
            "ArrowLeft" | "ArrowUp" => (here + count - 1) % count,
            _ => return,
        };
        event.prevent_default();
        choose.run(next);
        let group = event.current_target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
        let buttons = group.and_then(|group| group.query_selector_all("[role=radio]").ok());
        #[expect(clippy::cast_possible_truncation, reason = "there are a few")]
        let button = buttons.and_then(|buttons| buttons.item(next as u32));
        if let Some(button) = button.and_then(|button| button.dyn_into::<web_sys::HtmlElement>().ok()) {
            // If the focus cannot be moved, it stays where it is.
            drop(button.focus());
        }
    };
    let buttons = choices.into_iter().enumerate().map(move |(value, label)| {
        let technique = techniques.then(|| Technique::ALL.get(value).copied()).flatten();
        let is_chosen = move || chosen.get() == value;
        view! {
            <button
                type="button"
                role="radio"
                aria-checked=text(is_chosen)
                tabindex=text(move || if is_chosen() { "0" } else { "-1" })
                data-technique=technique.map(Technique::name)
                on:click=move |_| choose.run(value)
            >
                {technique.map(|technique| view! { <Glyph technique=technique /> })}
                {label}
            </button>
        }
    });
    view! { <div class="seg" role="radiogroup" aria-label=label on:keydown=turn>{buttons.collect_view()}</div> }
}
