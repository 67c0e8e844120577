//! A result set: text is lent where it lies in the input buffer; what must be respelled goes into one buffer a row.

use super::fault::{Trouble, fault};
use super::kind::{Spelling, declared, kind, spelling};
use super::wire::Wire;
use crate::{Cell, Cells, Column, Error, ErrorKind, Result, Row, Rows, form};
use std::io;
use std::ops::Range;

/// How many bytes a portion of rows should have: the next one is under way while one is read.
const PORTION: usize = 512 * 1024;
const FIRST: u32 = 100;

/// Where a cell's text is.
#[derive(Debug)]
enum Place {
    Null,
    /// In the input buffer.
    Lent(Range<usize>),
    /// In the row's own buffer.
    Written(Range<usize>),
}

#[derive(Debug)]
pub(super) struct PostgresRows<'c> {
    wire: &'c mut Wire,
    action: String,
    columns: Vec<Column>,
    spellings: Vec<Spelling>,
    places: Vec<Place>,
    buffer: Vec<u8>,
    /// The first row is taken before anybody asks, so that a query fails where it is made.
    ahead: Option<Range<usize>>,
    rows: u64,
    bytes: u64,
    over: bool,
}

impl<'c> PostgresRows<'c> {
    /// Runs a query up to its first row.
    pub(super) fn start(
        wire: &'c mut Wire,
        sql: &str,
        params: &[Cell<'_>],
        action: String,
    ) -> Result<Self> {
        let mut rows = PostgresRows {
            wire,
            action,
            columns: Vec::new(),
            spellings: Vec::new(),
            places: Vec::new(),
            buffer: Vec::new(),
            ahead: None,
            rows: 0,
            bytes: 0,
            over: false,
        };
        let begun = rows.wire.start().and_then(|()| {
            rows.wire.put_statement(sql, params);
            rows.wire.put(b'D', |out| out.extend_from_slice(b"P\0"));
            rows.wire.put_execute(FIRST);
            rows.wire.put_execute(FIRST);
            rows.wire.put(b'H', |_| {});
            rows.wire.flush()
        });
        begun.map_err(|trouble| rows.fail(trouble))?;
        rows.ahead = rows.step()?;
        Ok(rows)
    }

    /// The next row's body; `None` at the end.
    fn step(&mut self) -> Result<Option<Range<usize>>> {
        if self.over {
            return Ok(None);
        }
        loop {
            let message = self.wire.next().map_err(|trouble| self.fail(trouble))?;
            match message.tag {
                b'D' => {
                    self.rows += 1;
                    self.bytes += u64::try_from(message.body.len()).unwrap_or(0);
                    return Ok(Some(message.body));
                }
                b'T' => self.describe(message.body)?,
                // a portion is over: one more, while the next one is on its way
                b's' => {
                    let rows = self.portion();
                    self.wire.put_execute(rows);
                    self.wire.put(b'H', |_| {});
                    self.wire.flush().map_err(|trouble| self.fail(trouble))?;
                }
                b'C' | b'I' => {
                    self.end()
                        .map_err(|trouble| fault(&self.action, &self.wire.watch, trouble))?;
                    return Ok(None);
                }
                // parsed, bound, no columns
                _ => {}
            }
        }
    }

    /// How many rows make a portion, by those that came.
    fn portion(&self) -> u32 {
        let mean = (self.bytes / self.rows.max(1)).max(1);
        let rows = u64::try_from(PORTION).unwrap_or(u64::MAX) / mean;
        u32::try_from(rows.clamp(1, 20_000)).unwrap_or(20_000)
    }

    /// Makes the connection ready for the next statement: the portal closes, with what is still under way dropped.
    fn end(&mut self) -> Result<(), Trouble> {
        self.over = true;
        self.wire.put_sync();
        self.wire.flush()?;
        let ended = self.wire.settle(|_, _| {});
        self.wire.watch.rest();
        ended
    }

    fn fail(&mut self, trouble: Trouble) -> Error {
        let error = fault(&self.action, &self.wire.watch, trouble);
        if let Err(later) = self.end() {
            log::debug!("{}: {later:?}", self.action);
        }
        error
    }

    fn describe(&mut self, body: Range<usize>) -> Result<()> {
        let read = read_columns(self.wire.body(body));
        let Some(columns) = read else {
            let error = io::Error::new(
                io::ErrorKind::InvalidData,
                "a description of columns that breaks off",
            );
            return Err(self.fail(Trouble::Broken(error)));
        };
        for (name, oid, modifier) in columns {
            self.columns.push(Column {
                name,
                kind: kind(oid),
                declared: declared(oid, modifier),
            });
            self.spellings.push(spelling(oid));
        }
        Ok(())
    }

    fn place_cells(&mut self, body: Range<usize>) -> Result<()> {
        self.places.clear();
        self.buffer.clear();
        let bytes = self.wire.body(body.clone());
        let torn = || Error::new(ErrorKind::Other, &self.action).because("a row that breaks off");
        let mut at = 2;
        for (spelling, column) in self.spellings.iter().zip(&self.columns) {
            let head = bytes
                .get(at..at + 4)
                .and_then(|head| head.first_chunk::<4>())
                .ok_or_else(torn)?;
            at += 4;
            let Ok(length) = usize::try_from(i32::from_be_bytes(*head)) else {
                self.places.push(Place::Null);
                continue;
            };
            let text = bytes.get(at..at + length).ok_or_else(torn)?;
            if self.wire.any_bytes && std::str::from_utf8(text).is_err() {
                return Err(Error::new(ErrorKind::Type, &self.action)
                    .at_column(&column.name)
                    .because("the text is not UTF-8"));
            }
            let lent = body.start + at..body.start + at + length;
            self.places
                .push(spell(*spelling, text, lent, &mut self.buffer));
            at += length;
        }
        Ok(())
    }
}

/// The written form of one value: where it lies, or respelled into `buffer`.
fn spell(spelling: Spelling, text: &[u8], lent: Range<usize>, buffer: &mut Vec<u8>) -> Place {
    let from = buffer.len();
    match spelling {
        Spelling::Truth => buffer.push(if text == b"t" { b'1' } else { b'0' }),
        Spelling::Bytes if text.starts_with(b"\\x") => {
            return Place::Lent(lent.start + 2..lent.end);
        }
        // infinity has none
        Spelling::Zone if text.len() > 3 && matches!(text[text.len() - 3], b'+' | b'-') => {
            buffer.extend_from_slice(text);
            buffer.extend_from_slice(b":00");
        }
        Spelling::Float if text.contains(&b'e') => match form::read_float(text) {
            Some(value) => form::write_float(buffer, value),
            None => return Place::Lent(lent),
        },
        _ => return Place::Lent(lent),
    }
    Place::Written(from..buffer.len())
}

/// Names, types and modifiers of a RowDescription.
fn read_columns(body: &[u8]) -> Option<Vec<(String, u32, i32)>> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut columns = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let end = rest.iter().position(|byte| *byte == 0)?;
        let name = String::from_utf8_lossy(&rest[..end]).into_owned();
        let fixed = rest.get(end + 1..end + 19)?;
        let number = |at: usize| fixed[at..].first_chunk::<4>().copied();
        columns.push((
            name,
            u32::from_be_bytes(number(6)?),
            i32::from_be_bytes(number(12)?),
        ));
        rest = &rest[end + 19..];
    }
    Some(columns)
}

