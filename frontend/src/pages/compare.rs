//! Compare: the four on the same feed for a chosen time, and the textbook beside what was measured.

use fourways_shared::{After, Technique};
use leptos::{prelude::*, task::spawn_local};
use wasm_bindgen::JsCast as _;

use super::{
    health::Health,
    overview::own_topic,
    streams::{Ask, Streams},
};
use crate::{
    browser::{clock, timer},
    components::{
        dynamic::{part, text},
        icon::{Icon, Name},
    },
    delivery::lab,
    state::{
        experiment::{HEADINGS, Measured, Outcome, PRESETS, Run, Settings, Verdict, row},
        format::{duration_or_dash, fixed, plain, plural},
        lane::Lane,
    },
};

/// How long to wait after the last event until the slowest technique must have it.
const SETTLE_MS: f64 = 1_500.0;

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq)]
enum Progress {
    #[default]
    None,
    Running {
        share: f64,
        counts: [u64; 4],
    },
    Failed(String),
}

#[component]
#[expect(clippy::too_many_lines, reason = "most of it is the page itself")]
pub(crate) fn Compare() -> impl IntoView {
    let health = expect_context::<Health>();
    let streams = Streams::new(health.clock, None);
    let settings = RwSignal::new(Settings::default());
    let progress = RwSignal::new(Progress::None);
    let run = RwSignal::new(None::<Run>);
    let is_running = Signal::derive(move || matches!(progress.get(), Progress::Running { .. }));
    let start = move |_| {
        if is_running.get_untracked() {
            progress.set(Progress::None);
            return;
        }
        progress.set(Progress::Running { share: 0.0, counts: [0; 4] });
        spawn_local(async move { measure(streams, health, settings.get_untracked(), progress, run).await });
    };
    on_cleanup(move || progress.set(Progress::None));
    let presets = PRESETS.map(|preset| {
        view! {
            <button
                type="button"
                class="preset"
                role="radio"
                aria-checked=text(move || settings.get() == preset.settings)
                disabled=is_running
                on:click=move |_| settings.set(preset.settings)
            >
                <svg viewBox="0 0 44 26" aria-hidden="true"><path d=preset.spark stroke="currentColor" stroke-width="1.6" fill="none" /></svg>
                <b>{preset.name}</b>
                <small>{preset.about}</small>
            </button>
        }
    });
    let share = move || match progress.get() {
        Progress::Running { share, .. } => share,
        _ if run.with(Option::is_some) => 1.0,
        _ => 0.0,
    };
    let state = move || match (progress.get(), run.get()) {
        (Progress::Running { counts, .. }, _) => {
            let [sp, lp, sse, ws] = counts;
            format!("delivered so far: SP {sp}, LP {lp}, SSE {sse}, WS {ws}")
        }
        (Progress::Failed(why), _) => why,
        (Progress::None, Some(run)) => format!(
            "{} s, {}, {} B each, poll every {} s",
            plain(run.settings.seconds),
            plural(run.published, "event", "events"),
            run.settings.payload_bytes,
            plain(run.settings.poll_s)
        ),
        (Progress::None, None) => "not run yet: the claims stand alone".to_owned(),
    };
    view! {
        <div class="page-h">
            <div>
                <h1>"Measure the textbook"</h1>
                <p>"Run the same event stream through all four at once, then read each claim next to what was measured here."</p>
            </div>
        </div>
        <div class="cmp">
            <section class="card" aria-labelledby="setup-h">
                <header><h2 id="setup-h">"Experiment"</h2></header>
                <div class="card-b ctl">
                    <div class="presets" role="radiogroup" aria-label="Presets">{presets}</div>
                    <hr />
                    <div class="two">
                        <Number label="Duration, s" min=2.0 max=600.0 value=Signal::derive(move || settings.get().seconds) set=move |v| settings.update(|s| s.seconds = v) disabled=is_running />
                        <Number label="Rate, /s" min=0.1 max=500.0 value=Signal::derive(move || settings.get().rate) set=move |v| settings.update(|s| s.rate = v) disabled=is_running />
                    </div>
                    <div class="two">
                        <Number label="Payload, B" min=20.0 max=16384.0 value=Signal::derive(move || f64::from(settings.get().payload_bytes)) set=move |v| settings.update(|s| s.payload_bytes = whole(v)) disabled=is_running />
                        <Number label="Poll every, s" min=0.1 max=30.0 value=Signal::derive(move || settings.get().poll_s) set=move |v| settings.update(|s| s.poll_s = v) disabled=is_running />
                    </div>
                    <button class="btn pri" data-testid="run" on:click=start>
                        <Icon name=Signal::derive(move || if is_running.get() { "x" } else { "play" }) />
                        {text(move || if is_running.get() { "Cancel" } else { "Run experiment" })}
                    </button>
                </div>
            </section>
            <div class="col">
                <section class="card" aria-labelledby="claims-h" aria-busy=text(move || is_running.get())>
                    <header>
                        <h2 id="claims-h">"Claims and measurements"</h2>
                        <div class="prog" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100" aria-valuenow=text(move || fixed(share() * 100.0, 0))>
                            <i style=text(move || format!("transform:scaleX({})", fixed(share(), 3)))></i>
                        </div>
                        <span class="cap mono" data-testid="progress">{text(state)}</span>
                        <span class="sp"></span>
                        <span class="cap">"grey: the textbook. "<b class="mono">"mono"</b>": this run"</span>
                    </header>
                    <div class="x-scroll">
                        <table class="claims">
                            <thead><tr><th scope="col">"Technique"</th>{HEADINGS.map(|h| view! { <th scope="col">{h}</th> })}</tr></thead>
                            <tbody>
                                {Technique::ALL.map(|technique| view! { <ClaimRow technique=technique run=run is_running=is_running /> })}
                            </tbody>
                        </table>
                    </div>
                </section>
                <Delivery run=run is_running=is_running />
            </div>
        </div>
    }
}

