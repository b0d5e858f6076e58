//! The common parts of line charts and strips: the series, their stops, their figures.

use fourways_shared::Technique;

use super::{
    Frame, Row, Table,
    count::count,
    mark::{Anchor, Group, Look, across, down, hatch},
    place::value_at,
    scale::{Kind, Scale, Side},
    unit::Unit,
};

/// Width of a character at 11 px, in the widest of the fonts.
pub(crate) const CHARACTER: f64 = 6.8;
/// Number of rows in a table at most: a longer series is thinned there.
const MAX_ROWS: usize = 300;

/// One series. Points are sorted by their first number; two points with the same first number are a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub technique: Option<Technique>,
    /// Abbreviation of the technique, or a few letters.
    pub label: String,
    pub points: Vec<(f64, f64)>,
}

/// A moment or a time marked behind the series, such as a fault.
#[derive(Clone, Debug, PartialEq)]
pub struct Flag {
    pub from: f64,
    /// End of the time; equal to `from` for a moment.
    pub to: f64,
    pub label: String,
}

impl Line {
    pub fn of(technique: Technique, points: Vec<(f64, f64)>) -> Self {
        Self { technique: Some(technique), label: technique.code().to_owned(), points }
    }
}

/// Returns the lines that are visible and have points.
pub(crate) fn shown(lines: &[Line], frame: Frame) -> Vec<&Line> {
    lines.iter().filter(|line| frame.shows(line.technique) && !line.points.is_empty()).collect()
}

/// Returns the least and the greatest value; on a log scale, values that are not above zero don't count.
pub(crate) fn extent(lines: &[&Line], kind: Kind, of: fn(&(f64, f64)) -> f64) -> (f64, f64) {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for point in lines.iter().flat_map(|line| &line.points) {
        let value = of(point);
        if kind == Kind::Linear || value > 0.0 {
            low = low.min(value);
            high = high.max(value);
        }
    }
    if low <= high { (low, high) } else { (1.0, 1.0) }
}

/// Returns every first number of every line once, sorted, with its pixel.
pub(crate) fn stops(lines: &[&Line], x: Scale) -> Vec<(f64, f64)> {
    firsts(lines).into_iter().map(|value| (x.px(value), value)).collect()
}

fn firsts(lines: &[&Line]) -> Vec<f64> {
    let mut values: Vec<f64> =
        lines.iter().flat_map(|line| line.points.iter().map(|point| point.0)).collect();
    values.sort_unstable_by(f64::total_cmp);
    values.dedup();
    values
}

/// Returns the value of each line at `x`, straight from point to point as the line is drawn.
pub(crate) fn rows(lines: &[&Line], unit: Unit, kinds: (Kind, Kind), x: f64) -> Vec<Row> {
    let row = |line: &&Line| {
        let value = value_at(&line.points, x, kinds)?;
        Some(Row { technique: line.technique, label: line.label.clone(), value: unit.show(value) })
    };
    lines.iter().filter_map(row).collect()
}

/// Returns a table with a row for each first number and a column for each line.
pub(crate) fn table(lines: &[&Line], x: Side, unit: Unit, kind: Kind) -> Table {
    let values = firsts(lines);
    let step = values.len().div_ceil(MAX_ROWS).max(1);
    let row = |at: &f64| {
        let cell = |line: &&Line| {
            let value = value_at(&line.points, *at, (x.kind, kind));
            value.map_or_else(|| "–".to_owned(), |value| unit.show(value))
        };
        std::iter::once(x.unit.show(*at)).chain(lines.iter().map(cell)).collect::<Vec<String>>()
    };
    let note = match step {
        1 => String::new(),
        step => format!("One in {step} of {} moments; the export has all of them.", values.len()),
    };
    Table {
        heads: std::iter::once(x.name.to_owned()).chain(labels(lines)).collect(),
        rows: values.iter().step_by(step).map(row).collect(),
        note,
    }
}

/// Adds the labels under the axis; a label that would touch the one before is left out.
pub(crate) fn bottom_axis(group: &mut Group, ticks: &[(f64, String)], y: f64, width: f64) {
    let mut free = f64::NEG_INFINITY;
    for (x, label) in ticks {
        let half = count(label.chars().count()) * CHARACTER / 2.0;
        let (anchor, left) = match *x {
            x if x + half > width => (Anchor::End, x - half * 2.0),
            x if x < half => (Anchor::Start, x),
            x => (Anchor::Middle, x - half),
        };
        if left >= free {
            group.text(Look::Tick, anchor, (*x, y), label.clone());
            free = left + half * 2.0 + 6.0;
        }
    }
}

