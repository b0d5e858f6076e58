//! The pointers of all visitors, and a game in which they catch a ball.

use serde::{Deserialize, Serialize};

use super::topic;
use crate::Topic;

/// Rate at which a page publishes the position of its pointer, in events per second.
pub const RATE: u32 = 30;

/// Height of the field, as a share of its width.
pub const ASPECT: f64 = 0.45;

/// Distance to the ball at which a pointer catches it, as a share of the field's width.
pub const REACH: f64 = 0.035;

/// Returns the topic of all pointers.
pub fn pointers() -> Option<Topic> {
    topic(&["live", "pointer"])
}

/// Returns the topic of the game, on which the server publishes who caught each ball.
pub fn game() -> Option<Topic> {
    topic(&["game"])
}

/// The position of one page's pointer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pointer {
    /// Public id of the page.
    pub who: Box<str>,
    /// Name that the visitor chose.
    pub name: Box<str>,
    /// Distance from the left edge, 0 to 1 of the field's width.
    pub x: f64,
    /// Distance from the top edge, 0 to 1 of the field's height.
    pub y: f64,
}

/// A pointer caught the ball. The order of the log decides which pointer was first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Caught {
    /// Number of the ball, from 1.
    pub n: u32,
    /// Public id of the page that caught the ball.
    pub who: Box<str>,
    /// Name that the visitor chose.
    pub name: Box<str>,
}

/// True if a pointer is near enough to catch a ball. Both positions are shares of the field's width and height.
pub fn reaches((x, y): (f64, f64), (ball_x, ball_y): (f64, f64)) -> bool {
    (x - ball_x).hypot((y - ball_y) * ASPECT) < REACH
}

/// Returns the position of a ball, which follows from its number alone and so is the same on every page.
pub fn ball(n: u32) -> (f64, f64) {
    // 1/ρ and 1/ρ² of the plastic number ρ, the golden ratio's counterpart in two dimensions: a low-discrepancy
    // sequence, in which successive balls never lie near each other.
    let place = |step: f64| 0.08 + 0.84 * (f64::from(n) * step).fract();
    (place(0.754_877_666_246_693), place(0.569_840_290_998_053))
}