#[component]
fn Number(
    /// With its unit.
    label: &'static str,
    /// The least that is taken.
    min: f64,
    /// The most.
    max: f64,
    /// Now.
    value: Signal<f64>,
    /// Called with another one, inside the bounds.
    #[prop(into)]
    set: Callback<f64>,
    /// A run goes on.
    disabled: Signal<bool>,
) -> impl IntoView {
    let change = move |event: leptos::ev::Event| {
        let input = event.target().and_then(|target| target.dyn_into::<web_sys::HtmlInputElement>().ok());
        let typed = input.map(|input| input.value_as_number()).filter(|typed| typed.is_finite());
        set.run(typed.unwrap_or(value.get_untracked()).clamp(min, max));
    };
    view! {
        <label class="field">
            <span>{label}</span>
            <input type="number" min=plain(min) max=plain(max) step="any" prop:value=text(move || plain(value.get())) disabled=disabled on:change=change />
        </label>
    }
}

#[component]
fn ClaimRow(
    /// Whose.
    technique: Technique,
    /// The last run.
    run: RwSignal<Option<Run>>,
    /// Another goes on.
    is_running: Signal<bool>,
) -> impl IntoView {
    let cells = move || {
        let run = if is_running.get() { None } else { run.get() };
        let cells = row(technique, run.as_ref()).into_iter().zip(HEADINGS);
        cells
            .map(|(cell, heading)| {
                let got = match cell.measured {
                    Some(measured) => got(measured).into_any(),
                    None if is_running.get() => {
                        view! { <span class="skel-line" aria-hidden="true"></span> }.into_any()
                    }
                    None => view! { <span class="got muted">"–"</span> }.into_any(),
                };
                view! { <td data-h=heading><span class="said">{cell.claim}</span>{got}</td> }
            })
            .collect_view()
    };
    view! { <tr data-technique=technique.name()><th scope="row"><Name technique=technique /></th>{part(cells)}</tr> }
}

fn got(measured: Measured) -> impl IntoView {
    let (class, icon, word) = match measured.verdict {
        Verdict::Agrees => ("got ok", "check", "The run agrees: "),
        Verdict::Disagrees => ("got off", "warn", "The run disagrees: "),
        Verdict::Untested => ("got", "pause", "The run did not test it: "),
    };
    view! {
        <span class=class><Icon name=icon /><span class="vh">{word}</span>
            <span>{measured.value}" "<small class="muted">{measured.detail}</small></span>
        </span>
    }
}

#[component]
fn Delivery(
    /// The last run.
    run: RwSignal<Option<Run>>,
    /// Another goes on.
    is_running: Signal<bool>,
) -> impl IntoView {
    let rows = move || {
        let outcomes = run.get().map(|run| run.outcomes).unwrap_or_default();
        outcomes.into_iter().map(delivery_row).collect_view()
    };
    let note = move || {
        let error = run.get().map_or(0.0, |run| run.clock_error_ms);
        format!(
            "Latency is from published to here, by clocks that agree to within {}. ",
            duration_or_dash(Some(error))
        )
    };
    let body = move || {
        if is_running.get() {
            return view! { <p class="wait-for">"Running: what each technique delivered comes here."</p> }
                .into_any();
        }
        if run.with(Option::is_none) {
            return view! { <p class="wait-for">"Run the experiment to see what each technique delivered, lost and repeated."</p> }.into_any();
        }
        view! {
            <div class="x-scroll">
                <table class="loss" data-testid="delivery">
                    <thead><tr>{COLUMNS.map(|heading| view! { <th scope="col">{heading}</th> })}</tr></thead>
                    <tbody>{rows()}</tbody>
                </table>
            </div>
            <p class="cap card-b">{note()}"Bytes are what the page can see: bodies, frames, response heads; what the browser adds to a request is not in it."</p>
        }
        .into_any()
    };
    view! {
        <section class="card" aria-labelledby="delivery-h">
            <header><h2 id="delivery-h">"Delivery"</h2><span class="cap">{text(move || run.get().map_or(String::new(), |run| format!("{} published", run.published)))}</span></header>
            {part(body)}
        </section>
    }
}

