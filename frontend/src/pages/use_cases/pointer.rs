//! Everybody's pointer, thirty times a second, drawn between the positions that were published; and a game whose
//! referee is the order of the log.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use fourways_model::format::duration;
use fourways_shared::{
    Event, Policy, Technique,
    time::ms_of_us,
    use_case::{
        self,
        pointer::{self, Caught, Pointer, RATE, REACH, ball},
    },
};
use leptos::{html, prelude::*};

use super::{NameField, Parts, visitor};
use crate::{
    browser::{
        canvas::{Palette, Surface},
        clock,
        frame::Frames,
        page,
    },
    components::{
        change::Change as _,
        dynamic::{part, text},
    },
    streams::live::{Begin, Live, Plan, age_ms},
};

/// Silence after which a pointer is gone, in milliseconds.
const GONE_MS: f64 = 5_000.0;
/// Number of positions kept of each pointer.
const MAX_PLACES: usize = 120;
/// Interval at which a pointer that does not move is published, in milliseconds.
const ALIVE_MS: f64 = 1_000.0;
/// A step of an arrow key, as a share of the field.
const STEP: f64 = 0.02;
const HISTORY: u32 = 200;

/// The published positions of a pointer: time by the server's clock in milliseconds, x and y.
struct Trail {
    name: Box<str>,
    places: VecDeque<(f64, f64, f64)>,
    /// Time from publishing to arrival, smoothed, in milliseconds.
    lag_ms: f64,
}

impl Trail {
    /// Returns the position of the pointer at that time, between two published positions.
    fn at(&self, then_ms: f64) -> Option<(f64, f64)> {
        let after = self.places.partition_point(|(at_ms, ..)| *at_ms <= then_ms);
        let Some(&(from_ms, x, y)) = after.checked_sub(1).and_then(|at| self.places.get(at)) else {
            return self.places.front().map(|(_, x, y)| (*x, *y));
        };
        let Some(&(to_ms, to_x, to_y)) = self.places.get(after) else { return Some((x, y)) };
        let share = (then_ms - from_ms) / (to_ms - from_ms).max(1.0);
        Some((x + (to_x - x) * share, y + (to_y - y) * share))
    }
}

#[derive(Default)]
struct Field {
    trails: BTreeMap<Box<str>, Trail>,
    /// Delay at which everything is drawn, in milliseconds, so that there is a next position to move to.
    behind_ms: f64,
    own: Option<(f64, f64)>,
    said: Option<(f64, f64)>,
    said_ms: f64,
}

/// The balls that were caught, and whose pointers are here, each with its lateness in milliseconds.
#[derive(Clone, Copy)]
struct Game {
    caught: RwSignal<Vec<Caught>>,
    people: RwSignal<Vec<(String, f64)>>,
}

impl Game {
    /// Returns the number of the ball that is on the field.
    fn ball(self) -> u32 {
        let next = |caught: &Vec<Caught>| caught.last().map_or(1, |one| one.n.saturating_add(1));
        self.caught.try_with_untracked(next).unwrap_or(1)
    }

    /// Draws the best scores.
    fn scores(self) -> AnyView {
        let mut scores: BTreeMap<Box<str>, (Box<str>, u32)> = BTreeMap::new();
        self.caught.with(|caught| {
            for one in caught {
                let own = scores.entry(one.who.clone()).or_insert((one.name.clone(), 0));
                *own = (one.name.clone(), own.1 + 1);
            }
        });
        let mut scores: Vec<_> = scores.into_values().collect();
        scores.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let row = |(name, count): (Box<str>, u32)| view! { <li><b class="mono">{count}</b>" "{name.to_string()}</li> };
        scores.into_iter().take(6).map(row).collect_view().into_any()
    }

    /// Draws the list of those who are here.
    fn here(self) -> AnyView {
        let row = |(name, lag_ms): (String, f64)| view! { <li>{name}<span class="cap mono">{duration(lag_ms)}</span></li> };
        self.people.get().into_iter().map(row).collect_view().into_any()
    }

    /// Returns a sentence about the last ball that was caught.
    fn last(self) -> String {
        self.caught.with(|caught| {
            caught.last().map_or("Nobody has caught a ball yet.".to_owned(), |one| {
                format!("{} caught ball {}.", one.name, one.n)
            })
        })
    }
}

