//! A technique's page: what it is, live events, the wire, the controls, the code.

use fourways_shared::{After, Technique, Topic};
use leptos::{prelude::*, task::spawn_local};

use super::{
    health::Health,
    overview::{keep_feed, own_topic, ticker},
    streams::Streams,
};
use crate::{
    browser::{clock, page},
    components::{
        code_card::CodeCard,
        dynamic::{part, text},
        event_list::{EventList, Line},
        icon::{Glyph, Icon},
        slider::Slider,
        wire_table::{Filter, Row, WireTable},
    },
    delivery::{Request, lab},
    state::{
        format::{bytes, duration, duration_or_dash, fixed, plain},
        lane::Lane,
        record::Link,
        snippets::snippets,
    },
};

const SHOWN_ROWS: usize = 60;
const SHOWN_EVENTS: usize = 8;
const RATES: &[f64] = &[0.0, 0.2, 0.5, 0.8, 1.0, 2.0, 4.0, 10.0, 20.0, 50.0, 100.0, 200.0];
const POLLS: &[f64] = &[0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0];
const HOLDS: &[f64] = &[2.0, 5.0, 10.0, 15.0, 20.0, 25.0];

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

/// What the visitor has set.
#[derive(Clone, Copy)]
struct Controls {
    topic: RwSignal<Topic>,
    rate: RwSignal<f64>,
    poll_s: RwSignal<f64>,
    hold_s: RwSignal<f64>,
    is_paused: RwSignal<bool>,
}

