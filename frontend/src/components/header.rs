//! The top line of every page: brand, connection state, legend of the techniques, theme switch.

use fourways_model::{format::duration, health::State};
use fourways_shared::Technique;
use leptos::prelude::*;

use super::{
    change::Change as _,
    dynamic::text,
    icon::{Glyph, Icon},
};
use crate::browser::page;

#[component]
pub(crate) fn Header(
    /// State of the connection to the server.
    health: RwSignal<State>,
    /// The sign-in state, with its button.
    children: Children,
) -> impl IntoView {
    let is_dark = RwSignal::new(page::is_dark());
    let shape = move || match health.get() {
        State::Connected { .. } => "live",
        State::Asking | State::Reconnecting { attempt: 1..=5, .. } => "wait",
        State::Reconnecting { .. } => "down",
    };
    let word = move || match health.get() {
        State::Asking => "Connecting",
        State::Connected { .. } => "Connected",
        State::Reconnecting { attempt: 1..=5, .. } => "Reconnecting",
        State::Reconnecting { .. } => "Disconnected",
    };
    let round_trip = move || match health.get() {
        State::Connected { round_trip_ms } => format!("rtt {}", duration(round_trip_ms)),
        _ => String::new(),
    };
    let switch = move |_| {
        is_dark.change(|dark| *dark = !*dark);
        page::set_dark(is_dark.get_untracked());
    };
    let legend = Technique::ALL.map(|technique| {
        view! {
            <li data-technique=technique.name()>
                <Glyph technique=technique />
                <span class="l-full">{technique.label()}</span>
                <abbr class="l-abbr" title=technique.label()>{technique.code()}</abbr>
            </li>
        }
    });
    view! {
        <div class="top-in">
            <a class="brand" href="/" aria-label="Fourways, overview">
                <svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" fill="none" stroke-width="2.6" stroke-linecap="round">
                    <path d="M10 2v5" stroke="var(--short-poll)" />
                    <path d="M18 10h-5" stroke="var(--long-poll)" />
                    <path d="M10 18v-5" stroke="var(--sse)" />
                    <path d="M2 10h5" stroke="var(--websocket)" />
                </svg>
                <b>"Fourways"</b>
            </a>
            <span class="conn" data-state=text(shape) role="status">
                <i aria-hidden="true"></i>
                <span data-testid="connection">{text(word)}</span>
                // Changes every few seconds, so the status region must not read it out.
                <span class="mono muted" aria-hidden="true">{text(round_trip)}</span>
            </span>
            {children()}
            <ul class="legend" aria-label="Technique legend">{legend}</ul>
            <button
                class="icon-btn"
                id="theme"
                aria-label=text(move || if is_dark.get() { "Switch to light theme" } else { "Switch to dark theme" })
                on:click=switch
            >
                <Icon name=Signal::derive(move || if is_dark.get() { "sun" } else { "moon" }) />
            </button>
        </div>
    }
}
