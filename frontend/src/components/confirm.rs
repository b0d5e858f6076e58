//! A button for actions that cannot be undone or that affect others: it asks for confirmation in place.

use leptos::prelude::*;

use super::dynamic::part;
use crate::browser::page;

#[component]
pub(crate) fn Confirm(
    /// Text on the button.
    #[prop(into)]
    label: Signal<String>,
    /// Accessible name of the button, for users who cannot see where it stands.
    #[prop(into)]
    name: String,
    /// Text of the confirmation question.
    #[prop(into)]
    question: Signal<String>,
    /// Text on the confirming button.
    yes: &'static str,
    /// Called when the visitor confirms.
    #[prop(into)]
    run: Callback<()>,
    /// True while the action is not available.
    #[prop(optional, into)]
    disabled: Signal<bool>,
    /// Test id of the button; the confirming button has the same id with `-yes` appended.
    #[prop(into)]
    testid: String,
) -> impl IntoView {
    let is_asked = RwSignal::new(false);
    let ask = move |_| {
        is_asked.set(true);
        page::focus(".confirm button:last-child");
    };
    part(move || {
        let (name, testid) = (name.clone(), testid.clone());
        if is_asked.get() {
            // Cancelling creates the button again; focusing it puts keyboard users back where they were.
            let back = testid.clone();
            view! {
                <span class="confirm" role="group" aria-label=name>
                    <span>{move || question.get()}</span>
                    <button type="button" class="btn danger" data-testid=format!("{testid}-yes") on:click=move |_| { is_asked.set(false); run.run(()); }>{yes}</button>
                    <button type="button" class="btn" on:click=move |_| { is_asked.set(false); page::focus(format!("[data-testid={back}]")); }>"Cancel"</button>
                </span>
            }
            .into_any()
        } else {
            view! { <button type="button" class="btn" aria-label=name data-testid=testid disabled=disabled on:click=ask>{move || label.get()}</button> }.into_any()
        }
    })
}
