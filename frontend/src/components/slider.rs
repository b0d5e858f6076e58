//! A slider over fixed stops, with its value beside the label.

use std::sync::atomic::{AtomicU32, Ordering};

use leptos::prelude::*;

use super::dynamic::text;
use fourways_model::format::fixed;

/// Number in the id of the next slider.
static NEXT: AtomicU32 = AtomicU32::new(0);

#[component]
pub(crate) fn Slider(
    /// Text of the label.
    label: &'static str,
    /// Values of the stops, from left to right.
    stops: &'static [f64],
    /// Value that the slider shows while it is not dragged.
    value: Signal<f64>,
    /// Called with the new value when the slider is released at another stop.
    #[prop(into)]
    change: Callback<f64>,
    /// Formats a value with its unit.
    show: fn(f64) -> String,
    /// True if `change` is also called while the slider moves.
    #[prop(optional)]
    live: bool,
    /// Test id of the slider.
    #[prop(optional)]
    testid: &'static str,
) -> impl IntoView {
    // The output stands beside the label, not in it: a label names the first labelable element in it, and an output is
    // one.
    let id = format!("slider-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let place = move || stops.iter().position(|stop| *stop >= value.get()).unwrap_or(stops.len() - 1);
    let dragged = RwSignal::new(None::<usize>);
    let shown = move || dragged.get().unwrap_or_else(place);
    let read = move |text: String| text.parse::<usize>().ok().filter(|at| *at < stops.len());
    #[expect(clippy::cast_precision_loss, reason = "a share of the width")]
    let share =
        move || format!("--v:{}%", fixed(shown() as f64 / (stops.len() - 1).max(1) as f64 * 100.0, 1));
    view! {
        <div class="field">
            <span><label for=id.clone()>{label}</label><output for=id.clone()>{text(move || show(stops[shown()]))}</output></span>
            <input
                type="range"
                id=id
                data-testid=testid
                min="0"
                max=stops.len() - 1
                step="1"
                prop:value=text(shown)
                aria-valuetext=text(move || show(stops[shown()]))
                style=text(share)
                on:input=move |event| {
                    let at = read(event_target_value(&event));
                    dragged.set(at);
                    if let (true, Some(at)) = (live, at) {
                        change.run(stops[at]);
                    }
                }
                on:change=move |event| {
                    dragged.set(None);
                    if let Some(at) = read(event_target_value(&event)) {
                        change.run(stops[at]);
                    }
                }
            />
        </div>
    }
}
