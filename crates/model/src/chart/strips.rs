//! Strips: one row for each technique over a common time, all on one scale.

use super::{
    Drawing, Frame, Reading, Row, Table,
    count::count,
    mark::{Anchor, Group, Look, across, area, circle, down, polyline},
    place::{mean, thinned, value_at},
    scale::{Kind, Scale, Side},
    series::{Flag, Line, bottom_axis, extent, flags, labels, rows, shown, stops, table, widest},
    spoken,
    unit::Unit,
};

/// Distance from row to row, in CSS pixels.
const ROW: f64 = 46.0;
/// Height of the strip drawn in a row.
const STRIP: f64 = 34.0;
/// Distance from the foot of a row to its base line.
const FOOT: f64 = 4.0;
/// Space for the labels of the time axis.
const AXIS: f64 = 24.0;

/// Series of values from zero up, each with its mean over the time and its greatest value at the right.
#[derive(Clone, Debug, PartialEq)]
pub struct Strips {
    pub x: Side,
    pub unit: Unit,
    pub lines: Vec<Line>,
    pub flags: Vec<Flag>,
}

struct Plot<'a> {
    lines: Vec<&'a Line>,
    x: Scale,
    /// Greatest value of all rows: the full height of a strip.
    most: f64,
}

impl Strips {
    fn plot(&self, frame: Frame) -> Option<Plot<'_>> {
        let lines = shown(&self.lines, frame);
        if lines.is_empty() {
            return None;
        }
        let (means, mosts): (Vec<String>, Vec<String>) = lines.iter().map(|line| self.figures(line)).unzip();
        let left = widest(&labels(&lines)) + 12.0;
        let right = (frame.width - widest(&means).max(widest(&mosts)) - 8.0).max(left + 20.0);
        let x = self.x.scale(extent(&lines, self.x.kind, |point| point.0), left, right);
        let (_, most) = extent(&lines, Kind::Linear, |point| point.1);
        Some(Plot { lines, x, most: if most > 0.0 { most } else { 1.0 } })
    }

    /// Returns the mean and the greatest value, as shown beside a row.
    fn figures(&self, line: &Line) -> (String, String) {
        let mean = mean(&line.points).unwrap_or(0.0);
        (format!("mean {}", self.unit.show(mean)), format!("max {}", self.unit.show(greatest(line))))
    }
}

impl Plot<'_> {
    fn base(row: usize) -> f64 {
        count(row + 1) * ROW - FOOT
    }

    fn point(&self, row: usize, point: (f64, f64)) -> (f64, f64) {
        let share = (point.1 / self.most).clamp(0.0, 1.0);
        (self.x.px(point.0), Self::base(row) - STRIP * share)
    }
}

fn greatest(line: &Line) -> f64 {
    line.points.iter().fold(0.0, |most: f64, point| most.max(point.1))
}

impl Drawing for Strips {
    fn height(&self, frame: Frame) -> f64 {
        count(shown(&self.lines, frame).len()) * ROW + AXIS
    }

    fn groups(&self, frame: Frame) -> Vec<Group> {
        let Some(plot) = self.plot(frame) else { return Vec::new() };
        let (left, right) = plot.x.ends();
        let bottom = count(plot.lines.len()) * ROW;
        let mut axis = Group::of(None);
        let ticks = plot.x.ticks(self.x.unit, 6).into_iter();
        let ticks: Vec<(f64, String)> = ticks.map(|tick| (plot.x.px(tick), self.x.unit.tick(tick))).collect();
        bottom_axis(&mut axis, &ticks, bottom + 16.0, frame.width);
        let mut groups = vec![axis];
        for (row, line) in plot.lines.iter().enumerate() {
            let base = Plot::base(row);
            let points = line.points.iter().map(|point| plot.point(row, *point)).collect();
            let points = thinned(points, right - left);
            let mut group = Group::of(line.technique);
            group.path(Look::Base, across(left, right, base));
            group.path(Look::Area, area(&points, base));
            group.path(Look::Edge, polyline(&points));
            group.text(Look::Code, Anchor::Start, (0.0, base - 8.0), line.label.clone());
            let (mean, most) = self.figures(line);
            group.text(Look::Strong, Anchor::End, (frame.width, base - 14.0), mean);
            group.text(Look::Tick, Anchor::End, (frame.width, base - 1.0), most);
            groups.push(group);
        }
        groups.push(flags(&self.flags, plot.x, (0.0, bottom), right));
        groups
    }

    fn stops(&self, frame: Frame) -> Vec<(f64, f64)> {
        self.plot(frame).map_or_else(Vec::new, |plot| stops(&plot.lines, plot.x))
    }

    fn reading(&self, frame: Frame, stop: usize) -> Option<Reading> {
        let plot = self.plot(frame)?;
        let (x, value) = *stops(&plot.lines, plot.x).get(stop)?;
        let kinds = (self.x.kind, Kind::Linear);
        let mut cursor = Group::of(None);
        cursor.path(Look::Cursor, down(x, 0.0, count(plot.lines.len()) * ROW));
        let mut groups = vec![cursor];
        for (row, line) in plot.lines.iter().enumerate() {
            if let Some(height) = value_at(&line.points, value, kinds) {
                let mut group = Group::of(line.technique);
                group.path(Look::Dot, circle(plot.point(row, (value, height)), 3.0));
                groups.push(group);
            }
        }
        let rows = rows(&plot.lines, self.unit, kinds, value);
        Some(Reading { x, y: 0.0, title: self.x.say(value), rows, groups })
    }

    fn table(&self, frame: Frame) -> Table {
        table(&shown(&self.lines, frame), self.x, self.unit, Kind::Linear)
    }

    fn summary(&self, frame: Frame) -> String {
        let row = |line: &&Line| {
            let (mean, most) = self.figures(line);
            Row { technique: line.technique, label: line.label.clone(), value: format!("{mean}, {most}") }
        };
        let rows: Vec<Row> = shown(&self.lines, frame).iter().map(row).collect();
        spoken(&rows)
    }
}
