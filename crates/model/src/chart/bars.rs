//! Bars: the composition of an amount, one bar for each technique.

use fourways_shared::Technique;

use super::{
    Drawing, Frame, Reading, Row, Table,
    count::count,
    mark::{Anchor, Group, Look, hatch, rect},
    series::{CHARACTER, widest},
    spoken,
    unit::Unit,
};

/// Distance from bar to bar, in CSS pixels.
const ROW: f64 = 34.0;
/// Height of a bar.
const BAR: f64 = 21.0;
/// Space above the first bar.
const TOP: f64 = 4.0;
/// Gap between the parts of a bar.
const SEAM: f64 = 0.75;
/// Height of a row of the key under the bars.
const KEY_ROW: f64 = 18.0;
/// Width and height of a swatch in the key.
const SWATCH: (f64, f64) = (22.0, 10.0);

/// The amounts of one technique.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    pub technique: Technique,
    /// Amounts in the order of [`Bars::parts`]; those without a name are 0.
    pub parts: [f64; 4],
}

/// A bar for each technique, and a key to the parts of the bars.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    pub unit: Unit,
    /// Names of the parts, four at most.
    pub parts: &'static [&'static str],
    pub bars: Vec<Bar>,
}

impl Bar {
    fn total(&self) -> f64 {
        self.parts.iter().sum()
    }
}

impl Bars {
    fn shown(&self, frame: Frame) -> Vec<Bar> {
        self.bars.iter().copied().filter(|bar| frame.shows(Some(bar.technique))).collect()
    }

    /// Returns the x coordinate at which the bars begin, and the pixels for one of the unit.
    fn scale(&self, bars: &[Bar], frame: Frame) -> (f64, f64) {
        let totals: Vec<String> = bars.iter().map(|bar| self.unit.show(bar.total())).collect();
        let left = 3.0 * CHARACTER + 12.0;
        let room = (frame.width - left - widest(&totals) - 8.0).max(20.0);
        let most = bars.iter().fold(0.0, |most: f64, bar| most.max(bar.total()));
        (left, if most > 0.0 { room / most } else { 0.0 })
    }

    fn bar(&self, bar: &Bar, (left, scale): (f64, f64), top: f64) -> Group {
        let mut group = Group::of(Some(bar.technique));
        group.text(Look::Code, Anchor::Start, (0.0, top + 15.0), bar.technique.code().to_owned());
        let mut x = left;
        for (part, amount) in bar.parts.into_iter().enumerate() {
            let width = amount.max(0.0) * scale;
            // A part is visible even if it is one byte of a thousand.
            if width > 0.0 {
                fill(&mut group, part, (x, top), ((width - SEAM).max(1.0), BAR));
            }
            x += width;
        }
        group.text(Look::Strong, Anchor::Start, (x + 7.0, top + 15.0), self.unit.show(bar.total()));
        group
    }

    fn rows(&self, bar: &Bar) -> Vec<Row> {
        let row = |label: &str, value| Row {
            technique: None,
            label: label.to_owned(),
            value: self.unit.show(value),
        };
        let mut rows: Vec<Row> =
            self.parts.iter().zip(bar.parts).map(|(label, value)| row(label, value)).collect();
        rows.push(row("total", bar.total()));
        rows
    }
}

fn fill(group: &mut Group, part: usize, at: (f64, f64), size: (f64, f64)) {
    match part {
        0 => group.path(Look::Solid, rect(at, size)),
        1 => {
            group.path(Look::Back, rect(at, size));
            group.path(Look::Hatch, hatch(at, size, 4.0));
        }
        2 => group.path(Look::Tint, rect(at, size)),
        _ => {
            group.path(Look::EmptyBack, rect(at, size));
            group.path(Look::EmptyHatch, hatch(at, size, 5.0));
        }
    }
}

/// Returns the places of the swatches in the key, in as many rows as the width requires, and the lower edge of the last
/// row.
fn key_places(names: &[&str], width: f64, top: f64) -> (Vec<(f64, f64)>, f64) {
    let (mut x, mut y) = (0.0, top);
    let mut places = Vec::with_capacity(names.len());
    for name in names {
        let wide = SWATCH.0 + 6.0 + count(name.len()) * CHARACTER;
        if x > 0.0 && x + wide > width {
            (x, y) = (0.0, y + KEY_ROW);
        }
        places.push((x, y));
        x += wide + 10.0;
    }
    (places, y + KEY_ROW)
}

fn row_top(row: usize) -> f64 {
    TOP + count(row) * ROW
}

impl Drawing for Bars {
    fn height(&self, frame: Frame) -> f64 {
        key_places(self.parts, frame.width, row_top(self.shown(frame).len()) + 4.0).1
    }

    fn groups(&self, frame: Frame) -> Vec<Group> {
        let bars = self.shown(frame);
        if bars.is_empty() {
            return Vec::new();
        }
        let scale = self.scale(&bars, frame);
        let rows = bars.iter().enumerate();
        let mut groups: Vec<Group> = rows.map(|(row, bar)| self.bar(bar, scale, row_top(row))).collect();
        let mut key = Group::of(None);
        let (places, _) = key_places(self.parts, frame.width, row_top(bars.len()) + 4.0);
        for (part, ((x, y), name)) in places.into_iter().zip(self.parts).enumerate() {
            fill(&mut key, part, (x, y), SWATCH);
            key.text(Look::Caption, Anchor::Start, (x + SWATCH.0 + 6.0, y + 9.0), (*name).to_owned());
        }
        groups.push(key);
        groups
    }

    fn stops(&self, frame: Frame) -> Vec<(f64, f64)> {
        (0..self.shown(frame).len()).map(|row| (row_top(row) + BAR / 2.0, count(row))).collect()
    }

    fn reading(&self, frame: Frame, stop: usize) -> Option<Reading> {
        let bars = self.shown(frame);
        let bar = bars.get(stop)?;
        let ((left, scale), top) = (self.scale(&bars, frame), row_top(stop));
        let width = bar.total() * scale;
        let mut cursor = Group::of(Some(bar.technique));
        cursor.path(Look::Cursor, rect((left - 2.0, top - 2.0), (width + 4.0, BAR + 4.0)));
        Some(Reading {
            x: left + width / 2.0,
            y: top + BAR + 4.0,
            title: bar.technique.label().to_owned(),
            rows: self.rows(bar),
            groups: vec![cursor],
        })
    }

    fn table(&self, frame: Frame) -> Table {
        let row = |bar: &Bar| {
            let values = self.rows(bar).into_iter().map(|row| row.value);
            std::iter::once(bar.technique.label().to_owned()).chain(values).collect::<Vec<String>>()
        };
        let heads = ["technique"].into_iter().chain(self.parts.iter().copied()).chain(["total"]);
        Table {
            heads: heads.map(str::to_owned).collect(),
            rows: self.shown(frame).iter().map(row).collect(),
            note: String::new(),
        }
    }

    fn summary(&self, frame: Frame) -> String {
        let row = |bar: &Bar| Row {
            technique: Some(bar.technique),
            label: String::new(),
            value: self.unit.show(bar.total()),
        };
        let rows: Vec<Row> = self.shown(frame).iter().map(row).collect();
        spoken(&rows)
    }
}
