//! The sequence card: the diagram over time, which can be paused, scrolled back and pointed at.

use fourways_model::{
    axis::Axis,
    format::{duration, fixed},
    row::Row,
    sequence::{Arrow, ArrowKind, arrows},
};
use fourways_shared::Technique;
use leptos::{ev, prelude::*};

use crate::{
    browser::{
        canvas::{Palette, Surface},
        clock,
        frame::Frames,
        page,
    },
    components::{
        change::Change as _,
        dynamic::text,
        icon::Icon,
        segments::Segments,
        sequence::{HEIGHT, Scene, draw, hit},
        slider::Slider,
    },
    streams::{Streams, health::Health, lab::Lab},
};

const WINDOWS: [(f64, &str); 3] = [(5_000.0, "5 s"), (12_000.0, "12 s"), (30_000.0, "30 s")];
/// Width of a narrow screen, in pixels. Marks would lie on each other there, so the diagram begins with the shortest
/// window.
const NARROW_PX: f64 = 560.0;
const BACK: &[f64] = &[0.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 90.0, 120.0, 180.0, 300.0];
/// Interval at which counters and tables follow, in milliseconds: three times a second.
const TICK_MS: f64 = 333.0;

#[component]
pub(super) fn Diagram(
    /// Technique of the page.
    technique: Technique,
    /// Streams of the page.
    streams: Streams,
    /// Health of the connection, shared by the whole app.
    health: Health,
    /// Counter that the diagram counts on for the whole page.
    tick: RwSignal<u32>,
    /// Sequence number of the chosen wire entry.
    chosen: RwSignal<Option<u64>>,
) -> impl IntoView {
    let lab = expect_context::<Lab>();
    let canvas = NodeRef::<leptos::html::Canvas>::new();
    let window_at = RwSignal::new(usize::from(page::width() >= NARROW_PX));
    let held_at = RwSignal::new(None::<f64>);
    let back_s = RwSignal::new(0.0_f64);
    let pointed = RwSignal::new(String::new());
    let shown = StoredValue::new((Vec::<Arrow>::new(), None::<Axis>));

    let (mut counted_ms, mut drawn_ms, mut styled_ms) = (0.0, 0.0, 0.0);
    let mut palette = Palette::default();
    let frames = Frames::start(move || {
        let now_ms = clock::now_ms();
        streams.drain();
        if now_ms - counted_ms > TICK_MS {
            counted_ms = now_ms;
            tick.change(|tick| *tick = tick.wrapping_add(1));
        }
        let step_ms = if page::prefers_reduced_motion() { 1000.0 } else { 0.0 };
        let Some(canvas) = canvas.try_get_untracked().flatten() else { return };
        if now_ms - drawn_ms < step_ms {
            return;
        }
        drawn_ms = now_ms;
        if now_ms - styled_ms > 500.0 {
            styled_ms = now_ms;
            palette = Palette::of(&canvas);
        }
        let Some(surface) = Surface::begin(&canvas) else { return };
        let offset = health.clock.try_get_untracked().unwrap_or_default();
        let held = held_at.try_get_untracked().flatten();
        let end_ms = held.unwrap_or(now_ms + offset.offset_ms)
            - if held.is_some() { back_s.get_untracked() * 1000.0 } else { 0.0 };
        let end = held.map_or_else(|| "now".to_owned(), |_| ago(back_s.get_untracked()));
        let window_ms = WINDOWS[window_at.get_untracked()].0;
        let axis = Axis { now_ms: end_ms, window_ms, width: surface.width };
        let shades = lab.shades(technique, now_ms + offset.offset_ms);
        let found = streams.watched(|lane, wire, feed| {
            let arrows = arrows(lane, wire, offset.error_ms, axis.begin_ms(), end_ms);
            let chosen = chosen.get_untracked();
            draw(
                &surface,
                &palette,
                &Scene { lane, feed, arrows: &arrows, shades: &shades, axis, end: &end, chosen },
            );
            arrows
        });
        shown.set_value((found.unwrap_or_default(), Some(axis)));
    });
    let _frames = StoredValue::new_local(frames);

    let under = move |event: &ev::PointerEvent| {
        let (x, y) = (f64::from(event.offset_x()), f64::from(event.offset_y()));
        shown.with_value(|(arrows, axis)| hit(arrows, (*axis)?, x, y).copied())
    };
    let point = move |event: ev::PointerEvent| {
        let arrow = under(&event);
        let told = arrow.and_then(|arrow| {
            let row = streams.watched(|lane, wire, _| wire.get(arrow.seq).map(|entry| Row::of(lane, entry)));
            row.flatten().map(|row| tell(&arrow, &row))
        });
        pointed.set(told.unwrap_or_default());
    };
    let pick = move |event: ev::PointerEvent| {
        if let Some(arrow) = under(&event) {
            chosen.set(Some(arrow.seq));
        }
    };
    let hold = move |_| {
        back_s.set(0.0);
        held_at.change(|held| {
            *held = match held {
                Some(_) => None,
                None => Some(clock::now_ms() + health.clock.get_untracked().offset_ms),
            }
        });
    };
    let is_held = move || held_at.get().is_some();
    let labels = WINDOWS.map(|(_, label)| label).to_vec();
    view! {
        <section class="card o1" aria-labelledby="sequence-h">
            <header>
                <h2 id="sequence-h">"Sequence"</h2>
                <span class="cap">"time runs right"</span>
                <span class="sp"></span>
                <Segments label="Time shown" choices=labels chosen=window_at.into() choose=move |at| window_at.set(at) />
                <button class="btn" data-testid="hold" aria-pressed=text(is_held) on:click=hold>
                    <Icon name=Signal::derive(move || if is_held() { "play" } else { "pause" }) />
                    {text(move || if is_held() { "Resume" } else { "Pause" })}
                </button>
            </header>
            <div class="seq">
                <canvas node_ref=canvas role="img" style=format!("height:{}px", fixed(HEIGHT, 0)) data-testid="sequence"
                    aria-label=format!("Requests and answers of {} between client and server; the wire table below says the same in words", technique.label())
                    on:pointermove=point on:pointerdown=pick on:pointerleave=move |_| pointed.set(String::new())></canvas>
                <ul class="seq-legend cap" aria-label="Legend" data-testid="sequence-legend">{legend(technique)}</ul>
                <p class="cap mono seq-tip" data-testid="pointed">{text(move || pointed.get())}</p>
                <div class="seq-back" hidden=Signal::derive(move || !is_held())>
                    <Slider label="Back in time" stops=BACK value=back_s.into() change=move |value| back_s.set(value) show=ago />
                </div>
            </div>
        </section>
    }
}

