//! An order and its life: what a visitor places, and what becomes of it.

use serde::{Deserialize, Serialize};

use super::topic;
use crate::{Offset, Topic};

/// Where a visitor's orders are. The visitor's id is a secret that only its own pages know.
pub fn orders(visitor: &str) -> Option<Topic> {
    topic(&["orders", visitor])
}

/// Somebody ordered, or something became of it. An order is named by the offset of the event that placed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Said {
    /// A visitor wants this.
    Placed {
        /// What.
        item: Box<str>,
    },
    /// The shop has come so far with it.
    Moved {
        /// Which order.
        order: Offset,
        /// What was ordered.
        item: Box<str>,
        /// How far.
        step: Step,
    },
}

/// How far an order is, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The money is there.
    Paid,
    /// It is in its box.
    Packed,
    /// It is on its way.
    Shipped,
    /// It is there.
    Delivered,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Paid, Self::Packed, Self::Shipped, Self::Delivered];

    /// How long after the order was placed, in seconds: a shop in a hurry, so that it can be watched.
    pub const fn after_s(self) -> u64 {
        match self {
            Self::Paid => 1,
            Self::Packed => 3,
            Self::Shipped => 6,
            Self::Delivered => 10,
        }
    }

    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::Packed => "packed",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
        }
    }
}
