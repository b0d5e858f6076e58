//! Trading: prices conflated to the newest, orders complete and each ended once. Two streams by the same technique,
//! because a stream has one policy.

use std::collections::BTreeMap;

use fourways_model::format::duration;
use fourways_shared::{
    Event, EventId, Offset, Technique, Topic,
    use_case::{
        self,
        trade::{self, Side, TradeMessage},
    },
};
use leptos::{ev::SubmitEvent, prelude::*};

use super::{
    Parts,
    market::{Markets, money},
    visitor,
};
use crate::{
    browser::clock,
    components::{
        change::Change as _,
        dynamic::{part, text},
        segments::Segments,
    },
    streams::live::{Live, Plan},
};

const MAX_ORDERS: usize = 30;

/// An order of the visitor.
#[derive(Clone, PartialEq)]
struct Order {
    words: String,
    state: String,
    is_open: bool,
    /// Time from the click until the order came back as an event, in milliseconds.
    took_ms: Option<f64>,
}

pub(super) fn open(technique: RwSignal<Technique>) -> Parts {
    let own = trade::orders(&visitor::id());
    let markets = Markets::open(technique);
    let desk = Desk::open(technique, own);
    let form = Form::new(markets, desk);
    let view = view! {
        <div class="market card-b">
            <div class="row">
                <span class="cap">"Prices a second"</span>
                {markets.rates()}
            </div>
            <div class="tickers">{markets.tickers()}</div>
            <div class="trade-main">
                {markets.figure()}
                {form.view()}
                <div data-testid="book">{part(move || markets.book())}</div>
            </div>
            {desk.table()}
            <p class="cap">"AAPL, GOOG, IBM and MSFT from 2004 to 2013, from bokeh_sampledata (Quandl WIKI Prices, public domain). The market is the record; the book is what people here wait for."</p>
        </div>
    };
    Parts { live: markets.live, sends: desk.live, view: view.into_any() }
}

/// The visitor's orders, as far as their stream has told of them.
#[derive(Clone, Copy)]
struct Orders {
    all: RwSignal<BTreeMap<Offset, Order>>,
    /// Times of the clicks that placed orders on this page, in milliseconds, by the keys of the orders.
    asked: StoredValue<BTreeMap<String, f64>>,
}

impl Orders {
    fn new() -> Self {
        Self { all: RwSignal::new(BTreeMap::new()), asked: StoredValue::new(BTreeMap::new()) }
    }

    fn hear(self, events: &[Event]) {
        self.all.change(|all| {
            for event in events {
                let Some(said) = use_case::read::<TradeMessage>(event) else { continue };
                // Anybody may publish here: only the exchange's own answers count.
                if matches!(said, TradeMessage::Place { .. } | TradeMessage::Cancel { .. })
                    || use_case::is_from_server(event)
                {
                    follow(all, event.cursor.offset, said, self.took_ms(event));
                }
            }
        });
    }

    /// Returns the time since the click that placed this order, in milliseconds; `None` if it was not on this page.
    fn took_ms(self, event: &Event) -> Option<f64> {
        let id = event.id.as_ref()?;
        let began_ms = self.asked.with_value(|asked| asked.get(id.as_str()).copied())?;
        Some(clock::now_ms() - began_ms)
    }

    /// Notes the time of the click that placed an order.
    fn ask(self, id: &EventId) {
        self.asked.update_value(|asked| _ = asked.insert(id.as_str().to_owned(), clock::now_ms()));
    }

    /// Returns the state of the newest order, for screen readers.
    fn latest(self) -> String {
        self.all
            .with(|all| all.values().next_back().map(|order| format!("{}: {}", order.words, order.state)))
            .unwrap_or_default()
    }
}

/// The visitor's way to the exchange and back: what is published there, and the orders that come of it.
#[derive(Clone, Copy)]
struct Desk {
    /// Topic of the visitor's orders; `None` if the visitor's id can't be part of a topic.
    topic: StoredValue<Option<Topic>>,
    orders: Orders,
    live: Live,
}

