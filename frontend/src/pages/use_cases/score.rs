//! A live score: a latecomer gets the state of the match with the last event, then the changes.

use fourways_shared::{
    Event, Policy, Technique,
    use_case::{
        self,
        score::{self, Change, Goal, SPEEDS, State, Wish, told, wishes},
    },
};
use leptos::prelude::*;

use super::Parts;
use crate::{
    components::{
        change::Change as _,
        dynamic::{part, text},
        segments::Segments,
    },
    streams::live::{Begin, Live, Plan},
};

/// Number of changes listed at most.
const MAX_SHOWN: usize = 40;

pub(super) fn open(technique: RwSignal<Technique>) -> Parts {
    let state = RwSignal::new(None::<State>);
    let story = RwSignal::new(Vec::<(u32, String)>::new());
    let cheer = RwSignal::new(String::new());
    let hear = move |events: &[Event]| {
        for update in events.iter().filter_map(use_case::read_if_from_server::<score::Update>) {
            take(update, state, story, cheer);
        }
    };
    let topic = told();
    let plan = Plan {
        topics: topic.iter().cloned().collect(),
        begin: topic.map_or(Begin::After(fourways_shared::After::Head), |topic| Begin::Last(topic, 1)),
        policy: Policy::All,
        poll_ms: 2_000.0,
        is_binary: false,
    };
    // Each event has the whole state of the match, so the next one puts everything right after a break.
    let live = Live::open(technique, plan, hear, || {});
    let wish = move |number: usize, speed: u32| {
        live.outbox.publish(wishes(), &Wish { number, speed });
    };
    let speed = Signal::derive(move || {
        let speed = state.with(|state| state.as_ref().map_or(SPEEDS[1], |state| state.speed));
        SPEEDS.iter().position(|known| *known == speed).unwrap_or(1)
    });
    let number = move || state.with(|state| state.as_ref().map_or(0, |state| state.number));
    let of = move || state.with(|state| state.as_ref().map_or(1, |state| state.of.max(1)));
    let is_unknown = move || state.with(Option::is_none);
    let play = move |step: usize| wish((number() + step) % of(), SPEEDS[speed.get_untracked()]);
    let board = move || {
        match state.get() {
        None => view! {
            <div class="blank"><b>"Kick-off is on its way"</b><p>"The match begins as soon as somebody watches, and that is you."</p></div>
        }
        .into_any(),
        Some(state) => board(&state),
    }
    };
    let lines = move || {
        let line = |(minute, words): &(u32, String)| view! { <li><span class="mono">{format!("{minute}′")}</span>" "{words.clone()}</li> };
        story.with(|story| story.iter().rev().map(line).collect_view())
    };
    let view = view! {
        <div class="score card-b">
            {part(board)}
            <p class="cheer" role="status" data-testid="cheer">{text(move || cheer.get())}</p>
            <div class="row">
                <button type="button" class="btn" data-testid="match-before" disabled=is_unknown on:click=move |_| play(of() - 1)>"Match before"</button>
                <button type="button" class="btn" data-testid="next-match" disabled=is_unknown on:click=move |_| play(1)>"Next match"</button>
                <button type="button" class="btn" data-testid="final" disabled=is_unknown on:click=move |_| wish(of() - 1, SPEEDS[speed.get_untracked()])>"The final"</button>
                <span class="cap">"Minutes a second"</span>
                <Segments label="Minutes of the match in a second" choices=vec!["1", "2", "5", "15"] chosen=speed choose=move |at: usize| wish(number(), SPEEDS[at]) />
            </div>
            <ol class="story" tabindex="0" aria-label="What happened" data-testid="story">{part(lines)}</ol>
            <p class="cap">"The World Cup 2022 as it was played, every goal in its minute: openfootball’s worldcup.json, public domain. Everybody here watches the same match."</p>
        </div>
    };
    Parts { live, sends: live, view: view.into_any() }
}

fn take(
    update: score::Update,
    state: RwSignal<Option<State>>,
    story: RwSignal<Vec<(u32, String)>>,
    cheer: RwSignal<String>,
) {
    let score::Update { change, state: now } = update;
    let words = match &change {
        Change::Clock => None,
        Change::KickOff => {
            story.set(Vec::new());
            cheer.set(String::new());
            Some(format!("{} against {} begins", now.teams[0], now.teams[1]))
        }
        Change::Goal { team, goal } => {
            let words = format!("Goal for {}: {}", now.teams[(*team).min(1)], scorer(goal));
            cheer.set(format!("{words}, {}:{}", now.goals[0].len(), now.goals[1].len()));
            Some(words)
        }
        Change::HalfTime => Some("Half-time".to_owned()),
        Change::FullTime => Some(match now.shoot_out {
            Some([one, other]) => format!("Over, {one}:{other} after penalties"),
            None => "Over".to_owned(),
        }),
    };
    if let Some(words) = words {
        story.change(|story| {
            story.push((now.minute, words));
            let over = story.len().saturating_sub(MAX_SHOWN);
            story.drain(..over);
        });
    }
    state.set(Some(now));
}

fn scorer(goal: &Goal) -> String {
    let mut words = goal.name.to_string();
    if goal.penalty {
        words.push_str(" (penalty)");
    }
    if goal.own {
        words.push_str(" (own goal)");
    }
    words
}

fn board(state: &State) -> AnyView {
    let goals = |team: usize| {
        let goal = |goal: &Goal| {
            let added = if goal.added > 0 { format!("+{}", goal.added) } else { String::new() };
            view! { <li>{format!("{}′{added} {}", goal.minute, scorer(goal))}</li> }
        };
        state.goals[team].iter().map(goal).collect_view()
    };
    let minute = if state.is_over { "over".to_owned() } else { format!("{}′", state.minute) };
    view! {
        <div class="board">
            <p class="cap">{format!("{}, {}, {}", state.round, state.date, state.ground)}</p>
            <div class="teams">
                <b>{state.teams[0].to_string()}</b>
                <span class="mono goals" data-testid="score">{format!("{} : {}", state.goals[0].len(), state.goals[1].len())}</span>
                <b>{state.teams[1].to_string()}</b>
            </div>
            <p class="mono" data-testid="minute">{minute}</p>
            <div class="scorers"><ul>{goals(0)}</ul><ul>{goals(1)}</ul></div>
        </div>
    }
    .into_any()
}
