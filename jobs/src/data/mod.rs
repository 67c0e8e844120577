//! Data files: rows in XML, CSV, JSON and fixed columns, plain or compressed, read and written as streams.
//!
//! A row passes as borrowed bytes: a [`Record`] is one buffer that is filled again and again, a [`Writer`] takes
//! slices. Memory does not grow with the file. Text is UTF-8 in the database's written forms (`db`), so that a
//! value reads back exactly as it was written, whatever the format:
//!
//! | | NULL | empty text | binary | numbers |
//! |---|---|---|---|---|
//! | XML | no element | empty element | `enc="base64"` | their text |
//! | CSV | unquoted empty field | `""` | hex text | their text |
//! | JSON Lines | `null` | `""` | hex text | bare, digit for digit |
//!
//! Booleans are `1` and `0`, in JSON `true` and `false`.
//!
//! What is wrong with one row ([`BadRow`]) is told apart from what is wrong with the file ([`BadFile`]): after the
//! first, reading goes on.
//!
//! This room knows no folders and no databases: it sees `io::Read` and `io::Write`.

pub mod ahead;
mod behind;
mod csv;
mod fault;
mod fixed;
mod jsonl;
mod lines;
mod packing;
mod pattern;
mod record;
mod rejects;
mod sheet;
#[cfg(test)]
mod tests;
mod text;
mod writer;
mod xml;

use std::io::Read;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use behind::Behind;
pub use fault::{BadFile, BadRow, Place};
pub use fixed::Span;
pub use lines::Asides;
pub use packing::{Compression, Packer};
pub use pattern::Pattern;
pub use record::Record;
pub use rejects::{Rejects, lay_out};
pub use sheet::SheetLayout;
#[cfg(test)]
pub(crate) use sheet::tests::workbook as workbook_for_tests;
#[cfg(test)]
pub(crate) use tests::{encode_for_tests, pack_for_tests};
pub use text::encoding_of;
pub use writer::{Column, Form, Writer};

use text::{Nature, Text};

/// How rows are laid out in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// `<data><row><col>text</col>…</row>…</data>`
    #[default]
    Xml,
    /// RFC 4180 with a header.
    Csv,
    /// A JSON object a line.
    Jsonl,
}

impl Format {
    /// The format that a file's name speaks of, a compression's ending aside: `A.csv.gz` is CSV.
    #[must_use]
    pub fn of(name: &str) -> Option<Format> {
        let (_, plain) = Compression::of(name);
        let (_, ending) = plain.rsplit_once('.')?;
        match ending.to_ascii_lowercase().as_str() {
            "xml" => Some(Format::Xml),
            "csv" => Some(Format::Csv),
            "jsonl" => Some(Format::Jsonl),
            _ => None,
        }
    }

    /// The ending of its files, without the dot.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Format::Xml => "xml",
            Format::Csv => "csv",
            Format::Jsonl => "jsonl",
        }
    }
}

/// What a file to be read looks like.
#[derive(Clone, Debug)]
pub enum Layout {
    /// XML rows; see [`XmlLayout`].
    Xml(XmlLayout),
    /// Delimited text; see [`CsvLayout`].
    Csv(CsvLayout),
    /// A JSON object a line.
    Jsonl,
    /// One JSON array of objects, or one object.
    Json,
    /// Columns at fixed places of a line.
    Fixed(Vec<Span>),
    /// Lines that a regular expression takes apart.
    Lines(Pattern),
    /// A sheet of a workbook (`.xlsx`).
    Sheet(SheetLayout),
}

impl Layout {
    /// Whether its columns are known before the first row, and none is added later.
    #[must_use]
    pub fn has_fixed_columns(&self) -> bool {
        match self {
            Layout::Csv(_) | Layout::Fixed(_) | Layout::Lines(_) => true,
            Layout::Sheet(sheet) => sheet.header,
            Layout::Xml(_) | Layout::Jsonl | Layout::Json => false,
        }
    }
}

impl From<Format> for Layout {
    fn from(format: Format) -> Layout {
        match format {
            Format::Xml => Layout::Xml(XmlLayout::default()),
            Format::Csv => Layout::Csv(CsvLayout::default()),
            Format::Jsonl => Layout::Jsonl,
        }
    }
}

/// Where the rows of an XML file are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct XmlLayout {
    /// Names of the elements from the root down to the row, for files from elsewhere; one name alone: such elements, wherever
    /// they stand. Elements inside the row are then
    /// columns named by their path (`geo/lat`), attributes columns named `@attribute` or `geo/@attribute`. Left out: `row`
    /// elements below any root, or the classic form without them.
    pub row: Option<Vec<String>>,
}

/// How a delimited file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CsvLayout {
    /// The byte between fields; ASCII.
    pub delimiter: u8,
    /// Whether the first record names the columns; else they are `c1`, `c2`, …
    pub header: bool,
    /// The byte around fields that hold delimiters or line ends; ASCII. `None`: there is none.
    pub quote: Option<u8>,
}