pub(super) fn open(technique: RwSignal<Technique>) -> Parts {
    let name = visitor::name();
    let field = Rc::new(RefCell::new(Field { behind_ms: 100.0, ..Field::default() }));
    let game = Game { caught: RwSignal::new(Vec::new()), people: RwSignal::new(Vec::new()) };
    let live = follow(technique, &field, game);
    let canvas = NodeRef::<html::Canvas>::new();
    keep_moving(live, &field, name, keep_drawn(live, &field, game, canvas));
    let moved = {
        let field = StoredValue::new_local(Rc::clone(&field));
        move |event: leptos::ev::PointerEvent| {
            if let Some((x, y)) = page::place_in(&event) {
                field.with_value(|field| field.borrow_mut().own = Some((x, y)));
            }
        }
    };
    let pressed = {
        let field = StoredValue::new_local(field);
        move |event: leptos::ev::KeyboardEvent| {
            let Some(step) = step_of(&event.key()) else { return };
            event.prevent_default();
            field.with_value(|field| field.borrow_mut().step(step));
        }
    };
    let view = view! {
        <div class="field-wrap card-b">
            <div class="row">
                <NameField name=name />
                <p class="cap">"Move your pointer over the field, or focus it and use the arrow keys. Whoever reaches the ball first has it; the server decides by the order of its log."</p>
            </div>
            <canvas class="playfield" node_ref=canvas tabindex="0" role="img" aria-label="The field, with everybody's pointers and the ball" data-testid="field"
                on:pointermove=moved on:keydown=pressed></canvas>
            <div class="row two-lists">
                <div><h2 class="cap">"Here, and how late"</h2><ul class="people" data-testid="pointers">{part(move || game.here())}</ul></div>
                <div><h2 class="cap">"Caught"</h2><ul class="people" data-testid="scores">{part(move || game.scores())}</ul><p class="cap" role="status" data-testid="caught">{text(move || game.last())}</p></div>
            </div>
        </div>
    };
    Parts { live, sends: live, view: view.into_any() }
}

/// Opens the stream of the pointers and the game, and keeps the events.
fn follow(technique: RwSignal<Technique>, field: &Rc<RefCell<Field>>, game: Game) -> Live {
    let own_live = Rc::new(RefCell::new(None::<Live>));
    let hear = {
        let (field, own_live) = (Rc::clone(field), Rc::clone(&own_live));
        move |events: &[Event]| {
            let Some(live) = *own_live.borrow() else { return };
            for event in events {
                if use_case::rest(&event.topic, "live").is_some() {
                    if let Some(pointer) = use_case::read::<Pointer>(event) {
                        field.borrow_mut().heard(pointer, event, age_ms(live, event));
                    }
                } else if let Some(one) = use_case::read_if_from_server::<Caught>(event) {
                    game.caught.change(|caught| caught.push(one));
                }
            }
        }
    };
    let topics: Vec<_> = [pointer::pointers(), pointer::game()].into_iter().flatten().collect();
    let begin =
        pointer::game().map_or(Begin::After(fourways_shared::After::Head), |game| Begin::Last(game, HISTORY));
    let plan = Plan { topics, begin, policy: Policy::All, poll_ms: 1_000.0, is_binary: true };
    let live = Live::open(technique, plan, hear, || {});
    *own_live.borrow_mut() = Some(live);
    live
}

/// Draws the field on every frame, until dropped, and lists now and then who is here.
fn keep_drawn(live: Live, field: &Rc<RefCell<Field>>, game: Game, canvas: NodeRef<html::Canvas>) -> Frames {
    let field = Rc::clone(field);
    let mut n = 0_u32;
    Frames::start(move || {
        let Some(canvas) = canvas.try_get_untracked().flatten() else { return };
        let now_ms = clock::now_ms() + live.offset_ms();
        let mut field = field.borrow_mut();
        field.forget(now_ms);
        draw(&canvas, &field, game.ball(), now_ms);
        n += 1;
        if n.is_multiple_of(20) {
            let now: Vec<_> =
                field.trails.values().map(|trail| (trail.name.to_string(), trail.lag_ms)).collect();
            let _gone = game.people.try_set(now);
        }
    })
}

