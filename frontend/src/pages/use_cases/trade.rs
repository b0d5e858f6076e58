//! Trading: prices conflated to the newest, orders complete and each ended once. Two streams by the same technique,
//! because a stream has one policy.

use std::collections::{BTreeMap, VecDeque, vec_deque::Iter};

use fourways_model::format::{duration, fixed};
use fourways_shared::{
    After, Event, EventId, Offset, Policy, Technique,
    use_case::{
        self,
        trade::{self, Book, Quote, RATES, SYMBOLS, Side, TradeMessage},
    },
};
use leptos::prelude::*;

use super::{Parts, visitor};
use crate::{
    browser::clock,
    components::{
        change::Change as _,
        dynamic::{part, text},
        segments::Segments,
    },
    streams::live::{Begin, Live, Plan},
};

/// Number of prices that a chart shows.
const MAX_POINTS: usize = 240;
const MAX_ORDERS: usize = 30;
/// Number of levels of the book that are shown, each way.
const DEPTH: usize = 8;
const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 90.0;

/// The market of one symbol, as the page knows it.
#[derive(Clone, Default)]
struct Market {
    points: VecDeque<u64>,
    /// True if the points were published while the page was open.
    is_live: bool,
    day: Box<str>,
    book: Book,
    moves: Move,
    flash: Flash,
}

/// The flash of a price that changes, no more often than eyes should bear (WCAG 2.3.1: three a second).
#[derive(Clone, Copy, Default)]
struct Flash {
    at_ms: f64,
    /// True for every second flash: repeating the same animation would not start it again.
    is_odd: bool,
}