#[component]
pub(crate) fn TechniquePage(
    /// Whose page.
    technique: Technique,
) -> impl IntoView {
    let health = expect_context::<Health>();
    let streams = Streams::new(health.clock);
    let own = own_topic();
    let first = Topic::parse("host.cpu").unwrap_or_else(|_| own.clone());
    let controls = Controls {
        topic: RwSignal::new(first),
        rate: RwSignal::new(0.0),
        poll_s: RwSignal::new(2.0),
        hold_s: RwSignal::new(20.0),
        is_paused: RwSignal::new(false),
    };
    keep_stream(technique, streams, controls);
    keep_feed(own.clone(), controls.rate, 96);
    let tick = ticker(streams);
    let lane = move |look: fn(&Lane) -> String| {
        tick.track();
        streams.lane(technique, look).unwrap_or_default()
    };
    let lines = Signal::derive(move || {
        tick.track();
        streams.lane(technique, event_lines).unwrap_or_default()
    });
    let filter = RwSignal::new(Filter::All);
    let frozen = RwSignal::new(false);
    let rows = Memo::new(move |before: Option<&Vec<Row>>| {
        tick.track();
        let filter = filter.get();
        match before {
            Some(before) if frozen.get() => before.clone(),
            _ => streams.lane(technique, |lane| wire_rows(lane, filter)).unwrap_or_default(),
        }
    });
    let newest = Signal::derive(move || {
        tick.track();
        streams.lane(technique, |lane| lane.records.back().map_or(0, |record| record.n)).unwrap_or(0)
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
                <Stats technique=technique lane=lane />
            </div>
            <div class="work">
                <div class="col">
                    <section class="card o1" aria-labelledby="events-h">
                        <header>
                            <h2 id="events-h">"Live events"</h2>
                            <span class="cap" data-testid="link">{text(move || lane(|l| link_text(&l.link, clock::now_ms())))}</span>
                            <span class="sp"></span>
                            <button class="btn" aria-pressed=text(move || controls.is_paused.get()) on:click=move |_| controls.is_paused.update(|p| *p = !*p)>
                                <Icon name=Signal::derive(move || if controls.is_paused.get() { "play" } else { "pause" }) />
                                {text(move || if controls.is_paused.get() { "Resume" } else { "Pause" })}
                            </button>
                        </header>
                        <EventList lines=lines />
                    </section>
                    <WireTable rows=rows.into() newest=newest filter=filter frozen=frozen />
                    <CodeCard snippets=code />
                </div>
                <div class="col">
                    <ControlCard technique=technique controls=controls own=own streams=streams />
                </div>
            </div>
        </div>
    }
}

#[component]
fn Stats(
    /// Whose.
    technique: Technique,
    /// Looks at the lane, again with every tick.
    lane: impl Fn(fn(&Lane) -> String) -> String + Copy + Send + Sync + 'static,
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
    let down_up = |l: &Lane| format!("{} / {}", bytes(l.counters.bytes.down()), bytes(l.counters.bytes.up()));
    let reconnects = |l: &Lane| format!("{} / {}", l.counters.reconnects, l.ledger.repeated);
    let per_event = |l: &Lane| l.bytes_per_event().map_or("–".to_owned(), |bytes| fixed(bytes, 0) + " B");
    view! {
        <dl class="stats">
            <div class="stat"><dt>{if is_poll { "Requests" } else { "Opened" }}</dt><dd>{text(move || lane(|l| l.counters.requests.to_string()))}</dd></div>
            <div class="stat"><dt>{second}</dt><dd>{text(second_value)}" "<small>{text(share)}</small></dd></div>
            <div class="stat"><dt>"Events"</dt><dd data-testid="count">{text(move || lane(|l| l.counters.events.to_string()))}</dd></div>
            <div class="stat"><dt>"p50 / p95 / p99"</dt><dd>
                {text(move || lane(|l| duration_or_dash(l.recent_quantile_ms(0.5))))}
                <small>" / "{text(move || lane(|l| duration_or_dash(l.recent_quantile_ms(0.95))))}" / "{text(move || lane(|l| duration_or_dash(l.recent_quantile_ms(0.99))))}</small>
            </dd></div>
            <div class="stat"><dt>"Bytes ↓ / ↑"</dt><dd><small class="big">{text(move || lane(down_up))}</small></dd></div>
            <div class="stat"><dt>"Bytes/event"</dt><dd>{text(move || lane(per_event))}</dd></div>
            <div class="stat"><dt>"Cuts / repeated"</dt><dd>{text(move || lane(reconnects))}</dd></div>
        </dl>
    }
}

#[component]
fn ControlCard(
    /// Whose.
    technique: Technique,
    /// What they set.
    controls: Controls,
    /// The page's own topic.
    own: Topic,
    /// For the send box.
    streams: Streams,
) -> impl IntoView {
    let topics = RwSignal::new(host_topics());
    spawn_local(async move {
        if let Some(found) = lab::topics().await {
            // Other pages' own topics are theirs.
            let others =
                found.into_iter().filter(|topic| !topic.as_str().starts_with("lab.")).take(50).collect();
            let _gone = topics.try_set(others);
        }
    });
    let generator = own.clone();
    let options = {
        let own = own.clone();
        move || {
            let mut all = topics.get();
            let here = controls.topic.get();
            if here != own && !all.contains(&here) {
                all.push(here.clone());
            }
            let mut options: Vec<_> =
                all.into_iter().map(|topic| (topic.to_string(), topic.to_string())).collect();
            options.push((own.to_string(), "this page's own generator".to_owned()));
            options
                .into_iter()
                .map(|(value, label)| {
                    let is_here = value == here.as_str();
                    view! { <option value=value selected=is_here>{label}</option> }
                })
                .collect_view()
        }
    };
    let pick = move |event| {
        if let Ok(topic) = Topic::parse(&event_target_value(&event)) {
            if topic.as_str().starts_with("lab.") && controls.rate.get_untracked() == 0.0 {
                controls.rate.set(0.8);
            }
            controls.topic.set(topic);
        }
    };
    let set_rate = move |rate| {
        controls.rate.set(rate);
        controls.topic.set(generator.clone());
    };
    let reset = move |_| {
        controls.poll_s.set(2.0);
        controls.hold_s.set(20.0);
        controls.rate.set(0.0);
        controls.is_paused.set(false);
        controls.topic.set(Topic::parse("host.cpu").unwrap_or_else(|_| own.clone()));
    };
    view! {
        <section class="card o2" aria-labelledby="controls-h">
            <header><h2 id="controls-h">"Controls"</h2><span class="sp"></span><button class="btn ghost" on:click=reset>"Reset"</button></header>
            <div class="card-b ctl">
                <label class="field"><span>"Topic"</span><select on:change=pick>{part(options)}</select></label>
                {(technique == Technique::ShortPoll).then(|| view! {
                    <Slider label="Poll interval" stops=POLLS value=controls.poll_s.into() change=move |v| controls.poll_s.set(v) show=seconds />
                })}
                {(technique == Technique::LongPoll).then(|| view! {
                    <Slider label="Hold time" stops=HOLDS value=controls.hold_s.into() change=move |v| controls.hold_s.set(v) show=seconds />
                })}
                <Slider label="Event rate" stops=RATES value=controls.rate.into() change=set_rate show=per_second />
                <p class="cap">"The rate drives this page's own generator on the server; moving it switches the topic to it."</p>
                {(technique == Technique::Websocket).then(|| view! { <SendBox controls=controls streams=streams /> })}
            </div>
        </section>
    }
}

#[component]
fn SendBox(
    /// The topic to publish to.
    controls: Controls,
    /// Whose socket carries it.
    streams: Streams,
) -> impl IntoView {
    let words = RwSignal::new("hello".to_owned());
    let failed = RwSignal::new(false);
    let send = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let topic = controls.topic.get_untracked();
        failed.set(!streams.publish(Technique::Websocket, &topic, &words.get_untracked()));
    };
    view! {
        <hr />
        <form class="field" on:submit=send>
            <label for="send"><span>"Publish over the socket"</span></label>
            <div class="sendbox">
                <input id="send" class="input" autocomplete="off" maxlength="1000" prop:value=words on:input=move |e| words.set(event_target_value(&e)) />
                <button class="btn pri">"Send"</button>
            </div>
            {part(move || failed.get().then(|| view! { <p class="cap bad-n" role="alert">"The socket is not open; nothing was sent."</p> }))}
        </form>
    }
}

