//! What is inside a row of our own forms: columns with text, one after the other.

use quick_xml::events::{BytesStart, Event};

use super::super::Step;
use super::super::fault::{BadFile, BadRow, Place};
use super::super::record::Record;
use super::cell::{self, Coding, Literal};
use super::markup::Next;
use super::plain;
use super::reader::{Fault, Past, Reader, note};

/// Text that is looked at at least for the end of a row and the beginning of the next.
const SEAM: usize = 32;

impl Reader {
    /// Reads the columns of a row up to its end tag.
    pub(super) fn read_row(
        &mut self,
        record: &mut Record,
        event: &mut Vec<u8>,
        past: Past,
    ) -> Result<Step, BadFile> {
        let mut fault: Fault = None;
        if past == Past::Unmended {
            let reason = "a rejected row that has not been mended: it says mended=\"no\"";
            note(&mut fault, record, reason);
        }
        loop {
            if self.markup.skip_blank()? == Next::Text {
                note(&mut fault, record, "text between columns");
                self.markup.skip_text()?;
            }
            let before = self.markup.source().offset();
            self.take_plain(record)?;
            if self.markup.source().offset() > before {
                continue;
            }
            if self.take_seam(record)? {
                break;
            }
            match self.markup.next(event)? {
                Event::Start(tag) => {
                    let (column, coding) = self.heading(&tag, record, &mut fault)?;
                    self.read_cell(record, column, coding, event, &mut fault)?;
                }
                Event::End(_) => break,
                Event::GeneralRef(_) => note(&mut fault, record, "text between columns"),
                _ => {}
            }
        }
        if past != Past::Clean && record.is_empty() {
            note(
                &mut fault,
                record,
                "a rejected row that has not been mended: it has no columns",
            );
        }
        Ok(self.close_row(record, fault))
    }

    /// Goes on to the next row, if this one ends here and both are plain.
    fn take_seam(&mut self, record: &Record) -> Result<bool, BadFile> {
        let text = self.markup.source();
        text.ahead(SEAM)
            .map_err(|e| BadFile::reading(record.place(), e))?;
        let Some(byte) = plain::take_seam(text) else {
            return Ok(false);
        };
        self.entered = Some(Place {
            row: record.place().row + 1,
            line: text.line(),
            byte,
        });
        Ok(true)
    }

    /// Which column a start tag opens, and how its text is to be taken.
    pub(super) fn heading(
        &mut self,
        tag: &BytesStart<'_>,
        record: &Record,
        fault: &mut Fault,
    ) -> Result<(usize, Coding), BadFile> {
        let mut coding = Coding::Plain;
        let mut named = None;
        let element = tag.name();
        let element: &str = element.as_ref();
        if !tag.attributes_raw().is_empty() {
            self.markup
                .attributes(tag, |name, value| match (name, value) {
                    ("enc", "base64") => coding = Coding::Base64,
                    ("enc", _) => coding = Coding::Unknown,
                    ("xsi:nil" | "nil", "true" | "1") => coding = Coding::Nil,
                    ("name", _) if element == "field" => named = Some(value.to_owned()),
                    _ => {}
                })?;
        }
        let column = self.column(named.as_deref().unwrap_or(element), record.len())?;
        if record.has(column) && fault.is_none() {
            let bad = BadRow::new(record.place(), "the column stands twice in the row");
            *fault = Some(Box::new(bad.at(&self.columns.names()[column], None)));
        }
        Ok((column, coding))
    }

    /// Reads the text of a column up to its end tag.
    pub(super) fn read_cell(
        &mut self,
        record: &mut Record,
        column: usize,
        coding: Coding,
        event: &mut Vec<u8>,
        fault: &mut Fault,
    ) -> Result<(), BadFile> {
        let mut reason = None;
        let mut inner = 0;
        let begin = record.place();
        let limits = self.limits;
        let mut literal = Literal::default();
        record.open_cell();
        loop {
            self.markup.text(|piece, fresh| {
                literal.append(record.buffer(), piece, fresh);
                if record.opened().len() > limits.cell || record.size() > limits.row {
                    let (row, cell) = (limits.row, limits.cell);
                    let reason =
                        format!("a row is longer than {row} bytes, or a column of it than {cell}");
                    return Err(BadFile::content(begin, reason));
                }
                Ok(())
            })?;
            match self.markup.next(event)? {
                Event::Start(_) => {
                    inner += 1;
                    let name = &self.columns.names()[column];
                    let hint = if name.eq_ignore_ascii_case("row") {
                        " (rows are called <row>, in small letters)"
                    } else {
                        ""
                    };
                    reason.get_or_insert_with(|| format!("an element inside a column{hint}"));
                }
                Event::End(_) if inner == 0 => break,
                Event::End(_) => inner -= 1,
                Event::GeneralRef(reference) => {
                    if let Err(why) = cell::append_reference(record.buffer(), &reference) {
                        reason.get_or_insert(why);
                    }
                }
                _ => {}
            }
        }
        if let Err(why) = cell::close(record, column, coding) {
            reason.get_or_insert(why);
        }
        if let (Some(why), None) = (reason, &fault) {
            let bad = BadRow::new(record.place(), why)
                .at(&self.columns.names()[column], record.cell(column));
            *fault = Some(Box::new(bad));
        }
        Ok(())
    }
}
