//! The sequence diagram of a technique on a canvas: publisher at the top, server below it, client at the bottom, time
//! running to the right.

use fourways_model::{
    axis::Axis,
    feed::Feed,
    format::duration,
    lane::Lane,
    record::{Link, RecordKind},
    sequence::{Arrow, ArrowKind, waits},
};
use fourways_shared::Technique;

use crate::browser::canvas::{Palette, Surface};

pub(crate) const HEIGHT: f64 = 272.0;
const PUBLISHER: f64 = 14.0;
const SERVER: f64 = 44.0;
const CLIENT: f64 = 176.0;
const LABELS: f64 = 190.0;
const BEHIND_TOP: f64 = 206.0;
const BEHIND: f64 = 248.0;
/// Minimum horizontal extent of an arrow, in pixels, so that a transit of a few milliseconds is still visible.
const MIN_SLANT: f64 = 9.0;
/// Minimum distance between labels, in pixels; with more arrows than `MAX_LABELLED` there are no labels.
const LABEL_STEP: f64 = 34.0;
const MAX_LABELLED: usize = 160;
/// Marks closer to their neighbour than this, in pixels, cannot be told apart and are skipped.
const MIN_STEP: f64 = 3.0;

/// A fault to mark in the diagram, with times by the server's clock.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shade {
    pub(crate) from_ms: f64,
    pub(crate) until_ms: f64,
    pub(crate) name: &'static str,
}

/// Input of one drawing.
pub(crate) struct Scene<'a> {
    pub(crate) lane: &'a Lane,
    pub(crate) feed: &'a Feed,
    pub(crate) arrows: &'a [Arrow],
    pub(crate) shades: &'a [Shade],
    pub(crate) axis: Axis,
    /// Label of the right edge.
    pub(crate) end: &'a str,
    pub(crate) chosen: Option<u64>,
}

/// Draws the whole diagram.
pub(crate) fn draw(surface: &Surface, palette: &Palette, scene: &Scene<'_>) {
    let axis = scene.axis;
    for (x, label) in axis.ticks() {
        surface.line((x, 0.0), (x, BEHIND), &palette.grid, 1.0);
        surface.text(&label, x, BEHIND + 14.0, &palette.caption, "center");
    }
    surface.text(scene.end, surface.width - 4.0, BEHIND + 14.0, &palette.caption, "right");
    bands(surface, palette, scene);
    shades(surface, palette, scene);
    for y in [SERVER, CLIENT] {
        surface.line((0.0, y), (surface.width, y), &palette.border, 1.5);
    }
    published(surface, palette, scene);
    let kinds = [
        ArrowKind::Held,
        ArrowKind::Empty,
        ArrowKind::Ask,
        ArrowKind::Up,
        ArrowKind::Opened,
        ArrowKind::Data,
    ];
    for kind in kinds {
        draw_ways(surface, palette, scene, kind);
    }
    failures(surface, palette, scene);
    if scene.arrows.len() <= MAX_LABELLED {
        labels(surface, palette, scene);
    }
    chosen(surface, palette, scene);
    behind(surface, palette, scene);
}

/// Returns both ends of a [`Arrow`] on the canvas, the server's end first.
pub(crate) fn ends(arrow: &Arrow, axis: Axis) -> ((f64, f64), (f64, f64)) {
    let (server, client) = (axis.x(arrow.server_ms), axis.x(arrow.client_ms));
    match arrow.kind {
        ArrowKind::Held => ((server, SERVER), (client, SERVER)),
        ArrowKind::Ask | ArrowKind::Up => ((server, SERVER), (client.min(server - MIN_SLANT), CLIENT)),
        ArrowKind::Lost => ((server, SERVER), (server + MIN_SLANT / 2.0, f64::midpoint(SERVER, CLIENT))),
        _ => ((server, SERVER), (client.max(server + MIN_SLANT), CLIENT)),
    }
}

