//! A chat: the log of a room is its history, so a page that was away reads the messages it missed like any other
//! subscriber.

use std::{collections::BTreeMap, time::Duration};

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
use leptos::{ev::SubmitEvent, prelude::*};

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

/// The room that the page shows: its messages and its people, as far as the stream has told of them.
#[derive(Clone, Copy)]
struct Room {
    /// Index of the room among all rooms.
    at: RwSignal<usize>,
    lines: RwSignal<Vec<Line>>,
    here: RwSignal<People>,
}

impl Room {
    fn new() -> Self {
        Self { at: RwSignal::new(0), lines: RwSignal::new(Vec::new()), here: RwSignal::new(People::new()) }
    }

    fn hear(self, live: Live, events: &[Event]) {
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
            self.lines.change(|lines| {
                lines.extend(said);
                let over = lines.len().saturating_sub(MAX_SHOWN);
                lines.drain(..over);
            });
        }
        if !came.is_empty() {
            self.here.change(|people| came.into_iter().for_each(|(here, at_ms)| meet(people, here, at_ms)));
        }
    }

    /// Shows another room, of which nothing is known yet.
    fn turn_to(self, at: usize) {
        self.at.set(at);
        self.lines.set(Vec::new());
        self.here.set(People::new());
    }

    /// Removes the visitors who have been silent for too long: they are gone.
    fn forget_silent(self) {
        self.here.change(|people| people.retain(|_, (_, at_ms)| clock::now_ms() - *at_ms < GONE_MS));
    }

    /// Returns the messages of the room; those that still wait to be sent are at the end.
    fn messages(self, live: Live) -> Vec<Line> {
        let mut all = self.lines.get();
        let _follow = live.outbox.unsent.get();
        let waiting = messages(ROOMS[self.at.get()])
            .map(|topic| live.outbox.waiting::<Message>(&topic))
            .unwrap_or_default();
        let known: Vec<String> = all.iter().rev().take(20).map(|line| line.id.clone()).collect();
        let unsent = waiting
            .into_iter()
            .map(|(id, message)| Line { id: id.as_str().to_owned(), message, at_ms: None })
            .filter(|line| !known.contains(&line.id));
        all.extend(unsent);
        all
    }

    /// Returns the list of the people in the room, by name.
    fn people(self) -> AnyView {
        let mut names: Vec<String> =
            self.here.with(|people| people.values().map(|(here, _)| here.name.to_string()).collect());
        names.sort_unstable();
        names.into_iter().map(|name| view! { <li>{name}</li> }).collect_view().into_any()
    }

    /// Returns a sentence on the other visitors who are typing now; empty if nobody is.
    fn typing(self) -> String {
        let mut names = self.here.with(typists);
        names.truncate(3);
        match names.len() {
            0 => String::new(),
            1 => format!("{} is typing …", names[0]),
            _ => format!("{} are typing …", names.join(" and ")),
        }
    }
}

/// The visitor's own presence, of which the page tells the others in the room.
#[derive(Clone, Copy)]
struct Presence {
    name: RwSignal<String>,
    room: Room,
    /// Time at which the visitor was last announced as typing, by the page's clock, in milliseconds.
    typed_at: StoredValue<f64>,
    /// Stream of the page; `None` until it is open.
    live: StoredValue<Option<Live>>,
}

impl Presence {
    fn new(room: Room) -> Self {
        let (typed_at, live) = (StoredValue::new(0.0), StoredValue::new(None));
        Self { name: visitor::name(), room, typed_at, live }
    }

    /// Returns the stream; `None` before it is open and after the page is gone.
    fn live(self) -> Option<Live> {
        self.live.try_get_value().flatten()
    }

    fn tell(self, is_typing: bool, is_leaving: bool) {
        let said = || {
            let live = self.live()?;
            let (name, room) = (self.name.try_get_untracked()?, self.room.at.try_get_untracked()?);
            let said = Here { who: page::id().into(), name: name.into(), is_typing, is_leaving };
            Some((live, people(ROOMS[room]), said))
        };
        if let Some((live, topic, said)) = said() {
            live.outbox.send_unconfirmed(topic.as_ref(), &said);
        }
    }

    /// Announces the visitor once the stream has had time to open.
    fn tell_soon(self) {
        set_timeout(move || self.tell(false, false), Duration::from_millis(300));
    }

