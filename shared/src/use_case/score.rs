//! The live score of a match, replayed from the record of a real tournament.

use serde::{Deserialize, Serialize};

use super::topic;
use crate::Topic;

/// Returns the topic of the match, on which the server publishes each [`Update`].
pub fn told() -> Option<Topic> {
    topic(&["score"])
}

/// Returns the topic on which visitors choose the next match.
pub fn wishes() -> Option<Topic> {
    topic(&["score", "wishes"])
}

/// Speeds at which a match can be replayed, in minutes of the match per second.
pub const SPEEDS: [u32; 4] = [1, 2, 5, 15];

/// A visitor's choice of the next match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Number of the match in the tournament, from 0.
    pub number: usize,
    /// Speed of the replay, one of [`SPEEDS`].
    pub speed: u32,
}

/// A change of the match, with the whole state so that late subscribers need no earlier update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// Kind of the change, with its details.
    pub change: Change,
    /// State of the match after the change.
    pub state: State,
}

/// The kinds of change in a match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Change {
    /// The match begins.
    KickOff,
    /// A minute passed.
    Clock,
    /// A team scored.
    Goal {
        /// Index of the team in [`State::teams`], 0 or 1.
        team: usize,
        /// Scorer and time of the goal.
        goal: Goal,
    },
    /// The first half is over.
    HalfTime,
    /// The match is over.
    FullTime,
}

/// The state of a match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Number of the match in the tournament, from 0.
    pub number: usize,
    /// Number of matches in the tournament.
    pub of: usize,
    /// Speed of the replay, in minutes of the match per second.
    pub speed: u32,
    /// Round of the tournament, as in `Group A, Matchday 1` or `Final`.
    pub round: Box<str>,
    /// Day on which the match was played, as in `2022-11-20`.
    pub date: Box<str>,
    /// Stadium and city in which the match was played.
    pub ground: Box<str>,
    /// Names of the two teams.
    pub teams: [Box<str>; 2],
    /// Goals of each team so far, in the order of `teams`.
    pub goals: [Vec<Goal>; 2],
    /// Minutes played, without added time.
    pub minute: u32,
    /// True once the match is over.
    pub is_over: bool,
    /// Result of the shoot-out in the order of `teams`, once the match is over; `None` if there was no shoot-out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shoot_out: Option<[u32; 2]>,
}

/// One goal of a match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goal {
    /// Name of the scorer.
    pub name: Box<str>,
    /// Minute of the goal; the last minute of the half for a goal in added time.
    pub minute: u32,
    /// Minute of added time in which the goal fell; 0 if it fell before.
    #[serde(default, rename = "offset", skip_serializing_if = "is_zero")]
    pub added: u32,
    /// True if the goal was a penalty.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub penalty: bool,
    /// True for an own goal.
    #[serde(default, rename = "owngoal", skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}
