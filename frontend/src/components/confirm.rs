//! A button for what can't be taken back or touches others: it asks again, in its own place.

use leptos::prelude::*;

use super::dynamic::part;
use crate::browser::page;

#[component]
pub(crate) fn Confirm(
    /// On the button.
    #[prop(into)]
    label: Signal<String>,
    /// What the button is called by those who don't see where it stands.
    #[prop(into)]
    name: String,
    /// What is asked.
    #[prop(into)]
    question: Signal<String>,
    /// What the button that does it says.
    yes: &'static str,
    /// Does it.
    #[prop(into)]
    run: Callback<()>,
    /// Nothing can be asked now.
    #[prop(optional, into)]
    disabled: Signal<bool>,
    /// What tests find the button by; that of the answer has `-yes` behind it.
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
            // The button is made anew, and whoever uses the keyboard is where it was.
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
