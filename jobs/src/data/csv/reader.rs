//! Reads delimited text by a small state machine over whatever piece of the file is at hand.
//!
//! Lines end with LF or CRLF. A quote counts only at the beginning of a field; elsewhere it is a character. Empty
//! lines are skipped, except where there is one column: there they are a NULL. A quote that is never closed is the
//! file's fault, since nobody can tell where the row was meant to end; anything else wrong is the row's.

use std::io::BufRead;

use crate::job::Count;

use super::super::fault::{BadFile, BadRow, Place};
use super::super::record::{Columns, Record};
use super::super::text::Text;
use super::super::{CsvLayout, Limits, Rows, Step};

/// Where in a record the next byte stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the beginning of a field.
    Start,
    Plain,
    Quoted,
    /// Behind a quote in a quoted field: its end, or the first half of a quote.
    Quote,
    /// Behind a carriage return that follows the end of a quoted field.
    QuoteReturn,
}

/// Rows of one delimited file.
pub(crate) struct Reader {
    text: Text,
    delimiter: u8,
    limits: Limits,
    columns: Columns,
    /// The record as it stands in the file.
    line: Vec<u8>,
    rows: u64,
    /// The first record of a file without a header: read to count the columns, not yet handed out.
    waiting: Option<(Record, Option<&'static str>)>,
    fields: usize,
}

impl Reader {
    pub(crate) fn open(text: Text, layout: CsvLayout, limits: Limits) -> Result<Reader, BadFile> {
        let mut reader = Reader {
            text,
            delimiter: layout.delimiter,
            limits,
            columns: Columns::default(),
            line: Vec::new(),
            rows: 0,
            waiting: None,
            fields: 0,
        };
        let mut first = Record::new();
        let fault = match reader.scan(&mut first)? {
            Scan::End if layout.header => {
                return Err(BadFile::content(Place::START, "there is no header line"));
            }
            Scan::End => return Ok(reader),
            Scan::Record(fault) => fault,
        };
        if layout.header {
            reader.take_header(&first, fault)?;
        } else {
            for i in 1..=reader.fields {
                reader.columns.add(&format!("c{i}"));
            }
            reader.waiting = Some((first, fault));
        }
        Ok(reader)
    }

    fn take_header(&mut self, header: &Record, fault: Option<&'static str>) -> Result<(), BadFile> {
        let wrong =
            |reason: String| Err(BadFile::content(Place::START, format!("header: {reason}")));
        if let Some(reason) = fault {
            return wrong(reason.into());
        }
        if let Some(byte) = self.text.undecodable_since(0) {
            return wrong(format!(
                "bytes that are not {} at byte {byte} of the file",
                self.text.encoding()
            ));
        }
        for field in 0..self.fields {
            let name = header.cell(field).unwrap_or_default();
            let name = std::str::from_utf8(name).expect("decoded text is UTF-8");
            if name.is_empty() {
                return wrong(format!("column {} has no name", field + 1));
            }
            if name.contains(char::is_control) {
                return wrong(format!(
                    "the name of column {} holds a control character; lines end with LF or CRLF, never with CR alone",
                    field + 1
                ));
            }
            if name.len() > self.limits.name {
                return wrong(format!(
                    "the name of column {} is longer than {} bytes",
                    field + 1,
                    self.limits.name
                ));
            }
            if self.columns.find(name, field).is_some() {
                return wrong(format!("the column {name} stands twice"));
            }
            self.columns.add(name);
        }
        Ok(())
    }

    /// Reads the fields of the next record, however many there are.
    fn scan(&mut self, record: &mut Record) -> Result<Scan, BadFile> {
        self.line.clear();
        self.fields = 0;
        self.text.count_newlines();
        let begin = Place {
            row: self.rows + 1,
            line: self.text.line(),
            byte: self.text.offset(),
        };
        record.restart(begin);
        record.open_cell();
        self.text.allow(self.limits.row);
        let mut state = State::Start;
        let mut fault = None;
        loop {
            let chunk = self
                .text
                .fill_buf()
                .map_err(|e| BadFile::reading(begin, e))?;
            if chunk.is_empty() {
                return self.scan_end(record, state, fault);
            }
            let mut fields = Fields {
                record,
                count: &mut self.fields,
                limit: self.limits.columns,
                delimiter: self.delimiter,
                fault: &mut fault,
            };
            let (taken, ended) = fields.take(chunk, &mut state);
            self.line.extend_from_slice(&chunk[..taken]);
            self.text.consume(taken);
            if self.fields > self.limits.columns {
                return Err(BadFile::content(
                    begin,
                    format!("more than {} fields in a row", self.limits.columns),
                ));
            }
            if ended {
                return Ok(Scan::Record(fault));
            }
        }
    }

