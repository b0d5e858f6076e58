//! The overview: one feed, four subscribers, one clock.

mod servers;

use fourways_model::{
    feed::{Behind, Published},
    format::{bytes, duration, duration_or_dash, duration_parts, fixed, plural},
    lane::Lane,
    record::Link,
};
use fourways_shared::{After, Technique, Topic};
use leptos::prelude::*;

use self::servers::ServersCard;
use super::{
    budget::Budget,
    lanes::{Canvases, frames},
};
use crate::{
    browser::{clock, task},
    components::{
        change::Change as _,
        dynamic::{part, text},
        icon::{Icon, Name},
        segments::Segments,
    },
    delivery::{Request, publish},
    streams::{Streams, feed::keep_feed, health::Health, lab::Lab},
};

const POLL_MS: f64 = 2_000.0;
const HOLD_S: f64 = 20.0;
const PAYLOAD_BYTES: u32 = 96;

/// Rates that a visitor may add to the feed, in events a second, with their labels.
const RATES: [(f64, &str); 4] = [(0.0, "0/s"), (0.8, "0.8/s"), (4.0, "4/s"), (50.0, "50/s")];

const WAYS: [&str; 4] = [
    "asks every 2 s",
    "asks, server holds the answer",
    "one response that never ends",
    "one socket, both directions",
];

const USE_WHEN: [&str; 4] = [
    "freshness of seconds is fine, or clients are short-lived: any server, any proxy, any cache can serve it.",
    "events are rare, you want them at once, and something in the path breaks streaming.",
    "server to browser only, text, and you want reconnect with replay for free. Start here.",
    "the client talks back often, data is binary, or every millisecond of round trip counts.",
];

#[component]
pub(crate) fn Overview() -> impl IntoView {
    let health = expect_context::<Health>();
    let streams = Streams::new(health.clock, None);
    let own = expect_context::<Lab>().topic.get_value();
    let rate = RwSignal::new(0.0_f64);
    let is_paused = RwSignal::new(false);
    let tick = RwSignal::new(0_u32);
    let canvases: Canvases = std::array::from_fn(|_| NodeRef::new());

    keep_streams(streams, own.clone());
    keep_feed(own.clone(), rate, PAYLOAD_BYTES);
    let frames = frames(streams, health, is_paused, tick, canvases);
    let _frames = StoredValue::new_local(frames);

    let message = RwSignal::new(None::<String>);
    let publish = {
        let own = own.clone();
        move |_| {
            let own = own.clone();
            task::spawn(async move {
                let outcome = publish::text(&own, "hello from the overview").await.kept();
                let _gone = message.try_set(outcome.err());
            });
        }
    };
    let published = move || {
        tick.track();
        streams.view(|_, feed| feed.count).unwrap_or(0)
    };
    let latest = move || {
        tick.track();
        streams.view(|_, feed| feed.latest.clone()).unwrap_or_default()
    };
    let lanes = Technique::ALL.map(|technique| {
        view! { <LaneRow technique=technique streams=streams health=health tick=tick canvas=canvases[technique.index() + 1] /> }
    });
    let cards = Technique::ALL.map(|technique| {
        view! {
            <article class="card" data-technique=technique.name()>
                <Name technique=technique />
                <p><b>"Use it when: "</b>{USE_WHEN[technique.index()]}</p>
                <a class="go" href=format!("/{}", technique.slug())>"Open lab"</a>
            </article>
        }
    });
    let chosen_rate =
        Signal::derive(move || RATES.iter().position(|(value, _)| *value >= rate.get()).unwrap_or(0));
    let rates = RATES.map(|(_, label)| label).to_vec();
    view! {
        <div class="page-h">
            <div>
                <h1>"Four ways to get fresh data to a client"</h1>
                <p>"This server's own CPU figures once a second, and what you add: one feed, one network, four subscribers. A line is an event on its way: the longer it is, the staler that client was."</p>
            </div>
            <div class="acts">
                <span class="cap">"add"</span>
                <Segments label="Extra events a second" choices=rates chosen=chosen_rate choose=move |at: usize| rate.set(RATES[at].0) />
                <button class="btn" aria-pressed=text(move || is_paused.get()) on:click=move |_| is_paused.change(|p| *p = !*p)>
                    <Icon name=Signal::derive(move || if is_paused.get() { "play" } else { "pause" }) />
                    {text(move || if is_paused.get() { "Resume" } else { "Pause" })}
                </button>
                <button class="btn pri" on:click=publish><Icon name="plus" />"Publish event"</button>
            </div>
        </div>
        {part(move || message.get().map(|why| view! {
            <p class="note bad-n" role="alert"><Icon name="warn" />"Not published: " {why}</p>
        }))}
        <section class="card" aria-label="Live lanes">
            <div class="pub-row">
                <div><h2>"Publisher"</h2><p class="cap">{text(move || plural(published(), "event", "events"))}", last 10 s shown"</p></div>
                <div class="strip"><canvas node_ref=canvases[0] role="img" aria-label="Events published in the last ten seconds"></canvas></div>
                <div class="latest" aria-label="Newest events">
                    {part(move || latest().into_iter().map(published_line).collect_view())}
                </div>
            </div>
            {lanes}
            <div class="read-me">
                <span><svg viewBox="0 0 34 12" aria-hidden="true"><path d="M2 6h28" stroke="currentColor" /><circle cx="30" cy="6" r="3" fill="currentColor" /></svg>"published to delivered"</span>
                <span><svg viewBox="0 0 34 12" aria-hidden="true"><circle cx="4" cy="6" r="3" fill="none" stroke="currentColor" /><path d="M8 6h24" stroke="currentColor" stroke-dasharray="2 3" /></svg>"published, not here yet"</span>
                <span><svg viewBox="0 0 34 12" aria-hidden="true"><path d="M4 1v10M17 1v10M30 1v10" stroke="var(--faint)" /></svg>"empty request"</span>
                <span><svg viewBox="0 0 34 12" aria-hidden="true"><path d="M2 6h30" stroke="var(--faint)" stroke-width="4" /></svg>"connection held open"</span>
                <span>"Behind: age of the oldest event this client does not have yet"</span>
            </div>
        </section>
        <ServersCard streams=streams tick=tick />
        <div class="when">{cards}</div>
    }
}

