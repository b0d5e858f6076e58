//! A match, played again from the record of a real one.

use serde::{Deserialize, Serialize};

use super::topic;
use crate::Topic;

/// Where the match is told.
pub fn told() -> Option<Topic> {
    topic(&["score"])
}

/// Where visitors say what should be played.
pub fn wishes() -> Option<Topic> {
    topic(&["score", "wishes"])
}

/// The speeds at which a match can be played, in minutes of it for each second.
pub const SPEEDS: [u32; 4] = [1, 2, 5, 15];

/// What should be played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Which match of the tournament, from 0.
    pub number: usize,
    /// One of [`SPEEDS`].
    pub speed: u32,
}

/// What changed, and everything that a late joiner has to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// What changed.
    pub change: Change,
    /// How it stands now.
    pub state: State,
}

/// What changed in the match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Change {
    /// It begins.
    KickOff,
    /// The clock went on.
    Clock,
    /// A goal.
    Goal {
        /// For the first team or the second: 0 or 1.
        team: usize,
        /// Whose.
        goal: Goal,
    },
    /// The first half is over.
    HalfTime,
    /// It is over.
    FullTime,
}

/// How a match stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Which match of the tournament, from 0, and of how many.
    pub number: usize,
    /// How many matches there are.
    pub of: usize,
    /// Minutes of it for each second.
    pub speed: u32,
    /// The round, as in `Group A` or `Final`.
    pub round: Box<str>,
    /// The day on which it was played.
    pub date: Box<str>,
    /// Where.
    pub ground: Box<str>,
    /// The two teams.
    pub teams: [Box<str>; 2],
    /// Their goals so far.
    pub goals: [Vec<Goal>; 2],
    /// Minutes played.
    pub minute: u32,
    /// It is over.
    pub is_over: bool,
    /// Goals of the shoot-out, once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shoot_out: Option<[u32; 2]>,
}

/// A goal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goal {
    /// Who shot it.
    pub name: Box<str>,
    /// In which minute.
    pub minute: u32,
    /// Of so many minutes beyond the half's end.
    #[serde(default, rename = "offset", skip_serializing_if = "is_zero")]
    pub added: u32,
    /// A penalty.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub penalty: bool,
    /// Into the own goal.
    #[serde(default, rename = "owngoal", skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}
