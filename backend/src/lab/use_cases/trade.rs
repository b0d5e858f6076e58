//! The exchange: the market replays historical prices, and an order waits in the book until its limit is reached.
//!
//! The state of the market follows from the time alone, so a restart changes nothing, except that no order is filled at
//! a price of the time when the server was down.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
    time::Duration,
};

use fourways_shared::{
    Event, Filter, Offset, Topic,
    use_case::{
        self,
        trade::{self, Book, Quote, RATES, STEPS_PER_S, SYMBOLS, Side, TradeMessage},
    },
};

use super::{Due, Machine, Publication, Readers, filter, until};

/// Opening and closing prices of each day, from `bokeh_sampledata` on the Python index (public domain); see
/// `backend/data/README.md`.
const RECORD: &str = include_str!("../../../data/prices.csv");
/// Most open orders of one visitor.
const MAX_OPEN: usize = 50;
/// Most orders that are answered in one turn.
const MAX_ANSWERS: usize = 64;
/// Most open orders of all visitors, and most that wait for an answer.
const MAX_BOOK: usize = 20_000;
/// Number of prices on each side of the book that are published.
const DEPTH: usize = 8;
const STEP_US: u64 = 1_000_000 / STEPS_PER_S;

/// The prices of each symbol in order, in cents and with their days.
static MARKET: LazyLock<[Vec<(u64, &'static str)>; SYMBOLS.len()]> = LazyLock::new(|| {
    let mut market: [Vec<(u64, &'static str)>; SYMBOLS.len()] = Default::default();
    for line in RECORD.lines().skip(1) {
        let (day, prices) = line.split_once(',').unwrap_or((line, ""));
        for (at, cents) in prices.split(',').filter_map(|cents| cents.parse().ok()).enumerate() {
            if let Some(symbol) = market.get_mut(at / 2) {
                symbol.push((cents, day));
            }
        }
    }
    market
});

#[derive(Default)]
pub(super) struct Trades {
    /// Orders that were placed and neither accepted nor rejected.
    asked: BTreeMap<Offset, Order>,
    /// Orders in the book.
    open: BTreeMap<Offset, Order>,
    /// Orders that are to be removed from the book.
    cancelled: BTreeSet<Offset>,
    /// Symbols whose book has changed since it was published.
    changed: BTreeSet<usize>,
    /// Last step of the market at which orders were compared with prices.
    step: u64,
    /// Number of the last quote that was published on each topic, by rate and symbol.
    quoted: [[u64; SYMBOLS.len()]; RATES.len()],
}

struct Order {
    topic: Topic,
    symbol: Option<usize>,
    side: Side,
    cents: u64,
    quantity: u32,
}

/// Returns the topics of the quotes.
pub(super) fn live_topics() -> impl Iterator<Item = Topic> {
    let of = |rate| SYMBOLS.into_iter().filter_map(move |symbol| trade::quotes(symbol, rate));
    RATES.into_iter().flat_map(of)
}

impl Machine for Trades {
    /// Returns the topics of the quotes too: the log counts subscribers only of topics that it knows.
    fn reads(&self) -> Vec<Filter> {
        let quotes = RATES.into_iter().flat_map(|rate| SYMBOLS.map(|symbol| trade::quotes(symbol, rate)));
        let quotes = quotes.flatten().map(|topic| (&topic).into());
        filter("use-case.trade.*").into_iter().chain(quotes).collect()
    }

    fn apply(&mut self, event: &Event, _: u64) {
        if use_case::rest(&event.topic, "trade").is_none() {
            return;
        }
        // Anybody may publish here; only answers of the exchange itself count.
        let is_own = use_case::is_from_server(event);
        match use_case::read(event) {
            Some(
                TradeMessage::Accepted { .. }
                | TradeMessage::Rejected { .. }
                | TradeMessage::Filled { .. }
                | TradeMessage::Cancelled { .. },
            ) if !is_own => {}
            Some(TradeMessage::Place { .. }) if self.asked.len() >= MAX_BOOK => {}
            Some(TradeMessage::Place { symbol, side, cents, quantity }) => {
                let symbol = SYMBOLS.iter().position(|known| *known == &*symbol);
                let order = Order { topic: event.topic.clone(), symbol, side, cents, quantity };
                self.asked.insert(event.cursor.offset, order);
            }
            Some(TradeMessage::Cancel { order }) => {
                let known = self.open.get(&order).or_else(|| self.asked.get(&order));
                if known.is_some_and(|known| known.topic == event.topic) {
                    self.cancelled.insert(order);
                }
            }
            Some(TradeMessage::Accepted { order }) => {
                if let Some(accepted) = self.asked.remove(&order) {
                    self.changed.extend(accepted.symbol);
                    self.open.insert(order, accepted);
                }
            }
            Some(TradeMessage::Rejected { order, .. }) => drop(self.asked.remove(&order)),
            Some(TradeMessage::Filled { order, .. } | TradeMessage::Cancelled { order }) => {
                self.cancelled.remove(&order);
                self.changed.extend(self.open.remove(&order).and_then(|closed| closed.symbol));
            }
            None => {}
        }
    }

    fn due(&mut self, now_us: u64, readers: &mut Readers) -> Due {
        let now = now_us / STEP_US;
        let from = if self.step == 0 { now } else { self.step.max(now.saturating_sub(STEPS_PER_S * 10)) };
        let mut says: Vec<Publication> = self.fills(from, now).collect();
        self.answer(&mut says);
        self.step = now;
        for symbol in std::mem::take(&mut self.changed) {
            says.extend(Publication::of(trade::book(SYMBOLS[symbol]), &self.book(symbol)));
        }
        let mut is_watched = !self.open.is_empty();
        for (rate, quoted) in RATES.into_iter().zip(&mut self.quoted) {
            for (symbol, quoted) in quoted.iter_mut().enumerate() {
                let Some(topic) = trade::quotes(SYMBOLS[symbol], rate) else { continue };
                if !readers.has(&topic) {
                    continue;
                }
                is_watched = true;
                // The rate is divided equally among the symbols.
                let n = now_us * u64::from(rate) / SYMBOLS.len() as u64 / 1_000_000;
                if n > *quoted {
                    *quoted = n;
                    says.extend(Publication::of(Some(topic), &quote(symbol, now)));
                }
            }
        }
        let wait = if is_watched { until((now + 1) * STEP_US, now_us) } else { Duration::from_millis(200) };
        Due { says, again: Some(wait) }
    }
}

impl Trades {
    /// Accepts or rejects waiting orders, at most [`MAX_ANSWERS`] a turn, so that prices are published in between.
    fn answer(&self, says: &mut Vec<Publication>) {
        let mut accepted: Vec<&Topic> = Vec::new();
        for (offset, order) in self.asked.iter().take(MAX_ANSWERS) {
            let own = |accepted: &[&Topic]| {
                let waiting = self.open.values().filter(|open| open.topic == order.topic).count();
                waiting + accepted.iter().filter(|topic| ***topic == order.topic).count()
            };
            let why = match order {
                Order { symbol: None, .. } => "there is no such symbol",
                Order { cents: 0, .. } | Order { quantity: 0, .. } => "price and quantity must be above zero",
                _ if self.open.len() + accepted.len() >= MAX_BOOK => "the book is full",
                _ if own(&accepted) >= MAX_OPEN => "you have too many open orders",
                _ => "",
            };
            let said = match why {
                "" => {
                    accepted.push(&order.topic);
                    TradeMessage::Accepted { order: *offset }
                }
                why => TradeMessage::Rejected { order: *offset, why: why.into() },
            };
            let say = Publication::of(Some(order.topic.clone()), &said);
            says.extend(say.map(|say| say.once(&format!("answer-{}", offset.0))));
        }
    }

    /// Returns the ends of orders: the cancelled ones, and those whose limit the market reached between two steps.
    fn fills(&self, from: u64, now: u64) -> impl Iterator<Item = Publication> {
        self.open.iter().filter_map(move |(offset, order)| {
            let said = if self.cancelled.contains(offset) {
                TradeMessage::Cancelled { order: *offset }
            } else {
                let symbol = order.symbol?;
                let is_met = |cents: &u64| match order.side {
                    Side::Buy => *cents <= order.cents,
                    Side::Sell => *cents >= order.cents,
                };
                let cents = (from..=now).map(|step| price(symbol, step).0).find(is_met)?;
                TradeMessage::Filled { order: *offset, cents }
            };
            // Both ends have the same key, so that an order ends only once.
            Publication::of(Some(order.topic.clone()), &said)
                .map(|say| say.once(&format!("end-{}", offset.0)))
        })
    }

    fn book(&self, symbol: usize) -> Book {
        let (mut bids, mut asks) = (BTreeMap::new(), BTreeMap::new());
        for order in self.open.values().filter(|order| order.symbol == Some(symbol)) {
            let side = if order.side == Side::Buy { &mut bids } else { &mut asks };
            *side.entry(order.cents).or_insert(0) += u64::from(order.quantity);
        }
        Book {
            bids: bids.into_iter().rev().take(DEPTH).collect(),
            asks: asks.into_iter().take(DEPTH).collect(),
        }
    }
}

/// Returns the price of a symbol in cents at a step of the market, and its day. The record repeats when it ends.
fn price(symbol: usize, step: u64) -> (u64, &'static str) {
    let prices = &MARKET[symbol];
    let length = prices.len().max(1) as u64;
    let at = usize::try_from(step % length).unwrap_or_default();
    prices.get(at).copied().unwrap_or_default()
}

fn quote(symbol: usize, step: u64) -> Quote {
    let (cents, day) = price(symbol, step);
    Quote { cents, day: day.into(), n: step }
}