impl Default for CsvLayout {
    fn default() -> Self {
        CsvLayout {
            delimiter: b',',
            header: true,
            quote: Some(b'"'),
        }
    }
}

/// What a hostile or broken file may cost at most. Memory is bounded by them, not by the file: a reader holds one row at
/// a time, in one copy, or in two where a format must be looked at whole (JSON, lines).
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one cell, as it is written: 64 MiB of binary in hex, and a bit.
    pub cell: usize,
    /// Bytes of one row, all cells together.
    pub row: usize,
    /// Bytes of a line of fixed columns, or one that a regular expression takes apart.
    pub line: usize,
    /// Bytes of a column's name.
    pub name: usize,
    /// Columns, in a row and in the whole file.
    pub columns: usize,
    /// Bytes of an XML tag with all its attributes, or of a comment.
    pub tag: usize,
    /// Attributes of one XML element.
    pub attributes: usize,
    /// Elements open at once in an XML file.
    pub depth: usize,
    /// Bytes of a workbook as it is packed, which is held whole.
    pub workbook: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            cell: 130 << 20,
            row: 160 << 20,
            line: 16 << 20,
            name: 256,
            columns: 4096,
            tag: 1 << 20,
            attributes: 1024,
            depth: 64,
            workbook: 64 << 20,
        }
    }
}

/// How a file is to be read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// What the file looks like.
    pub layout: Layout,
    /// How its bytes are packed.
    pub compression: Compression,
    /// The encoding of its text where the file itself does not say; a byte order mark wins over this, and this wins
    /// over an XML declaration. `None`: as declared, else UTF-8.
    pub encoding: Option<&'static encoding_rs::Encoding>,
    /// What stands beside the rows, in the formats that are read line by line, and in sheets.
    pub asides: Asides,
    /// What it may cost.
    pub limits: Limits,
}

impl Reading {
    /// Reads a file of that name and format with the usual limits, unpacking by the name's ending.
    #[must_use]
    pub fn of(format: impl Into<Layout>, name: &str) -> Reading {
        Reading {
            layout: format.into(),
            compression: Compression::of(name).0,
            encoding: None,
            asides: Asides::default(),
            limits: Limits::default(),
        }
    }

    /// Opens `input` for reading rows.
    ///
    /// # Errors
    /// When the head of the file (header, root element, compression) is not what the layout says.
    pub fn open(&self, input: Box<dyn Read>) -> Result<Box<dyn Rows>, BadFile> {
        let unpacked = self
            .compression
            .unpack(input)
            .map_err(|e| BadFile::reading(Place::START, e))?;
        let text = |nature, unpacked| {
            Text::open(unpacked, self.encoding, nature)
                .map_err(|e| BadFile::reading(Place::START, e))
        };
        let (asides, limits) = (&self.asides, self.limits);
        Ok(match &self.layout {
            Layout::Xml(layout) => {
                let text = text(Nature::Xml, unpacked)?;
                Box::new(xml::Reader::open(text, layout, limits)?)
            }
            Layout::Csv(layout) => {
                let text = text(Nature::Lines, unpacked)?;
                Box::new(csv::Reader::open(text, *layout, asides, limits)?)
            }
            Layout::Jsonl => {
                let text = text(Nature::Free, unpacked)?;
                Box::new(jsonl::Reader::open(text, limits)?)
            }
            Layout::Json => Box::new(jsonl::Array::open(text(Nature::Free, unpacked)?, limits)),
            Layout::Fixed(spans) => {
                let text = text(Nature::Lines, unpacked)?;
                Box::new(fixed::Reader::open(text, spans, asides, limits)?)
            }
            Layout::Lines(pattern) => {
                let text = text(Nature::Lines, unpacked)?;
                Box::new(pattern::Reader::open(text, pattern, asides, limits)?)
            }
            Layout::Sheet(layout) => {
                Box::new(sheet::Reader::open(unpacked, layout, asides, limits)?)
            }
        })
    }
}

/// What one look for a row found.
#[derive(Debug)]
pub enum Step {
    /// A row, now in the record.
    Row,
    /// A row that cannot be taken as it is; the next call goes on behind it. The record holds the cells that could be read.
    Bad(Box<BadRow>),
    /// The end of the file, reached in good order.
    End,
}

/// The rows of one file, in order.
pub trait Rows {
    /// Names of the columns met so far; a record's cells stand in this order. In XML and JSON the list grows as rows
    /// bring new names, and never changes otherwise.
    fn columns(&self) -> &[String];

    /// Reads the next row into `record`, whose former content is gone.
    ///
    /// # Errors
    /// When the file cannot be read any further: broken syntax, a truncated file, an I/O error.
    fn read(&mut self, record: &mut Record) -> Result<Step, BadFile>;

    /// How far reading has come, in unpacked text.
    fn place(&self) -> Place;
}
