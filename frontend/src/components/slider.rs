//! A number to slide, with its value beside the label.

use leptos::prelude::*;

use super::dynamic::text;
use crate::state::format::fixed;

#[component]
pub(crate) fn Slider(
    /// What it is.
    label: &'static str,
    /// The positions, from left to right.
    stops: &'static [f64],
    /// Now.
    value: Signal<f64>,
    /// Called when it is let go at another.
    #[prop(into)]
    change: Callback<f64>,
    /// The value with its unit.
    show: fn(f64) -> String,
) -> impl IntoView {
    let place = move || stops.iter().position(|stop| *stop >= value.get()).unwrap_or(stops.len() - 1);
    let dragged = RwSignal::new(None::<usize>);
    let shown = move || dragged.get().unwrap_or_else(place);
    let read = move |text: String| text.parse::<usize>().ok().filter(|at| *at < stops.len());
    #[expect(clippy::cast_precision_loss, reason = "a share of the width")]
    let share =
        move || format!("--v:{}%", fixed(shown() as f64 / (stops.len() - 1).max(1) as f64 * 100.0, 1));
    view! {
        <label class="field">
            <span>{label}<output>{text(move || show(stops[shown()]))}</output></span>
            <input
                type="range"
                min="0"
                max=stops.len() - 1
                step="1"
                prop:value=text(shown)
                aria-valuetext=text(move || show(stops[shown()]))
                style=text(share)
                on:input=move |event| dragged.set(read(event_target_value(&event)))
                on:change=move |event| {
                    dragged.set(None);
                    if let Some(at) = read(event_target_value(&event)) {
                        change.run(stops[at]);
                    }
                }
            />
        </label>
    }
}
