//! Marks: paths and texts in CSS pixels, each with its meaning instead of a colour.
//!
//! Coordinates have one decimal at most and are formatted from whole numbers.

use fourways_shared::Technique;

/// Meaning of a mark. The page has a class for each, and an export has attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Grid,
    /// The base line of a strip.
    Base,
    /// A series, in its technique's stroke pattern.
    Line,
    /// The area under a series.
    Area,
    /// The thin upper edge of an area.
    Edge,
    /// A value at the chart cursor or the marker.
    Dot,
    /// The first part of a bar.
    Solid,
    /// The third part of a bar.
    Tint,
    /// The ground under a hatch.
    Back,
    /// The hatch of a bar's second part.
    Hatch,
    /// The ground under the hatch of a bar's fourth part.
    EmptyBack,
    /// The hatch of a bar's fourth part, for polls that brought nothing.
    EmptyHatch,
    /// The chart cursor, and the marker.
    Cursor,
    /// A point where two lines cross.
    Crossing,
    /// The beginning of a fault.
    Fault,
    /// The duration of a fault.
    FaultHatch,
    /// A label of an axis.
    Tick,
    /// The abbreviation of a technique.
    Code,
    /// A value in its technique's colour.
    Value,
    /// A value that stands out.
    Strong,
    Caption,
    FaultText,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Mark {
    /// A path; `d` is the path data of SVG.
    Path {
        look: Look,
        d: String,
    },
    Text {
        look: Look,
        anchor: Anchor,
        x: f64,
        y: f64,
        text: String,
    },
}

/// Marks of one technique, or of none.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    pub technique: Option<Technique>,
    pub marks: Vec<Mark>,
}

impl Look {
    /// Returns the mark's class on the page.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Grid => "m-grid",
            Self::Base => "m-base",
            Self::Line => "m-line",
            Self::Area => "m-area",
            Self::Edge => "m-edge",
            Self::Dot => "m-dot",
            Self::Solid => "m-solid",
            Self::Tint => "m-tint",
            Self::Back => "m-back",
            Self::Hatch => "m-hatch",
            Self::EmptyBack => "m-empty-back",
            Self::EmptyHatch => "m-empty-hatch",
            Self::Cursor => "m-cursor",
            Self::Crossing => "m-crossing",
            Self::Fault => "m-fault",
            Self::FaultHatch => "m-fault-hatch",
            Self::Tick => "t-tick",
            Self::Code => "t-code",
            Self::Value => "t-value",
            Self::Strong => "t-strong",
            Self::Caption => "t-caption",
            Self::FaultText => "t-fault",
        }
    }
}

impl Anchor {
    /// Returns the value of the attribute `text-anchor` in SVG.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

impl Group {
    pub const fn of(technique: Option<Technique>) -> Self {
        Self { technique, marks: Vec::new() }
    }

    pub fn path(&mut self, look: Look, d: String) {
        self.marks.push(Mark::Path { look, d });
    }

    pub fn text(&mut self, look: Look, anchor: Anchor, (x, y): (f64, f64), text: String) {
        self.marks.push(Mark::Text { look, anchor, x, y, text });
    }
}

/// Formats a coordinate with one decimal at most.
#[expect(clippy::cast_possible_truncation, reason = "a chart is far smaller than 2^31 tenths of a pixel")]
pub fn number(value: f64) -> String {
    let tenths = (value * 10.0).round() as i32;
    let sign = if tenths < 0 { "-" } else { "" };
    let tenths = tenths.unsigned_abs();
    match tenths % 10 {
        0 => format!("{sign}{}", tenths / 10),
        rest => format!("{sign}{}.{rest}", tenths / 10),
    }
}

/// Formats path data from commands and their numbers.
fn path(commands: &[(char, &[f64])]) -> String {
    let mut d = String::new();
    for (command, numbers) in commands {
        d.push(*command);
        for (at, value) in numbers.iter().enumerate() {
            d += if at == 0 { "" } else { " " };
            d += &number(*value);
        }
    }
    d
}

/// Returns a path from point to point.
pub(crate) fn polyline(points: &[(f64, f64)]) -> String {
    let mut d = String::new();
    for (at, (x, y)) in points.iter().enumerate() {
        d += &path(&[(if at == 0 { 'M' } else { 'L' }, &[*x, *y])]);
    }
    d
}

/// Returns the outline of the area between a line and the floor at `y`.
pub(crate) fn area(points: &[(f64, f64)], y: f64) -> String {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return String::new() };
    let lid = polyline(points).replacen('M', "L", 1);
    path(&[('M', &[first.0, y])]) + &lid + &path(&[('L', &[last.0, y]), ('Z', &[])])
}

