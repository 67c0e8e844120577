//! Lines whose columns stand at fixed places, counted in characters.

use super::fault::{BadFile, BadRow, Place};
use super::lines::{Asides, Lines};
use super::record::{Columns, Record};
use super::text::Text;
use super::{Limits, Rows, Step};

/// Where a column stands in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The column's name.
    pub name: String,
    /// Its first character, counted from 1.
    pub at: usize,
    /// Its length in characters.
    pub len: usize,
}

impl Span {
    /// The first character behind it, counted from 0.
    fn end(&self) -> usize {
        (self.at - 1).saturating_add(self.len)
    }
}

/// Rows of a file of fixed columns. Blanks around a value do not count; a value of blanks alone is NULL. A line that
/// ends before a column begins is a bad row; blank lines are skipped.
pub(super) struct Reader {
    lines: Lines,
    most: usize,
    spans: Vec<Span>,
    columns: Columns,
    /// The characters at which columns begin or end, in order, counted from 0.
    borders: Vec<usize>,
    /// The byte of the line for each of them, as far as the line goes.
    bytes: Vec<usize>,
}

impl Reader {
    pub(super) fn open(
        text: Text,
        spans: &[Span],
        asides: &Asides,
        limits: Limits,
    ) -> Result<Reader, BadFile> {
        let mut columns = Columns::default();
        for span in spans {
            if span.at == 0 || span.len == 0 || columns.find(&span.name, 0).is_some() {
                let reason = format!("the column {} stands twice or has no place", span.name);
                return Err(BadFile::content(Place::START, reason));
            }
            columns.add(&span.name);
        }
        let mut borders: Vec<usize> = spans
            .iter()
            .flat_map(|span| [span.at - 1, span.end()])
            .collect();
        borders.sort_unstable();
        borders.dedup();
        Ok(Reader {
            lines: Lines::open(text, asides)?,
            most: limits.line.min(limits.row),
            spans: spans.to_vec(),
            columns,
            borders,
            bytes: Vec::new(),
        })
    }

    fn cut(&mut self, record: &mut Record) -> Result<(), (usize, String)> {
        let line = std::str::from_utf8(self.lines.line()).expect("decoded text is UTF-8");
        let length = measure(line, &self.borders, &mut self.bytes);
        for (column, span) in self.spans.iter().enumerate() {
            let place = |border: usize| {
                let at = self.borders.binary_search(&border).ok()?;
                self.bytes.get(at).copied()
            };
            let Some(from) = place(span.at - 1) else {
                return Err((column, format!("the line ends at character {length}")));
            };
            let to = place(span.end()).unwrap_or(line.len());
            let value = line[from..to].trim();
            record.open_cell();
            record.buffer().extend_from_slice(value.as_bytes());
            if value.is_empty() {
                record.close_null(column);
            } else {
                record.close_text(column);
            }
        }
        Ok(())
    }
}

/// Finds the bytes of all borders in one walk over the line; gives the line's characters up to the last of them.
fn measure(line: &str, borders: &[usize], bytes: &mut Vec<usize>) -> usize {
    bytes.clear();
    let mut length = 0;
    for (at, _) in line.char_indices() {
        match borders.get(bytes.len()) {
            None => break,
            Some(&border) if border == length => bytes.push(at),
            Some(_) => {}
        }
        length += 1;
    }
    length
}

impl Rows for Reader {
    fn columns(&self) -> &[String] {
        self.columns.names()
    }

    fn read(&mut self, record: &mut Record) -> Result<Step, BadFile> {
        let Some(begin) = self.lines.take(|_| self.most)? else {
            return Ok(Step::End);
        };
        record.restart(begin);
        let bad = |bad: BadRow, line: &[u8]| Step::Bad(Box::new(bad.with_text(line)));
        if let Some(reason) = self.lines.undecodable(begin) {
            return Ok(bad(BadRow::new(begin, reason), self.lines.line()));
        }
        Ok(match self.cut(record) {
            Ok(()) => Step::Row,
            Err((column, reason)) => {
                let row = BadRow::new(begin, reason).at(&self.spans[column].name, None);
                bad(row, self.lines.line())
            }
        })
    }

    fn place(&self) -> Place {
        self.lines.place()
    }
}

#[cfg(test)]
mod tests {
    use crate::data::{Layout, Reading, Record, Span, Step};

    #[test]
    fn cuts_by_characters() {
        let span = |name: &str, at, len| Span {
            name: name.into(),
            at,
            len,
        };
        let layout = Layout::Fixed(vec![
            span("name", 1, 4),
            span("temp", 5, 3),
            span("rest", 8, 99),
        ]);
        let input = "北京  12.5 ok\r\n\nabcd   x\nab\n";
        let mut rows = Reading::of(layout, "a.txt")
            .open(Box::new(input.as_bytes()))
            .unwrap();
        let mut record = Record::new();
        assert!(matches!(rows.read(&mut record).unwrap(), Step::Row));
        assert_eq!(record.cell(0), Some("北京".as_bytes()));
        assert_eq!(
            (record.cell(1), record.cell(2)),
            (Some(&b"12."[..]), Some(&b"5 ok"[..]))
        );
        assert!(matches!(rows.read(&mut record).unwrap(), Step::Row));
        assert_eq!((record.cell(1), record.place().line), (None, 3));
        let Step::Bad(bad) = rows.read(&mut record).unwrap() else {
            panic!("a short line")
        };
        assert_eq!((bad.column.as_deref(), bad.place.line), (Some("temp"), 4));
        assert!(matches!(rows.read(&mut record).unwrap(), Step::End));
    }
}
