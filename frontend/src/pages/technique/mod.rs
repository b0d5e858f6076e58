//! The page of a technique: description, sequence and wire as they happen, faults, controls, code.

mod controls;
mod diagram;
mod faults;
mod go_on;

use std::time::Duration;

use fourways_model::{
    format::{bytes, duration, duration_or_dash, fixed},
    lane::Lane,
    record::Link,
    snippets::snippets,
};
use fourways_shared::{After, Technique, account::Account, lab::Counts};
use leptos::prelude::*;

use self::{
    controls::{ControlCard, Controls, keep_stream},
    diagram::Diagram,
    faults::Faults,
    go_on::GoOn,
};
use crate::{
    browser::{clock, page},
    components::{
        code_card::CodeCard,
        dynamic::text,
        event_list::{EventList, Line},
        icon::Glyph,
        inspector::Inspector,
    },
    streams::{Streams, feed::keep_feed, health::Health, lab::Lab},
};

const SHOWN_EVENTS: usize = 8;
/// Interval of the reports to the server's ledger.
const REPORT_EVERY: Duration = Duration::from_secs(1);

const ABOUT: [[&str; 2]; 4] = [
    [
        "The client asks “anything new?” on a timer and gets an answer at once, usually an empty one. It works with every server, proxy and cache ever built, and survives restarts without noticing.",
        "the interval sets both the delay and the waste. Halve one and you double the other.",
    ],
    [
        "The client asks, and the server keeps the request open until there is something to say or a timeout passes; then the client asks again. Delivery is nearly instant over plain HTTP.",
        "one full set of headers per delivery, a request slot always taken, and a gap between answers in which events must be kept.",
    ],
    [
        "The client opens one ordinary GET and the server never finishes the response: each event is a few lines of text appended to it. The browser reconnects by itself and sends Last-Event-ID, so the server can replay.",
        "one direction and text only; a buffering proxy can hold everything back, and HTTP/1.1 allows six connections per host.",
    ],
    [
        "One HTTP request is upgraded to a socket on which both sides send frames whenever they like, text or binary, with 2 to 14 bytes of framing. Nothing is faster for two-way traffic.",
        "reconnect, replay, heartbeat, auth refresh and back-pressure are your code, and the socket is invisible to HTTP tooling.",
    ],
];

#[component]
pub(crate) fn TechniquePage(
    /// Technique of the page.
    technique: Technique,
) -> impl IntoView {
    let health = expect_context::<Health>();
    let lab = expect_context::<Lab>();
    let streams = Streams::new(health.clock, Some(technique));
    let own = lab.topic.get_value();
    let journey = lab.journey.get_untracked().filter(|journey| journey.to == technique);
    let controls = Controls::begin(&own, journey.as_ref());
    keep_stream(technique, streams, controls, journey.map(|journey| After::Cursor(journey.cursor)));
    keep_feed(own.clone(), controls.rate, 96);
    let reporting = set_interval_with_handle(move || streams.report(technique), REPORT_EVERY);
    on_cleanup(move || {
        if let Ok(reporting) = reporting {
            reporting.clear();
        }
    });
    let tick = RwSignal::new(0_u32);
    let chosen = RwSignal::new(None::<u64>);
    let lane = move |look: fn(&Lane) -> String| {
        tick.track();
        streams.lane(technique, look).unwrap_or_default()
    };
    let lines = Signal::derive(move || {
        tick.track();
        streams.lane(technique, event_lines).unwrap_or_default()
    });
    let code = Signal::derive(move || {
        let query = format!("topic={}", controls.topic.get());
        snippets(technique, &page::origin(), &query, controls.poll_s.get(), controls.hold_s.get()).to_vec()
    });
    let [about, trade_off] = ABOUT[technique.index()];
    view! {
        <div class="technique" data-technique=technique.name()>
            <div class="tech-h">
                <div>
                    <h1><Glyph technique=technique />{technique.label()}</h1>
                    <p>{about}</p>
                    <p class="trade"><b>"Trade-off: "</b>{trade_off}</p>
                </div>
                <Stats technique=technique lane=lane streams=streams />
            </div>
            <div class="work">
                <div class="col">
                    <Diagram technique=technique streams=streams health=health tick=tick chosen=chosen />
                    <Inspector streams=streams tick=tick chosen=chosen />
                    <section class="card o5" aria-labelledby="events-h">
                        <header>
                            <h2 id="events-h">"Live events"</h2>
                            <span class="cap" data-testid="link">{text(move || lane(|l| link_text(&l.link, clock::now_ms())))}</span>
                        </header>
                        <EventList lines=lines />
                    </section>
                    <CodeCard snippets=code />
                </div>
                <div class="col">
                    <ControlCard technique=technique controls=controls own=own streams=streams />
                    <Faults technique=technique streams=streams controls=controls health=health tick=tick />
                    <GoOn technique=technique streams=streams controls=controls tick=tick />
                </div>
            </div>
        </div>
    }
}

