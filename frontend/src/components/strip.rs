//! Drawings of the lanes on the common axis: a line from publishing to delivery, a dot at delivery, and the wire below.
//! The geometry comes from [`Axis`]; this module only draws marks.

use fourways_model::{
    axis::Axis,
    feed::Feed,
    lane::{Lane, Mark},
    record::{Link, RecordKind},
};
use fourways_shared::Technique;

use crate::browser::canvas::{Palette, Surface};

/// With more events than this in the window, their numbers are left out.
const MAX_LABELS: usize = 40;
/// With more dots than this, they are drawn as ticks, and their rows follow from the events' offsets.
const DENSE: usize = 300;
/// Marks closer to their neighbour than this, in pixels, cannot be told apart and are skipped.
const MIN_STEP: f64 = 2.0;
const ROWS: usize = 4;
const WIRE_HEIGHT: f64 = 22.0;

/// Draws the publisher's row: a diamond for each event, and the labels of the axis.
pub(crate) fn draw_feed(surface: &Surface, palette: &Palette, feed: &Feed, axis: Axis) {
    let y = 22.0;
    grid(surface, palette, axis, surface.height);
    surface.line((0.0, y), (surface.width, y), &palette.border, 1.0);
    let events: Vec<_> = feed.since(axis.begin_ms()).collect();
    let (mut label_end, mut drawn) = (f64::INFINITY, f64::INFINITY);
    surface.context.begin_path();
    for (_, at) in &events {
        let x = axis.x(*at);
        if drawn - x >= MIN_STEP {
            drawn = x;
            diamond(surface, x, y);
        }
    }
    surface.context.set_fill_style_str(&palette.text);
    surface.context.fill();
    for (offset, at) in events.iter().take(if events.len() <= MAX_LABELS { MAX_LABELS } else { 0 }) {
        let (x, label) = (axis.x(*at), offset.to_string());
        let half = width_of(&label) / 2.0;
        if x + half < label_end - 4.0 && x - half > 0.0 && x + half < surface.width {
            surface.text(&label, x, y - 10.0, &palette.text, "center");
            label_end = x - half;
        }
    }
    for (x, label) in axis.ticks() {
        surface.text(&label, x, surface.height - 8.0, &palette.caption, "center");
    }
    surface.text("now", surface.width - 4.0, surface.height - 8.0, &palette.caption, "right");
}

/// Draws the row of a technique.
pub(crate) fn draw_lane(surface: &Surface, palette: &Palette, lane: &Lane, feed: &Feed, axis: Axis) {
    grid(surface, palette, axis, surface.height);
    let area = surface.height - WIRE_HEIGHT;
    #[expect(clippy::cast_precision_loss, reason = "a row of four")]
    let y_of = |row: usize| 12.0 + row as f64 * ((area - 16.0) / (ROWS - 1) as f64);
    let recent = lane.marks.iter().rev().take_while(|mark| mark.delivered_ms >= axis.begin_ms());
    let count = recent.clone().count();
    let is_dense = count > DENSE;
    // A mark that would lie on the previous one in its row is not drawn; only its line may be the longer one.
    let mut newest: [Option<usize>; ROWS] = [None; ROWS];
    let mut marks: Vec<Spot<'_>> = Vec::new();
    for mark in recent {
        let row = row_of(if is_dense { mark.offset } else { feed.n(mark.offset) });
        let (x, from) = (axis.x(mark.delivered_ms), axis.x(mark.published_ms).max(0.0));
        match newest[row].and_then(|at| marks.get_mut(at)) {
            Some(drawn) if drawn.x - x < MIN_STEP => drawn.from = drawn.from.min(from),
            _ => {
                newest[row] = Some(marks.len());
                marks.push(Spot { mark, row, x, y: y_of(row), from });
            }
        }
    }
    draw_ways(surface, palette, &marks);
    draw_dots(surface, palette, &marks, is_dense);
    if count <= MAX_LABELS {
        draw_labels(surface, palette, &marks);
    }
    for (_, place) in feed.missing(lane).take(MAX_LABELS) {
        let (x, y) = (axis.x(place.published_ms).max(4.0), y_of(row_of(place.n)));
        surface.dash(&[2.0, 3.0]);
        surface.line((x, y), (surface.width, y), &palette.technique, 1.2);
        surface.dash(&[]);
        ring(surface, x, y, &palette.technique);
    }
    // A ring where an event was lost; a double ring where one was delivered twice.
    for (_, place) in feed.lost(lane, axis.begin_ms()).take(MAX_LABELS) {
        ring(surface, axis.x(place.published_ms), y_of(row_of(place.n)), &palette.danger);
    }
    for (offset, at_ms) in lane.repeats.iter().rev().take_while(|(_, at_ms)| *at_ms >= axis.begin_ms()) {
        let y = y_of(row_of(if is_dense { *offset } else { feed.n(*offset) }));
        ring(surface, axis.x(*at_ms), y, &palette.danger);
        ring(surface, axis.x(*at_ms) + 4.0, y, &palette.danger);
    }
    draw_wire(surface, palette, lane, axis);
}

/// Returns the row of the n-th event: events that arrive together lie below each other.
fn row_of(n: u64) -> usize {
    usize::try_from(n % ROWS as u64).unwrap_or(0)
}

