//! An exchange: prices of the past played again, and people's own orders against them.

use serde::{Deserialize, Serialize};

use super::topic;
use crate::{Offset, Topic};

/// What is traded.
pub const SYMBOLS: [&str; 4] = ["aapl", "goog", "ibm", "msft"];

/// Prices a second, all symbols together, that can be played.
pub const RATES: [u32; 4] = [4, 20, 80, 200];

/// Where a symbol's prices are that are played so fast.
pub fn quotes(symbol: &str, rate: u32) -> Option<Topic> {
    topic(&["live", "quotes", &rate.to_string(), symbol])
}

/// How often a symbol's price moves, in times a second; slower topics tell every so-many-th.
pub const STEPS_PER_S: u64 = 50;

/// Where what everybody wants of a symbol is told, without names.
pub fn book(symbol: &str) -> Option<Topic> {
    topic(&["live", "book", symbol])
}

/// Where a visitor's own orders are.
pub fn orders(visitor: &str) -> Option<Topic> {
    topic(&["trades", visitor])
}

/// A price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// In cents.
    pub cents: u64,
    /// The day that it is of.
    pub day: Box<str>,
    /// How many came before it.
    pub n: u64,
}

/// Buy or sell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// At most for the price.
    Buy,
    /// At least for the price.
    Sell,
}

/// What is said of a visitor's orders. An order is named by the offset of the event that placed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Said {
    /// The visitor: buy or sell.
    Place {
        /// What.
        symbol: Box<str>,
        /// Which way.
        side: Side,
        /// The limit, in cents.
        cents: u64,
        /// How many.
        quantity: u32,
    },
    /// The visitor: not any more.
    Cancel {
        /// Which.
        order: Offset,
    },
    /// The exchange: it rests in the book.
    Accepted {
        /// Which.
        order: Offset,
    },
    /// The exchange: it won't.
    Rejected {
        /// Which.
        order: Offset,
        /// Why.
        why: Box<str>,
    },
    /// The exchange: done, all of it.
    Filled {
        /// Which.
        order: Offset,
        /// At this price, in cents.
        cents: u64,
    },
    /// The exchange: taken out of the book.
    Cancelled {
        /// Which.
        order: Offset,
    },
}

/// What everybody wants of a symbol: for each price, how many, the best first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    /// Who buys.
    pub bids: Vec<(u64, u64)>,
    /// Who sells.
    pub asks: Vec<(u64, u64)>,
}
