//! Finds the fields of the next record: a plain line is split as it stands, anything else goes through a small state
//! machine over whatever piece of the file is at hand.

use std::io::{self, BufRead};

use super::super::fault::{BadFile, Place};
use super::super::record::Record;
use super::super::text::Text;
use super::super::{CsvLayout, Limits};

/// Bytes of a record's own text that are kept to show it.
const SHOWN: usize = 16 << 10;

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

/// What was found where a record may begin.
pub(super) enum Scan {
    /// A record, and what is wrong with its quotes.
    Record(Option<&'static str>),
    End,
}

/// Cuts a file into records, whatever number of fields they have.
pub(super) struct Scanner {
    pub(super) text: Text,
    layout: CsvLayout,
    limits: Limits,
    /// The beginning of the last record as it stands in the file, where it had to be looked at piece by piece.
    line: Vec<u8>,
    /// Fields of the last record.
    pub(super) fields: usize,
    /// Those of them that stood in quotes.
    pub(super) quoted: Vec<usize>,
}

impl Scanner {
    pub(super) fn new(text: Text, layout: CsvLayout, limits: Limits) -> Scanner {
        Scanner {
            text,
            layout,
            limits,
            line: Vec::new(),
            fields: 0,
            quoted: Vec::new(),
        }
    }

    /// Reads the fields of the next record, which may take `most` bytes.
    pub(super) fn scan(
        &mut self,
        record: &mut Record,
        begin: Place,
        most: usize,
    ) -> Result<Scan, BadFile> {
        self.line.clear();
        self.quoted.clear();
        record.restart(begin);
        let plain = self
            .scan_plain(record, most)
            .map_err(|e| BadFile::reading(begin, e))?;
        let scan = if plain {
            Scan::Record(None)
        } else {
            let scan = self.scan_any(record, begin, most)?;
            if record.size() > self.limits.cell && record.longest() > self.limits.cell {
                return Err(self.too_long(begin, most));
            }
            scan
        };
        if self.fields > self.limits.columns {
            let most = self.limits.columns;
            return Err(BadFile::content(
                begin,
                format!("more than {most} fields in a row"),
            ));
        }
        Ok(scan)
    }

    /// Takes a line that is at hand whole and has no quotes, the usual case; `false` leaves all as it was.
    fn scan_plain(&mut self, record: &mut Record, most: usize) -> io::Result<bool> {
        loop {
            let chunk = self.text.at_hand();
            let found = match self.layout.quote {
                Some(quote) => memchr::memchr2(b'\n', quote, chunk),
                None => memchr::memchr(b'\n', chunk),
            };
            match found {
                Some(end) if chunk[end] == b'\n' => {
                    let line = &chunk[..end];
                    let line = line.strip_suffix(b"\r").unwrap_or(line);
                    if line.len() > most.min(self.limits.cell) {
                        return Ok(false);
                    }
                    self.fields = record.split(line, self.layout.delimiter);
                    self.text.consume(end + 1);
                    return Ok(true);
                }
                Some(_) => return Ok(false),
                None if self.text.more()? => {}
                None => return Ok(false),
            }
        }
    }

    /// Takes a record of any sort.
    fn scan_any(
        &mut self,
        record: &mut Record,
        begin: Place,
        most: usize,
    ) -> Result<Scan, BadFile> {
        self.fields = 0;
        record.open_cell();
        let mut state = State::Start;
        let mut fault = None;
        loop {
            let chunk = self
                .text
                .fill_buf()
                .map_err(|e| BadFile::reading(begin, e))?;
            if chunk.is_empty() {
                return self.end(record, state, fault);
            }
            let mut fields = Fields {
                record,
                count: &mut self.fields,
                quoted: &mut self.quoted,
                most: self.limits.columns,
                layout: self.layout,
                fault: &mut fault,
            };
            let (taken, ended) = fields.take(chunk, &mut state);
            let kept = taken.min(SHOWN.saturating_sub(self.line.len()));
            self.line.extend_from_slice(&chunk[..kept]);
            self.text.consume(taken);
            // Beyond the limits there may be the end of the line, not yet known as such.
            let length = self.text.offset() - begin.byte;
            if length > most as u64 + 2 || record.opened().len() > self.limits.cell + 1 {
                return Err(self.too_long(begin, most));
            }
            if ended || self.fields > self.limits.columns {
                return Ok(Scan::Record(fault));
            }
        }
    }

