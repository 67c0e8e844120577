//! Lines whose columns stand at fixed places, counted in characters.

use std::io::BufRead;

use super::fault::{BadFile, BadRow, Place};
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

/// Rows of a file of fixed columns. Blanks around a value do not count; a value of blanks alone is NULL. A line that
/// ends before a column begins is a bad row; blank lines are skipped.
pub(super) struct Reader {
    text: Text,
    limits: Limits,
    spans: Vec<Span>,
    columns: Columns,
    line: Vec<u8>,
    /// Byte offset of every character of the line, and its length at the end.
    starts: Vec<usize>,
    rows: u64,
}

impl Reader {
    pub(super) fn open(text: Text, spans: &[Span], limits: Limits) -> Result<Reader, BadFile> {
        let mut columns = Columns::default();
        for span in spans {
            if span.at == 0 || span.len == 0 || columns.find(&span.name, 0).is_some() {
                let reason = format!("the column {} stands twice or has no place", span.name);
                return Err(BadFile::content(Place::START, reason));
            }
            columns.add(&span.name);
        }
        Ok(Reader {
            text,
            limits,
            spans: spans.to_vec(),
            columns,
            line: Vec::new(),
            starts: Vec::new(),
            rows: 0,
        })
    }

    /// Takes the next line that is not blank, without its end.
    fn take_line(&mut self) -> Result<Option<Place>, BadFile> {
        loop {
            self.line.clear();
            self.text.count_newlines();
            self.text.allow(self.limits.row);
            let begin = Place {
                row: self.rows + 1,
                line: self.text.line(),
                byte: self.text.offset(),
            };
            if self
                .text
                .read_until(b'\n', &mut self.line)
                .map_err(|e| BadFile::reading(begin, e))?
                == 0
            {
                return Ok(None);
            }
            while self.line.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
                self.line.pop();
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(Some(begin));
            }
        }
    }

    fn cut(&mut self, record: &mut Record) -> Result<(), (usize, String)> {
        let line = std::str::from_utf8(&self.line).expect("decoded text is UTF-8");
        self.starts.clear();
        self.starts.extend(line.char_indices().map(|(at, _)| at));
        self.starts.push(line.len());
        let length = self.starts.len() - 1;
        for (column, span) in self.spans.iter().enumerate() {
            let from = span.at - 1;
            if from >= length {
                return Err((column, format!("the line ends at character {length}")));
            }
            let to = from.saturating_add(span.len).min(length);
            let value = line[self.starts[from]..self.starts[to]].trim();
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

impl Rows for Reader {
    fn columns(&self) -> &[String] {
        self.columns.names()
    }

    fn read(&mut self, record: &mut Record) -> Result<Step, BadFile> {
        let Some(begin) = self.take_line()? else {
            return Ok(Step::End);
        };
        self.rows += 1;
        record.restart(begin);
        if let Some(byte) = self.text.undecodable_since(begin.byte) {
            let reason = format!(
                "bytes that are not {} at byte {byte} of the file",
                self.text.encoding()
            );
            return Ok(Step::Bad(Box::new(
                BadRow::new(begin, reason).with_text(&self.line),
            )));
        }
        Ok(match self.cut(record) {
            Ok(()) => Step::Row,
            Err((column, reason)) => {
                let bad = BadRow::new(begin, reason).at(&self.spans[column].name, None);
                Step::Bad(Box::new(bad.with_text(&self.line)))
            }
        })
    }

    fn place(&self) -> Place {
        Place {
            row: self.rows,
            line: self.text.line(),
            byte: self.text.offset(),
        }
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
