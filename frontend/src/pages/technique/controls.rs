//! The controls of a technique's page: topic, rate, intervals, and publishing over the socket.

use std::num::NonZeroU32;

use fourways_model::{format::plain, journey::Journey};
use fourways_shared::{After, Technique, Topic};
use leptos::prelude::*;

use crate::{
    browser::task,
    components::{
        change::Change as _,
        dynamic::{part, text},
        icon::Icon,
        slider::Slider,
    },
    delivery::{Request, lab},
    pages::budget::Budget,
    streams::Streams,
};

const RATES: &[f64] = &[0.0, 0.2, 0.5, 0.8, 1.0, 2.0, 4.0, 10.0, 20.0, 50.0, 100.0, 200.0];
const POLLS: &[f64] = &[0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0];
const HOLDS: &[f64] = &[2.0, 5.0, 10.0, 15.0, 20.0, 25.0];
/// Number of events that a page asks for when it opens: the newest one.
const FIRST: NonZeroU32 = NonZeroU32::MIN;

/// Settings of the visitor. Copies share the signals, which live as long as the page.
#[derive(Clone, Copy)]
pub(super) struct Controls {
    pub(super) topic: RwSignal<Topic>,
    pub(super) rate: RwSignal<f64>,
    pub(super) poll_s: RwSignal<f64>,
    pub(super) hold_s: RwSignal<f64>,
    /// True while the page keeps its stream closed.
    pub(super) is_closed: RwSignal<bool>,
    /// True if a hidden tab may close its stream when another tab waits for the connection; false while a breakage is
    /// measured.
    pub(super) may_give_back: RwSignal<bool>,
}

impl Controls {
    /// Creates the controls with their defaults, or as the page of another technique left them.
    pub(super) fn begin(own: &Topic, journey: Option<&Journey>) -> Self {
        let topic = journey.map(|journey| journey.topic.clone());
        let rate = journey.map_or(0.0, |journey| journey.rate);
        let first = topic.or_else(|| Topic::parse("host.cpu").ok()).unwrap_or_else(|| own.clone());
        Self {
            topic: RwSignal::new(first),
            rate: RwSignal::new(rate),
            poll_s: RwSignal::new(2.0),
            hold_s: RwSignal::new(20.0),
            is_closed: RwSignal::new(false),
            may_give_back: RwSignal::new(true),
        }
    }

    /// Returns the topics and settings to read with, from `after` on.
    pub(super) fn request(&self, after: After) -> Request {
        Request {
            poll_ms: self.poll_s.get_untracked() * 1000.0,
            hold_s: self.hold_s.get_untracked(),
            ..Request::of(vec![self.topic.get_untracked()], after)
        }
    }
}

#[component]
pub(super) fn ControlCard(
    /// Technique of the page.
    technique: Technique,
    /// Controls that the card shows.
    controls: Controls,
    /// Topic that only this page publishes to.
    own: Topic,
    /// Streams of the page, for the send box.
    streams: Streams,
) -> impl IntoView {
    let topics = RwSignal::new(host_topics());
    task::spawn(async move {
        if let Some(found) = lab::topics().await {
            // Topics under `lab.` belong to other pages.
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
        // Setting the same topic again would open the stream again.
        if controls.topic.get_untracked() != generator {
            controls.topic.set(generator.clone());
        }
    };
    let reset = move |_| {
        controls.poll_s.set(2.0);
        controls.hold_s.set(20.0);
        controls.rate.set(0.0);
        controls.is_closed.set(false);
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
                <button class="btn" aria-pressed=text(move || controls.is_closed.get()) data-testid="close" on:click=move |_| controls.is_closed.change(|is_closed| *is_closed = !*is_closed)>
                    <Icon name=Signal::derive(move || if controls.is_closed.get() { "play" } else { "x" }) />
                    {text(move || if controls.is_closed.get() { "Open the stream again" } else { "Close the stream" })}
                </button>
                {(technique == Technique::Websocket).then(|| view! { <SendBox controls=controls streams=streams /> })}
            </div>
        </section>
    }
}

#[component]
fn SendBox(
    /// Controls with the topic to publish to.
    controls: Controls,
    /// Streams whose socket carries the text.
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

/// Opens the stream of the page, reopens it at its cursor when a control changes, and closes it on request. The first
/// opening begins at `after`, if given.
pub(super) fn keep_stream(technique: Technique, streams: Streams, controls: Controls, after: Option<After>) {
    let first = StoredValue::new(after);
    let budget = expect_context::<Budget>();
    let is_given_back = Memo::new(move |before| {
        // A hidden tab stays without a stream until it is visible again: otherwise its connection would be wanted back
        // at once.
        let stays = before == Some(&true) && budget.is_hidden();
        controls.may_give_back.get() && (stays || budget.is_wanted_elsewhere())
    });
    Effect::new(move |before: Option<Topic>| {
        let topic = controls.topic.get();
        controls.poll_s.track();
        controls.hold_s.track();
        let is_closed = controls.is_closed.get() || is_given_back.get();
        let is_same = before.as_ref() == Some(&topic);
        streams.close(technique);
        if is_closed {
            return topic;
        }
        let wanted = topic.clone();
        task::spawn(async move {
            if !is_same {
                streams.fresh().await;
            }
            // By now, another topic or another page may be wanted.
            if controls.topic.try_get_untracked().as_ref() != Some(&wanted)
                || controls.is_closed.get_untracked()
                || is_given_back.get_untracked()
            {
                return;
            }
            let cursor = streams.lane(technique, |lane| lane.cursor).flatten().map(After::Cursor);
            let begin = first.try_update_value(Option::take).flatten();
            streams.open(technique, controls.request(cursor.or(begin).unwrap_or(After::Last(FIRST))));
        });
        topic
    });
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
