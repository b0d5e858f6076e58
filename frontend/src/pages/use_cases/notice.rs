//! A notification feed: marking as read is an event of the same log, so the unread count is the same in every tab.

use std::collections::BTreeMap;

use fourways_model::format::time_of_day;
use fourways_shared::{
    Event, Offset, Technique,
    time::ms_of_us,
    use_case::{
        self,
        notice::{self, NoticeMessage},
    },
};
use leptos::prelude::*;

use super::{Parts, fallback::fall_back, visitor};
use crate::{
    browser::page,
    components::{
        change::Change as _,
        dynamic::{part, text},
    },
    streams::live::{Live, Plan},
};

const MAX_SHOWN: usize = 50;
const TITLE: &str = "Notification feed: Fourways";

#[derive(Clone, Default, PartialEq)]
struct Feed {
    notices: BTreeMap<Offset, (String, String, u64)>,
    read: Offset,
}

impl Feed {
    fn take(&mut self, event: &Event) {
        let offset = event.cursor.offset;
        match use_case::read(event) {
            Some(NoticeMessage::Notice { about, text, .. }) => {
                self.notices.insert(offset, (about.into(), text.into(), event.published_at_us));
            }
            // Marks of several tabs may cross; the furthest counts.
            Some(NoticeMessage::Read { through }) => self.read = self.read.max(through),
            None => {}
        }
    }

    fn unread(&self) -> usize {
        self.notices.keys().filter(|offset| **offset > self.read).count()
    }
}

pub(super) fn open(technique: RwSignal<Technique>) -> Parts {
    let topic = notice::notices(&visitor::id());
    let feed = RwSignal::new(Feed::default());
    let hear = move |events: &[Event]| feed.change(|feed| events.iter().for_each(|event| feed.take(event)));
    let live = Live::open(technique, Plan::all_of([topic.clone()]), hear, move || feed.set(Feed::default()));
    let has_fallen = fall_back(live, Technique::Sse, Technique::LongPoll);
    // The title of the tab has the count too, for when the page is not in view.
    Effect::new(move |_| {
        let unread = feed.with(Feed::unread);
        page::set_title(&if unread == 0 { TITLE.to_owned() } else { format!("({unread}) {TITLE}") });
    });
    let mark = {
        let topic = topic.clone();
        move |through: Offset| {
            live.outbox.publish(topic.clone(), &NoticeMessage::Read { through });
        }
    };
    let mark_all = {
        let mark = mark.clone();
        move |_| {
            if let Some(newest) = feed.with_untracked(|feed| feed.notices.keys().next_back().copied()) {
                mark(newest);
            }
        }
    };
    let note = RwSignal::new(String::new());
    let send = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let words = note.get_untracked().trim().to_owned();
        if !words.is_empty() {
            live.outbox.publish(
                topic.clone(),
                &NoticeMessage::Notice { about: "note".into(), text: words.into(), of: None },
            );
            note.set(String::new());
        }
    };
    let rows = move || feed.with(|feed| rows(feed, &mark));
    let count = move || feed.with(Feed::unread);
    let newest = move || {
        let newest = feed.with(|feed| feed.notices.values().next_back().map(|(_, text, _)| text.clone()));
        newest.unwrap_or_default()
    };
    let why_fallen = move || {
        let why = "The stream opened and brought nothing in six seconds: something on this path holds streams back. Long polling \
                   goes on from the same place.";
        if has_fallen.get() && technique.get() == Technique::LongPoll { why } else { "" }
    };
    let view = view! {
        <div class="feed card-b">
            <div class="row">
                <h2>"Unread "<span class="badge mono" data-testid="unread">{text(count)}</span></h2>
                <span class="sp"></span>
                <button type="button" class="btn" data-testid="read-all" on:click=mark_all>"Mark all as read"</button>
            </div>
            <form class="say" on:submit=send>
                <input class="input" aria-label="A note to yourself" placeholder="A note to yourself, for all your tabs" maxlength="200" autocomplete="off" data-testid="note"
                    prop:value=move || note.get() on:input=move |event| note.set(event_target_value(&event)) />
                <button class="btn pri" data-testid="send-note">"Tell me"</button>
            </form>
            <p class="cap" role="status" data-testid="fallback">{text(why_fallen)}</p>
            <p class="vh" role="status">{text(newest)}</p>
            <ul class="notices" data-testid="notices">{part(rows)}</ul>
        </div>
    };
    Parts { live, sends: live, view: view.into_any() }
}

/// Draws the newest notices; `mark` marks those up to an offset as read.
fn rows(feed: &Feed, mark: &(impl Fn(Offset) + Clone + Send + Sync + 'static)) -> AnyView {
    if feed.notices.is_empty() {
        return view! { <li class="blank"><b>"Nothing yet"</b><p>"Order something, upload a file, trade, or write yourself a note: it is told here, in every tab."</p></li> }.into_any();
    }
    let row = |(offset, (about, text, at_us)): (&Offset, &(String, String, u64))| {
        let (offset, mark) = (*offset, mark.clone());
        let is_unread = offset > feed.read;
        view! {
            <li class="notice" class:unread=is_unread>
                <span class="tag">{about.clone()}</span>
                <span>{text.clone()}</span>
                <span class="cap mono">{time(*at_us)}</span>
                {is_unread.then(|| view! { <button type="button" class="btn ghost" on:click=move |_| mark(offset)>"Read up to here"</button> })}
            </li>
        }
    };
    feed.notices.iter().rev().take(MAX_SHOWN).map(row).collect_view().into_any()
}

fn time(at_us: u64) -> String {
    time_of_day(ms_of_us(at_us)).chars().take(8).collect()
}