/// Returns the [`Arrow`] nearest to a point, if one is within nine pixels.
pub(crate) fn hit(arrows: &[Arrow], axis: Axis, x: f64, y: f64) -> Option<&Arrow> {
    let distance = |arrow: &Arrow| {
        let ((ax, ay), (bx, by)) = ends(arrow, axis);
        let length = ((bx - ax).powi(2) + (by - ay).powi(2)).max(1.0);
        let along = (((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length).clamp(0.0, 1.0);
        (ax + along * (bx - ax) - x).hypot(ay + along * (by - ay) - y)
    };
    let near = arrows.iter().map(|arrow| (distance(arrow), arrow)).filter(|(distance, _)| *distance < 9.0);
    near.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, arrow)| arrow)
}

fn draw_ways(surface: &Surface, palette: &Palette, scene: &Scene<'_>, kind: ArrowKind) {
    let context = &surface.context;
    let arrows = || scene.arrows.iter().filter(|arrow| arrow.kind == kind);
    let is_dense = scene.arrows.len() > 4 * MAX_LABELLED;
    context.begin_path();
    let mut drawn = f64::INFINITY;
    for arrow in arrows() {
        let (server, client) = ends(arrow, scene.axis);
        // An arrow that would lie on the previous one cannot be told apart, and would cost as much to draw.
        if client.0.max(server.0) < 0.0 || (is_dense && (drawn - client.0).abs() < MIN_STEP) {
            continue;
        }
        drawn = client.0;
        context.move_to(server.0, server.1);
        context.line_to(client.0, client.1);
        if !is_dense && !matches!(kind, ArrowKind::Held | ArrowKind::Data) {
            let is_up = matches!(kind, ArrowKind::Ask | ArrowKind::Up);
            arrow_head(surface, if is_up { (client, server) } else { (server, client) });
        }
    }
    let (colour, width) = match kind {
        ArrowKind::Empty => (&palette.faint, 1.2),
        ArrowKind::Held => (&palette.technique, 5.0),
        ArrowKind::Opened => (&palette.technique, 2.2),
        ArrowKind::Ask if is_poll(scene.lane.technique) => (&palette.faint, 1.2),
        _ => (&palette.technique, 1.5),
    };
    context.set_stroke_style_str(colour);
    context.set_line_width(width);
    context.set_global_alpha(if kind == ArrowKind::Held { 0.4 } else { 1.0 });
    if kind == ArrowKind::Up {
        surface.dash(&[4.0, 3.0]);
    }
    context.stroke();
    surface.dash(&[]);
    context.set_global_alpha(1.0);
    if kind == ArrowKind::Data {
        dots(surface, palette, scene);
    }
}

const fn is_poll(technique: Technique) -> bool {
    matches!(technique, Technique::ShortPoll | Technique::LongPoll)
}

/// Adds an arrowhead to the path, at the end of a arrow.
fn arrow_head(surface: &Surface, (from, to): ((f64, f64), (f64, f64))) {
    let angle = (to.1 - from.1).atan2(to.0 - from.0);
    for turn in [2.7, -2.7] {
        surface.context.move_to(to.0, to.1);
        surface.context.line_to(to.0 + 6.0 * (angle + turn).cos(), to.1 + 6.0 * (angle + turn).sin());
    }
}

fn dots(surface: &Surface, palette: &Palette, scene: &Scene<'_>) {
    let context = &surface.context;
    context.begin_path();
    let mut drawn = f64::INFINITY;
    for arrow in scene.arrows.iter().filter(|arrow| arrow.kind == ArrowKind::Data) {
        let (_, (x, y)) = ends(arrow, scene.axis);
        if (drawn - x).abs() < MIN_STEP {
            continue;
        }
        drawn = x;
        context.move_to(x + 3.0, y);
        // `arc` fails only for a negative radius.
        drop(context.arc(x, y, 3.0, 0.0, std::f64::consts::TAU));
    }
    context.set_fill_style_str(&palette.technique);
    context.fill();
}

