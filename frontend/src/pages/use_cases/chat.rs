//! A chat: the log of a room is its history, so a page that was away reads the messages it missed like any other
//! subscriber.

use std::collections::BTreeMap;

use fourways_model::{
    format::time_of_day,
    record::{Link, refusal},
};
use fourways_shared::{
    Event, Policy, Technique, Topic,
    time::ms_of_us,
    use_case::{
        self,
        chat::{Here, Message, ROOMS, messages, people},
    },
};
use leptos::prelude::*;

use super::{NameField, Parts, visitor};
use crate::{
    browser::{clock, page},
    components::{
        change::Change as _,
        dynamic::{part, text},
        segments::Segments,
    },
    streams::live::{Begin, Live, Plan, age_ms},
};

/// Number of messages that a newcomer sees.
const HISTORY: u32 = 50;
const MAX_SHOWN: usize = 500;
/// Interval at which a page announces its visitor, and the silence after which the visitor counts as gone, in
/// milliseconds.
const HERE_MS: u64 = 4_000;
const GONE_MS: f64 = 10_000.0;
/// Time after a key during which a visitor counts as typing, in milliseconds; other pages show it for up to twice as
/// long.
const TYPED_MS: f64 = 3_000.0;

/// A message as the page shows it.
#[derive(Clone, PartialEq)]
struct Line {
    /// Key of the message, known before the message is sent.
    id: String,
    message: Message,
    /// Publishing time by the server's clock, in milliseconds; `None` while the message is unsent.
    at_ms: Option<f64>,
}

type People = BTreeMap<Box<str>, (Here, f64)>;

#[expect(clippy::too_many_lines, reason = "a page, from top to bottom: what it holds, hears, does and shows")]
pub(super) fn open(technique: RwSignal<Technique>) -> Parts {
    let name = visitor::name();
    let room = RwSignal::new(0_usize);
    let lines = RwSignal::new(Vec::<Line>::new());
    let here = RwSignal::new(People::new());
    let typed_at = StoredValue::new(0.0_f64);
    let opened = StoredValue::new(None::<Live>);
    let hear = move |events: &[Event]| {
        let Some(live) = opened.try_get_value().flatten() else { return };
        let (mut said, mut came) = (Vec::new(), Vec::new());
        for event in events {
            if is_live(&event.topic) {
                let at_ms = clock::now_ms() - age_ms(live, event);
                came.extend(use_case::read::<Here>(event).map(|here| (here, at_ms)));
            } else {
                said.extend(use_case::read::<Message>(event).map(|message| line(event, message)));
            }
        }
        if !said.is_empty() {
            lines.change(|lines| {
                lines.extend(said);
                let over = lines.len().saturating_sub(MAX_SHOWN);
                lines.drain(..over);
            });
        }
        if !came.is_empty() {
            here.change(|people| came.into_iter().for_each(|(here, at_ms)| meet(people, here, at_ms)));
        }
    };
    let tell = move |is_typing: bool, is_leaving: bool| {
        let said = || {
            let live = opened.try_get_value().flatten()?;
            let (name, room) = (name.try_get_untracked()?, room.try_get_untracked()?);
            let said = Here { who: page::id().into(), name: name.into(), is_typing, is_leaving };
            Some((live, people(ROOMS[room]), said))
        };
        if let Some((live, topic, said)) = said() {
            live.outbox.send_unconfirmed(topic.as_ref(), &said);
        }
    };
    // Registered before the stream's own cleanup, which takes the socket away.
    on_cleanup(move || tell(false, true));
    // After a break in the log, only the lost lines are missing; the messages that follow are complete.
    let live = Live::open(technique, plan(ROOMS[0]), hear, || {});
    opened.set_value(Some(live));
    live.outbox.keep("fourways-chat-unsent");

    let enter = move |at: usize| {
        tell(false, true);
        room.set(at);
        lines.set(Vec::new());
        here.set(People::new());
        live.change(plan(ROOMS[at]));
        set_timeout(move || tell(false, false), std::time::Duration::from_millis(300));
    };
    let beat = set_interval_with_handle(
        move || {
            tell(clock::now_ms() - typed_at.get_value() < TYPED_MS, false);
            // Visitors who have been silent for too long are gone.
            here.change(|people| people.retain(|_, (_, at_ms)| clock::now_ms() - *at_ms < GONE_MS));
        },
        std::time::Duration::from_millis(HERE_MS),
    );
    // The first announcement, once the stream has had time to open.
    set_timeout(move || tell(false, false), std::time::Duration::from_millis(300));
    on_cleanup(move || {
        if let Ok(beat) = beat {
            beat.clear();
        }
    });

    let draft = RwSignal::new(String::new());
    let send = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let words = draft.get_untracked().trim().to_owned();
        if words.is_empty() {
            return;
        }
        let (who, name) = (page::id().into(), name.get_untracked().into());
        let said = Message { who, name, text: words.into() };
        live.outbox.publish(messages(ROOMS[room.get_untracked()]), &said);
        draft.set(String::new());
        typed_at.set_value(0.0);
        tell(false, false);
    };
    let typing = move |event| {
        draft.set(event_target_value(&event));
        // One announcement of typing every two seconds is enough.
        if clock::now_ms() - typed_at.get_value() > TYPED_MS * 0.66 {
            typed_at.set_value(clock::now_ms());
            tell(true, false);
        }
    };
    let shown = move || {
        let mut all = lines.get();
        let _follow = live.outbox.unsent.get();
        let waiting = messages(ROOMS[room.get()])
            .map(|topic| live.outbox.waiting::<Message>(&topic))
            .unwrap_or_default();
        let known: Vec<String> = all.iter().rev().take(20).map(|line| line.id.clone()).collect();
        let unsent = waiting
            .into_iter()
            .map(|(id, message)| Line { id: id.as_str().to_owned(), message, at_ms: None })
            .filter(|line| !known.contains(&line.id));
        all.extend(unsent);
        page::follow_end("chat-log");
        if all.is_empty() {
            let hint = match live.link.get() {
                Link::Stopped { why } => format!("Nothing is known of this room: {}.", refusal(&why)),
                _ => "Nobody has said anything in this room yet. Say something, or open this page in another window."
                    .to_owned(),
            };
            return view! { <li class="hint">{hint}</li> }.into_any();
        }
        all.iter().map(line_view).collect_view().into_any()
    };
    let names = move || {
        let mut names: Vec<String> =
            here.with(|people| people.values().map(|(here, _)| here.name.to_string()).collect());
        names.sort_unstable();
        names.into_iter().map(|name| view! { <li>{name}</li> }).collect_view()
    };
    let typists = move || {
        live.tick.track();
        let mut names = here.with(typists);
        names.truncate(3);
        match names.len() {
            0 => String::new(),
            1 => format!("{} is typing …", names[0]),
            _ => format!("{} are typing …", names.join(" and ")),
        }
    };
    let view = view! {
        <div class="chat card-b">
            <div class="chat-side">
                <NameField name=name />
                <Segments label="Room" choices=ROOMS.to_vec() chosen=room.into() choose=enter />
                <div>
                    <h2 class="cap">"Here now"</h2>
                    <ul class="people" data-testid="people">{part(names)}</ul>
                </div>
            </div>
            <div class="chat-main">
                <div class="chat-log" id="chat-log" tabindex="0" role="log" aria-label="Messages"><ol data-testid="messages">{part(shown)}</ol></div>
                <p class="cap typing" data-testid="typing">{text(typists)}</p>
                <form class="say" on:submit=send>
                    <input class="input" aria-label="Message" placeholder="Say something" maxlength="1000" autocomplete="off" data-testid="draft"
                        prop:value=move || draft.get() on:input=typing />
                    <button class="btn pri" data-testid="say">"Send"</button>
                </form>
            </div>
        </div>
    };
    Parts { live, sends: live, view: view.into_any() }
}