    /// Announces the visitor in every interval until the page is left, and removes the others who are gone.
    fn keep_telling(self) {
        let beat = set_interval_with_handle(
            move || {
                self.tell(clock::now_ms() - self.typed_at.get_value() < TYPED_MS, false);
                self.room.forget_silent();
            },
            Duration::from_millis(HERE_MS),
        );
        self.tell_soon();
        on_cleanup(move || {
            if let Ok(beat) = beat {
                beat.clear();
            }
        });
    }

    /// Announces that the visitor is typing; one announcement every two seconds is enough.
    fn type_on(self) {
        if clock::now_ms() - self.typed_at.get_value() > TYPED_MS * 0.66 {
            self.typed_at.set_value(clock::now_ms());
            self.tell(true, false);
        }
    }

    /// Announces that the visitor has stopped typing.
    fn type_off(self) {
        self.typed_at.set_value(0.0);
        self.tell(false, false);
    }
}

pub(super) fn open(technique: RwSignal<Technique>) -> Parts {
    let room = Room::new();
    let presence = Presence::new(room);
    // Registered before the stream's own cleanup, which takes the socket away.
    on_cleanup(move || presence.tell(false, true));
    let hear = move |events: &[Event]| {
        if let Some(live) = presence.live() {
            room.hear(live, events);
        }
    };
    // After a break in the log, only the lost lines are missing; the messages that follow are complete.
    let live = Live::open(technique, plan(ROOMS[0]), hear, || {});
    presence.live.set_value(Some(live));
    live.outbox.keep("fourways-chat-unsent");
    presence.keep_telling();
    let chat = Chat { room, presence, live, draft: RwSignal::new(String::new()) };
    Parts { live, sends: live, view: chat.view() }
}

/// The page of the chat: a room, the visitor in it, and the message that the visitor is writing.
#[derive(Clone, Copy)]
struct Chat {
    room: Room,
    presence: Presence,
    live: Live,
    draft: RwSignal<String>,
}

impl Chat {
    /// Leaves the room for another one.
    fn enter(self, at: usize) {
        self.presence.tell(false, true);
        self.room.turn_to(at);
        self.live.change(plan(ROOMS[at]));
        self.presence.tell_soon();
    }

    fn write(self, draft: String) {
        self.draft.set(draft);
        self.presence.type_on();
    }

    fn send(self, event: &SubmitEvent) {
        event.prevent_default();
        let words = self.draft.get_untracked().trim().to_owned();
        if words.is_empty() {
            return;
        }
        let (who, name) = (page::id().into(), self.presence.name.get_untracked().into());
        let said = Message { who, name, text: words.into() };
        self.live.outbox.publish(messages(ROOMS[self.room.at.get_untracked()]), &said);
        self.draft.set(String::new());
        self.presence.type_off();
    }

    fn lines(self) -> AnyView {
        let all = self.room.messages(self.live);
        page::follow_end("chat-log");
        if all.is_empty() {
            let hint = match self.live.link.get() {
                Link::Stopped { why } => format!("Nothing is known of this room: {}.", refusal(&why)),
                _ => "Nobody has said anything in this room yet. Say something, or open this page in another window."
                    .to_owned(),
            };
            return view! { <li class="hint">{hint}</li> }.into_any();
        }
        all.iter().map(line_view).collect_view().into_any()
    }

    /// Returns the sentence on who is typing, anew with each tick of the stream: typing ends by itself.
    fn typing(self) -> String {
        self.live.tick.track();
        self.room.typing()
    }

    fn view(self) -> AnyView {
        view! {
            <div class="chat card-b">
                <div class="chat-side">
                    <NameField name=self.presence.name />
                    <Segments label="Room" choices=ROOMS.to_vec() chosen=self.room.at.into() choose=move |at: usize| self.enter(at) />
                    <div>
                        <h2 class="cap">"Here now"</h2>
                        <ul class="people" data-testid="people">{part(move || self.room.people())}</ul>
                    </div>
                </div>
                <div class="chat-main">
                    <div class="chat-log" id="chat-log" tabindex="0" role="log" aria-label="Messages"><ol data-testid="messages">{part(move || self.lines())}</ol></div>
                    <p class="cap typing" data-testid="typing">{text(move || self.typing())}</p>
                    <form class="say" on:submit=move |event| self.send(&event)>
                        <input class="input" aria-label="Message" placeholder="Say something" maxlength="1000" autocomplete="off" data-testid="draft"
                            prop:value=move || self.draft.get() on:input=move |event| self.write(event_target_value(&event)) />
                        <button class="btn pri" data-testid="say">"Send"</button>
                    </form>
                </div>
            </div>
        }
        .into_any()
    }
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