const COLUMNS: [&str; 10] =
    ["Technique", "Delivered", "Lost", "Repeated", "Requests", "Empty", "p50", "p95", "p99", "Bytes/event"];

fn delivery_row(outcome: Outcome) -> impl IntoView {
    let bad = |count: u64| if count > 0 { "bad-n" } else { "" };
    view! {
        <tr>
            <th scope="row"><Name technique=outcome.technique /></th>
            <td>{outcome.delivered.to_string()}</td>
            <td class=bad(outcome.lost)>{outcome.lost.to_string()}</td>
            <td class=bad(outcome.repeated)>{outcome.repeated.to_string()}</td>
            <td>{outcome.requests.to_string()}</td>
            <td>{outcome.empty.to_string()}</td>
            <td>{duration_or_dash(outcome.p50_ms)}</td>
            <td>{duration_or_dash(outcome.p95_ms)}</td>
            <td>{duration_or_dash(outcome.p99_ms)}</td>
            <td>{outcome.bytes_per_event.map_or("–".to_owned(), |bytes| fixed(bytes, 0) + " B")}</td>
        </tr>
    }
}

/// Opens all four, lets the feed run, waits for the slowest, closes them and counts.
async fn measure(
    streams: Streams,
    health: Health,
    settings: Settings,
    progress: RwSignal<Progress>,
    run: RwSignal<Option<Run>>,
) {
    let topic = own_topic();
    streams.fresh().await;
    for technique in Technique::ALL {
        let ask = Ask {
            topics: vec![topic.clone()],
            // From the beginning: the topic is new, and all four then have the same events to deliver.
            after: After::Earliest,
            poll_ms: settings.poll_s * 1000.0,
            hold_s: 20.0,
        };
        streams.open(technique, ask);
    }
    // Time for the streams to open: what they cost then is in the count, what they miss then would not be fair.
    timer::sleep(400.0).await;
    let feed = |rate| lab::wish(&topic, rate, settings.payload_bytes);
    let outcome = match feed(settings.rate).await {
        Ok(()) => {
            let began_ms = clock::now_ms();
            let whole_ms = settings.seconds * 1000.0;
            let mut prolonged_ms = began_ms;
            loop {
                timer::sleep(200.0).await;
                let spent_ms = clock::now_ms() - began_ms;
                streams.drain();
                let counts = streams.view(|lanes, _| [0, 1, 2, 3].map(|at| lanes[at].counters.events));
                let (Some(counts), Some(Progress::Running { .. })) = (counts, progress.try_get_untracked())
                else {
                    // Cancelled, or the page has gone.
                    streams.close_all();
                    drop(feed(0.0).await);
                    return;
                };
                progress.set(Progress::Running { share: (spent_ms / whole_ms).min(1.0), counts });
                if spent_ms >= whole_ms {
                    break;
                }
                if clock::now_ms() - prolonged_ms > 10_000.0 {
                    prolonged_ms = clock::now_ms();
                    // A lost word is said again in time.
                    drop(feed(settings.rate).await);
                }
            }
            let stopped = feed(0.0).await;
            timer::sleep(settings.poll_s * 1000.0 + SETTLE_MS).await;
            stopped
        }
        Err(why) => Err(why),
    };
    streams.drain();
    let clock_error_ms = health.clock.try_get_untracked().unwrap_or_default().error_ms;
    let result = streams.view(|lanes, feed| Run {
        settings,
        published: feed.count,
        clock_error_ms,
        outcomes: lanes
            .iter()
            .map(|lane: &Lane| Outcome::of(lane, feed.count, settings.payload_bytes))
            .collect(),
    });
    streams.close_all();
    if progress.try_get_untracked().is_none() {
        return;
    }
    match outcome {
        Ok(()) => {
            run.set(result);
            progress.set(Progress::None);
        }
        Err(why) => progress.set(Progress::Failed(format!("not run: {why}"))),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 20 and 16,384")]
fn whole(value: f64) -> u32 {
    value as u32
}