/// Draws arrows that were refused or lost: they stop half-arrow, with a cross.
fn failures(surface: &Surface, palette: &Palette, scene: &Scene<'_>) {
    for arrow in scene.arrows {
        let ((ax, ay), (bx, by)) = ends(arrow, scene.axis);
        let (x, y) = match arrow.kind {
            ArrowKind::Lost => (bx, by),
            ArrowKind::Refused => (f64::midpoint(ax, bx), f64::midpoint(ay, by)),
            _ => continue,
        };
        surface.line((ax, ay), (x, y), &palette.danger, 1.5);
        surface.line((x - 4.0, y - 4.0), (x + 4.0, y + 4.0), &palette.danger, 2.0);
        surface.line((x - 4.0, y + 4.0), (x + 4.0, y - 4.0), &palette.danger, 2.0);
    }
}

fn labels(surface: &Surface, palette: &Palette, scene: &Scene<'_>) {
    let mut free_until = f64::INFINITY;
    for arrow in scene.arrows {
        let ((server, _), (x, _)) = ends(arrow, scene.axis);
        if let (ArrowKind::Held, true) = (arrow.kind, x - server > 70.0) {
            let held = format!("held {}", duration(arrow.client_ms - arrow.server_ms));
            surface.text(
                &held,
                f64::midpoint(server.max(0.0), x),
                SERVER + 15.0,
                &palette.technique,
                "center",
            );
        }
        if let (ArrowKind::Data, Some((last, count))) = (arrow.kind, arrow.events)
            && x + LABEL_STEP < free_until
        {
            let label = if count > 1 { format!("#{last} +{}", count - 1) } else { format!("#{last}") };
            surface.text(&label, x, LABELS, &palette.technique, "center");
            free_until = x - if count > 1 { 22.0 } else { 0.0 };
        }
    }
}

fn chosen(surface: &Surface, palette: &Palette, scene: &Scene<'_>) {
    for arrow in scene.arrows.iter().filter(|arrow| Some(arrow.seq) == scene.chosen) {
        let (server, client) = ends(arrow, scene.axis);
        surface.line(server, client, &palette.text, 3.0);
    }
}

/// Draws open connections as tinted bands between the lifelines.
fn bands(surface: &Surface, palette: &Palette, scene: &Scene<'_>) {
    if is_poll(scene.lane.technique) {
        return;
    }
    let closed = scene.lane.spans.iter().filter(|span| span.kind == RecordKind::Failed);
    let mut bands: Vec<(f64, f64)> = closed.map(|span| (span.from_ms, span.to_ms)).collect();
    if let Link::Held { since_ms } = scene.lane.link {
        bands.push((since_ms + scene.lane.offset_ms, f64::INFINITY));
    }
    let context = &surface.context;
    context.set_fill_style_str(&palette.technique);
    context.set_global_alpha(0.07);
    for (from, until) in bands {
        let (from, until) = (scene.axis.x(from).max(0.0), scene.axis.x(until).min(surface.width));
        if until > from {
            context.fill_rect(from, SERVER, until - from, CLIENT - SERVER);
        }
    }
    context.set_global_alpha(1.0);
}

/// Returns the visible part of a span of time, at least two pixels wide; `None` if the span is out of the picture.
fn seen(axis: Axis, from_ms: f64, until_ms: f64) -> Option<(f64, f64)> {
    let (from, until) = (axis.x(from_ms), axis.x(until_ms).max(axis.x(from_ms) + 2.0));
    (until > 0.0 && from < axis.width).then(|| (from.max(0.0), until.min(axis.width)))
}