/// Returns the width of a label in pixels: all characters of the drawing's font are 7 pixels wide.
#[expect(clippy::cast_precision_loss, reason = "digits of a number")]
fn width_of(label: &str) -> f64 {
    label.len() as f64 * 7.0
}

/// A mark with its position on the canvas.
struct Spot<'a> {
    mark: &'a Mark,
    row: usize,
    x: f64,
    y: f64,
    /// X coordinate at which the mark's line begins.
    from: f64,
}

/// Draws the lines from publishing to delivery in one path: a stroke for each would cost more than a frame allows.
fn draw_ways(surface: &Surface, palette: &Palette, marks: &[Spot<'_>]) {
    let context = &surface.context;
    context.begin_path();
    for spot in marks {
        if spot.x - spot.from >= MIN_STEP {
            context.move_to(spot.from, spot.y);
            context.line_to(spot.x, spot.y);
        }
    }
    context.set_global_alpha(0.55);
    context.set_stroke_style_str(&palette.technique);
    context.set_line_width(1.5);
    context.stroke();
    context.set_global_alpha(1.0);
}

fn draw_dots(surface: &Surface, palette: &Palette, marks: &[Spot<'_>], is_dense: bool) {
    let context = &surface.context;
    context.begin_path();
    for Spot { x, y, .. } in marks {
        if is_dense {
            context.rect(x - 1.0, y - 1.5, 2.0, 3.0);
        } else {
            context.move_to(x + 3.0, *y);
            // `arc` fails only for a negative radius.
            drop(context.arc(*x, *y, 3.0, 0.0, std::f64::consts::TAU));
        }
    }
    context.set_fill_style_str(&palette.technique);
    context.fill();
}

/// Draws the labels from right to left: a label must end before the next dot of its row begins.
fn draw_labels(surface: &Surface, palette: &Palette, marks: &[Spot<'_>]) {
    let mut free_until = [f64::INFINITY; ROWS];
    for Spot { mark, row, x, y, .. } in marks {
        let label = mark.offset.to_string();
        if x + 7.0 + width_of(&label) < free_until[*row] {
            surface.text(&label, x + 7.0, y + 4.0, &palette.technique, "left");
        }
        free_until[*row] = x - 5.0;
    }
}

/// Draws the bottom row: polls as ticks, held requests and open connections as bars, failures in red.
fn draw_wire(surface: &Surface, palette: &Palette, lane: &Lane, axis: Axis) {
    let y = surface.height - WIRE_HEIGHT / 2.0;
    for span in lane.spans.iter().rev().take_while(|span| span.to_ms >= axis.begin_ms()) {
        let (from, to) = (axis.x(span.from_ms).max(0.0), axis.x(span.to_ms));
        let colour = match span.kind {
            RecordKind::Failed => &palette.danger,
            RecordKind::Empty => &palette.faint,
            _ => &palette.technique,
        };
        match lane.technique {
            Technique::LongPoll if span.kind == RecordKind::Failed => cross(surface, to, y, colour),
            Technique::LongPoll => bar(surface, from, to - 1.5, y, colour),
            Technique::Sse | Technique::Websocket if span.kind == RecordKind::Failed => {
                bar(surface, from, to, y, &palette.technique);
                cross(surface, to, y, colour);
            }
            Technique::ShortPoll | Technique::Sse | Technique::Websocket => tick(surface, to, y, colour),
        }
    }
    if let Link::Held { since_ms } = lane.link {
        bar(surface, axis.x(since_ms).max(0.0), surface.width, y, &palette.technique);
    }
}

fn grid(surface: &Surface, palette: &Palette, axis: Axis, height: f64) {
    for (x, _) in axis.ticks() {
        surface.line((x, 0.0), (x, height), &palette.grid, 1.0);
    }
}

/// Adds a diamond to the path.
fn diamond(surface: &Surface, x: f64, y: f64) {
    let context = &surface.context;
    context.move_to(x, y - 4.5);
    context.line_to(x + 4.5, y);
    context.line_to(x, y + 4.5);
    context.line_to(x - 4.5, y);
}

fn ring(surface: &Surface, x: f64, y: f64, colour: &str) {
    let context = &surface.context;
    context.begin_path();
    // `arc` fails only for a negative radius.
    drop(context.arc(x, y, 3.0, 0.0, std::f64::consts::TAU));
    context.set_stroke_style_str(colour);
    context.set_line_width(1.5);
    context.stroke();
}

fn tick(surface: &Surface, x: f64, y: f64, colour: &str) {
    surface.line((x, y - 5.0), (x, y + 5.0), colour, 2.0);
}

fn bar(surface: &Surface, from: f64, to: f64, y: f64, colour: &str) {
    if to > from {
        surface.context.set_global_alpha(0.45);
        surface.line((from, y), (to, y), colour, 4.0);
        surface.context.set_global_alpha(1.0);
    }
}

fn cross(surface: &Surface, x: f64, y: f64, colour: &str) {
    surface.line((x - 4.0, y - 4.0), (x + 4.0, y + 4.0), colour, 2.0);
    surface.line((x - 4.0, y + 4.0), (x + 4.0, y - 4.0), colour, 2.0);
}
