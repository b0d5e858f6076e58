//! Charts as geometry: what to draw, what lies under the cursor, and the same figures as a table.
//!
//! A chart answers with marks in CSS pixels ([`mark`]). The page emits them as nodes, an export writes them as text
//! ([`export`]), so both show the same picture. Colours are the emitter's: here is only who a mark belongs to.

use fourways_shared::Technique;

mod bars;
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

pub(crate) use bars::{Bar, Bars};
pub(crate) use export::{Inks, svg_text};
pub(crate) use lines::LineChart;
pub(crate) use mark::{Group, Look, Mark, number};
pub(crate) use scale::{Kind, Side};
pub(crate) use series::{Flag, Line};
pub(crate) use strips::Strips;
pub(crate) use unit::{Unit, rank};

/// A chart with its data.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Chart {
    Lines(LineChart),
    Strips(Strips),
    Bars(Bars),
}

/// The room a chart has, and who is not shown in it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Frame {
    /// In CSS pixels.
    pub(crate) width: f64,
    /// By [`Technique::index`].
    pub(crate) hidden: [bool; 4],
}

/// What every chart can be asked.
pub(crate) trait Drawing {
    /// In CSS pixels.
    fn height(&self, frame: Frame) -> f64;
    /// From the back to the front.
    fn groups(&self, frame: Frame) -> Vec<Group>;
    /// Where the cursor can stand: pixels on its way, sorted, each with the value there. None: nothing to draw.
    fn stops(&self, frame: Frame) -> Vec<(f64, f64)>;
    /// What is at a stop.
    fn reading(&self, frame: Frame, stop: usize) -> Option<Reading>;
    /// All of it in figures.
    fn table(&self, frame: Frame) -> Table;
    /// The main figures, to be read out.
    fn summary(&self, frame: Frame) -> String;
}

/// What lies under the cursor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reading {
    /// Where the cursor stands, in CSS pixels.
    pub(crate) x: f64,
    /// The upper edge of the note beside it.
    pub(crate) y: f64,
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
    /// The cursor itself.
    pub(crate) groups: Vec<Group>,
}

/// A figure and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) technique: Option<Technique>,
    pub(crate) label: String,
    pub(crate) value: String,
}

/// The first cell of each row is its heading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) heads: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
    /// What is not in it.
    pub(crate) note: String,
}

impl Chart {
    pub(crate) fn drawing(&self) -> &dyn Drawing {
        match self {
            Self::Lines(lines) => lines,
            Self::Strips(strips) => strips,
            Self::Bars(bars) => bars,
        }
    }

    /// What to draw; a word if there is nothing, and nothing where there is no room yet.
    pub(crate) fn groups(&self, frame: Frame) -> Vec<Group> {
        let mut groups = if frame.width < 1.0 { Vec::new() } else { self.drawing().groups(frame) };
        if groups.is_empty() {
            let mut group = Group::of(None);
            let text = "Nothing measured yet".to_owned();
            group.text(Look::Caption, mark::Anchor::Middle, (frame.width / 2.0, 16.0), text);
            groups.push(group);
        }
        groups
    }

    /// The stop that is nearest to a place in the chart.
    pub(crate) fn stop_at(&self, frame: Frame, x: f64, y: f64) -> Option<usize> {
        place::nearest(&self.drawing().stops(frame), if self.is_rows() { y } else { x })
    }

    /// The stop that a key leads to; `None` if it is none of the cursor's keys.
    pub(crate) fn stop_by(&self, frame: Frame, key: &str, here: Option<usize>) -> Option<usize> {
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

    /// The cursor goes from row to row.
    const fn is_rows(&self) -> bool {
        matches!(self, Self::Bars(_))
    }
}

impl Frame {
    /// What belongs to nobody is always shown.
    pub(crate) fn shows(self, technique: Option<Technique>) -> bool {
        technique.is_none_or(|technique| !self.hidden[technique.index()])
    }
}

impl Reading {
    /// One sentence, for those who hear it.
    pub(crate) fn words(&self) -> String {
        format!("{}: {}", self.title, spoken(&self.rows))
    }
}

/// Rows as a list of words.
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

/// Hides or shows a technique. The last one that is shown stays.
pub(crate) fn toggle(hidden: &mut [bool; 4], technique: Technique) {
    let mut next = *hidden;
    next[technique.index()] ^= true;
    if next != [true; 4] {
        *hidden = next;
    }
}
