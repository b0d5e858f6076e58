//! Pointers of everybody, and a game of catching with them.

use serde::{Deserialize, Serialize};

use super::topic;
use crate::Topic;

/// How often a page tells where its pointer is, in times a second.
pub const RATE: u32 = 30;

/// How high the field is, as a share of its width.
pub const ASPECT: f64 = 0.45;

/// How near a pointer must come to the ball, as a share of the field's width.
pub const REACH: f64 = 0.035;

/// Where pointers are told.
pub fn pointers() -> Option<Topic> {
    topic(&["live", "pointers"])
}

/// Where the game is told.
pub fn game() -> Option<Topic> {
    topic(&["game"])
}

/// A pointer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pointer {
    /// The page.
    pub who: Box<str>,
    /// What that person wants to be called.
    pub name: Box<str>,
    /// Across, 0 to 1.
    pub x: f64,
    /// Down, 0 to 1.
    pub y: f64,
}

/// Somebody caught the ball. Who was first is who comes first in the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Caught {
    /// Which ball, from 1.
    pub n: u32,
    /// The page.
    pub who: Box<str>,
    /// What that person wants to be called.
    pub name: Box<str>,
}

/// Whether a pointer is at a ball. Both are shares of the field's width and height.
pub fn reaches((x, y): (f64, f64), (ball_x, ball_y): (f64, f64)) -> bool {
    (x - ball_x).hypot((y - ball_y) * ASPECT) < REACH
}

/// Where a ball lies: the same for everybody, from its number alone.
pub fn ball(n: u32) -> (f64, f64) {
    // The golden ratio's multiples never come near each other (a low-discrepancy sequence).
    let place = |step: f64| 0.08 + 0.84 * (f64::from(n) * step).fract();
    (place(0.754_877_666_246_693), place(0.569_840_290_998_053))
}