/// Reopens the stream when a control changes, from where it was; closes it while paused.
fn keep_stream(technique: Technique, streams: Streams, controls: Controls) {
    Effect::new(move |before: Option<Topic>| {
        let topic = controls.topic.get();
        let (poll_s, hold_s) = (controls.poll_s.get(), controls.hold_s.get());
        let is_paused = controls.is_paused.get();
        let is_same = before.as_ref() == Some(&topic);
        if !is_same {
            streams.close(technique);
            streams.clear();
        }
        if is_paused {
            streams.close(technique);
        } else {
            let cursor = streams.lane(technique, |lane| lane.cursor).flatten();
            let after = cursor.map_or(After::Last(FIRST), After::Cursor);
            let topics = vec![topic.clone()];
            streams.open(technique, Request { topics, after, poll_ms: poll_s * 1000.0, hold_s });
        }
        topic
    });
}

/// A page that opens shows the newest few at once.
const FIRST: std::num::NonZeroU32 = std::num::NonZeroU32::MIN;

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
            let data = match &event.data {
                fourways_shared::Data::Json(raw) => raw.get().chars().take(200).collect(),
                fourways_shared::Data::Bytes(bytes) => format!("{} bytes", bytes.len()),
            };
            Line { offset: event.cursor.offset.0, topic: event.topic.to_string(), data, latency_ms }
        })
        .collect()
}

fn wire_rows(lane: &Lane, filter: Filter) -> Vec<Row> {
    lane.records.iter().rev().filter(|record| filter.takes(record)).take(SHOWN_ROWS).map(Row::of).collect()
}

fn link_text(link: &Link, now_ms: f64) -> String {
    match link {
        Link::Idle => "between polls".to_owned(),
        Link::Opening => "asking".to_owned(),
        Link::Held { since_ms } => format!("open for {}", duration(now_ms - since_ms)),
        Link::Waiting { until_ms, attempt, why } => {
            format!("{why}; attempt {attempt} in {}", duration((until_ms - now_ms).max(0.0)))
        }
        Link::Stopped { why } => format!("stopped: {why}"),
    }
}

fn host_topics() -> Vec<Topic> {
    ["host.cpu", "host.load", "host.memory", "host.network"]
        .iter()
        .filter_map(|name| Topic::parse(name).ok())
        .collect()
}

fn seconds(value: f64) -> String {
    plain(value) + " s"
}

fn per_second(value: f64) -> String {
    if value == 0.0 { "off".to_owned() } else { plain(value) + "/s" }
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn percent(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64 * 100.0
}
