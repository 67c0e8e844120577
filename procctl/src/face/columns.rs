//! Text in aligned columns under headings, cut to the width of the terminal.

use super::terminal::{Colour, Terminal};

/// Space between columns.
const GAP: usize = 2;

/// A column that is cut keeps at least so much.
const NARROWEST: usize = 16;

/// One piece of text in its colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    text: String,
    colour: Colour,
}

impl Cell {
    /// A cell in a colour. Control characters are left out: texts come from jobs.
    pub fn new(text: impl AsRef<str>, colour: Colour) -> Cell {
        let text = text.as_ref();
        Cell {
            text: text.chars().filter(|letter| !letter.is_control()).collect(),
            colour,
        }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::new(text, Colour::Plain)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::new(text, Colour::Plain)
    }
}

/// How a column behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
    /// Text that gives way first where the terminal is too narrow.
    Elastic,
}

/// Rows under headings.
#[derive(Debug, Clone)]
pub struct Columns {
    headings: Vec<(&'static str, Align)>,
    rows: Vec<Vec<Cell>>,
}

impl Columns {
    /// An empty table with these headings.
    pub fn new(headings: &[(&'static str, Align)]) -> Columns {
        Columns {
            headings: headings.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; it has as many cells as there are headings.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The whole table, each line with its end.
    pub fn render(&self, terminal: &Terminal) -> String {
        let mut widths = self.natural_widths();
        self.fit(&mut widths, terminal.width);
        let headings = self.headings.iter();
        let headings = headings.map(|(name, _)| Cell::new(name, Colour::Strong));
        let mut text = self.line(&headings.collect::<Vec<_>>(), &widths, terminal);
        for row in &self.rows {
            text.push_str(&self.line(row, &widths, terminal));
        }
        text
    }

    /// Widths at which nothing is cut.
    fn natural_widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.headings.iter().map(|(name, _)| width(name)).collect();
        for row in &self.rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(width(&cell.text));
            }
        }
        widths
    }

    /// Makes widths fit `limit`, always from the right: columns that say nothing are left out (width 0), then
    /// elastic ones are cut.
    fn fit(&self, widths: &mut [usize], limit: Option<usize>) {
        let Some(limit) = limit else { return };
        let excess = |widths: &[usize]| {
            let shown = widths.iter().filter(|width| **width > 0).count();
            (widths.iter().sum::<usize>() + GAP * shown.saturating_sub(1)).saturating_sub(limit)
        };
        for index in (0..widths.len()).rev() {
            if excess(widths) > 0 && self.says_nothing(index) {
                widths[index] = 0;
            }
        }
        for (index, (_, align)) in self.headings.iter().enumerate().rev() {
            if *align == Align::Elastic {
                let least = NARROWEST.min(widths[index]);
                widths[index] -= excess(widths).min(widths[index] - least);
            }
        }
    }

    fn says_nothing(&self, index: usize) -> bool {
        let mut cells = self.rows.iter().filter_map(|row| row.get(index));
        cells.all(|cell| matches!(cell.text.as_str(), "" | "-"))
    }

    fn line(&self, cells: &[Cell], widths: &[usize], terminal: &Terminal) -> String {
        let mut line = String::new();
        let mut used = 0;
        let last = cells.len().saturating_sub(1);
        for (index, (cell, room)) in cells.iter().zip(widths).enumerate() {
            if *room == 0 {
                continue;
            }
            let gap = if used > 0 { GAP } else { 0 };
            let left = terminal
                .width
                .map_or(usize::MAX, |width| width.saturating_sub(used + gap));
            // a stump of two letters would tell nothing
            if left < width(&cell.text).min(4) || left == 0 {
                break;
            }
            let text = cut(&cell.text, (*room).min(left));
            let padding = (*room).min(left).saturating_sub(width(&text));
            let (before, after) = match self.headings.get(index).map(|(_, align)| align) {
                Some(Align::Right) => (padding, 0),
                _ if index == last => (0, 0),
                _ => (0, padding),
            };
            line.push_str(&" ".repeat(gap + before));
            line.push_str(&terminal.paint(cell.colour, &text));
            line.push_str(&" ".repeat(after));
            used += gap + before + width(&text) + after;
        }
        line.truncate(line.trim_end_matches(' ').len());
        line.push('\n');
        line
    }
}

/// `text` in at most `room` columns; what is cut shows by an ellipsis.
pub fn cut(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for letter in text.chars() {
        used += letter_width(letter);
        if used + 1 > room {
            break;
        }
        kept.push(letter);
    }
    if room > 0 {
        kept.push('…');
    }
    kept
}

fn width(text: &str) -> usize {
    text.chars().map(letter_width).sum()
}

/// Columns that a character takes: two for those of East Asian scripts and pictures, by the wide
/// blocks of Unicode Standard Annex 11.
fn letter_width(letter: char) -> usize {
    let wide = matches!(u32::from(letter),
        0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF | 0xFE30..=0xFE6F
        | 0xFF00..=0xFF60 | 0xFFE0..=0xFFE6 | 0x1F300..=0x1FAFF | 0x20000..=0x3FFFD);
    if wide { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Columns {
        let mut columns = Columns::new(&[
            ("JOB", Align::Elastic),
            ("PID", Align::Right),
            ("LAST", Align::Elastic),
        ]);
        columns.row(vec!["weather-in".into(), "7".into(), "done".into()]);
        columns.row(vec![
            "x".into(),
            "12345".into(),
            "a\x1b[31m text 站号 that is long".into(),
        ]);
        columns
    }

    #[test]
    fn columns_are_aligned() {
        assert_eq!(
            sample().render(&Terminal::NONE),
            "JOB           PID  LAST\n\
             weather-in      7  done\n\
             x           12345  a[31m text 站号 that is long\n"
        );
    }

    #[test]
    fn columns_that_say_nothing_go_first() {
        let mut columns = Columns::new(&[
            ("JOB", Align::Elastic),
            ("ROWS", Align::Right),
            ("NOTE", Align::Elastic),
        ]);
        columns.row(vec!["a".into(), "-".into(), "twelve chars".into()]);
        let narrow = Terminal {
            width: Some(17),
            ..Terminal::NONE
        };
        assert_eq!(columns.render(&narrow), "JOB  NOTE\na    twelve chars\n");
        assert!(columns.render(&Terminal::NONE).contains("ROWS"));
    }

    #[test]
    fn nothing_is_wider_than_the_terminal() {
        for limit in 1..60 {
            let terminal = Terminal {
                width: Some(limit),
                ..Terminal::NONE
            };
            for line in sample().render(&terminal).lines() {
                assert!(width(line) <= limit, "{limit}: {line:?}");
            }
        }
    }

    #[test]
    fn cutting_shows() {
        assert_eq!(cut("weather", 7), "weather");
        assert_eq!(cut("weather", 5), "weat…");
        assert_eq!(cut("站号站号", 5), "站号…");
        assert_eq!(cut("站号站号", 4), "站…");
        assert_eq!(cut("x", 0), "");
    }
}