#[component]
fn LaneRow(
    /// Technique of the lane.
    technique: Technique,
    /// Streams of the page.
    streams: Streams,
    /// Health of the connection, shared by the whole app.
    health: Health,
    /// Counter whose changes redraw the figures.
    tick: RwSignal<u32>,
    /// Canvas that the page draws the lane on.
    canvas: NodeRef<leptos::html::Canvas>,
) -> impl IntoView {
    let now_ms = move || clock::now_ms() + health.clock.get_untracked().offset_ms;
    let age_ms = move || {
        tick.track();
        streams.lane(technique, |lane| lane.newest_ms.map(|at| (now_ms() - at).max(0.0))).flatten()
    };
    let behind = move || {
        tick.track();
        streams.view(|lanes, feed| feed.behind(&lanes[technique.index()], now_ms())).unwrap_or_default()
    };
    let status = move || match behind() {
        Behind { events, ms } if ms > 60.0 => {
            view! { <b>{format!("{events} waiting, {} behind", duration(ms))}</b> }.into_any()
        }
        _ => view! { <span>{link_word(streams, technique)}</span> }.into_any(),
    };
    // Which of several servers serves the lane; a server alone has no name.
    let node = move || {
        tick.track();
        let node = streams.lane(technique, |lane| lane.node.clone()).flatten();
        node.map(|node| view! { <p class="cap" data-testid=format!("node-{technique}")>"served by "<b>{node}</b></p> })
    };
    let count = move |read: fn(&Lane) -> String| {
        text(move || {
            tick.track();
            streams.lane(technique, read).unwrap_or_default()
        })
    };
    // Bytes as the server counts them; without its counts, or if another server serves the stream, the bytes that the
    // page can see.
    let spent = move || match streams.counts(technique).filter(|counts| counts.total_down() > 0) {
        Some(counts) => bytes(counts.total_up() + counts.total_down()),
        None => streams
            .lane(technique, |lane| bytes(lane.counters.up.total() + lane.counters.down.total()))
            .unwrap_or_default(),
    };
    let gauge =
        move || format!("transform:scaleX({})", fixed((age_ms().unwrap_or(0.0) / 5000.0).min(1.0), 3));
    view! {
        <div class="lane" data-technique=technique.name()>
            <div class="what"><Name technique=technique /><p>{WAYS[technique.index()]}</p>{part(node)}</div>
            <div class="strip"><canvas node_ref=canvas role="img" aria-label=format!("Deliveries by {} in the last ten seconds", technique.label())></canvas></div>
            <div class="clock">
                <span class="cap">"newest event is"</span>
                <b>{text(move || age_ms().map_or("–".to_owned(), |ms| duration_parts(ms).0))}
                    <small>{text(move || age_ms().map_or(String::new(), |ms| format!(" {} old", duration_parts(ms).1)))}</small></b>
                <div class="gauge"><i style=text(gauge)></i></div>
                <span class="beh cap">{part(status)}</span>
            </div>
            <dl class="cnt">
                <div><dt>"Requests"</dt><dd>{count(|lane| lane.counters.requests.to_string())}</dd></div>
                <div><dt>"Empty"</dt><dd>{count(|lane| lane.counters.empty.to_string())}</dd></div>
                <div><dt>"Events"</dt><dd data-testid=format!("events-{technique}")>{count(|lane| lane.counters.events.to_string())}</dd></div>
                <div><dt>"p50"</dt><dd>{count(|lane| duration_or_dash(lane.recent_quantile_ms(0.5)))}</dd></div>
                <div class="wide"><dt>"Bytes"</dt><dd>{text(spent)}</dd></div>
            </dl>
        </div>
    }
}