/// Returns the flags between `top` and `bottom`, with their names at the top as far as there is room.
pub(crate) fn flags(flags: &[Flag], x: Scale, (top, bottom): (f64, f64), right: f64) -> Group {
    let mut group = Group::of(None);
    let mut free = 0.0;
    for flag in flags {
        let (from, to) = (x.px(flag.from), x.px(flag.to));
        if to > from + 1.0 {
            group.path(Look::FaultHatch, hatch((from, top), (to - from, bottom - top), 6.0));
        }
        group.path(Look::Fault, down(from, top, bottom));
        let width = count(flag.label.chars().count()) * CHARACTER;
        let is_wide = from + 5.0 + width > right;
        let (anchor, at) = if is_wide { (Anchor::End, from - 5.0) } else { (Anchor::Start, from + 5.0) };
        let left = if is_wide { at - width } else { at };
        if left >= free {
            group.text(Look::FaultText, anchor, (at, top + 9.0), flag.label.clone());
            free = left + width + 6.0;
        }
    }
    group
}

/// Returns the width of the widest text, in pixels.
pub(crate) fn widest(texts: &[String]) -> f64 {
    count(texts.iter().map(|text| text.chars().count()).max().unwrap_or(0)) * CHARACTER
}

/// Returns the names of the lines.
pub(crate) fn labels(lines: &[&Line]) -> Vec<String> {
    lines.iter().map(|line| line.label.clone()).collect()
}

/// Returns the grid lines behind the series.
pub(crate) fn grid(ticks_x: &[f64], ticks_y: &[f64], x: Scale, y: Scale) -> Group {
    let mut group = Group::of(None);
    let ((left, right), (bottom, top)) = (x.ends(), y.ends());
    for tick in ticks_y {
        group.path(Look::Grid, across(left, right, y.px(*tick)));
    }
    for tick in ticks_x {
        group.path(Look::Grid, down(x.px(*tick), top, bottom));
    }
    group
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(technique: Technique, points: &[(f64, f64)]) -> Line {
        Line::of(technique, points.to_vec())
    }

    #[test]
    fn a_reading_is_what_is_drawn_and_nothing_outside_of_the_series() {
        let sse = line(Technique::Sse, &[(1.0, 10.0), (2.0, 20.0)]);
        let read = |x| rows(&[&sse], Unit::Milliseconds, (Kind::Linear, Kind::Linear), x);
        let values = [0.9, 1.0, 1.5, 2.0, 2.1].map(|x| read(x).first().map(|row| row.value.clone()));
        let values = values.each_ref().map(|value| value.as_deref().unwrap_or("–"));
        assert_eq!(values, ["–", "10 ms", "15 ms", "20 ms", "–"]);
    }

    #[test]
    fn a_table_has_every_moment_once_and_says_when_it_leaves_some_out() {
        let one = line(Technique::Sse, &[(1.0, 10.0), (2.0, 20.0)]);
        let other = line(Technique::Websocket, &[(2.0, 3.0), (3.0, 4.0)]);
        let side = Side { name: "time", unit: Unit::Seconds, kind: Kind::Linear, span: None };
        let table = super::table(&[&one, &other], side, Unit::Milliseconds, Kind::Linear);
        assert_eq!(table.heads, ["time", "SSE", "WS"]);
        assert_eq!(table.rows[0], ["1.0 s", "10 ms", "–"]);
        assert_eq!(table.rows[1], ["2.0 s", "20 ms", "3.0 ms"]);
        assert_eq!((table.rows.len(), table.note.as_str()), (3, ""));
        let points: Vec<(f64, f64)> = (0_u32..900).map(|at| (f64::from(at), 1.0)).collect();
        let long = super::table(&[&line(Technique::Sse, &points)], side, Unit::Milliseconds, Kind::Linear);
        assert_eq!(long.rows.len(), 300);
        assert!(long.note.starts_with("One in 3 of 900"), "{}", long.note);
    }

    #[test]
    fn labels_of_the_axis_do_not_touch() {
        let ticks: Vec<(f64, String)> =
            (0_u32..20).map(|at| (f64::from(at) * 10.0, format!("{at} s"))).collect();
        let mut group = Group::of(None);
        bottom_axis(&mut group, &ticks, 100.0, 190.0);
        assert!((4..8).contains(&group.marks.len()), "{group:?}");
    }
}