/// Returns a horizontal line.
pub(crate) fn across(from: f64, to: f64, y: f64) -> String {
    path(&[('M', &[from, y]), ('H', &[to])])
}

/// Returns a vertical line.
pub(crate) fn down(x: f64, from: f64, to: f64) -> String {
    path(&[('M', &[x, from]), ('V', &[to])])
}

pub(crate) fn rect((x, y): (f64, f64), (width, height): (f64, f64)) -> String {
    path(&[('M', &[x, y]), ('h', &[width]), ('v', &[height]), ('h', &[-width]), ('Z', &[])])
}

pub(crate) fn circle((x, y): (f64, f64), r: f64) -> String {
    let turn: &[f64] = &[r, r, 0.0, 1.0, 0.0, 2.0 * r, 0.0];
    path(&[('M', &[x - r, y]), ('a', turn), ('a', &[r, r, 0.0, 1.0, 0.0, -2.0 * r, 0.0]), ('Z', &[])])
}

pub(crate) fn diamond((x, y): (f64, f64), r: f64) -> String {
    path(&[('M', &[x, y - r]), ('l', &[r, r]), ('l', &[-r, r]), ('l', &[-r, -r]), ('Z', &[])])
}

/// Returns slanted lines inside a box. A pattern would need a name that is unique on the page, and would be lost in an
/// export.
pub(crate) fn hatch((x, y): (f64, f64), (width, height): (f64, f64), step: f64) -> String {
    let mut d = String::new();
    let mut start = -height + step;
    while start < width {
        let (from, to) = ((-start).max(0.0), height.min(width - start));
        if to > from {
            let foot = (x + start, y + height);
            d += &path(&[('M', &[foot.0 + from, foot.1 - from]), ('L', &[foot.0 + to, foot.1 - to])]);
        }
        start += step;
    }
    d
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_have_one_decimal_at_most() {
        let numbers = [0.0, -0.04, 12.0, 12.34, -3.06, 1234.96, f64::NAN].map(number);
        assert_eq!(numbers, ["0", "0", "12", "12.3", "-3.1", "1235", "0"]);
    }

    #[test]
    fn paths_are_written_as_svg_reads_them() {
        assert_eq!(polyline(&[(1.0, 2.0), (3.5, -4.25)]), "M1 2L3.5 -4.3");
        assert_eq!(area(&[(1.0, 2.0), (3.0, 4.0)], 9.0), "M1 9L1 2L3 4L3 9Z");
        assert_eq!(rect((1.0, 2.0), (3.0, 4.0)), "M1 2h3v4h-3Z");
        assert_eq!([polyline(&[]), area(&[], 1.0)], ["", ""]);
        assert_eq!([across(1.0, 5.0, 2.0), down(1.0, 5.0, 2.0)], ["M1 2H5", "M1 5V2"]);
        assert_eq!(diamond((5.0, 5.0), 2.0), "M5 3l2 2l-2 2l-2 -2Z");
        assert!(circle((5.0, 5.0), 2.0).starts_with("M3 5a2 2 0 1 0 4 0a"));
    }

    #[test]
    fn a_hatch_stays_in_its_box() {
        for (width, height) in [(0.5, 20.0), (3.0, 20.0), (100.0, 20.0), (40.0, 4.0)] {
            let d = hatch((10.0, 30.0), (width, height), 5.0);
            for pair in d.split(['M', 'L']).filter(|pair| !pair.is_empty()) {
                let (x, y) = pair.split_once(' ').unwrap();
                let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                assert!((9.9..=10.1 + width).contains(&x), "{d}");
                assert!((29.9..=30.1 + height).contains(&y), "{d}");
            }
        }
    }
}
