//! Cuts one JSON array into its elements, and reads each as a row. A file of one object is a row.

use std::io::BufRead;

use super::super::fault::{BadFile, Place};
use super::super::record::{Columns, Record};
use super::super::text::Text;
use super::super::{Limits, Rows, Step};
use super::object;
use super::reader::{FOREIGN, read_object};

/// Brackets inside each other in one row: those of a value, and the row's own.
const DEPTH: usize = object::DEPTH + 1;

/// Where in the file the next row is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
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
    pub(crate) fn open(text: Text, limits: Limits) -> Reader {
        Reader {
            text,
            limits,
            columns: Columns::default(),
            row: Vec::new(),
            rows: 0,
            shape: Shape::Unopened,
        }
    }

    fn here(&self) -> Place {
        Place {
            row: self.rows + 1,
            line: self.text.line(),
            byte: self.text.offset(),
        }
    }

    /// The next byte that is not white space, left where it is.
    fn peek(&mut self) -> Result<Option<u8>, BadFile> {
        self.text
            .skip_blank()
            .map_err(|e| BadFile::reading(self.here(), e))
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
                    self.take_value(begin)?;
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
                    self.take_value(begin)?;
                    return Ok(Some(begin));
                }
                (Shape::Closed, None) => return Ok(None),
                (Shape::Closed, Some(_)) => {
                    return wrong("there is text behind the end");
                }
            }
            self.text.consume(1);
        }
    }

    /// Takes one value: up to where its brackets close, or to the next comma or bracket.
    fn take_value(&mut self, begin: Place) -> Result<(), BadFile> {
        self.row.clear();
        let mut extent = Extent::default();
        let failed = |e| BadFile::reading(begin, e);
        let first = self.text.ahead(1).map_err(failed)?.first();
        let most = match first {
            Some(b'{') => self.limits.row,
            _ => FOREIGN.min(self.limits.row),
        };
        loop {
            let chunk = self.text.ahead(1).map_err(failed)?;
            let end = chunk.iter().position(|&byte| extent.is_over(byte));
            let taken = end.unwrap_or(chunk.len());
            let over = chunk.is_empty();
            if self.row.len() + taken > most {
                let reason = format!("an element is longer than {most} bytes");
                return Err(BadFile::content(begin, reason));
            }
            if extent.deepest > DEPTH {
                let reason = format!("more than {DEPTH} arrays and objects inside each other");
                return Err(BadFile::content(begin, reason));
            }
            self.row.extend_from_slice(&chunk[..taken]);
            self.text.consume(taken);
            if end.is_some() || over {
                return Ok(());
            }
        }
    }
}

/// Follows brackets and quotes through a JSON value.
#[derive(Default)]
struct Extent {
    depth: usize,
    deepest: usize,
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
            b'{' | b'[' => {
                self.depth += 1;
                self.deepest = self.deepest.max(self.depth);
            }
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
        let Some(begin) = self.take_element()? else {
            return Ok(Step::End);
        };
        self.rows += 1;
        let undecodable = self.text.undecodable_since(begin.byte).map(|byte| {
            let encoding = self.text.encoding();
            format!("bytes that are not {encoding} at byte {byte} of the file")
        });
        let (columns, limits) = (&mut self.columns, self.limits);
        Ok(read_object(
            begin,
            &self.row,
            undecodable,
            record,
            columns,
            limits,
        ))
    }

    fn place(&self) -> Place {
        Place {
            row: self.rows,
            line: self.text.line(),
            byte: self.text.offset(),
        }
    }
}
