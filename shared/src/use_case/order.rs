//! The life of an order: a visitor places it, and the shop pays, packs, ships and delivers it.

use serde::{Deserialize, Serialize};

use super::topic;
use crate::{Offset, Topic};

/// Returns the topic of a visitor's orders; `None` if the visitor's id can't be part of a topic. The id is a secret
/// that only the visitor's own pages know.
pub fn orders(visitor: &str) -> Option<Topic> {
    topic(&["order", visitor])
}

/// A message on a visitor's orders topic. The id of an order is the offset of the event that placed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum OrderMessage {
    /// From the page: the visitor orders an item.
    Placed {
        /// Name of the item.
        item: Box<str>,
    },
    /// From the server: the order reached a step.
    Moved {
        /// Id of the order.
        order: Offset,
        /// Name of the ordered item.
        item: Box<str>,
        /// Step that the order has reached.
        step: Step,
    },
}

/// The steps of an order, in the order in which they happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The order is paid.
    Paid,
    /// The item is packed.
    Packed,
    /// The parcel is on its way.
    Shipped,
    /// The parcel has arrived.
    Delivered,
}

impl Step {
    /// All steps, first to last.
    pub const ALL: [Self; 4] = [Self::Paid, Self::Packed, Self::Shipped, Self::Delivered];

    /// Returns the time from placing the order to this step, in seconds. The shop is in a hurry, so that a visitor can
    /// watch the whole life of an order.
    pub const fn after_s(self) -> u64 {
        match self {
            Self::Paid => 1,
            Self::Packed => 3,
            Self::Shipped => 6,
            Self::Delivered => 10,
        }
    }

    /// Returns the step as a past participle, for texts and event ids.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::Packed => "packed",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
        }
    }
}