fn link_word(streams: Streams, technique: Technique) -> String {
    let word = |link: &Link| match link {
        Link::Idle | Link::Held { .. } => "up to date".to_owned(),
        other => other.words(),
    };
    // A short poll in flight leaves the lane as fresh as it was; one without an answer for two intervals does not.
    let is_quick = |lane: &Lane| {
        let asked_ms = lane.records.back().map_or(0.0, |record| record.ended_ms);
        technique == Technique::ShortPoll
            && lane.link == Link::Opening
            && clock::now_ms() - asked_ms < 2.0 * POLL_MS
    };
    let word = |lane: &Lane| if is_quick(lane) { "up to date".to_owned() } else { word(&lane.link) };
    streams.lane(technique, word).unwrap_or_default()
}

fn published_line(published: Published) -> impl IntoView {
    view! { <span>{format!("#{} {} {}", published.offset, published.topic, published.text)}</span> }
}

/// Keeps all four streams open while the tab is visible, or no other tab needs their connections.
fn keep_streams(streams: Streams, own: Topic) {
    let budget = expect_context::<Budget>();
    let is_given_back = Memo::new(move |before| {
        let stays = before == Some(&true) && budget.is_hidden();
        stays || budget.is_wanted_elsewhere()
    });
    Effect::new(move |was: Option<bool>| {
        let is_given_back = is_given_back.get();
        match (was, is_given_back) {
            (_, true) => streams.close_all(),
            (None, false) => open_all(streams, own.clone()),
            (Some(true), false) => resume_all(streams, &own),
            (Some(false), false) => {}
        }
        is_given_back
    });
}

fn open_all(streams: Streams, own: Topic) {
    task::spawn(async move {
        streams.fresh().await;
        for technique in Technique::ALL {
            streams.open(technique, request(&own, After::Head));
        }
    });
}

/// Opens all four streams again, each from the cursor of its lane.
fn resume_all(streams: Streams, own: &Topic) {
    for technique in Technique::ALL {
        let cursor = streams.lane(technique, |lane| lane.cursor).flatten();
        streams.open(technique, request(own, cursor.map_or(After::Head, After::Cursor)));
    }
}

fn request(own: &Topic, after: After) -> Request {
    let topics = [Some(own.clone()), Topic::parse("host.cpu").ok()].into_iter().flatten().collect();
    Request { poll_ms: POLL_MS, hold_s: HOLD_S, ..Request::of(topics, after) }
}