    /// The file has ended: what was begun is the last record, unless nothing was.
    fn scan_end(
        &mut self,
        record: &mut Record,
        state: State,
        fault: Option<&'static str>,
    ) -> Result<Scan, BadFile> {
        match state {
            State::Start if self.fields == 0 => return Ok(Scan::End),
            State::Quoted => {
                return Err(BadFile::content(
                    record.place(),
                    "the file ends inside quotes",
                ));
            }
            State::Start => record.close_null(self.fields),
            State::Plain => {
                if record.opened().last() == Some(&b'\r') {
                    record.buffer().pop();
                }
                record.close_text(self.fields);
            }
            State::Quote | State::QuoteReturn => record.close_text(self.fields),
        }
        self.fields += 1;
        Ok(Scan::Record(fault))
    }

    /// Weighs a record against the header.
    fn judge(&mut self, record: &Record, fault: Option<&'static str>) -> Step {
        self.rows += 1;
        let begin = record.place();
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let width = self.columns.names().len();
        let reason = if let Some(byte) = self.text.undecodable_since(begin.byte) {
            format!(
                "bytes that are not {} at byte {byte} of the file",
                self.text.encoding()
            )
        } else if let Some(reason) = fault {
            reason.to_owned()
        } else if self.fields != width {
            format!(
                "{} where there are {}",
                Count(self.fields as u64, "field"),
                Count(width as u64, "column")
            )
        } else {
            return Step::Row;
        };
        Step::Bad(Box::new(BadRow::new(begin, reason).with_text(line)))
    }
}

/// What was found where a record may begin.
enum Scan {
    Record(Option<&'static str>),
    End,
}

/// The fields of the record being read.
struct Fields<'a> {
    record: &'a mut Record,
    count: &'a mut usize,
    limit: usize,
    delimiter: u8,
    fault: &'a mut Option<&'static str>,
}

impl Fields<'_> {
    /// Takes bytes up to the record's end or the chunk's; tells how many, and whether the record has ended.
    fn take(&mut self, chunk: &[u8], state: &mut State) -> (usize, bool) {
        let mut at = 0;
        while at < chunk.len() && *self.count <= self.limit {
            let byte = chunk[at];
            match *state {
                State::Start if byte == b'"' => {
                    *state = State::Quoted;
                    at += 1;
                }
                State::Start | State::Plain => {
                    let Some(length) = memchr::memchr2(self.delimiter, b'\n', &chunk[at..]) else {
                        self.record.buffer().extend_from_slice(&chunk[at..]);
                        *state = State::Plain;
                        return (chunk.len(), false);
                    };
                    self.record
                        .buffer()
                        .extend_from_slice(&chunk[at..at + length]);
                    at += length + 1;
                    let ended = chunk[at - 1] == b'\n';
                    self.close_plain(ended);
                    *state = State::Start;
                    if ended {
                        return (at, true);
                    }
                }
                State::Quoted => {
                    let length = memchr::memchr(b'"', &chunk[at..]);
                    let text = &chunk[at..length.map_or(chunk.len(), |n| at + n)];
                    self.record.buffer().extend_from_slice(text);
                    at += text.len();
                    if length.is_some() {
                        at += 1;
                        *state = State::Quote;
                    }
                }
                State::Quote | State::QuoteReturn => {
                    at += 1;
                    if self.behind_quote(byte, state) {
                        return (at, true);
                    }
                }
            }
        }
        (at, false)
    }

    /// Closes an unquoted field; the carriage return before a line feed belongs to the line's end.
    fn close_plain(&mut self, ended: bool) {
        if ended && self.record.opened().last() == Some(&b'\r') {
            self.record.buffer().pop();
        }
        if self.record.opened().is_empty() {
            self.record.close_null(*self.count);
        } else {
            self.record.close_text(*self.count);
        }
        self.next();
    }

    /// One byte behind the quote that may end a field; tells whether the record has ended.
    fn behind_quote(&mut self, byte: u8, state: &mut State) -> bool {
        match byte {
            b'"' if *state == State::Quote => {
                self.record.buffer().push(b'"');
                *state = State::Quoted;
            }
            b'\r' if *state == State::Quote => *state = State::QuoteReturn,
            b'\n' => {
                self.record.close_text(*self.count);
                self.next();
                return true;
            }
            _ if byte == self.delimiter && *state == State::Quote => {
                self.record.close_text(*self.count);
                self.next();
                *state = State::Start;
            }
            _ => {
                self.fault.get_or_insert("text behind a closing quote");
                *state = State::Plain;
            }
        }
        false
    }

    fn next(&mut self) {
        *self.count += 1;
        self.record.open_cell();
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
            let fault = match self.scan(record)? {
                Scan::End => return Ok(Step::End),
                Scan::Record(fault) => fault,
            };
            let blank = self.fields == 1 && record.cell(0).is_none();
            if !blank || self.columns.names().len() == 1 {
                return Ok(self.judge(record, fault));
            }
        }
    }

    fn place(&self) -> Place {
        Place {
            row: self.rows,
            line: self.text.line(),
            byte: self.text.offset(),
        }
    }
}