/// Publishes the own pointer while the page is there, and draws for as long.
fn keep_moving(live: Live, field: &Rc<RefCell<Field>>, name: RwSignal<String>, frames: Frames) {
    let topic = pointer::pointers();
    let field = StoredValue::new_local(Rc::clone(field));
    let beat = set_interval_with_handle(
        move || {
            let said = field.try_with_value(|field| field.borrow_mut().due()).flatten();
            if let Some((x, y)) = said {
                let (who, name) = (page::id().into(), name.get_untracked().into());
                live.outbox.send_unconfirmed(topic.as_ref(), &Pointer { who, name, x, y });
            }
        },
        std::time::Duration::from_millis(1_000 / u64::from(RATE)),
    );
    let frames = StoredValue::new_local(Some(frames));
    on_cleanup(move || {
        if let Ok(beat) = beat {
            beat.clear();
        }
        frames.try_update_value(Option::take);
    });
}

/// Returns the step of an arrow key, as shares of the field's width and height; `None` for any other key.
fn step_of(key: &str) -> Option<(f64, f64)> {
    Some(match key {
        "ArrowLeft" => (-STEP, 0.0),
        "ArrowRight" => (STEP, 0.0),
        "ArrowUp" => (0.0, -STEP),
        "ArrowDown" => (0.0, STEP),
        _ => return None,
    })
}

impl Field {
    /// Moves the own pointer by a step, from the middle if it is nowhere yet.
    fn step(&mut self, (x, y): (f64, f64)) {
        let (old_x, old_y) = self.own.unwrap_or((0.5, 0.5));
        self.own = Some(((old_x + x).clamp(0.0, 1.0), (old_y + y).clamp(0.0, 1.0)));
    }

    /// Forgets the pointers that are gone at this time.
    fn forget(&mut self, now_ms: f64) {
        let behind_ms = self.behind_ms;
        self.trails.retain(|_, trail| {
            trail.places.back().is_some_and(|(at_ms, ..)| now_ms - at_ms < GONE_MS + behind_ms)
        });
    }

    fn heard(&mut self, pointer: Pointer, event: &Event, age_ms: f64) {
        let Pointer { who, name, x, y } = pointer;
        let trail = self.trails.entry(who).or_insert(Trail {
            name: name.clone(),
            places: VecDeque::new(),
            lag_ms: age_ms,
        });
        trail.name = name;
        trail.lag_ms += (age_ms - trail.lag_ms) * 0.1;
        trail.places.push_back((ms_of_us(event.published_at_us), x, y));
        if trail.places.len() > MAX_PLACES {
            trail.places.pop_front();
        }
        // The delay grows quickly with the age of what arrives, and shrinks slowly.
        let wanted_ms = age_ms + 2_000.0 / f64::from(RATE);
        let pace = if wanted_ms > self.behind_ms { 0.3 } else { 0.005 };
        self.behind_ms += (wanted_ms - self.behind_ms) * pace;
    }

    /// Returns the position of the visitor's own pointer, if it is to be published now.
    fn due(&mut self) -> Option<(f64, f64)> {
        let now_ms = clock::now_ms();
        let own = self.own?;
        if self.said == Some(own) && now_ms - self.said_ms < ALIVE_MS {
            return None;
        }
        (self.said, self.said_ms) = (Some(own), now_ms);
        Some(own)
    }
}

fn draw(canvas: &web_sys::HtmlCanvasElement, field: &Field, ball_n: u32, now_ms: f64) {
    let Some(surface) = Surface::begin(canvas) else { return };
    let palette = Palette::of(canvas);
    let (width, height) = (surface.width, surface.height);
    let (x, y) = ball(ball_n);
    surface.disc(x * width, y * height, REACH * width, &palette.technique);
    for (who, trail) in &field.trails {
        let is_own = **who == *page::id();
        // The visitor's own pointer is drawn where the hand is, without a delay.
        let place = field.own.filter(|_| is_own).or_else(|| trail.at(now_ms - field.behind_ms));
        let Some((x, y)) = place else { continue };
        let (x, y) = (x * width, y * height);
        surface.arrow(x, y, if is_own { &palette.technique } else { &palette.text });
        surface.label(&trail.name, x + 12.0, y + 22.0, &palette.caption);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_drawn_between_the_places_that_were_told() {
        let places = [(100.0, 0.0, 0.0), (200.0, 1.0, 0.5)].into();
        let trail = Trail { name: "a".into(), places, lag_ms: 0.0 };
        assert_eq!(trail.at(50.0), Some((0.0, 0.0)));
        assert_eq!(trail.at(150.0), Some((0.5, 0.25)));
        assert_eq!(trail.at(900.0), Some((1.0, 0.5)), "it stays where it was told last");
    }
}
