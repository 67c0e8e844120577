//! Reads delimited text: the header, and rows weighed against it.
//!
//! Lines end with LF or CRLF, or all with CR. A quote counts only at the beginning of a field; elsewhere it is a
//! character. Empty lines are skipped, except where there is one column: there they are a NULL. A quote that is never
//! closed is the file's fault, since nobody can tell where the row was meant to end; anything else wrong is the row's.

use crate::job::Count;

use super::super::fault::{BadFile, BadRow, Place};
use super::super::lines::Asides;
use super::super::record::{Columns, Record};
use super::super::text::Text;
use super::super::{CsvLayout, Limits, Rows, Step};
use super::scan::{Scan, Scanner};

/// Rows of one delimited file.
pub(crate) struct Reader {
    scanner: Scanner,
    limits: Limits,
    asides: Asides,
    columns: Columns,
    rows: u64,
    /// The first record of a file without a header: read to count the columns, not yet handed out.
    waiting: Option<(Record, Option<&'static str>)>,
}

impl Reader {
    pub(crate) fn open(
        mut text: Text,
        layout: CsvLayout,
        asides: &Asides,
        limits: Limits,
    ) -> Result<Reader, BadFile> {
        asides.skip_head(&mut text)?;
        let mut reader = Reader {
            scanner: Scanner::new(text, layout, limits),
            limits,
            asides: asides.clone(),
            columns: Columns::default(),
            rows: 0,
            waiting: None,
        };
        let mut first = Record::new();
        if layout.header {
            // Names are short, so that what is no CSV file at all ends soon.
            let most = limits.columns.saturating_mul(limits.name).min(limits.row);
            match reader.scan(&mut first, most)? {
                Scan::End => return Err(BadFile::content(Place::START, "there is no header line")),
                Scan::Record(fault) => reader.take_header(&first, fault)?,
            }
        } else if let Scan::Record(fault) = reader.scan(&mut first, limits.row)? {
            for i in 1..=reader.scanner.fields {
                reader.columns.add(&format!("c{i}"));
            }
            reader.waiting = Some((first, fault));
        }
        Ok(reader)
    }

    /// Takes the names of the columns; of those that stand in no quotes blanks around them do not count, and control characters tell
    /// that this is no text.
    fn take_header(&mut self, header: &Record, fault: Option<&'static str>) -> Result<(), BadFile> {
        let place = Place {
            row: 0,
            ..header.place()
        };
        let wrong = |reason: String| Err(BadFile::content(place, format!("header: {reason}")));
        if let Some(reason) = fault {
            return wrong(reason.into());
        }
        if let Some(byte) = self.scanner.text.undecodable_since(place.byte) {
            let encoding = self.scanner.text.encoding();
            return wrong(format!(
                "bytes that are not {encoding} at byte {byte} of the file"
            ));
        }
        for field in 0..self.scanner.fields {
            let name = header.cell(field).unwrap_or_default();
            let name = std::str::from_utf8(name).expect("decoded text is UTF-8");
            let quoted = self.scanner.quoted.contains(&field);
            let name = if quoted { name } else { name.trim() };
            let number = field + 1;
            if name.is_empty() {
                return wrong(format!("column {number} has no name"));
            }
            if !quoted && name.contains(char::is_control) {
                return wrong(format!(
                    "the name of column {number} holds a control character"
                ));
            }
            if name.len() > self.limits.name {
                let most = self.limits.name;
                return wrong(format!(
                    "the name of column {number} is longer than {most} bytes"
                ));
            }
            if self.columns.find(name, field).is_some() {
                return wrong(format!("the column {name} stands twice"));
            }
            self.columns.add(name);
        }
        Ok(())
    }

    /// Reads the next record, comments before it passed over.
    fn scan(&mut self, record: &mut Record, most: usize) -> Result<Scan, BadFile> {
        let text = &mut self.scanner.text;
        text.count_newlines();
        self.asides
            .skip_comments(text)
            .map_err(|e| BadFile::reading(Place::START, e))?;
        let begin = Place {
            row: self.rows + 1,
            line: text.line(),
            byte: text.offset(),
        };
        self.scanner.scan(record, begin, most)
    }

    /// Weighs a record against the header.
    fn judge(&mut self, record: &Record, fault: Option<&'static str>) -> Step {
        self.rows += 1;
        let begin = record.place();
        let width = self.columns.names().len();
        let reason = if let Some(byte) = self.scanner.text.undecodable_since(begin.byte) {
            let encoding = self.scanner.text.encoding();
            format!("bytes that are not {encoding} at byte {byte} of the file")
        } else if let Some(reason) = fault {
            reason.to_owned()
        } else if self.scanner.fields != width {
            format!(
                "{} where there are {}",
                Count(self.scanner.fields as u64, "field"),
                Count(width as u64, "column")
            )
        } else {
            return Step::Row;
        };
        let bad = BadRow::new(begin, reason).with_text(self.scanner.line(begin));
        Step::Bad(Box::new(bad))
    }
}

impl Rows for Reader {
    fn columns(&self) -> &[String] {
        self.columns.names()
    }

    fn read(&mut self, record: &mut Record) -> Result<Step, BadFile> {
        if let Some((first, fault)) = self.waiting.take() {
            *record = first;
            return Ok(self.judge(record, fault));
        }
        loop {
            let fault = match self.scan(record, self.limits.row)? {
                Scan::End => return Ok(Step::End),
                Scan::Record(fault) => fault,
            };
            let blank = self.scanner.fields == 1 && record.cell(0).is_none();
            if !blank || self.columns.names().len() == 1 {
                return Ok(self.judge(record, fault));
            }
        }
    }

    fn place(&self) -> Place {
        Place {
            row: self.rows,
            line: self.scanner.text.line(),
            byte: self.scanner.text.offset(),
        }
    }
}
