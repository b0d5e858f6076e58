//! The output for people: tables on standard output, progress on standard error.

use std::io::{self, Write as _};

/// A table of text cells. The first row is the head.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    /// Number of columns from the left that hold words and are aligned left. The others hold numbers and are aligned
    /// right.
    words: usize,
}

impl Table {
    /// Creates a table with this head, in which the first `words` columns hold words.
    pub(crate) fn new(head: &[&str], words: usize) -> Self {
        Self { rows: vec![head.iter().map(|cell| (*cell).to_owned()).collect()], words }
    }

    /// Adds a row at the end.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Prints the table to standard output.
    ///
    /// # Errors
    /// If standard output is closed.
    pub(crate) fn print(&self) -> io::Result<()> {
        io::stdout().lock().write_all(self.text().as_bytes())
    }

    fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let longest = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(longest).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let room = " ".repeat(width - cell.chars().count());
                let (before, after) =
                    if column < self.words { ("", room.as_str()) } else { (room.as_str(), "") };
                line.extend([before, cell, after, "  "]);
            }
            text.extend([line.trim_end(), "\n"]);
        }
        text
    }
}

/// Writes a line to standard output.
///
/// # Errors
/// If standard output is closed.
pub(crate) fn line(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Writes a line to standard error, for the person who waits.
pub(crate) fn say(text: &str) {
    // An error means that nobody reads standard error, which is no reason to stop measuring.
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// Formats a number with as many digits as the measurements here justify.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        size if size > 0.0 => format!("{value:.4}"),
        _ => "0".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_begin_at_the_left_and_numbers_end_at_the_right() {
        let mut table = Table::new(&["what", "µs"], 1);
        table.row(vec!["x".to_owned(), figure(1234.6)]);
        table.row(vec!["longer".to_owned(), figure(0.05)]);
        assert_eq!(table.text(), "what        µs\nx         1235\nlonger  0.0500\n");
    }

    #[test]
    fn a_figure_keeps_three_digits() {
        for (value, expected) in
            [(0.0, "0"), (0.1234, "0.1234"), (6.96, "6.96"), (18.86, "18.9"), (606.4, "606")]
        {
            assert_eq!(figure(value), expected);
        }
    }
}
