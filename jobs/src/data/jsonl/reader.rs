//! Cuts JSON Lines into lines, or a JSON array into its elements, and reads each as a row.

use std::io::BufRead;

use super::super::fault::{BadFile, BadRow, Place};
use super::super::record::{Columns, Record};
use super::super::text::Text;
use super::super::{Limits, Rows, Step};
use super::object;

/// Where in the file the next row is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Lines,
    /// An array, or a single object, that has not begun yet.
    Unopened,
    /// Inside the array; `true` behind an element.
    Array(bool),
    /// Behind the array's end.
    Closed,
}

/// Rows of one JSON file.
pub(crate) struct Reader {
    text: Text,
    limits: Limits,
    columns: Columns,
    row: Vec<u8>,
    rows: u64,
    shape: Shape,
}

impl Reader {
    /// A file of one object a line.
    pub(crate) fn lines(text: Text, limits: Limits) -> Reader {
        Reader {
            text,
            limits,
            columns: Columns::default(),
            row: Vec::new(),
            rows: 0,
            shape: Shape::Lines,
        }
    }

    /// A file of one array of objects, or of one object.
    pub(crate) fn array(text: Text, limits: Limits) -> Reader {
        Reader {
            shape: Shape::Unopened,
            ..Reader::lines(text, limits)
        }
    }

    fn here(&self) -> Place {
        Place {
            row: self.rows + 1,
            line: self.text.line(),
            byte: self.text.offset(),
        }
    }

    fn failed(&self, error: std::io::Error) -> BadFile {
        BadFile::reading(self.here(), error)
    }

    /// Takes the next line that is not blank.
    fn take_line(&mut self) -> Result<Option<Place>, BadFile> {
        loop {
            self.row.clear();
            self.text.count_newlines();
            self.text.allow(self.limits.row);
            let begin = self.here();
            let taken = self.text.read_until(b'\n', &mut self.row);
            if taken.map_err(|e| BadFile::reading(begin, e))? == 0 {
                return Ok(None);
            }
            if !self.row.trim_ascii().is_empty() {
                return Ok(Some(begin));
            }
        }
    }

    /// The next byte that is not white space, left where it is.
    fn peek(&mut self) -> Result<Option<u8>, BadFile> {
        loop {
            self.text.allow(self.limits.row);
            let chunk = match self.text.fill_buf() {
                Ok(chunk) => chunk,
                Err(e) => return Err(self.failed(e)),
            };
            if chunk.is_empty() {
                return Ok(None);
            }
            let blank = chunk.iter().take_while(|b| b.is_ascii_whitespace()).count();
            let found = chunk.get(blank).copied();
            self.text.consume(blank);
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// Takes the next element of the array.
    fn take_element(&mut self) -> Result<Option<Place>, BadFile> {
        loop {
            let next = self.peek()?;
            self.text.count_newlines();
            let begin = self.here();
            let wrong = |reason: &str| Err(BadFile::content(begin, reason));
            match (self.shape, next) {
                (Shape::Unopened, Some(b'[')) => self.shape = Shape::Array(false),
                (Shape::Unopened, Some(b'{')) => {
                    self.shape = Shape::Closed;
                    self.take_value()?;
                    return Ok(Some(begin));
                }
                (Shape::Unopened, _) => return wrong("neither an array nor an object"),
                (Shape::Array(true), Some(b',')) => {
                    self.text.consume(1);
                    if self.peek()? == Some(b']') {
                        return wrong("a comma before the array's end");
                    }
                    self.shape = Shape::Array(false);
                    continue;
                }
                (Shape::Array(_), Some(b']')) => self.shape = Shape::Closed,
                (Shape::Array(_), None) => return wrong("the file ends before its array does"),
                (Shape::Array(true), Some(_)) => return wrong("no comma between elements"),
                (Shape::Array(false), Some(_)) => {
                    self.shape = Shape::Array(true);
                    self.take_value()?;
                    return Ok(Some(begin));
                }
                (Shape::Closed | Shape::Lines, None) => return Ok(None),
                (Shape::Closed | Shape::Lines, Some(_)) => {
                    return wrong("there is text behind the end");
                }
            }
            self.text.consume(1);
        }
    }

    /// Takes one value: up to where its brackets close, or to the next comma or bracket.
    fn take_value(&mut self) -> Result<(), BadFile> {
        self.row.clear();
        self.text.allow(self.limits.row);
        let mut extent = Extent::default();
        loop {
            let chunk = match self.text.fill_buf() {
                Ok(chunk) => chunk,
                Err(e) => return Err(self.failed(e)),
            };
            if chunk.is_empty() {
                return Ok(());
            }
            let end = chunk.iter().position(|&byte| extent.is_over(byte));
            let taken = end.unwrap_or(chunk.len());
            self.row.extend_from_slice(&chunk[..taken]);
            self.text.consume(taken);
            if end.is_some() {
                return Ok(());
            }
        }
    }
}

/// Follows brackets and quotes through a JSON value.
#[derive(Default)]
struct Extent {
    depth: u64,
    quoted: bool,
    escaped: bool,
    closed: bool,
}

impl Extent {
    /// Whether `byte` lies behind the value.
    fn is_over(&mut self, byte: u8) -> bool {
        if self.closed {
            return true;
        }
        if self.quoted {
            self.quoted = self.escaped || byte != b'"';
            self.escaped = !self.escaped && byte == b'\\';
            return false;
        }
        match byte {
            b'"' => self.quoted = true,
            b'{' | b'[' => self.depth += 1,
            b',' | b'}' | b']' if self.depth == 0 => return true,
            b'}' | b']' => {
                self.depth -= 1;
                self.closed = self.depth == 0;
            }
            _ => {}
        }
        false
    }
}

impl Rows for Reader {
    fn columns(&self) -> &[String] {
        self.columns.names()
    }

    fn read(&mut self, record: &mut Record) -> Result<Step, BadFile> {
        let taken = if self.shape == Shape::Lines {
            self.take_line()?
        } else {
            self.take_element()?
        };
        let Some(begin) = taken else {
            return Ok(Step::End);
        };
        self.rows += 1;
        record.restart(begin);
        let line = self.row.trim_ascii();
        let bad = |reason: String| Step::Bad(Box::new(BadRow::new(begin, reason).with_text(line)));
        if let Some(byte) = self.text.undecodable_since(begin.byte) {
            let encoding = self.text.encoding();
            return Ok(bad(format!(
                "bytes that are not {encoding} at byte {byte} of the file"
            )));
        }
        let text = std::str::from_utf8(line).expect("decoded text is UTF-8");
        Ok(
            match object::read(text, record, &mut self.columns, self.limits) {
                Ok(()) => Step::Row,
                Err(reason) => {
                    record.restart(begin);
                    bad(reason)
                }
            },
        )
    }

    fn place(&self) -> Place {
        Place {
            row: self.rows,
            line: self.text.line(),
            byte: self.text.offset(),
        }
    }
}