fn plan(room: &str) -> Plan {
    let topics: Vec<Topic> = [messages(room), people(room)].into_iter().flatten().collect();
    let begin = Begin::Last(topics[0].clone(), HISTORY);
    Plan { topics, begin, policy: Policy::All, poll_ms: 2_000.0, is_binary: false }
}

fn is_live(topic: &Topic) -> bool {
    use_case::rest(topic, "live").is_some()
}

fn meet(people: &mut People, here: Here, at_ms: f64) {
    if here.is_leaving {
        people.remove(&here.who);
    } else {
        people.insert(here.who.clone(), (here, at_ms));
    }
}

/// Returns the names of the other visitors who are typing now.
fn typists(people: &People) -> Vec<String> {
    let (now_ms, own) = (clock::now_ms(), page::id());
    let is_typing =
        |(here, at_ms): &&(Here, f64)| here.is_typing && now_ms - at_ms < TYPED_MS * 2.0 && *here.who != *own;
    people.values().filter(is_typing).map(|(here, _)| here.name.to_string()).collect()
}

fn line(event: &Event, message: Message) -> Line {
    let id = event.id.as_ref().map_or_else(|| event.cursor.to_string(), |id| id.as_str().to_owned());
    Line { id, message, at_ms: Some(ms_of_us(event.published_at_us)) }
}

fn line_view(line: &Line) -> AnyView {
    let is_own = *line.message.who == *page::id();
    let time = |at_ms| time_of_day(at_ms).chars().take(8).collect();
    let when = line.at_ms.map_or("waiting to be sent".to_owned(), time);
    let Message { name, text, .. } = line.message.clone();
    view! {
        <li class:own=is_own class:unsent=line.at_ms.is_none()>
            <b>{name.to_string()}</b>" "<span class="cap mono">{when}</span>
            <p>{text.to_string()}</p>
        </li>
    }
    .into_any()
}
