//! An exchange: historical prices are replayed, and visitors place orders against them.

use serde::{Deserialize, Serialize};

use super::topic;
use crate::{Offset, Topic};

/// Symbols that are traded.
pub const SYMBOLS: [&str; 4] = ["aapl", "goog", "ibm", "msft"];

/// Rates at which prices can be read, in prices per second over all symbols together; each rate has its own topics.
pub const RATES: [u32; 4] = [4, 20, 80, 200];

/// Returns the topic of a symbol's prices at one of [`RATES`].
pub fn quotes(symbol: &str, rate: u32) -> Option<Topic> {
    topic(&["live", "quotes", &rate.to_string(), symbol])
}

/// Steps of the market per second: a symbol's price moves once in each. Topics of slower rates carry every Nth price.
pub const STEPS_PER_S: u64 = 50;

/// Returns the topic of a symbol's order book, which names no visitor.
pub fn book(symbol: &str) -> Option<Topic> {
    topic(&["live", "book", symbol])
}

/// Returns the topic of a visitor's own trade orders; `None` if the visitor's id can't be part of a topic.
pub fn orders(visitor: &str) -> Option<Topic> {
    topic(&["trade", visitor])
}

/// One price of a symbol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// The price, in cents.
    pub cents: u64,
    /// Day of the record that the price is from, as in `2004-08-19`.
    pub day: Box<str>,
    /// Number of the market's step, counted from the Unix epoch.
    pub n: u64,
}

/// The side of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Buy at the limit price or lower.
    Buy,
    /// Sell at the limit price or higher.
    Sell,
}

/// A message on a visitor's trade orders topic. The id of an order is the offset of the event that placed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TradeMessage {
    /// From the visitor: a new order.
    Place {
        /// Symbol to trade, one of [`SYMBOLS`].
        symbol: Box<str>,
        /// Side of the order.
        side: Side,
        /// Limit price per share, in cents.
        cents: u64,
        /// Number of shares.
        quantity: u32,
    },
    /// From the visitor: a request to cancel an order.
    Cancel {
        /// Id of the order.
        order: Offset,
    },
    /// From the exchange: the order is in the book.
    Accepted {
        /// Id of the order.
        order: Offset,
    },
    /// From the exchange: the order was refused.
    Rejected {
        /// Id of the order.
        order: Offset,
        /// Reason for the refusal, ready to be shown.
        why: Box<str>,
    },
    /// From the exchange: the whole order was filled.
    Filled {
        /// Id of the order.
        order: Offset,
        /// Price per share, in cents.
        cents: u64,
    },
    /// From the exchange: the order was removed from the book.
    Cancelled {
        /// Id of the order.
        order: Offset,
    },
}

/// The order book of a symbol. Each entry is a price in cents and the number of shares at that price, best price first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    /// Buy orders, highest price first.
    pub bids: Vec<(u64, u64)>,
    /// Sell orders, lowest price first.
    pub asks: Vec<(u64, u64)>,
}
