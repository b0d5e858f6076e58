//! The live score: the goals of a real match, minute by minute and faster. The match advances while somebody reads it.

use std::{sync::LazyLock, time::Duration};

use fourways_shared::{
    Event, Filter, Offset, Topic,
    use_case::{
        self,
        score::{self, Change, Goal, SPEEDS, State, Update, Wish},
    },
};
use serde::Deserialize;

use super::{Due, Machine, Publication, Readers, until};

/// Record of the World Cup 2022, from openfootball (public domain); see `backend/data/README.md`.
const RECORD: &str = include_str!("../../../data/worldcup-2022.json");
/// Pause between the end of a match and the next.
const PAUSE_US: u64 = 8_000_000;

static MATCHES: LazyLock<Vec<Match>> = LazyLock::new(|| {
    let record: Record = serde_json::from_str(RECORD).unwrap_or_default();
    record.matches
});

#[derive(Default, Deserialize)]
struct Record {
    matches: Vec<Match>,
}

#[derive(Deserialize)]
struct Match {
    round: Box<str>,
    group: Option<Box<str>>,
    date: Box<str>,
    ground: Box<str>,
    team1: Box<str>,
    team2: Box<str>,
    #[serde(default)]
    goals1: Vec<Goal>,
    #[serde(default)]
    goals2: Vec<Goal>,
    score: Result,
}

#[derive(Deserialize)]
struct Result {
    /// Score after extra time, if the match had one.
    et: Option<[u32; 2]>,
    /// Score of the shoot-out, if there was one.
    p: Option<[u32; 2]>,
}

impl Match {
    fn minutes(&self) -> u32 {
        if self.score.et.is_some() { 120 } else { 90 }
    }

    /// Returns the goals of a minute with the indices of their teams; a goal in added time counts for the last minute
    /// of its half.
    fn goals(&self, minute: u32) -> impl Iterator<Item = (usize, &Goal)> {
        let first = self.goals1.iter().map(|goal| (0, goal));
        let second = self.goals2.iter().map(|goal| (1, goal));
        first.chain(second).filter(move |(_, goal)| goal.minute == minute)
    }
}

#[derive(Default)]
pub(super) struct Score {
    state: Option<State>,
    /// Time when the last update arrived.
    told_us: u64,
    /// Offset of the last update.
    told_at: Offset,
    wish: Option<Wish>,
}

/// Returns the topic of the score.
pub(super) fn live_topics() -> impl Iterator<Item = Topic> {
    score::told().into_iter()
}

impl Machine for Score {
    fn reads(&self) -> Vec<Filter> {
        [score::told(), score::wishes()].into_iter().flatten().map(|topic| (&topic).into()).collect()
    }

    fn apply(&mut self, event: &Event, at_us: u64) {
        if let Some(Update { state, change }) = use_case::read_if_from_server(event) {
            // The record of an older server may have had other matches.
            if state.number >= MATCHES.len() || !SPEEDS.contains(&state.speed) {
                return;
            }
            if change == Change::KickOff {
                self.wish = None;
            }
            (self.state, self.told_us, self.told_at) = (Some(state), at_us, event.cursor.offset);
        } else if let Some(wish) = use_case::read::<Wish>(event) {
            let is_possible = wish.number < MATCHES.len() && SPEEDS.contains(&wish.speed);
            self.wish = Some(wish).filter(|_| is_possible).or(self.wish);
        }
    }

    fn due(&mut self, now_us: u64, readers: &mut Readers) -> Due {
        let Some(told) = score::told() else { return Due::default() };
        if !readers.has(&told) {
            return Due { says: Vec::new(), again: Some(Duration::from_millis(100)) };
        }
        let updates = match (self.wish, &self.state) {
            (Some(wish), _) => begin(wish),
            (None, None) => begin(Wish { number: 0, speed: 2 }),
            (None, Some(state)) => {
                let wait_us = if state.is_over { PAUSE_US } else { 1_000_000 / u64::from(state.speed) };
                let at_us = self.told_us + wait_us;
                if now_us < at_us {
                    return Due { says: Vec::new(), again: Some(until(at_us, now_us)) };
                }
                if state.is_over {
                    begin(Wish { number: (state.number + 1) % MATCHES.len(), speed: state.speed })
                } else {
                    minute(state)
                }
            }
        };
        let say = |(at, update): (usize, &Update)| {
            // The key comes from the offset of the last update, so each update is followed by the next one only once.
            Publication::of(Some(told.clone()), update)
                .map(|say| say.once(&format!("{}-{at}", self.told_at.0)))
        };
        let says = updates.iter().enumerate().filter_map(say).collect();
        Due { says, again: None }
    }
}

fn begin(Wish { number, speed }: Wish) -> Vec<Update> {
    let Some(played) = MATCHES.get(number) else { return Vec::new() };
    let round = match &played.group {
        Some(group) => format!("{group}, {}", played.round).into(),
        None => played.round.clone(),
    };
    let state = State {
        number,
        of: MATCHES.len(),
        speed,
        round,
        date: played.date.clone(),
        ground: played.ground.clone(),
        teams: [played.team1.clone(), played.team2.clone()],
        goals: [Vec::new(), Vec::new()],
        minute: 0,
        is_over: false,
        shoot_out: None,
    };
    vec![Update { change: Change::KickOff, state }]
}

/// Returns the updates of the next minute: one per goal, then the new minute or the end of a half.
fn minute(state: &State) -> Vec<Update> {
    let Some(played) = MATCHES.get(state.number) else { return Vec::new() };
    let mut state = State { minute: state.minute.saturating_add(1), ..state.clone() };
    let mut updates = Vec::new();
    for (team, goal) in played.goals(state.minute) {
        state.goals[team].push(goal.clone());
        updates.push(Update { change: Change::Goal { team, goal: goal.clone() }, state: state.clone() });
    }
    let change = match state.minute {
        over if over >= played.minutes() => {
            (state.is_over, state.shoot_out) = (true, played.score.p);
            Change::FullTime
        }
        45 => Change::HalfTime,
        _ => Change::Clock,
    };
    updates.push(Update { change, state });
    updates
}
