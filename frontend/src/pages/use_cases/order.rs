//! "Your order shipped": a toast on every open page of the visitor who ordered, and on no other. A page that comes back
//! later shows the toasts that it missed, once: the cursor of the last toast is kept in the browser.

use std::collections::BTreeMap;

use fourways_shared::{
    Cursor, Event, Offset, Technique,
    time::ms_of_us,
    use_case::{
        self,
        order::{self, OrderMessage, Step},
    },
};
use leptos::prelude::*;

use super::{Parts, visitor};
use crate::{
    browser::{clock, page},
    components::{
        change::Change as _,
        dynamic::{part, text},
        icon::Icon,
    },
    streams::{
        health::Health,
        live::{Live, Plan},
    },
};

const ITEMS: [&str; 5] = ["kettle", "desk lamp", "umbrella", "notebook", "bicycle bell"];
/// Storage key of the cursor up to which this browser has shown toasts.
const TOLD: &str = "fourways-orders-told";
/// Time that a toast stays, in milliseconds.
const TOAST_MS: u64 = 5_000;
const MAX_TOASTS: usize = 3;
const MAX_SHOWN: usize = 20;

/// Orders by the offset that names them, each with its item and its last step.
type Orders = BTreeMap<Offset, (Box<str>, Option<Step>)>;

pub(super) fn open(technique: RwSignal<Technique>) -> Parts {
    let visitor = visitor::id();
    let topic = order::orders(&visitor);
    let orders = RwSignal::new(Orders::new());
    let toasts = RwSignal::new(Vec::<(Offset, String)>::new());
    let missed = RwSignal::new(0_u32);
    // Events up to the stored cursor were shown by an earlier page; those missed since then are also counted in one
    // line.
    let began: Option<Cursor> = page::kept(TOLD).and_then(|text| text.parse().ok());
    let is_news = move |cursor: Cursor| {
        began.is_none_or(|began| cursor.epoch != began.epoch || cursor.offset > began.offset)
    };
    let server_clock = expect_context::<Health>().clock;
    let now_ms = move || clock::now_ms() + server_clock.try_get_untracked().unwrap_or_default().offset_ms;
    let opened_ms = clock::now_ms();
    let hear = move |events: &[Event]| {
        for event in events {
            let offset = event.cursor.offset;
            match use_case::read(event) {
                Some(OrderMessage::Placed { item }) => {
                    orders.change(|orders| drop(orders.insert(offset, (item, None))));
                }
                // Only the server's own events count: a stranger could announce what was never shipped.
                Some(OrderMessage::Moved { order, item, step }) if use_case::is_from_server(event) => {
                    orders.change(|orders| {
                        orders.entry(order).or_insert((item.clone(), None)).1 = Some(step);
                    });
                    if step >= Step::Shipped && is_news(event.cursor) {
                        page::keep(TOLD, &event.cursor.to_string());
                        toast(toasts, offset, format!("Your {item} was {}", step.words()));
                        missed.change(|missed| *missed += u32::from(is_missed(event, opened_ms, now_ms())));
                    }
                }
                _ => {}
            }
        }
    };
    let live = Live::open(technique, Plan::all_of([topic.clone()]), hear, move || orders.set(Orders::new()));
    let place = {
        move |item: &'static str| {
            live.outbox.publish(topic.clone(), &OrderMessage::Placed { item: item.into() });
        }
    };
    let buttons = ITEMS.map(|item| {
        let place = place.clone();
        view! { <button type="button" class="btn" data-testid=format!("buy-{}", item.replace(' ', "-")) on:click=move |_| place(item)>{format!("Order {}", with_article(item))}</button> }
    });
    let rows = move || orders.with(rows);
    let popped = move || {
        let toast = |(_, words): &(Offset, String)| view! { <li class="toast"><Icon name="check" /><span>{words.clone()}</span></li> };
        toasts.with(|toasts| toasts.iter().map(toast).collect_view())
    };
    let away = move || match missed.get() {
        0 => String::new(),
        1 => "One of these happened while you were away.".to_owned(),
        many => format!("{many} of these happened while you were away."),
    };
    let view = view! {
        <div class="shop card-b">
            <div class="row">{buttons}</div>
            <p class="cap" data-testid="missed">{text(away)}</p>
            <ul class="orders" data-testid="orders">{part(rows)}</ul>
            <div class="toasts" role="status"><ul data-testid="toasts">{part(popped)}</ul></div>
            <p class="cap">"The shop is a program on the server that hears of your order and moves it on: paid, packed, shipped, delivered within ten seconds, over a restart of the server too."</p>
        </div>
    };
    Parts { live, sends: live, view: view.into_any() }
}

/// Draws the newest orders, each with its steps.
fn rows(orders: &Orders) -> AnyView {
    if orders.is_empty() {
        return view! { <li class="blank"><b>"Nothing ordered yet"</b><p>"Order something, and open this page in another window: both are told when it ships."</p></li> }.into_any();
    }
    let row = |(_, (item, step)): (&Offset, &(Box<str>, Option<Step>))| {
        let steps = Step::ALL.map(|one| {
            let is_done = step.is_some_and(|step| step >= one);
            view! { <li class:done=is_done>{is_done.then(|| view! { <Icon name="check" /> })}{one.words()}</li> }
        });
        view! { <li class="order"><b>{item.to_string()}</b><ol class="steps">{steps}</ol></li> }
    };
    orders.iter().rev().take(MAX_SHOWN).map(row).collect_view().into_any()
}

fn with_article(item: &str) -> String {
    let article = if item.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {item}")
}

/// True if the event was published before the window opened, or while it slept. `opened_ms` is by the page's clock,
/// `now_ms` by the server's.
fn is_missed(event: &Event, opened_ms: f64, now_ms: f64) -> bool {
    const AWAKE_MS: f64 = 15_000.0;
    let age_ms = now_ms - ms_of_us(event.published_at_us);
    age_ms > (clock::now_ms() - opened_ms).min(AWAKE_MS)
}

fn toast(toasts: RwSignal<Vec<(Offset, String)>>, offset: Offset, words: String) {
    toasts.change(|toasts| {
        toasts.push((offset, words));
        let over = toasts.len().saturating_sub(MAX_TOASTS);
        toasts.drain(..over);
    });
    let end = move || {
        toasts.change(|toasts| toasts.retain(|(other, _)| *other != offset));
    };
    set_timeout(end, std::time::Duration::from_millis(TOAST_MS));
}
