//! Writes rows into a stream, in any format and compression.

use std::io::{self, Write};

use db::{Cell, Kind, Sheaf};

use super::packing::{Compression, Packer};
use super::{Format, csv, jsonl, xml};

/// Bytes that go into the compressor or the file at a time: the kernel keeps them in one piece where they lie at a multiple of this.
const PIECE: usize = 256 << 10;

/// What sort of value a column holds, as far as a file format cares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Text, times and all that is written as text.
    #[default]
    Text,
    /// Numbers: bare in JSON.
    Number,
    /// `1` and `0`: `true` and `false` in JSON.
    Boolean,
    /// Bytes, handed over as hex: base64 in XML, hex in CSV and JSON.
    Binary,
}

impl From<Kind> for Form {
    fn from(kind: Kind) -> Form {
        match kind {
            Kind::Integer | Kind::Decimal | Kind::Real => Form::Number,
            Kind::Bool => Form::Boolean,
            Kind::Blob => Form::Binary,
            Kind::Text
            | Kind::Date
            | Kind::Time
            | Kind::Timestamp
            | Kind::Instant
            | Kind::Json
            | Kind::Other => Form::Text,
        }
    }
}

/// A column of a file to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, free of rules.
    pub name: String,
    /// What it holds.
    pub form: Form,
}

impl Column {
    /// A column of text.
    pub fn text(name: impl Into<String>) -> Column {
        Column {
            name: name.into(),
            form: Form::Text,
        }
    }
}

/// One of the formats, with the columns' names made ready for it.
enum Layout {
    Xml(xml::Xml),
    Csv(csv::Csv),
    Jsonl(jsonl::Jsonl),
}

/// Rows on their way into a stream. The bytes depend on nothing but columns and rows.
pub struct Writer<W: Write> {
    layout: Layout,
    width: usize,
    gathered: Vec<u8>,
    output: Packer<W>,
    rows: u64,
    bytes: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// Those of the output; `InvalidInput` when there is no column, or a name stands twice, is empty or cannot be written.
    pub fn new(
        output: W,
        format: Format,
        compression: Compression,
        columns: &[Column],
    ) -> io::Result<Writer<W>> {
        check_names(columns, format)?;
        let mut gathered = Vec::with_capacity(PIECE + PIECE / 8);
        let layout = match format {
            Format::Xml => {
                let xml = xml::Xml::new(columns);
                xml.open(&mut gathered);
                Layout::Xml(xml)
            }
            Format::Csv => {
                let csv = csv::Csv::new(columns);
                csv.open(&mut gathered);
                Layout::Csv(csv)
            }
            Format::Jsonl => Layout::Jsonl(jsonl::Jsonl::new(columns)?),
        };
        let output = Packer::new(output, compression)?;
        Ok(Writer {
            layout,
            width: columns.len(),
            gathered,
            output,
            rows: 0,
            bytes: 0,
        })
    }

    /// Writes a row: a cell a column, `None` for NULL.
    ///
    /// # Errors
    /// Those of the output; `InvalidInput` when the number of cells is wrong; `InvalidData` when a cell cannot be
    /// written: text that is not UTF-8 in CSV or JSON, binary that is not hex.
    pub fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        if cells.len() != self.width {
            let reason = format!("{} cells for {} columns", cells.len(), self.width);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        let before = self.gathered.len();
        let written = match &self.layout {
            Layout::Xml(xml) => xml.row(&mut self.gathered, cells),
            Layout::Csv(csv) => csv.row(&mut self.gathered, cells),
            Layout::Jsonl(jsonl) => jsonl.row(&mut self.gathered, cells),
        };
        if written.is_err() {
            self.gathered.truncate(before);
            return written;
        }
        self.written()
    }

    /// Writes rows that lie one after the other: faster than row by row.
    ///
    /// # Errors
    /// As [`Writer::row`], of the first row that cannot be written; those before it are.
    pub fn lay_out(&mut self, rows: &Sheaf) -> io::Result<()> {
        let text = rows.text();
        let all_plain = self.writes_plain(text);
        let mut row: Vec<Cell<'_>> = Vec::with_capacity(self.width);
        for first in (0..rows.len()).step_by(self.width) {
            let range = first..rows.len().min(first + self.width);
            let plain = all_plain || self.writes_plain(&text[rows.span(range.clone())]);
            match &self.layout {
                Layout::Xml(xml) if plain && range.len() == self.width => {
                    xml.plain_row(&mut self.gathered, rows, range);
                    self.written()?;
                }
                _ => {
                    row.clear();
                    let places = rows.places(range);
                    row.extend(places.map(|place| place.map(|place| &text[place])));
                    self.row(&row)?;
                }
            }
        }
        Ok(())
    }

    /// Whether texts can be written as they stand, so that no cell of them has to be looked at.
    fn writes_plain(&self, text: &[u8]) -> bool {
        matches!(&self.layout, Layout::Xml(xml) if xml.writes_plain(text))
    }

    /// A row is laid out. What fills pieces is passed on.
    fn written(&mut self) -> io::Result<()> {
        self.rows += 1;
        let whole = self.gathered.len() / PIECE * PIECE;
        if whole > 0 {
            self.pour(whole)?;
        }
        Ok(())
    }

    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes written so far, before compression.
    pub fn bytes(&self) -> u64 {
        self.bytes + self.gathered.len() as u64
    }

    /// Writes the end of the file and gives the output back. A writer that is dropped instead leaves half a file.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> io::Result<W> {
        if let Layout::Xml(_) = self.layout {
            xml::Xml::close(&mut self.gathered);
        }
        self.pour(self.gathered.len())?;
        self.output.finish()
    }

    /// Passes on the first `count` bytes of those gathered.
    fn pour(&mut self, count: usize) -> io::Result<()> {
        self.output.write_all(&self.gathered[..count])?;
        self.bytes += count as u64;
        self.gathered.drain(..count);
        Ok(())
    }
}

fn check_names(columns: &[Column], format: Format) -> io::Result<()> {
    let mut seen = std::collections::HashSet::new();
    let wrong = |reason: String| Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    if columns.is_empty() {
        return wrong("there is no column to write".into());
    }
    for column in columns {
        if column.name.is_empty() {
            return wrong("a column has no name".into());
        }
        if !seen.insert(column.name.as_str()) {
            return wrong(format!("the column {} stands twice", column.name));
        }
        if format == Format::Xml && !xml::is_text(column.name.as_bytes()) {
            let name = &column.name;
            return wrong(format!(
                "the name of the column {name:?} holds a character that XML cannot carry"
            ));
        }
    }
    Ok(())
}

/// The text of a cell, which CSV and JSON can carry only as UTF-8.
pub(super) fn utf8(cell: &[u8]) -> io::Result<&str> {
    std::str::from_utf8(cell)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "text that is not UTF-8"))
}

/// The bytes that a hex text of either case stands for.
pub(super) fn bytes_of_hex(text: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    db::form::read_hex(text, &mut bytes)
        .map(|()| bytes)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "binary that is not in hex"))
}
