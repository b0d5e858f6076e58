//! Lines on two scales: percentiles, rates over time, costs.

use super::{
    Drawing, Frame, Reading, Row, Table,
    count::count,
    mark::{Anchor, Group, Look, circle, diamond, down, polyline},
    place::{crossings, order, spread, thinned, value_at},
    scale::{Kind, Scale, Side},
    series::{Flag, Line, bottom_axis, extent, flags, grid, labels, rows, shown, stops, table, widest},
    spoken,
};

/// Upper edge of the plot, in CSS pixels.
const TOP: f64 = 8.0;
/// Lower edge of the plot.
const BOTTOM: f64 = 190.0;
/// Lower edge of the plot in a chart with a marker.
const SMALL_BOTTOM: f64 = 108.0;
/// Distance from the plot to the base line of the axis labels.
const AXIS: f64 = 16.0;
/// Distance from line to line in the list under the plot.
const LINE_HEIGHT: f64 = 16.0;
/// Least distance between the labels at the lines' ends.
const LABEL_GAP: f64 = 13.0;

/// A chart of lines, with their values at their ends. With a marker the chart is a small multiple: it has no labels at
/// the left and the right; the values at the marker are listed under it, greatest first, and then the points where
/// lines cross.
#[derive(Clone, Debug, PartialEq)]
pub struct LineChart {
    pub x: Side,
    pub y: Side,
    pub lines: Vec<Line>,
    pub flags: Vec<Flag>,
    /// Value of `x` at which the lines are read off.
    pub marker: Option<f64>,
}

/// The chart laid out in a frame.
struct Plot<'a> {
    lines: Vec<&'a Line>,
    x: Scale,
    y: Scale,
    ticks_y: Vec<f64>,
    /// X coordinates at which the labels at the right begin: names, and values.
    labels: (f64, f64),
}

impl LineChart {
    fn plot(&self, frame: Frame) -> Option<Plot<'_>> {
        let lines = shown(&self.lines, frame);
        if lines.is_empty() {
            return None;
        }
        let (bottom, most) = if self.marker.is_some() { (SMALL_BOTTOM, 5) } else { (BOTTOM, 8) };
        let y = self.y.scale(extent(&lines, self.y.kind, |point| point.1), bottom, TOP);
        let ticks_y = y.ticks(self.y.unit, most);
        let code = widest(&labels(&lines)) + 8.0;
        let (left, right) = if self.marker.is_some() {
            (6.0, 6.0)
        } else {
            let ends: Vec<String> = lines.iter().map(|line| self.end(line)).collect();
            let ticks: Vec<String> = ticks_y.iter().map(|tick| self.y.unit.tick(*tick)).collect();
            (widest(&ticks) + 8.0, 7.0 + code + widest(&ends))
        };
        let end = (frame.width - right).max(left + 20.0);
        let x = self.x.scale(extent(&lines, self.x.kind, |point| point.0), left, end);
        Some(Plot { lines, x, y, ticks_y, labels: (end + 7.0, end + 7.0 + code) })
    }

    /// Returns the value at a line's end, as text.
    fn end(&self, line: &Line) -> String {
        line.points.last().map_or_else(String::new, |point| self.y.unit.show(point.1))
    }

    const fn kinds(&self) -> (Kind, Kind) {
        (self.x.kind, self.y.kind)
    }

    /// Returns each pair of lines with each point where they cross.
    fn crossings<'a>(&self, lines: &[&'a Line]) -> Vec<(&'a Line, &'a Line, (f64, f64))> {
        let mut found = Vec::new();
        for (at, one) in lines.iter().enumerate() {
            for other in &lines[at + 1..] {
                let places = crossings(&one.points, &other.points, self.kinds());
                found.extend(places.into_iter().map(|place| (*one, *other, place)));
            }
        }
        found
    }

    /// Returns the lines with their values at the marker, greatest first.
    fn ranked<'a>(&self, lines: &[&'a Line], marker: f64) -> Vec<(&'a Line, f64)> {
        let at = |line: &&'a Line| value_at(&line.points, marker, self.kinds()).map(|value| (*line, value));
        let values: Vec<(&Line, f64)> = lines.iter().filter_map(at).collect();
        let heights: Vec<f64> = values.iter().map(|(_, value)| -value).collect();
        order(&heights).into_iter().map(|at| values[at]).collect()
    }

    fn axes(&self, plot: &Plot<'_>, frame: Frame) -> Group {
        let (_, right) = plot.x.ends();
        let (bottom, _) = plot.y.ends();
        let ticks_x = plot.x.ticks(self.x.unit, 8);
        let mut group = grid(&ticks_x, &plot.ticks_y, plot.x, plot.y);
        if self.marker.is_none() {
            for tick in &plot.ticks_y {
                let at = (plot.x.ends().0 - 6.0, plot.y.px(*tick) + 4.0);
                group.text(Look::Tick, Anchor::End, at, self.y.unit.tick(*tick));
            }
        }
        let ticks: Vec<(f64, String)> =
            ticks_x.into_iter().map(|tick| (plot.x.px(tick), self.x.unit.tick(tick))).collect();
        let width = if self.marker.is_some() { right } else { frame.width };
        bottom_axis(&mut group, &ticks, bottom + AXIS, width);
        group
    }

    /// Returns the y coordinates of the lines' names at their right ends, moved apart.
    fn end_labels(plot: &Plot<'_>) -> Vec<f64> {
        let wanted: Vec<f64> = plot
            .lines
            .iter()
            .map(|line| line.points.last().map_or(0.0, |point| plot.y.px(point.1)))
            .collect();
        spread(&wanted, LABEL_GAP, TOP, plot.y.ends().0)
    }

    /// Adds the marker, the values at the marker, and the crossings.
    fn marked(&self, plot: &Plot<'_>, marker: f64, groups: &mut Vec<Group>) {
        let (bottom, top) = plot.y.ends();
        let (left, right) = plot.x.ends();
        let mut own = Group::of(None);
        own.path(Look::Cursor, down(plot.x.px(marker), top - 4.0, bottom));
        let ranked = self.ranked(&plot.lines, marker);
        let mut foot = bottom + AXIS + 2.0;
        let mut values = Vec::new();
        for (line, value) in ranked {
            foot += LINE_HEIGHT;
            let mut group = Group::of(line.technique);
            group.path(Look::Dot, circle((plot.x.px(marker), plot.y.px(value)), 3.4));
            group.text(Look::Code, Anchor::Start, (left, foot), line.label.clone());
            values.push(group);
            own.text(Look::Strong, Anchor::End, (right, foot), self.y.unit.show(value));
        }
        for (one, other, (x, y)) in self.crossings(&plot.lines) {
            foot += LINE_HEIGHT;
            own.path(Look::Crossing, diamond((plot.x.px(x), plot.y.px(y)), 4.0));
            own.path(Look::Crossing, diamond((left + 4.0, foot - 4.0), 4.0));
            let text = format!("{} and {} cross at {}", one.label, other.label, self.x.unit.show(x));
            own.text(Look::Caption, Anchor::Start, (left + 13.0, foot), text);
        }
        groups.push(own);
        groups.extend(values);
    }
}