/// Returns the legend of the marks that this technique has.
fn legend(technique: Technique) -> impl IntoView {
    const DELIVERY: (&str, &str) = ("data", "events on their way");
    let marks: &[(&str, &str)] = match technique {
        Technique::ShortPoll => &[DELIVERY, ("quiet", "a request, or an answer without events")],
        Technique::LongPoll => {
            &[DELIVERY, ("quiet", "a request, or an answer without events"), ("held", "held by the server")]
        }
        Technique::Sse => &[DELIVERY, ("quiet", "heartbeat"), ("open", "the stream is open")],
        Technique::Websocket => {
            &[DELIVERY, ("up", "sent by this page"), ("quiet", "protocol"), ("open", "the socket is open")]
        }
    };
    let common = [
        ("published", "published"),
        ("wait", "how far behind"),
        ("fault", "a fault"),
        ("lost", "cut or refused"),
    ];
    let marks = marks.iter().copied().chain(common);
    let items =
        marks.map(|(mark, words)| view! { <li><i data-mark=mark aria-hidden="true"></i>{words}</li> });
    view! { {items.collect_view()}<li>"An arrow is at least 9 pixels wide, so that a millisecond can be seen; pointing at it tells its time."</li> }
}

fn ago(seconds: f64) -> String {
    if seconds == 0.0 { "when paused".to_owned() } else { duration(seconds * 1000.0) + " before" }
}

fn tell(arrow: &Arrow, row: &Row) -> String {
    let what = match arrow.kind {
        ArrowKind::Held => format!("held {}", duration(arrow.client_ms - arrow.server_ms)),
        _ => row.what.clone(),
    };
    let bytes = [("headers", &row.headers), ("framing", &row.framing), ("payload", &row.payload)];
    let bytes =
        bytes.iter().filter(|(_, count)| *count != "–").map(|(name, count)| format!("{name} {count} B"));
    let words = [
        what,
        row.direction.to_owned(),
        row.events.clone(),
        bytes.collect::<Vec<_>>().join(", "),
        row.to_page.clone(),
    ];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" · ")
}