impl Rows for PostgresRows<'_> {
    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn fetch(&mut self) -> Result<Option<Row<'_>>> {
        let body = match self.ahead.take() {
            Some(body) => Some(body),
            None => self.step()?,
        };
        match body {
            Some(body) => {
                self.place_cells(body)?;
                Ok(Some(Row::new(self)))
            }
            None => Ok(None),
        }
    }
}

impl Cells for PostgresRows<'_> {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn cell(&self, index: usize) -> Cell<'_> {
        match &self.places[index] {
            Place::Null => None,
            Place::Lent(range) => Some(self.wire.body(range.clone())),
            Place::Written(range) => Some(&self.buffer[range.clone()]),
        }
    }
}

impl Drop for PostgresRows<'_> {
    fn drop(&mut self) {
        if !self.over
            && let Err(trouble) = self.end()
        {
            log::debug!("{}, leaving it early: {trouble:?}", self.action);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn torn_descriptions_are_no_columns() {
        let mut body = vec![0, 1];
        body.extend_from_slice(b"n\0");
        body.extend_from_slice(&[0; 6]);
        body.extend_from_slice(&23_u32.to_be_bytes());
        body.extend_from_slice(&[0, 4, 255, 255, 255, 255, 0, 0]);
        assert_eq!(read_columns(&body), Some(vec![("n".to_owned(), 23, -1)]));
        for end in 0..body.len() {
            assert_eq!(read_columns(&body[..end]), None);
        }
    }

    #[test]
    fn text_is_respelled_where_it_must() {
        let spelled = |spelling, text: &str| {
            let mut buffer = Vec::new();
            match spell(spelling, text.as_bytes(), 0..text.len(), &mut buffer) {
                Place::Lent(range) => text[range].to_owned(),
                Place::Written(range) => String::from_utf8_lossy(&buffer[range]).into_owned(),
                Place::Null => unreachable!("no value is NULL here"),
            }
        };
        assert_eq!(spelled(Spelling::Truth, "t"), "1");
        assert_eq!(spelled(Spelling::Bytes, "\\x00ff"), "00ff");
        assert_eq!(
            spelled(Spelling::Zone, "2026-11-21 13:45:00.25+00"),
            "2026-11-21 13:45:00.25+00:00"
        );
        assert_eq!(spelled(Spelling::Zone, "infinity"), "infinity");
        assert_eq!(spelled(Spelling::Float, "1e+15"), "1000000000000000");
        assert_eq!(spelled(Spelling::Float, "1.5e-05"), "0.000015");
        assert_eq!(spelled(Spelling::Float, "-Infinity"), "-Infinity");
    }
}
