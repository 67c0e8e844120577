//! What can be wrong with a data file, and where.

use std::fmt;
use std::io;
use std::path::Path;

use crate::error::Error;

/// Bytes of a value or a row's text that are kept to be shown.
const KEPT: usize = 16 << 10;

/// A place in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The row, counted from 1; 0 before the first.
    pub row: u64,
    /// The line, counted from 1; 0 where only the row is known.
    pub line: u64,
    /// The byte, counted from 0, of the unpacked text in UTF-8.
    pub byte: u64,
}

impl Place {
    /// The very beginning.
    pub const START: Place = Place {
        row: 0,
        line: 1,
        byte: 0,
    };

    /// A row of which nothing but its number is known.
    #[must_use]
    pub fn of_row(row: u64) -> Place {
        Place {
            row,
            ..Place::default()
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return write!(f, "row {}", self.row);
        }
        if self.row > 0 {
            write!(f, "row {}, ", self.row)?;
        }
        write!(f, "line {}, byte {}", self.line, self.byte)
    }
}

/// A row that cannot be taken as it is, while the file goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// Where the row begins.
    pub place: Place,
    /// The column at fault, where one is.
    pub column: Option<String>,
    /// Its value, where there is one; of a long one the beginning.
    pub value: Option<Box<[u8]>>,
    /// What is wrong, a fragment for people.
    pub reason: String,
    /// The row as it stands in the file (in UTF-8), where its cells could not be told apart; of a long one the beginning.
    pub text: Option<Vec<u8>>,
    /// Whether the cells that were read are other than what the file has, or not all: they must not pass for the row unseen.
    pub inexact: bool,
}

impl BadRow {
    /// A row at `place` that is wrong as a whole.
    #[must_use]
    pub fn new(place: Place, reason: impl Into<String>) -> BadRow {
        BadRow {
            place,
            column: None,
            value: None,
            reason: reason.into(),
            text: None,
            inexact: false,
        }
    }

    /// Names the column and the value at fault.
    #[must_use]
    pub fn at(mut self, column: impl Into<String>, value: Option<&[u8]>) -> BadRow {
        self.column = Some(column.into());
        self.value = value.map(|value| beginning(value).into_boxed_slice());
        self
    }

    /// Says that the cells as read are not what the file has.
    #[must_use]
    pub fn inexact(mut self) -> BadRow {
        self.inexact = true;
        self
    }

    /// Keeps the row's own text.
    #[must_use]
    pub fn with_text(mut self, text: &[u8]) -> BadRow {
        self.text = Some(beginning(text));
        self
    }
}

/// The first bytes, cut between two characters where it is text.
fn beginning(bytes: &[u8]) -> Vec<u8> {
    let mut end = bytes.len().min(KEPT);
    while end < bytes.len() && end > 0 && bytes[end] & 0xC0 == 0x80 {
        end -= 1;
    }
    bytes[..end].to_vec()
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        if let Some(column) = &self.column {
            write!(f, ", column {column}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// A file that cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BadFile {
    /// Its content is broken: reading again will not help.
    #[error("{place}: {reason}")]
    Content {
        /// Where.
        place: Place,
        /// What is wrong, a fragment for people.
        reason: String,
    },
    /// The system could not read it.
    #[error("reading at {place}")]
    Io {
        /// Where.
        place: Place,
        /// The system's word.
        source: io::Error,
    },
}

impl BadFile {
    /// The job's error for this file.
    #[must_use]
    pub fn of(self, path: &Path) -> Error {
        match self {
            BadFile::Content { .. } => Error::Data(format!("{}: {self}", path.display())),
            BadFile::Io { source, .. } => Error::Io {
                action: "read",
                path: path.to_owned(),
                source,
            },
        }
    }

    /// Broken content at `place`.
    #[must_use]
    pub fn content(place: Place, reason: impl Into<String>) -> BadFile {
        BadFile::Content {
            place,
            reason: reason.into(),
        }
    }

    /// Tells an I/O error of the system from one that a decompressor or a limit raised over the content: only the
    /// system's carry an error number.
    #[must_use]
    pub fn reading(place: Place, error: io::Error) -> BadFile {
        if error.raw_os_error().is_some() {
            BadFile::Io {
                place,
                source: error,
            }
        } else if error.kind() == io::ErrorKind::UnexpectedEof {
            BadFile::content(place, "compressed data end too early")
        } else {
            BadFile::content(place, error.to_string())
        }
    }
}
