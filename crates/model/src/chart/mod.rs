//! Charts as geometry: the marks to draw, the values under the chart cursor, and the same figures as a table.
//!
//! A chart returns marks in CSS pixels (`mark`). The page emits them as nodes and an export writes them as text
//! (`export`), so both show the same picture. The emitter chooses the colours: a mark only says which technique it
//! belongs to.

use fourways_shared::Technique;

mod bars;
mod count;
mod export;
mod lines;
mod mark;
mod place;
mod scale;
mod series;
mod strips;
#[cfg(test)]
mod tests;
mod unit;

pub use bars::{Bar, Bars};
pub use export::{Inks, svg_text};
pub use lines::LineChart;
pub use mark::{Group, Look, Mark, number};
pub use scale::{Kind, Side};
pub use series::{Flag, Line};
pub use strips::Strips;
pub use unit::{Unit, rank};

/// A chart with its data.
#[derive(Clone, Debug, PartialEq)]
pub enum Chart {
    Lines(LineChart),
    Strips(Strips),
    Bars(Bars),
}

/// The width that a chart has, and the techniques that are hidden in it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Frame {
    /// Width in CSS pixels.
    pub width: f64,
    /// True for each hidden technique, by [`Technique::index`].
    pub hidden: [bool; 4],
}

/// Operations of every kind of chart.
pub trait Drawing {
    /// Returns the height in CSS pixels.
    fn height(&self, frame: Frame) -> f64;
    /// Returns the marks from the back to the front; none if there is nothing to draw.
    fn groups(&self, frame: Frame) -> Vec<Group>;
    /// Returns the stops of the chart cursor: the pixels along its way, sorted, each with the value there. There are
    /// none if there is nothing to draw.
    fn stops(&self, frame: Frame) -> Vec<(f64, f64)>;
    /// Returns the values at a stop, by the index of the stop.
    fn reading(&self, frame: Frame, stop: usize) -> Option<Reading>;
    /// Returns all figures as a table.
    fn table(&self, frame: Frame) -> Table;
    /// Returns the main figures as text, to be read out.
    fn summary(&self, frame: Frame) -> String;
}

/// The values under the chart cursor.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// X coordinate of the chart cursor, in CSS pixels.
    pub x: f64,
    /// Upper edge of the note beside the chart cursor, in CSS pixels.
    pub y: f64,
    pub title: String,
    pub rows: Vec<Row>,
    /// Marks of the chart cursor itself.
    pub groups: Vec<Group>,
}

/// A figure with the technique or the part that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub technique: Option<Technique>,
    pub label: String,
    pub value: String,
}

/// Figures as a table. The first cell of each row is its heading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    pub heads: Vec<String>,
    pub rows: Vec<Vec<String>>,
    /// Note about the figures that the table leaves out; empty if it has all.
    pub note: String,
}

impl Chart {
    pub fn drawing(&self) -> &dyn Drawing {
        match self {
            Self::Lines(lines) => lines,
            Self::Strips(strips) => strips,
            Self::Bars(bars) => bars,
        }
    }

    /// Returns the marks to draw, or a short text if there is nothing to draw or no width yet.
    pub fn groups(&self, frame: Frame) -> Vec<Group> {
        let mut groups = if frame.width < 1.0 { Vec::new() } else { self.drawing().groups(frame) };
        if groups.is_empty() {
            let mut group = Group::of(None);
            let text = "Nothing measured yet".to_owned();
            group.text(Look::Caption, mark::Anchor::Middle, (frame.width / 2.0, 16.0), text);
            groups.push(group);
        }
        groups
    }

    /// Returns the stop that is nearest to a point of the chart.
    pub fn stop_at(&self, frame: Frame, x: f64, y: f64) -> Option<usize> {
        place::nearest(&self.drawing().stops(frame), if self.is_rows() { y } else { x })
    }

    /// Returns the stop to which a key moves the chart cursor; `None` if the key does not move it.
    pub fn stop_by(&self, frame: Frame, key: &str, here: Option<usize>) -> Option<usize> {
        let last = self.drawing().stops(frame).len().checked_sub(1)?;
        // A hundred presses cross the longest series.
        let (step, leap) = ((last / 100).max(1), (last / 10).max(1));
        let forth = |by: usize| here.map_or(0, |here| (here + by).min(last));
        let back = |by: usize| here.map_or(last, |here| here.min(last).saturating_sub(by));
        match key {
            "ArrowRight" => Some(forth(step)),
            "ArrowLeft" => Some(back(step)),
            "ArrowDown" if self.is_rows() => Some(forth(step)),
            "ArrowUp" if self.is_rows() => Some(back(step)),
            "PageDown" => Some(forth(leap)),
            "PageUp" => Some(back(leap)),
            "Home" => Some(0),
            "End" => Some(last),
            _ => None,
        }
    }

    /// True if the chart cursor moves from row to row.
    const fn is_rows(&self) -> bool {
        matches!(self, Self::Bars(_))
    }
}

impl Frame {
    /// True if marks of this technique are shown; marks of no technique always are.
    pub fn shows(self, technique: Option<Technique>) -> bool {
        technique.is_none_or(|technique| !self.hidden[technique.index()])
    }
}

impl Reading {
    /// Returns the reading as one sentence, to be read out.
    pub fn words(&self) -> String {
        format!("{}: {}", self.title, spoken(&self.rows))
    }
}

/// Returns rows as a list in words.
fn spoken(rows: &[Row]) -> String {
    let mut words = String::new();
    for Row { technique, label, value } in rows {
        let label = match technique {
            Some(technique) => technique.label(),
            None => label,
        };
        words.extend([if words.is_empty() { "" } else { ", " }, label, " ", value]);
    }
    words
}

/// Hides or shows a technique. The last technique that is shown stays.
pub fn toggle(hidden: &mut [bool; 4], technique: Technique) {
    let mut next = *hidden;
    next[technique.index()] ^= true;
    if next != [true; 4] {
        *hidden = next;
    }
}