#[component]
fn Stats(
    /// Technique of the page.
    technique: Technique,
    /// Formats a figure of the lane, again with every tick.
    lane: impl Fn(fn(&Lane) -> String) -> String + Copy + Send + Sync + 'static,
    /// Streams of the page, for the server's counts.
    streams: Streams,
) -> impl IntoView {
    let is_poll = matches!(technique, Technique::ShortPoll | Technique::LongPoll);
    let second = match technique {
        Technique::Websocket => "Frames ↓ / ↑",
        Technique::Sse => "Reconnects",
        _ => "Empty",
    };
    let second_value = move || match technique {
        Technique::Websocket => lane(|l| format!("{} / {}", l.counters.frames_down, l.counters.frames_up)),
        Technique::Sse => lane(|l| l.counters.reconnects.to_string()),
        _ => lane(|l| l.counters.empty.to_string()),
    };
    let share = move || {
        let empty = |l: &Lane| fixed(percent(l.counters.empty, l.counters.requests), 0) + " %";
        if is_poll { lane(empty) } else { String::new() }
    };
    // Bytes as the server counts them; without its counts, the bytes that the page can see.
    let counts = move || streams.counts(technique);
    let down_up = move || match counts() {
        Some(counts) => format!("{} / {}", bytes(counts.total_down()), bytes(counts.total_up())),
        None => lane(|l| format!("{} / {}", bytes(l.counters.down.total()), bytes(l.counters.up.total()))),
    };
    let reconnects = |l: &Lane| format!("{} / {}", l.counters.reconnects, l.ledger.repeated);
    let per_event = move || {
        let events = lane(|l| l.counters.events.to_string()).parse().unwrap_or(0_u64);
        match counts() {
            Some(counts) if events > 0 => per_event_of(counts, events),
            _ => lane(|l| l.bytes_per_event().map_or("–".to_owned(), |bytes| fixed(bytes, 0) + " B")),
        }
    };
    let account = move || {
        streams
            .account(technique)
            .map_or("–".to_owned(), |Account { lost, repeated, reordered, .. }| {
                format!("{lost} / {repeated} / {reordered}")
            })
    };
    let counted =
        move || if counts().is_some() { "counted at the server" } else { "as far as the page sees" };
    view! {
        <dl class="stats">
            <div class="stat"><dt>{if is_poll { "Requests" } else { "Opened" }}</dt><dd>{text(move || lane(|l| l.counters.requests.to_string()))}</dd></div>
            <div class="stat"><dt>{second}</dt><dd>{text(second_value)}" "<small>{text(share)}</small></dd></div>
            <div class="stat"><dt>"Events"</dt><dd data-testid="count">{text(move || lane(|l| l.counters.events.to_string()))}</dd></div>
            <div class="stat"><dt>"p50 / p95 / p99"</dt><dd>
                {text(move || lane(|l| duration_or_dash(l.recent_quantile_ms(0.5))))}
                <small>" / "{text(move || lane(|l| duration_or_dash(l.recent_quantile_ms(0.95))))}" / "{text(move || lane(|l| duration_or_dash(l.recent_quantile_ms(0.99))))}</small>
            </dd></div>
            <div class="stat"><dt>"Bytes ↓ / ↑, "{text(counted)}</dt><dd><small class="big">{text(down_up)}</small></dd></div>
            <div class="stat"><dt>"Bytes/event"</dt><dd>{text(per_event)}</dd></div>
            <div class="stat"><dt title="Lost / repeated / reordered: what this page holds, against the server's log">"Ledger"<span class="vh">": lost, repeated, reordered"</span></dt><dd data-testid="ledger">{text(account)}</dd></div>
            <div class="stat"><dt>"Cuts / repeated"</dt><dd>{text(move || lane(reconnects))}</dd></div>
        </dl>
    }
}

fn event_lines(lane: &Lane) -> Vec<Line> {
    let newest =
        lane.records.iter().rev().flat_map(|record| record.events.iter().rev().map(move |e| (record, e)));
    let mut marks = lane.marks.iter().rev();
    newest
        .filter(|(_, delivered)| delivered.is_new)
        .take(SHOWN_EVENTS)
        .map(|(_, delivered)| {
            let event = &delivered.event;
            let latency_ms = marks.next().and_then(|mark| lane.latency_of(mark));
            let data = event.data.preview(200);
            Line { offset: event.cursor.offset.0, topic: event.topic.to_string(), data, latency_ms }
        })
        .collect()
}

fn link_text(link: &Link, now_ms: f64) -> String {
    match link {
        Link::Held { since_ms } => format!("open for {}", duration(now_ms - since_ms)),
        Link::Waiting { until_ms: Some(until_ms), attempt, why } => {
            format!("{why}; attempt {attempt} in {}", duration((until_ms - now_ms).max(0.0)))
        }
        Link::Waiting { until_ms: None, why, .. } => why.clone(),
        Link::Closed => "closed by you".to_owned(),
        other => other.words(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn percent(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64 * 100.0
}

/// Formats the mean of all bytes, both ways, over the number of events.
#[expect(clippy::cast_precision_loss, reason = "a quotient for people")]
fn per_event_of(counts: Counts, events: u64) -> String {
    fixed((counts.total_up() + counts.total_down()) as f64 / events as f64, 0) + " B"
}
