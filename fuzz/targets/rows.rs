//! What holds for every reader of rows, whatever the input: it ends without a panic; how the bytes are handed over makes
//! no difference; and a file without a fault, written again, reads the same.

use std::io::{Cursor, Read};

use jobs::data::{BadFile, Column, Compression, Format, Layout, Limits, Reading, Record, Step, Writer};

/// Rows that are read of one file at most, so that no input is slow.
const MOST: usize = 5_000;

/// A table as it was read: names of columns, and the cells of each row; a bad row as its reason.
#[derive(Debug, PartialEq)]
struct Table {
    columns: Vec<String>,
    rows: Vec<Result<Vec<Option<Vec<u8>>>, String>>,
}

/// Hands over a few bytes at a time.
struct Drip<R>(R, usize);

impl<R: Read> Read for Drip<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let most = self.1.min(into.len());
        self.0.read(&mut into[..most])
    }
}

fn limits() -> Limits {
    Limits { cell: 2_000, row: 8_000, tag: 4_000, columns: 64, ..Limits::default() }
}

fn read(layout: &Layout, input: Box<dyn Read>) -> Result<Table, BadFile> {
    let reading = Reading { limits: limits(), ..Reading::of(layout.clone(), "") };
    let mut rows = reading.open(input)?;
    let mut record = Record::new();
    let mut table = Vec::new();
    while table.len() < MOST {
        match rows.read(&mut record)? {
            Step::End => break,
            Step::Bad(bad) => table.push(Err(bad.to_string())),
            Step::Row => table.push(Ok((0..rows.columns().len()).map(|i| record.cell(i).map(<[u8]>::to_vec)).collect())),
        }
    }
    Ok(Table { columns: rows.columns().to_vec(), rows: table })
}

/// Reads `bytes` in one go and in drops; then, where nothing was wrong, writes the rows and reads them back.
pub fn check(layout: &Layout, bytes: &[u8]) {
    let whole = read(layout, Box::new(Cursor::new(bytes.to_vec())));
    let dripped = read(layout, Box::new(Drip(Cursor::new(bytes.to_vec()), 1 + bytes.len() % 7)));
    let table = match (whole, dripped) {
        (Ok(whole), Ok(dripped)) => {
            assert_eq!(whole, dripped, "in one go, and in drops");
            whole
        }
        (Err(whole), Err(dripped)) => {
            assert_eq!(whole.to_string(), dripped.to_string(), "in one go, and in drops");
            return;
        }
        (whole, dripped) => panic!("in one go {whole:?}, in drops {dripped:?}"),
    };
    if table.columns.is_empty() {
        return;
    }
    for format in [Format::Xml, Format::Csv, Format::Jsonl] {
        write_and_read(&table, format);
    }
}

fn write_and_read(table: &Table, format: Format) {
    let columns: Vec<Column> = table.columns.iter().map(Column::text).collect();
    let mut writer = match Writer::new(Vec::new(), format, Compression::None, &columns) {
        Ok(writer) => writer,
        Err(error) => {
            let beyond = |c: char| c < ' ' || matches!(c, '\u{FFFE}' | '\u{FFFF}');
            let named = table.columns.iter().any(|name| name.contains(beyond));
            assert!(format == Format::Xml && named, "{format:?}: {error}");
            return;
        }
    };
    let mut written = Vec::new();
    for row in table.rows.iter().flatten() {
        let mut cells: Vec<Option<&[u8]>> = row.iter().map(Option::as_deref).collect();
        cells.resize(columns.len(), None);
        if writer.row(&cells).is_ok() {
            written.push(cells);
        }
    }
    let bytes = writer.finish().expect("a vector takes all");
    let reading = Reading::of(format, "");
    let mut rows = reading.open(Box::new(Cursor::new(bytes))).expect("own files open");
    let mut record = Record::new();
    for cells in &written {
        let step = rows.read(&mut record).expect("own files read");
        assert!(matches!(step, Step::Row), "{format:?}: {step:?}");
        for (name, cell) in table.columns.iter().zip(cells) {
            let at = rows.columns().iter().position(|column| column == name);
            assert_eq!(at.and_then(|at| record.cell(at)), *cell, "{format:?}: {name}");
        }
    }
    assert!(matches!(rows.read(&mut record), Ok(Step::End)));
}
