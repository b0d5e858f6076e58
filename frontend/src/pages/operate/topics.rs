//! The topics with their rates and subscribers, the newest events of one, and publishing by hand.

use std::sync::Arc;

use fourways_model::{
    format::{fixed, grouped, time_of_day},
    operate::TopicRow,
};
use fourways_shared::{Event, Technique, Topic, time::ms_of_us};
use leptos::prelude::*;

use super::OperateState;
use crate::{
    browser::task,
    components::{
        dynamic::{part, text},
        icon::Glyph,
        rows::rows,
    },
    delivery::operate,
};

const MAX_ROWS: usize = 100;
/// Number of events shown of the chosen topic.
const LOOKED: u32 = 20;

#[component]
pub(super) fn TopicsCard(
    /// State of the server, shared by the cards of the page.
    told: OperateState,
) -> impl IntoView {
    let chosen = RwSignal::new(None::<Topic>);
    let names = move || {
        told.topics
            .with(|known| known.topics.iter().take(MAX_ROWS).map(|row| row.topic.to_string()).collect())
    };
    let make = move |name: String| {
        let topic = Topic::parse(&name).ok()?;
        Some(view! { <Row told=told topic=topic chosen=chosen /> })
    };
    let caption = move || {
        let (count, has_more) = told.topics.with(|known| (known.topics.len(), known.next.is_some()));
        format!("{}{} topics", if has_more { "more than " } else { "" }, grouped(count as u64))
    };
    let heads = Technique::ALL.map(|technique| {
        view! { <th class="r" data-technique=technique.name()><Glyph technique=technique /><span class="vh">{technique.label()}</span></th> }
    });
    view! {
        <section class="card" aria-labelledby="topics-h">
            <header><h2 id="topics-h">"Topics"</h2><span class="sp"></span><span class="cap">{text(caption)}</span></header>
            <div class="scroll-x" tabindex="0" role="region" aria-label="Table of topics">
                <table class="tbl still" data-testid="topics">
                    <thead><tr>
                        <th>"Topic"</th><th class="r">"Events/s"</th><th class="r">"Kept"</th><th class="r">"Newest"</th>{heads.collect_view()}
                    </tr></thead>
                    <tbody>
                        {rows(names, Arc::new(move |name| make(name).into_any()))}
                    </tbody>
                </table>
            </div>
            <Look chosen=chosen />
            <Publish chosen=chosen />
        </section>
    }
}

#[component]
fn Row(
    /// State of the server, shared by the cards of the page.
    told: OperateState,
    /// Topic of the row.
    topic: Topic,
    /// Topic whose events are shown.
    chosen: RwSignal<Option<Topic>>,
) -> impl IntoView {
    let name = topic.to_string();
    let own = StoredValue::new(topic);
    let of = move |read: fn(&TopicRow) -> String| {
        text(move || {
            told.topics.with(|known| {
                own.with_value(|own| known.topics.iter().find(|row| row.topic == *own).map(read))
                    .unwrap_or_default()
            })
        })
    };
    let rate = move || {
        let rate = told.rates.with(|rates| own.with_value(|own| rates.get(own).copied()));
        rate.map_or("–".to_owned(), |rate| fixed(rate, 1))
    };
    let readers = [
        of(|row| row.subscribers.of(Technique::ShortPoll).to_string()),
        of(|row| row.subscribers.of(Technique::LongPoll).to_string()),
        of(|row| row.subscribers.of(Technique::Sse).to_string()),
        of(|row| row.subscribers.of(Technique::Websocket).to_string()),
    ];
    let is_chosen =
        move || own.with_value(|own| chosen.with(|chosen| chosen.as_ref() == Some(own))).to_string();
    let look = move |_| chosen.set(Some(own.get_value()));
    view! {
        <tr>
            <td><button class="btn ghost" aria-pressed=text(is_chosen) title="Look into it" on:click=look>{name}</button></td>
            <td class="r">{text(rate)}</td>
            <td class="r">{of(|row| grouped(row.events))}</td>
            <td class="r">{of(|row| row.newest.map_or("–".to_owned(), |cursor| format!("#{}", cursor.offset.0)))}</td>
            {readers.map(|count| view! { <td class="r">{count}</td> }).collect_view()}
        </tr>
    }
}

/// The newest events of the chosen topic.
#[component]
fn Look(
    /// Topic whose events are shown.
    chosen: RwSignal<Option<Topic>>,
) -> impl IntoView {
    let events = RwSignal::new(Vec::<Event>::new());
    let said = RwSignal::new(String::new());
    let read = move || {
        let Some(topic) = chosen.get_untracked() else { return };
        task::spawn(async move {
            let (found, words) = match operate::last(&topic, LOOKED).await {
                Ok(found) => (found, String::new()),
                Err(refused) => (Vec::new(), refused.words().to_owned()),
            };
            let _gone = events.try_set(found);
            let _gone = said.try_set(words);
        });
    };
    Effect::new(move |_| {
        chosen.track();
        read();
    });
    part(move || {
        let topic = chosen.get()?;
        Some(view! {
            <div class="card-b look">
                <h3>{format!("The last {LOOKED} events of {topic}")}" "<button class="btn" on:click=move |_| read()>"Read again"</button></h3>
                <p class="trouble" role="status">{text(move || said.get())}</p>
                <ol class="events" data-testid="looked">{part(move || events.get().iter().rev().map(item).collect_view())}</ol>
            </div>
        })
    })
}

fn item(event: &Event) -> impl IntoView + use<> {
    let data = event.data.preview(200);
    view! {
        <li>
            <span class="ev mono">{format!("#{}", event.cursor.offset.0)}</span>
            <span class="muted">{event.name.as_str().to_owned()}</span>
            <code>{data}</code>
            <span class="mono muted r">{time_of_day(ms_of_us(event.published_at_us))}</span>
        </li>
    }
}

#[component]
fn Publish(
    /// Topic that the form suggests.
    chosen: RwSignal<Option<Topic>>,
) -> impl IntoView {
    let topic = RwSignal::new(String::new());
    let json = RwSignal::new(String::new());
    let said = RwSignal::new(String::new());
    Effect::new(move |_| {
        if let Some(chosen) = chosen.get() {
            topic.set(chosen.to_string());
        }
    });
    let publish = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let (topic, json) = (topic.get_untracked(), json.get_untracked());
        task::spawn(async move {
            let words = match operate::publish(topic.trim(), &json).await {
                Ok(answer) => format!("published: {answer}"),
                Err(refused) => refused.words().to_owned(),
            };
            let _gone = said.try_set(words);
        });
    };
    view! {
        <form class="card-b form" aria-label="Publish by hand" on:submit=publish>
            <label class="field"><span>"Topic"</span>
                <input class="input mono" required data-testid="publish-topic" prop:value=move || topic.get() on:input=move |event| topic.set(event_target_value(&event)) />
            </label>
            <label class="field wide"><span>"JSON"</span>
                <input class="input mono" required data-testid="publish-json" placeholder="{\"text\":\"hello\"}" on:input=move |event| json.set(event_target_value(&event)) />
            </label>
            <button class="btn pri" data-testid="publish">"Publish"</button>
            <span class="cap mono" role="status" data-testid="published">{text(move || said.get())}</span>
        </form>
    }
}