/// Draws each fault as a hatched area with its name.
fn shades(surface: &Surface, palette: &Palette, scene: &Scene<'_>) {
    for shade in scene.shades {
        let Some((from, until)) = seen(scene.axis, shade.from_ms, shade.until_ms) else { continue };
        let context = &surface.context;
        context.save();
        context.begin_path();
        context.rect(from, SERVER - 8.0, until - from, CLIENT - SERVER + 16.0);
        context.clip();
        context.begin_path();
        let height = CLIENT - SERVER + 16.0;
        let mut x = from - height;
        while x < until {
            context.move_to(x, SERVER - 8.0 + height);
            context.line_to(x + height, SERVER - 8.0);
            x += 7.0;
        }
        context.set_global_alpha(0.3);
        context.set_stroke_style_str(&palette.danger);
        context.set_line_width(1.5);
        context.stroke();
        context.restore();
        context.set_global_alpha(1.0);
        surface.text(shade.name, from + 4.0, CLIENT - 6.0, &palette.danger, "left");
    }
}

fn published(surface: &Surface, palette: &Palette, scene: &Scene<'_>) {
    let context = &surface.context;
    let mut events: Vec<f64> =
        scene.feed.since(scene.axis.begin_ms()).map(|(_, at_ms)| scene.axis.x(at_ms)).collect();
    let mut last = f64::INFINITY;
    events.retain(|x| {
        let is_apart = (last - x).abs() >= MIN_STEP;
        if is_apart {
            last = *x;
        }
        is_apart
    });
    context.begin_path();
    for x in &events {
        context.move_to(*x, PUBLISHER - 4.0);
        context.line_to(x + 4.0, PUBLISHER);
        context.line_to(*x, PUBLISHER + 4.0);
        context.line_to(x - 4.0, PUBLISHER);
    }
    context.set_fill_style_str(&palette.text);
    context.fill();
    context.begin_path();
    for x in &events {
        context.move_to(*x, PUBLISHER + 6.0);
        context.line_to(*x, SERVER);
    }
    surface.dash(&[1.0, 3.0]);
    context.set_stroke_style_str(&palette.caption);
    context.set_line_width(1.0);
    context.stroke();
    surface.dash(&[]);
}

/// Draws how far the client lagged: one triangle per wait, one over the other.
fn behind(surface: &Surface, palette: &Palette, scene: &Scene<'_>) {
    let context = &surface.context;
    let begin_ms = scene.axis.begin_ms();
    let longest = waits(scene.lane, begin_ms).map(|(from, until)| until - from).fold(0.0_f64, f64::max);
    let scale = (BEHIND - BEHIND_TOP) / longest.max(50.0);
    surface.line((0.0, BEHIND), (surface.width, BEHIND), &palette.technique, 1.0);
    context.begin_path();
    for (from, until) in waits(scene.lane, begin_ms) {
        let (a, b) = (scene.axis.x(from), scene.axis.x(until));
        // A triangle lower than one pixel is invisible.
        if (until - from) * scale < 1.0 {
            continue;
        }
        context.move_to(a, BEHIND);
        context.line_to(b, BEHIND - (until - from) * scale);
        context.line_to(b, BEHIND);
    }
    context.set_fill_style_str(&palette.technique);
    context.set_global_alpha(0.35);
    context.fill();
    context.set_global_alpha(1.0);
    let label = format!("behind by, of {}", duration(longest.max(50.0)));
    for (name, y) in [
        (&*label, BEHIND_TOP + 6.0),
        ("publisher", PUBLISHER + 4.0),
        ("server", SERVER - 4.0),
        ("client", CLIENT + 13.0),
    ] {
        surface.label(name, 4.0, y, &palette.caption);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_scrolled_out_is_not_in_the_picture() {
        let axis = Axis { now_ms: 20_000.0, window_ms: 10_000.0, width: 500.0 };
        assert_eq!(seen(axis, 2_000.0, 9_900.0), None, "it was over before the picture begins");
        assert_eq!(seen(axis, 21_000.0, 22_000.0), None, "it has not begun");
        assert_eq!(seen(axis, 9_000.0, 15_000.0), Some((0.0, 250.0)));
        assert_eq!(seen(axis, 15_000.0, 15_000.0), Some((250.0, 252.0)), "a moment can be seen");
    }
}
