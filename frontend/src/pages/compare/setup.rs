//! The form with the settings of a run.

use fourways_model::{
    breakage::Breakage,
    experiment::settings::{
        Arrivals, HOLD_MS, PAYLOAD, POLL_MS, PRESETS, Planned, RATE_MILLI, SECONDS, Settings,
    },
    format::{milli, plain_milli},
};
use fourways_shared::lab::FaultKind;
use leptos::prelude::*;
use wasm_bindgen::JsCast as _;

use super::{Bench, Progress};
use crate::components::{
    change::Change as _,
    dynamic::{part, text},
    icon::Icon,
    segments::Segments,
};

/// A number of the settings: label, bounds and field. With `in_milli`, it is typed with decimals and stored in
/// thousandths.
struct Number {
    label: &'static str,
    bounds: (u32, u32),
    in_milli: bool,
    of: fn(&mut Settings) -> &mut u32,
}

const NUMBERS: [Number; 5] = [
    Number { label: "Duration, s", bounds: SECONDS, in_milli: false, of: |settings| &mut settings.seconds },
    Number { label: "Rate, /s", bounds: RATE_MILLI, in_milli: true, of: |settings| &mut settings.rate_milli },
    Number {
        label: "Payload, B",
        bounds: PAYLOAD,
        in_milli: false,
        of: |settings| &mut settings.payload_bytes,
    },
    Number { label: "Poll every, s", bounds: POLL_MS, in_milli: true, of: |settings| &mut settings.poll_ms },
    Number { label: "Hold for, s", bounds: HOLD_MS, in_milli: true, of: |settings| &mut settings.hold_ms },
];

#[component]
pub(super) fn Setup(
    /// State shared by the parts of the page.
    bench: Bench,
    /// Starts the run, or cancels the one that goes on.
    start: impl Fn() + Copy + Send + Sync + 'static,
) -> impl IntoView {
    let Bench { settings, is_running, progress, .. } = bench;
    let presets = PRESETS.map(|preset| {
        view! {
            <button
                type="button"
                class="preset"
                role="radio"
                aria-checked=text(move || settings.get() == preset.settings())
                disabled=is_running
                on:click=move |_| settings.set(preset.settings())
            >
                <svg viewBox="0 0 44 26" aria-hidden="true"><path d=preset.spark stroke="currentColor" stroke-width="1.6" fill="none" /></svg>
                <b>{preset.name}</b>
                <small>{preset.about}</small>
            </button>
        }
    });
    let numbers = NUMBERS.iter().map(|number| field(number, settings, is_running)).collect_view();
    let arrivals = Signal::derive(move || {
        settings.with(|s| Arrivals::ALL.iter().position(|a| *a == s.arrivals)).unwrap_or(0)
    });
    let chips = FaultKind::ALL.map(|kind| {
        let is_on = move || settings.with(|s| s.faults.iter().any(|fault| fault.kind == kind));
        let toggle = move |_| {
            settings.change(|s| {
                if s.faults.iter().any(|fault| fault.kind == kind) {
                    s.faults.retain(|fault| fault.kind != kind);
                } else {
                    // A little after the middle: enough time before to compare with, enough after to recover.
                    s.faults.push(Planned { kind, at_s: s.seconds * 11 / 20, for_s: 3 });
                    *s = s.clone().within();
                }
            });
        };
        view! {
            <button type="button" class="chip" aria-pressed=text(is_on) disabled=is_running data-testid=format!("plan-{}", kind.name()) on:click=toggle>
                {Breakage::Server(kind).name()}
            </button>
        }
    });
    let planned = move || {
        let faults = settings.with(|s| s.faults.clone()).into_iter().enumerate();
        let rows = faults.map(|(at, fault)| {
            view! {
                <div class="planned">
                    <span>{Breakage::Server(fault.kind).name()}</span>
                    {time("at, s", fault.at_s, settings, is_running, move |s, value| s.faults[at].at_s = value)}
                    {(fault.kind != FaultKind::Drop).then(|| time("for, s", fault.for_s, settings, is_running, move |s, value| s.faults[at].for_s = value))}
                </div>
            }
        });
        rows.collect_view()
    };
    let failed = move || {
        progress.with(|progress| match progress {
            Progress::Failed(why) => Some(why.clone()),
            _ => None,
        })
    };
    view! {
        <section class="card" aria-labelledby="setup-h">
            <header><h2 id="setup-h">"Experiment"</h2></header>
            <div class="card-b ctl">
                <div class="presets" role="radiogroup" aria-label="Presets">{presets}</div>
                <hr />
                <div class="two">{numbers}</div>
                <Segments label="Arrivals" choices=Arrivals::ALL.map(Arrivals::label).to_vec() chosen=arrivals choose=move |at: usize| settings.change(|s| s.arrivals = Arrivals::ALL[at]) />
                <p class="cap">"Faults on the way, to all four"</p>
                <div class="chips">{chips}</div>
                {part(planned)}
                <button class="btn pri" data-testid="run" on:click=move |_| start()>
                    <Icon name=Signal::derive(move || if is_running.get() { "x" } else { "play" }) />
                    {text(move || if is_running.get() { "Cancel" } else { "Run experiment" })}
                </button>
                {part(move || failed().map(|why| view! { <p class="bad-n" role="alert">{why}</p> }))}
            </div>
        </section>
    }
}

fn field(number: &'static Number, settings: RwSignal<Settings>, disabled: Signal<bool>) -> impl IntoView {
    let show = move |value: u32| if number.in_milli { plain_milli(value) } else { value.to_string() };
    let now = move || settings.with(|s| *(number.of)(&mut s.clone()));
    let change = move |event: leptos::ev::Event| {
        let typed = typed(&event);
        let value = if number.in_milli { milli(&typed) } else { typed.parse().ok() };
        // Unreadable input leaves the value as it was, and the field shows that value again.
        let before = show(now());
        settings.change(|s| {
            if let Some(value) = value {
                *(number.of)(s) = value.clamp(number.bounds.0, number.bounds.1);
                *s = s.clone().within();
            }
        });
        if show(now()) == before {
            show_again(&event, &before);
        }
    };
    view! {
        <label class="field">
            <span>{number.label}</span>
            <input type="number" min=show(number.bounds.0) max=show(number.bounds.1) step="any" prop:value=text(move || show(now())) disabled=disabled on:change=change />
        </label>
    }
}

fn time(
    label: &'static str,
    value: u32,
    settings: RwSignal<Settings>,
    disabled: Signal<bool>,
    set: impl Fn(&mut Settings, u32) + Send + 'static,
) -> AnyView {
    let change = move |event: leptos::ev::Event| match typed(&event).parse() {
        Ok(typed) => settings.change(|s| {
            set(s, typed);
            *s = s.clone().within();
        }),
        Err(_) => show_again(&event, &value.to_string()),
    };
    view! {
        <label class="field"><span>{label}</span>
            <input type="number" min="0" step="1" prop:value=value.to_string() disabled=disabled on:change=change />
        </label>
    }
    .into_any()
}

fn typed(event: &leptos::ev::Event) -> String {
    input(event).map(|input| input.value()).unwrap_or_default()
}

/// Shows `value` in its field again: an unchanged value is not rendered again, so the typed text would stay.
fn show_again(event: &leptos::ev::Event, value: &str) {
    if let Some(input) = input(event) {
        input.set_value(value);
    }
}

fn input(event: &leptos::ev::Event) -> Option<web_sys::HtmlInputElement> {
    event.target()?.dyn_into().ok()
}
