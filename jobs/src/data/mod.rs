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

mod csv;
mod fault;
mod fixed;
mod jsonl;
mod packing;
mod record;
mod rejects;
#[cfg(test)]
mod roundtrip;
mod text;
mod writer;
mod xml;

use std::io::Read;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use fault::{BadFile, BadRow, Place};
pub use fixed::Span;
pub use packing::{Compression, Packer};
pub use record::Record;
pub use rejects::Rejects;
#[cfg(test)]
pub(crate) use roundtrip::{encode_for_tests, pack_for_tests};
pub use text::encoding_of;
pub use writer::{Column, Form, Writer};

/// How rows are laid out in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// `<data><row><col>text</col>…</row>…</data>`
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Names of the elements from the root down to the row, for files from elsewhere. Attributes of the row then are
    /// columns named `@attribute`. Left out: `row` elements below any root, or the classic form without them.
    pub row: Option<Vec<String>>,
}

/// How a delimited file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CsvLayout {
    /// The byte between fields; ASCII.
    pub delimiter: u8,
    /// Whether the first record names the columns; else they are `c1`, `c2`, …
    pub header: bool,
}

impl Default for CsvLayout {
    fn default() -> Self {
        CsvLayout {
            delimiter: b',',
            header: true,
        }
    }
}

/// What a hostile or broken file may cost at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one cell.
    pub cell: usize,
    /// Bytes of one row, all cells together.
    pub row: usize,
    /// Bytes of a column's name.
    pub name: usize,
    /// Columns, in a row and in the whole file.
    pub columns: usize,
    /// Attributes of one XML element.
    pub attributes: usize,
    /// Elements open at once in an XML file.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            cell: 64 << 20,
            row: 80 << 20,
            name: 256,
            columns: 4096,
            attributes: 1024,
            depth: 32,
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
        let sniff = matches!(self.layout, Layout::Xml(_));
        let text = text::Text::open(unpacked, self.encoding, sniff)
            .map_err(|e| BadFile::reading(Place::START, e))?;
        Ok(match &self.layout {
            Layout::Xml(layout) => Box::new(xml::Reader::open(text, layout, self.limits)?),
            Layout::Csv(layout) => Box::new(csv::Reader::open(text, *layout, self.limits)?),
            Layout::Jsonl => Box::new(jsonl::Reader::lines(text, self.limits)),
            Layout::Json => Box::new(jsonl::Reader::array(text, self.limits)),
            Layout::Fixed(spans) => Box::new(fixed::Reader::open(text, spans, self.limits)?),
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