impl Drawing for LineChart {
    fn height(&self, frame: Frame) -> f64 {
        if self.marker.is_none() {
            return BOTTOM + AXIS + 12.0;
        }
        let lines = shown(&self.lines, frame);
        let rows = lines.len() + self.crossings(&lines).len();
        SMALL_BOTTOM + AXIS + 8.0 + LINE_HEIGHT * count(rows)
    }

    fn groups(&self, frame: Frame) -> Vec<Group> {
        let Some(plot) = self.plot(frame) else { return Vec::new() };
        let (left, right) = plot.x.ends();
        let (bottom, top) = plot.y.ends();
        let mut groups = vec![self.axes(&plot, frame), flags(&self.flags, plot.x, (top, bottom), right)];
        let places = Self::end_labels(&plot);
        for (line, y) in plot.lines.iter().zip(places) {
            let mut group = Group::of(line.technique);
            let points = line.points.iter().map(|point| (plot.x.px(point.0), plot.y.px(point.1))).collect();
            group.path(Look::Line, polyline(&thinned(points, right - left)));
            if self.marker.is_none() {
                let (code, value) = plot.labels;
                group.text(Look::Code, Anchor::Start, (code, y + 4.0), line.label.clone());
                group.text(Look::Value, Anchor::Start, (value, y + 4.0), self.end(line));
            }
            groups.push(group);
        }
        if let Some(marker) = self.marker {
            self.marked(&plot, marker, &mut groups);
        }
        groups
    }

    fn stops(&self, frame: Frame) -> Vec<(f64, f64)> {
        self.plot(frame).map_or_else(Vec::new, |plot| stops(&plot.lines, plot.x))
    }

    fn reading(&self, frame: Frame, stop: usize) -> Option<Reading> {
        let plot = self.plot(frame)?;
        let (x, value) = *stops(&plot.lines, plot.x).get(stop)?;
        let (bottom, top) = plot.y.ends();
        let mut cursor = Group::of(None);
        cursor.path(Look::Cursor, down(x, top, bottom));
        let mut groups = vec![cursor];
        for line in &plot.lines {
            if let Some(height) = value_at(&line.points, value, self.kinds()) {
                let mut group = Group::of(line.technique);
                group.path(Look::Dot, circle((x, plot.y.px(height)), 3.4));
                groups.push(group);
            }
        }
        let rows = rows(&plot.lines, self.y.unit, self.kinds(), value);
        Some(Reading { x, y: top, title: self.x.say(value), rows, groups })
    }

    fn table(&self, frame: Frame) -> Table {
        table(&shown(&self.lines, frame), self.x, self.y.unit, self.y.kind)
    }

    fn summary(&self, frame: Frame) -> String {
        let lines = shown(&self.lines, frame);
        let row =
            |line: &Line, value: String| Row { technique: line.technique, label: line.label.clone(), value };
        let rows: Vec<Row> = match self.marker {
            Some(marker) => {
                let ranked = self.ranked(&lines, marker).into_iter();
                ranked.map(|(line, value)| row(line, self.y.unit.show(value))).collect()
            }
            None => lines.iter().map(|line| row(line, self.end(line))).collect(),
        };
        let last = extent(&lines, self.x.kind, |point| point.0).1;
        format!("at {}: {}", self.x.say(self.marker.unwrap_or(last)), spoken(&rows))
    }
}
