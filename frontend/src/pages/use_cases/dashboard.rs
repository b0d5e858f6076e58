//! A dashboard of the server's own machine. Only the newest figures matter, so the policy is `latest`: a slow technique
//! skips figures, and the chart shows a gap where none came. The charts move with the clock and not with the figures,
//! so a gap opens at once.

use std::collections::VecDeque;

use fourways_model::format::fixed;
use fourways_shared::{
    After, Event, Policy, Technique,
    time::ms_of_us,
    use_case::{
        self,
        dashboard::{Figures, RATES, TILES, figures},
    },
};
use leptos::prelude::*;

use super::Parts;
use crate::{
    browser::{clock, frame::Frames, page},
    components::{
        change::Change as _,
        dynamic::{part, text},
        segments::Segments,
    },
    streams::live::{Begin, Live, Plan},
};

/// Time that a chart shows, in milliseconds.
const WINDOW_MS: f64 = 30_000.0;
/// Width and height of a chart, in its own units.
const WIDTH: f64 = 200.0;
const HEIGHT: f64 = 48.0;

/// Publishing times by the server's clock, in milliseconds, with the figures of each.
type Points = VecDeque<(f64, [f64; TILES.len()])>;

pub(super) fn open(technique: RwSignal<Technique>) -> Parts {
    let points = RwSignal::new(Points::new());
    let rate = RwSignal::new(1_usize);
    let hear = move |events: &[Event]| points.change(|points| take(points, events));
    let live = Live::open(technique, plan(RATES[1]), hear, || {});
    let shift = RwSignal::new(0.0);
    let move_on = move || {
        let now_ms = clock::now_ms() + live.offset_ms();
        if let Some(x) = points.try_with_untracked(|points| shift_at(points, now_ms)) {
            let _gone = shift.try_set(x);
        }
    };
    // In the same frame as new figures, or else the line would jump to and fro.
    Effect::new(move |_| {
        points.track();
        move_on();
    });
    let frames = (!page::prefers_reduced_motion()).then(|| Frames::start(move_on));
    let frames = StoredValue::new_local(frames);
    on_cleanup(move || drop(frames.try_update_value(Option::take)));
    let choose = move |at: usize| {
        rate.set(at);
        points.set(Points::new());
        live.change(plan(RATES[at]));
    };
    let tiles: Vec<_> = TILES
        .iter()
        .enumerate()
        .map(|(at, (name, unit, decimals))| {
            let now = move || {
                let value = points.with(|points| points.back().map(|(_, values)| values[at]));
                value.map_or("–".to_owned(), |value| format!("{} {unit}", fixed(value, *decimals)))
            };
            // Three times the usual distance without a figure is a gap.
            let gap_ms = move || 3_000.0 / f64::from(RATES[rate.get()]);
            let path = move || points.with(|points| chart(points, at, gap_ms()));
            view! {
                <div class="tile">
                    <p class="cap">{*name}</p>
                    <p class="mono tile-v" data-testid=format!("tile-{at}")>{text(now)}</p>
                    <svg viewBox=format!("0 0 {WIDTH} {HEIGHT}") preserveAspectRatio="none" role="img" aria-label=format!("{name} over the last 30 seconds")>
                        <path d=text(path) fill="none" vector-effect="non-scaling-stroke" />
                    </svg>
                </div>
            }
        })
        .collect();
    let hint = move || {
        points
            .with(VecDeque::is_empty)
            .then(|| view! { <p class="cap" role="status">"Waiting for the first figures …"</p> })
    };
    let view = view! {
        <div class="card-b">
            <div class="row">
                <span class="cap">"Figures a second"</span>
                <Segments label="Figures a second" choices=vec!["1", "2", "5", "10"] chosen=rate.into() choose=choose />
                {part(hint)}
            </div>
            <div class="tiles" style=text(move || format!("--shift: {}px", fixed(shift.get(), 2)))>{tiles}</div>
            <p class="cap">"The machine that this server runs on, read by the server as you watch. A break in a line is a time in which nothing came."</p>
        </div>
    };
    Parts { live, sends: live, view: view.into_any() }
}

fn plan(rate: u32) -> Plan {
    Plan {
        topics: figures(rate).into_iter().collect(),
        begin: Begin::After(After::Head),
        policy: Policy::Latest,
        poll_ms: 1_000.0,
        is_binary: false,
    }
}

fn take(points: &mut Points, events: &[Event]) {
    for event in events {
        if let Some(Figures { values }) = use_case::read(event) {
            points.push_back((ms_of_us(event.published_at_us), values));
        }
    }
    let newest = points.back().map_or(0.0, |(at_ms, _)| *at_ms);
    while points.front().is_some_and(|(at_ms, _)| *at_ms < newest - WINDOW_MS) {
        points.pop_front();
    }
}

/// Returns the time at which the coordinates of a chart begin. It moves in steps of ten minutes, so that the line need
/// not be made anew with every frame and its numbers stay small.
fn origin_ms(points: &Points) -> f64 {
    const STEP_MS: f64 = 600_000.0;
    points.front().map_or(0.0, |(at_ms, _)| (at_ms / STEP_MS).floor() * STEP_MS)
}

/// Returns the shift of a chart that puts this moment at its right edge.
fn shift_at(points: &Points, now_ms: f64) -> f64 {
    WIDTH * (1.0 - (now_ms - origin_ms(points)) / WINDOW_MS)
}

/// Returns the path of a line through the points, broken where two of them are further apart than a gap.
fn chart(points: &Points, tile: usize, gap_ms: f64) -> String {
    let origin = origin_ms(points);
    let highest = points.iter().map(|(_, values)| values[tile]).fold(f64::MIN, f64::max);
    let lowest = points.iter().map(|(_, values)| values[tile]).fold(f64::MAX, f64::min);
    let span = (highest - lowest).max(highest.abs() * 0.05).max(0.01);
    let mut path = String::new();
    let mut before = f64::MIN;
    for (at_ms, values) in points {
        let x = WIDTH * (at_ms - origin) / WINDOW_MS;
        let y = HEIGHT - 3.0 - (values[tile] - lowest) / span * (HEIGHT - 6.0);
        path.push(if at_ms - before > gap_ms { 'M' } else { 'L' });
        path.push_str(&fixed(x, 1));
        path.push(' ');
        path.push_str(&fixed(y, 1));
        before = *at_ms;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_where_nothing_came() {
        let point = |at_ms: f64, value: f64| (at_ms, [value; TILES.len()]);
        let points: Points =
            [point(0.0, 1.0), point(500.0, 2.0), point(5_000.0, 1.5), point(5_500.0, 1.0)].into();
        let path = chart(&points, 0, 1_500.0);
        assert_eq!((path.matches('M').count(), path.matches('L').count()), (2, 2), "{path}");
        assert!(path.ends_with("L36.7 45.0"), "{path}");
        let edge = 36.666 + shift_at(&points, 5_500.0);
        assert!((edge - WIDTH).abs() < 0.01, "what came just now is at the right edge: {edge}");
        let older: Points = points.iter().map(|(at_ms, values)| (at_ms + 1.7e12, *values)).collect();
        assert!(chart(&older, 0, 1_500.0).len() < 60, "its numbers stay small");
    }
}
