//! The banner of a server that does not answer.

use fourways_model::{format::fixed, health::State};
use leptos::prelude::*;

use super::{
    dynamic::{part, text},
    icon::Icon,
};
use crate::browser::{clock, wake};

/// A banner under the page links while the server does not answer; the data stay on screen.
#[component]
pub(crate) fn Banner(
    /// State of the connection to the server.
    state: RwSignal<State>,
) -> impl IntoView {
    let seconds = RwSignal::new(0.0_f64);
    let beat = set_interval_with_handle(
        move || {
            if let State::Reconnecting { until_ms, .. } = state.get_untracked() {
                seconds.set(((until_ms - clock::now_ms()) / 1000.0).max(0.0));
            }
        },
        std::time::Duration::from_millis(250),
    );
    on_cleanup(move || {
        if let Ok(beat) = beat {
            beat.clear();
        }
    });
    let attempt = move || match state.get() {
        State::Reconnecting { attempt, .. } => Some(attempt),
        _ => None,
    };
    let is_away = Memo::new(move |_| attempt().is_some());
    part(move || {
        is_away.get().then(|| view! {
            <div class="banner" role="alert">
                <Icon name="warn" />
                <span><b>"The server does not answer. "</b> "Attempt " {text(move || attempt().unwrap_or(0))}
                    ", next in " {text(move || fixed(seconds.get().ceil(), 0) + " s")}
                    ". Each stream reconnects by itself and goes on from its cursor."</span>
                <button class="btn" on:click=move |_| wake::call()>"Retry now"</button>
            </div>
        })
    })
}