impl Desk {
    /// Opens the stream of the visitor's orders.
    fn open(technique: RwSignal<Technique>, topic: Option<Topic>) -> Self {
        let orders = Orders::new();
        let plan = Plan { poll_ms: 1_000.0, ..Plan::all_of([topic.clone()]) };
        let hear = move |events: &[Event]| orders.hear(events);
        let live = Live::open(technique, plan, hear, move || orders.all.set(BTreeMap::new()));
        live.outbox.keep("fourways-trades-unsent");
        Self { topic: StoredValue::new(topic), orders, live }
    }

    fn publish(self, said: &TradeMessage) -> Option<EventId> {
        self.live.outbox.publish(self.topic.try_get_value().flatten(), said)
    }

    fn place(self, order: &TradeMessage) {
        if let Some(id) = self.publish(order) {
            self.orders.ask(&id);
        }
    }

    fn cancel(self, order: Offset) {
        self.publish(&TradeMessage::Cancel { order });
    }

    /// Returns the number of messages that wait to be sent, in words; empty if none does.
    fn waiting(self) -> String {
        match self.live.outbox.unsent.get() {
            0 => String::new(),
            count => format!("{count} waiting to be sent"),
        }
    }

    /// Returns the table of the visitor's orders.
    fn table(self) -> AnyView {
        view! {
            <div class="scroll-x" tabindex="0" role="region" aria-label="Your orders">
                <table class="tbl still"><thead><tr><th>"Your order"</th><th>"State"</th><th class="r">"Acknowledged in"</th><th><span class="vh">"Action"</span></th></tr></thead>
                    <tbody data-testid="own-orders">{part(move || self.rows())}</tbody></table>
            </div>
        }
        .into_any()
    }

    /// Returns the rows of the newest orders.
    fn rows(self) -> AnyView {
        self.orders.all.with(|orders| {
            if orders.is_empty() {
                return view! { <tr><td colspan="4" class="cap">"No orders yet. Buy below the price or sell above it, and watch it wait; at the price it is filled at once."</td></tr> }.into_any();
            }
            orders
                .iter()
                .rev()
                .take(MAX_ORDERS)
                .map(|(offset, order)| {
                    let offset = *offset;
                    let took = order.took_ms.map_or("–".to_owned(), duration);
                    view! {
                        <tr>
                            <td>{order.words.clone()}</td><td>{order.state.clone()}</td><td class="r mono">{took}</td>
                            <td>{order.is_open.then(|| view! { <button type="button" class="btn ghost" on:click=move |_| self.cancel(offset)>"Cancel"</button> })}</td>
                        </tr>
                    }
                })
                .collect_view()
                .into_any()
        })
    }
}

/// The form in which the visitor writes an order.
#[derive(Clone, Copy)]
struct Form {
    /// Index of the side: 0 buys and 1 sells.
    side: RwSignal<usize>,
    price: RwSignal<String>,
    quantity: RwSignal<String>,
    /// Request for better input, next to the fields; empty if there is none.
    trouble: RwSignal<&'static str>,
    markets: Markets,
    desk: Desk,
}

impl Form {
    fn new(markets: Markets, desk: Desk) -> Self {
        Self {
            side: RwSignal::new(0),
            price: RwSignal::new(String::new()),
            quantity: RwSignal::new("1".to_owned()),
            trouble: RwSignal::new(""),
            markets,
            desk,
        }
    }

    /// Returns the order as it is typed; `None` if it can't be read.
    fn read(self) -> Option<TradeMessage> {
        let (symbol, newest) = self.markets.now();
        let typed = self.price.get_untracked();
        // Only an empty field stands for the market's price; unreadable input must not.
        let cents = if typed.trim().is_empty() { newest } else { cents(&typed) };
        let quantity = self.quantity.get_untracked().trim().parse::<u32>().ok();
        let side = if self.side.get_untracked() == 0 { Side::Buy } else { Side::Sell };
        Some(TradeMessage::Place { symbol: symbol.into(), side, cents: cents?, quantity: quantity? })
    }

    fn submit(self, event: &SubmitEvent) {
        event.prevent_default();
        let Some(order) = self.read() else {
            return self.trouble.set("A price like 80.25 and a whole quantity are needed.");
        };
        self.trouble.set("");
        self.desk.place(&order);
    }