impl Flash {
    fn strike(&mut self, now_ms: f64) {
        const LEAST_MS: f64 = 350.0;
        if now_ms - self.at_ms > LEAST_MS {
            *self = Self { at_ms: now_ms, is_odd: !self.is_odd };
        }
    }
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Move {
    #[default]
    None,
    Up,
    Down,
}

/// An order of the visitor.
#[derive(Clone, PartialEq)]
struct Order {
    words: String,
    state: String,
    is_open: bool,
    /// Time from the click until the order came back as an event, in milliseconds.
    took_ms: Option<f64>,
}

#[expect(clippy::too_many_lines, reason = "a page, from top to bottom: what it holds, hears, does and shows")]
pub(super) fn open(technique: RwSignal<Technique>) -> Parts {
    let market = RwSignal::new(std::array::from_fn::<Market, 4, _>(|_| Market::default()));
    let orders = RwSignal::new(BTreeMap::<Offset, Order>::new());
    let asked = StoredValue::new(BTreeMap::<String, f64>::new());
    let rate = RwSignal::new(1_usize);
    let own = trade::orders(&visitor::id());
    let opened = StoredValue::new(0_u64);
    let quotes = Live::open(
        technique,
        plan(RATES[1]),
        move |events: &[Event]| {
            market.change(|market| take(market, events, opened.get_value(), clock::now_ms()));
        },
        || {},
    );
    // Set once: the clock's offset is known better later, but a chart must not begin at another time for that.
    opened.set_value(quotes.opened_us());
    let hear = move |events: &[Event]| {
        orders.change(|orders| {
            for event in events {
                let Some(said) = use_case::read(event) else { continue };
                // Anybody may publish here: only the exchange's own answers count.
                if matches!(said, TradeMessage::Place { .. } | TradeMessage::Cancel { .. })
                    || use_case::is_from_server(event)
                {
                    let began = event
                        .id
                        .as_ref()
                        .and_then(|id| asked.with_value(|asked| asked.get(id.as_str()).copied()));
                    follow(orders, event.cursor.offset, said, began.map(|began| clock::now_ms() - began));
                }
            }
        });
    };
    let fills =
        Live::open(technique, Plan { poll_ms: 1_000.0, ..Plan::all_of([own.clone()]) }, hear, move || {
            orders.set(BTreeMap::new());
        });
    fills.outbox.keep("fourways-trades-unsent");

    let symbol = RwSignal::new(0_usize);
    let side = RwSignal::new(0_usize);
    let price = RwSignal::new(String::new());
    let quantity = RwSignal::new("1".to_owned());
    let trouble = RwSignal::new("");
    let newest = move |at: usize| market.with(|market| market[at].points.back().copied());
    let place = {
        let own = own.clone();
        move |event: leptos::ev::SubmitEvent| {
            event.prevent_default();
            let typed = price.get_untracked();
            // Only an empty field stands for the market's price; unreadable input must not.
            let cents = if typed.trim().is_empty() { newest(symbol.get_untracked()) } else { cents(&typed) };
            let (Some(cents), Ok(quantity)) = (cents, quantity.get_untracked().trim().parse()) else {
                return trouble.set("A price like 80.25 and a whole quantity are needed.");
            };
            trouble.set("");
            let side = if side.get_untracked() == 0 { Side::Buy } else { Side::Sell };
            let said =
                TradeMessage::Place { symbol: SYMBOLS[symbol.get_untracked()].into(), side, cents, quantity };
            let id: Option<EventId> = fills.outbox.publish(own.clone(), &said);
            if let Some(id) = id {
                asked.update_value(|asked| _ = asked.insert(id.as_str().to_owned(), clock::now_ms()));
            }
        }
    };
    let cancel = move |order: Offset| {
        fills.outbox.publish(own.clone(), &TradeMessage::Cancel { order });
    };
    let tickers = SYMBOLS.iter().enumerate().map(|(at, name)| {
        let value = move || newest(at).map_or("–".to_owned(), money);
        let class = move || {
            market.with(|market| match (market[at].moves, market[at].flash.is_odd) {
                (Move::None, _) => "tick",
                (Move::Up, false) => "tick up",
                (Move::Up, true) => "tick up odd",
                (Move::Down, false) => "tick down",
                (Move::Down, true) => "tick down odd",
            })
        };
        let sign = move || market.with(|market| match market[at].moves {
            Move::None => "",
            Move::Up => "▲",
            Move::Down => "▼",
        });
        view! {
            <button type="button" class=text(class) aria-pressed=text(move || symbol.get() == at) on:click=move |_| symbol.set(at)>
                <b>{name.to_uppercase()}</b><span class="mono" data-testid=format!("price-{name}")>{text(value)}</span><i aria-hidden="true">{text(sign)}</i>
            </button>
        }
    });
    let ends = move |of: fn(Iter<'_, u64>) -> Option<&u64>| {
        market.with(|market| of(market[symbol.get()].points.iter()).copied().map(money)).unwrap_or_default()
    };
    let path = move || market.with(|market| chart(&market[symbol.get()].points));
    let day = move || market.with(|market| market[symbol.get()].day.to_string());
    let book = move || market.with(|market| book_view(&market[symbol.get()].book));
    let rows = move || {
        let cancel = cancel.clone();
        orders.with(|orders| {
            if orders.is_empty() {
                return view! { <tr><td colspan="4" class="cap">"No orders yet. Buy below the price or sell above it, and watch it wait; at the price it is filled at once."</td></tr> }.into_any();
            }
            orders
                .iter()
                .rev()
                .take(MAX_ORDERS)
                .map(|(offset, order)| {
                    let (offset, cancel) = (*offset, cancel.clone());
                    let took = order.took_ms.map_or("–".to_owned(), duration);
                    view! {
                        <tr>
                            <td>{order.words.clone()}</td><td>{order.state.clone()}</td><td class="r mono">{took}</td>
                            <td>{order.is_open.then(|| view! { <button type="button" class="btn ghost" on:click=move |_| cancel(offset)>"Cancel"</button> })}</td>
                        </tr>
                    }
                })
                .collect_view()
                .into_any()
        })
    };
    let choose = move |at: usize| {
        rate.set(at);
        quotes.change(plan(RATES[at]));
    };
    let waiting = move || match fills.outbox.unsent.get() {
        0 => String::new(),
        count => format!("{count} waiting to be sent"),
    };
    // The state of the newest order, for screen readers.
    let latest = move || {
        orders
            .with(|orders| {
                orders.values().next_back().map(|order| format!("{}: {}", order.words, order.state))
            })
            .unwrap_or_default()
    };
    let hint = move || newest(symbol.get()).map_or(String::new(), money);
    let view = view! {
        <div class="market card-b">
            <div class="row">
                <span class="cap">"Prices a second"</span>
                <Segments label="Prices a second" choices=vec!["4", "20", "80", "200"] chosen=rate.into() choose=choose />
            </div>
            <div class="tickers">{tickers.collect_view()}</div>
            <div class="trade-main">
                <figure>
                    <svg viewBox=format!("0 0 {WIDTH} {HEIGHT}") preserveAspectRatio="none" role="img" aria-label="The last prices of the chosen symbol">
                        <path d=text(path) fill="none" vector-effect="non-scaling-stroke" />
                    </svg>
                    <span class="mono high" data-testid="high">{text(move || ends(|points| points.max()))}</span>
                    <span class="mono low" data-testid="low">{text(move || ends(|points| points.min()))}</span>
                    <figcaption class="cap">"Open and close of "<span class="mono">{text(day)}</span>", played again; the line spans the last 240"</figcaption>
                </figure>
                <form class="order-form" on:submit=place>
                    <Segments label="Side" choices=vec!["Buy", "Sell"] chosen=side.into() choose=move |at: usize| side.set(at) />
                    <label class="field"><span>"Limit"</span><input class="input mono" inputmode="decimal" data-testid="limit" placeholder=text(hint)
                        prop:value=move || price.get() on:input=move |event| price.set(event_target_value(&event)) /></label>
                    <label class="field"><span>"Quantity"</span><input class="input mono" inputmode="numeric" data-testid="quantity"
                        prop:value=move || quantity.get() on:input=move |event| quantity.set(event_target_value(&event)) /></label>
                    <button class="btn pri" data-testid="place">"Place order"</button>
                    <p class="trouble" role="alert">{text(move || trouble.get())}</p>
                    <p class="vh" role="status">{text(latest)}</p>
                    <p class="cap" data-testid="trade-waiting">{text(waiting)}</p>
                </form>
                <div data-testid="book">{part(book)}</div>
            </div>
            <div class="scroll-x" tabindex="0" role="region" aria-label="Your orders">
                <table class="tbl still"><thead><tr><th>"Your order"</th><th>"State"</th><th class="r">"Acknowledged in"</th><th><span class="vh">"Action"</span></th></tr></thead>
                    <tbody data-testid="own-orders">{part(rows)}</tbody></table>
            </div>
            <p class="cap">"AAPL, GOOG, IBM and MSFT from 2004 to 2013, from bokeh_sampledata (Quandl WIKI Prices, public domain). The market is the record; the book is what people here wait for."</p>
        </div>
    };
    Parts { live: quotes, sends: fills, view: view.into_any() }
}

fn plan(rate: u32) -> Plan {
    let topics = SYMBOLS.iter().flat_map(|symbol| [trade::quotes(symbol, rate), trade::book(symbol)]);
    Plan {
        topics: topics.flatten().collect(),
        begin: Begin::After(After::Earliest),
        policy: Policy::Latest,
        poll_ms: 1_000.0,
        is_binary: false,
    }
}

/// Adds events to the markets. A price that was published before the page opened shows where the market stands, and is
/// no part of a chart: it may be hours old.
fn take(market: &mut [Market; 4], events: &[Event], opened_us: u64, now_ms: f64) {
    for event in events {
        let symbol = event.topic.as_str().rsplit('.').next().unwrap_or_default();
        let Some(at) = SYMBOLS.iter().position(|known| *known == symbol) else { continue };
        let of = &mut market[at];
        if let Some(Quote { cents, day, .. }) = use_case::read(event) {
            of.moves = match of.points.back() {
                Some(before) if cents > *before => Move::Up,
                Some(before) if cents < *before => Move::Down,
                _ => of.moves,
            };
            if of.points.back() != Some(&cents) {
                of.flash.strike(now_ms);
            }
            of.day = day;
            if !of.is_live {
                of.points.clear();
            }
            of.is_live = event.published_at_us >= opened_us;
            of.points.push_back(cents);
            if of.points.len() > MAX_POINTS {
                of.points.pop_front();
            }
        } else if let Some(book) = use_case::read::<Book>(event) {
            of.book = book;
        }
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

fn book_view(book: &Book) -> AnyView {
    let row = |side: &'static str, (cents, quantity): &(u64, u64)| {
        view! { <tr><td>{side}</td><td class="r mono">{money(*cents)}</td><td class="r mono">{*quantity}</td></tr> }
    };
    let is_empty = book.bids.is_empty() && book.asks.is_empty();
    view! {
        <table class="loss book"><caption class="cap">"Order book"</caption>
            <thead><tr><th scope="col">"Side"</th><th scope="col" class="r">"Price"</th><th scope="col" class="r">"Quantity"</th></tr></thead>
            <tbody>
                {book.asks.iter().take(DEPTH).rev().map(|level| row("Sell", level)).collect_view()}
                {book.bids.iter().take(DEPTH).map(|level| row("Buy", level)).collect_view()}
                {is_empty.then(|| view! { <tr><td colspan="3" class="cap">"Nobody waits"</td></tr> })}
            </tbody>
        </table>
    }
    .into_any()
}

#[expect(clippy::cast_precision_loss, reason = "pixels of a chart")]
fn chart(points: &VecDeque<u64>) -> String {
    let (Some(lowest), Some(highest)) = (points.iter().min(), points.iter().max()) else {
        return String::new();
    };
    let span = (highest - lowest).max(1) as f64;
    let mut path = String::new();
    for (at, cents) in points.iter().enumerate() {
        let x = WIDTH * (1.0 - (points.len() - 1 - at) as f64 / (MAX_POINTS - 1) as f64);
        let y = HEIGHT - 4.0 - (cents - lowest) as f64 / span * (HEIGHT - 8.0);
        path.push(if at == 0 { 'M' } else { 'L' });
        path.extend([&*fixed(x, 1), " ", &*fixed(y, 1)]);
    }
    path
}

fn money(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
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
    fn a_chart_begins_with_its_page() {
        let quote = |cents: u64, at_us: u64| Event {
            topic: "trade.ibm".parse().unwrap(),
            cursor: fourways_shared::Cursor {
                epoch: fourways_shared::Epoch::from_bits(1),
                offset: Offset(at_us),
            },
            name: fourways_shared::EventName::DEFAULT,
            id: None,
            published_at_us: at_us,
            data: fourways_shared::Data::json(&Quote { cents, day: "x".into(), n: 0 }),
        };
        let mut market = std::array::from_fn::<Market, 4, _>(|_| Market::default());
        let points = |market: &[Market; 4]| market[2].points.iter().copied().collect::<Vec<_>>();
        take(&mut market, &[quote(33_956, 1), quote(3_420, 2)], 1_000, 0.0);
        assert_eq!(points(&market), [3_420], "where it stood");
        take(&mut market, &[quote(8_000, 1_001), quote(8_010, 1_002)], 1_000, 0.0);
        assert_eq!(points(&market), [8_000, 8_010]);
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
