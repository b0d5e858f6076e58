//! The market of the trading page: the prices of all symbols, conflated to the newest, and their books.

use std::collections::VecDeque;

use fourways_model::format::fixed;
use fourways_shared::{
    After, Event, Policy, Technique,
    use_case::{
        self,
        trade::{self, Book, Quote, RATES, SYMBOLS},
    },
};
use leptos::prelude::*;

use crate::{
    browser::clock,
    components::{change::Change as _, dynamic::text, segments::Segments},
    streams::live::{Begin, Live, Plan},
};

/// Number of prices that a chart shows.
const MAX_POINTS: usize = 240;
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

impl Market {
    /// Returns the class of the button that shows the market.
    const fn class(&self) -> &'static str {
        match (self.moves, self.flash.is_odd) {
            (Move::None, _) => "tick",
            (Move::Up, false) => "tick up",
            (Move::Up, true) => "tick up odd",
            (Move::Down, false) => "tick down",
            (Move::Down, true) => "tick down odd",
        }
    }

    /// Returns the sign for the direction of the last change.
    const fn sign(&self) -> &'static str {
        match self.moves {
            Move::None => "",
            Move::Up => "▲",
            Move::Down => "▼",
        }
    }
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

/// The markets of all symbols, one of which is chosen and shown as a whole.
#[derive(Clone, Copy)]
pub(super) struct Markets {
    all: RwSignal<[Market; 4]>,
    /// Index of the chosen symbol.
    chosen: RwSignal<usize>,
    /// Index of the rate at which prices are read.
    rate: RwSignal<usize>,
    /// Stream of the prices and the books.
    pub(super) live: Live,
}

impl Markets {
    /// Opens the stream of the prices and the books.
    pub(super) fn open(technique: RwSignal<Technique>) -> Self {
        let all = RwSignal::new(std::array::from_fn::<Market, 4, _>(|_| Market::default()));
        let opened = StoredValue::new(0_u64);
        let hear = move |events: &[Event]| {
            all.change(|all| take(all, events, opened.get_value(), clock::now_ms()));
        };
        let live = Live::open(technique, plan(RATES[1]), hear, || {});
        // Set once: the clock's offset is known better later, but a chart must not begin at another time for that.
        opened.set_value(live.opened_us());
        Self { all, chosen: RwSignal::new(0), rate: RwSignal::new(1), live }
    }

    /// Returns the symbol that is chosen now, and its newest price in cents; `None` before the first one.
    pub(super) fn now(self) -> (&'static str, Option<u64>) {
        let at = self.chosen.get_untracked();
        (SYMBOLS[at], self.newest(at))
    }

    /// Returns the newest price of the chosen symbol, ready to be shown; empty before the first one.
    pub(super) fn price(self) -> String {
        self.newest(self.chosen.get()).map_or(String::new(), money)
    }

    fn newest(self, at: usize) -> Option<u64> {
        self.all.with(|all| all[at].points.back().copied())
    }

    /// Looks at the market of the chosen symbol.
    fn look<T>(self, look: impl FnOnce(&Market) -> T) -> T {
        self.all.with(|all| look(&all[self.chosen.get()]))
    }

    fn read_at(self, rate: usize) {
        self.rate.set(rate);
        self.live.change(plan(RATES[rate]));
    }

    /// Returns the choice of the rate at which prices are read.
    pub(super) fn rates(self) -> AnyView {
        let choose = move |at: usize| self.read_at(at);
        view! { <Segments label="Prices a second" choices=vec!["4", "20", "80", "200"] chosen=self.rate.into() choose=choose /> }
            .into_any()
    }

    /// Returns the buttons that choose a symbol, each with the newest price.
    pub(super) fn tickers(self) -> AnyView {
        SYMBOLS.into_iter().enumerate().map(|(at, name)| self.ticker(at, name)).collect_view().into_any()
    }

    fn ticker(self, at: usize, name: &'static str) -> AnyView {
        let value = move || self.newest(at).map_or("–".to_owned(), money);
        let class = move || self.all.with(|all| all[at].class());
        let sign = move || self.all.with(|all| all[at].sign());
        view! {
            <button type="button" class=text(class) aria-pressed=text(move || self.chosen.get() == at) on:click=move |_| self.chosen.set(at)>
                <b>{name.to_uppercase()}</b><span class="mono" data-testid=format!("price-{name}")>{text(value)}</span><i aria-hidden="true">{text(sign)}</i>
            </button>
        }
        .into_any()
    }

    /// Returns the chart of the chosen symbol.
    pub(super) fn figure(self) -> AnyView {
        let path = move || self.look(|market| chart(&market.points));
        let day = move || self.look(|market| market.day.to_string());
        let high =
            move || self.look(|market| market.points.iter().max().copied().map(money)).unwrap_or_default();
        let low =
            move || self.look(|market| market.points.iter().min().copied().map(money)).unwrap_or_default();
        view! {
            <figure>
                <svg viewBox=format!("0 0 {WIDTH} {HEIGHT}") preserveAspectRatio="none" role="img" aria-label="The last prices of the chosen symbol">
                    <path d=text(path) fill="none" vector-effect="non-scaling-stroke" />
                </svg>
                <span class="mono high" data-testid="high">{text(high)}</span>
                <span class="mono low" data-testid="low">{text(low)}</span>
                <figcaption class="cap">"Open and close of "<span class="mono">{text(day)}</span>", played again; the line spans the last 240"</figcaption>
            </figure>
        }
        .into_any()
    }

    /// Returns the book of the chosen symbol.
    pub(super) fn book(self) -> AnyView {
        self.look(|market| book_view(&market.book))
    }
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

/// Returns a price as it is written, from cents.
pub(super) fn money(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use fourways_shared::Offset;

    use super::*;

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
}