    fn too_long(&self, begin: Place, most: usize) -> BadFile {
        let cell = self.limits.cell;
        BadFile::content(
            begin,
            format!("a row is longer than {most} bytes, or a field of it than {cell}"),
        )
    }

    /// The file has ended: what was begun is the last record, unless nothing was.
    fn end(
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
                    "the file ends inside quotes that are opened in this row",
                ));
            }
            State::Start => record.close_null(self.fields),
            State::Plain => {
                if record.opened().last() == Some(&b'\r') {
                    record.buffer().pop();
                }
                close_unquoted(record, self.fields);
            }
            State::Quote | State::QuoteReturn => record.close_text(self.fields),
        }
        self.fields += 1;
        Ok(Scan::Record(fault))
    }

    /// The last record as it stands in the file, without its end; of a long one the beginning.
    pub(super) fn line(&self, begin: Place) -> &[u8] {
        let line = if self.line.is_empty() {
            self.text.since(begin.byte)
        } else {
            &self.line
        };
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        line.strip_suffix(b"\r").unwrap_or(line)
    }
}

/// The fields of the record being read.
struct Fields<'a> {
    record: &'a mut Record,
    count: &'a mut usize,
    quoted: &'a mut Vec<usize>,
    most: usize,
    layout: CsvLayout,
    fault: &'a mut Option<&'static str>,
}

impl Fields<'_> {
    /// Takes bytes up to the record's end or the chunk's; tells how many, and whether the record has ended.
    fn take(&mut self, chunk: &[u8], state: &mut State) -> (usize, bool) {
        let mut at = 0;
        while at < chunk.len() && *self.count <= self.most {
            let byte = chunk[at];
            match *state {
                State::Start if Some(byte) == self.layout.quote => {
                    *state = State::Quoted;
                    self.quoted.push(*self.count);
                    at += 1;
                }
                State::Start | State::Plain => {
                    let rest = &chunk[at..];
                    let Some(length) = memchr::memchr2(self.layout.delimiter, b'\n', rest) else {
                        self.record.buffer().extend_from_slice(rest);
                        *state = State::Plain;
                        return (chunk.len(), false);
                    };
                    self.record.buffer().extend_from_slice(&rest[..length]);
                    at += length + 1;
                    let ended = rest[length] == b'\n';
                    self.close_plain(ended);
                    *state = State::Start;
                    if ended {
                        return (at, true);
                    }
                }
                State::Quoted => at += self.take_quoted(&chunk[at..], state),
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

    /// Takes text inside quotes and the quote behind it; tells how many bytes.
    fn take_quoted(&mut self, rest: &[u8], state: &mut State) -> usize {
        let quote = self.layout.quote.unwrap_or(b'"');
        let length = memchr::memchr(quote, rest);
        let text = &rest[..length.unwrap_or(rest.len())];
        self.record.buffer().extend_from_slice(text);
        if length.is_none() {
            return text.len();
        }
        *state = State::Quote;
        text.len() + 1
    }

    /// Closes an unquoted field; the carriage return before a line feed belongs to the line's end.
    fn close_plain(&mut self, ended: bool) {
        if ended && self.record.opened().last() == Some(&b'\r') {
            self.record.buffer().pop();
        }
        close_unquoted(self.record, *self.count);
        self.next();
    }

    /// One byte behind the quote that may end a field; tells whether the record has ended.
    fn behind_quote(&mut self, byte: u8, state: &mut State) -> bool {
        match byte {
            _ if Some(byte) == self.layout.quote && *state == State::Quote => {
                self.record.buffer().push(byte);
                *state = State::Quoted;
            }
            b'\r' if *state == State::Quote => *state = State::QuoteReturn,
            b'\n' => {
                self.record.close_text(*self.count);
                self.next();
                return true;
            }
            _ if byte == self.layout.delimiter && *state == State::Quote => {
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

/// Closes a field that stood in no quotes: nothing in it is NULL.
fn close_unquoted(record: &mut Record, column: usize) {
    if record.opened().is_empty() {
        record.close_null(column);
    } else {
        record.close_text(column);
    }
}