    fn view(self) -> AnyView {
        view! {
            <form class="order-form" on:submit=move |event| self.submit(&event)>
                <Segments label="Side" choices=vec!["Buy", "Sell"] chosen=self.side.into() choose=move |at: usize| self.side.set(at) />
                <label class="field"><span>"Limit"</span><input class="input mono" inputmode="decimal" data-testid="limit" placeholder=text(move || self.markets.price())
                    prop:value=move || self.price.get() on:input=move |event| self.price.set(event_target_value(&event)) /></label>
                <label class="field"><span>"Quantity"</span><input class="input mono" inputmode="numeric" data-testid="quantity"
                    prop:value=move || self.quantity.get() on:input=move |event| self.quantity.set(event_target_value(&event)) /></label>
                <button class="btn pri" data-testid="place">"Place order"</button>
                <p class="trouble" role="alert">{text(move || self.trouble.get())}</p>
                <p class="vh" role="status">{text(move || self.desk.orders.latest())}</p>
                <p class="cap" data-testid="trade-waiting">{text(move || self.desk.waiting())}</p>
            </form>
        }
        .into_any()
    }
}

/// Applies a message to the visitor's orders. `took_ms` is the time since the click, where this page placed the order.
fn follow(orders: &mut BTreeMap<Offset, Order>, offset: Offset, said: TradeMessage, took_ms: Option<f64>) {
    let mut turn = |order: Offset, state: String, is_open: bool| {
        // An order ends once: messages after its end change nothing.
        if let Some(order) = orders.get_mut(&order).filter(|order| order.is_open) {
            (order.state, order.is_open) = (state, is_open);
        }
    };
    match said {
        TradeMessage::Place { symbol, side, cents, quantity } => {
            let verb = if side == Side::Buy { "Buy" } else { "Sell" };
            let words = format!("{verb} {quantity} {} at {}", symbol.to_uppercase(), money(cents));
            orders.insert(offset, Order { words, state: "asked".to_owned(), is_open: true, took_ms });
        }
        TradeMessage::Cancel { .. } => {}
        TradeMessage::Accepted { order } => turn(order, "waits in the book".to_owned(), true),
        TradeMessage::Rejected { order, why } => turn(order, format!("rejected: {why}"), false),
        TradeMessage::Filled { order, cents } => turn(order, format!("filled at {}", money(cents)), false),
        TradeMessage::Cancelled { order } => turn(order, "cancelled".to_owned(), false),
    }
}

/// Parses a typed price into cents; `None` if it is not a price.
fn cents(text: &str) -> Option<u64> {
    let text = text.trim();
    let (whole, rest) = text.split_once(['.', ',']).unwrap_or((text, ""));
    let rest: u64 = match rest.len() {
        0 => 0,
        1 => rest.parse::<u64>().ok()? * 10,
        2 => rest.parse().ok()?,
        _ => return None,
    };
    whole.parse::<u64>().ok()?.checked_mul(100)?.checked_add(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_read_as_it_is_written() {
        for written in [0, 5, 99, 100, 12_345, 7_050] {
            assert_eq!(cents(&money(written)), Some(written));
        }
        assert_eq!([cents("80.5"), cents("80,25"), cents(" 80 ")], [Some(8_050), Some(8_025), Some(8_000)]);
        assert_eq!([cents(""), cents("x"), cents("1.234"), cents("-1")], [None; 4]);
    }

    #[test]
    fn an_order_ends_once() {
        let mut orders = BTreeMap::new();
        let order = Offset(3);
        let place = TradeMessage::Place { symbol: "ibm".into(), side: Side::Buy, cents: 8_000, quantity: 2 };
        follow(&mut orders, order, place, Some(12.0));
        follow(&mut orders, Offset(4), TradeMessage::Accepted { order }, None);
        assert!(orders[&order].is_open && orders[&order].words == "Buy 2 IBM at 80.00");
        follow(&mut orders, Offset(5), TradeMessage::Filled { order, cents: 7_990 }, None);
        follow(&mut orders, Offset(6), TradeMessage::Cancelled { order }, None);
        assert_eq!((&*orders[&order].state, orders[&order].is_open), ("filled at 79.90", false));
    }
}
