//! Rows of one sheet. Cells come one by one, empty ones left out; a row is what stands on one line of the sheet.
//!
//! A cell behind the header's last one, or one that holds an error, makes its row a bad one. Rows without any value are
//! passed over. Places are told by the sheet's own row numbers.

use std::io::{Cursor, Read};

use calamine::{DataRef, Reader as _, Xlsx, XlsxCellReader};
use self_cell::{MutBorrow, self_cell};

use super::super::fault::{BadFile, BadRow, Place};
use super::super::lines::Asides;
use super::super::record::{Columns, Record};
use super::super::{Limits, Rows, Step};
use super::{SheetLayout, package, value};

/// Rows of the largest sheet that Excel knows.
const MAX_ROWS: u32 = 1 << 20;
/// Its columns.
const MAX_COLUMNS: u32 = 1 << 14;

type Workbook = Xlsx<Cursor<Vec<u8>>>;
type Cells<'a> = XlsxCellReader<'a, Cursor<Vec<u8>>>;

self_cell!(
    /// A workbook, and the reader over the cells of one of its sheets.
    struct Sheet {
        owner: MutBorrow<Workbook>,
        #[not_covariant]
        dependent: Cells,
    }
);

/// A cell that has been read.
#[derive(Debug)]
struct Found {
    /// Row and column, from 0.
    at: (u32, u32),
    /// Its written form, or what is wrong with it.
    value: Result<Vec<u8>, String>,
}

/// Rows of one sheet.
pub(crate) struct Reader {
    sheet: Sheet,
    columns: Columns,
    limits: Limits,
    /// The column of the file that each column of the sheet is; empty without a header.
    named: Vec<Option<usize>>,
    header: bool,
    /// The first cell of the next row.
    next: Option<Found>,
    /// The number of the last row, as the sheet shows it.
    row: u64,
}

impl Reader {
    pub(crate) fn open(
        input: Box<dyn Read>,
        layout: &SheetLayout,
        asides: &Asides,
        limits: Limits,
    ) -> Result<Reader, BadFile> {
        let bytes = gather(input, limits.workbook)?;
        let wrong = |reason: String| BadFile::content(Place::of_row(0), reason);
        package::check(&bytes).map_err(wrong)?;
        let workbook = Xlsx::new(Cursor::new(bytes))
            .map_err(|e| wrong(format!("the workbook cannot be read: {e}")))?;
        let name = choose(&workbook, layout.sheet.as_deref()).map_err(wrong)?;
        let sheet = Sheet::try_new(MutBorrow::new(workbook), |workbook| {
            workbook.borrow_mut().worksheet_cells_reader(&name)
        })
        .map_err(|e| wrong(format!("the sheet {name} cannot be read: {e}")))?;
        let mut reader = Reader {
            sheet,
            columns: Columns::default(),
            limits,
            named: Vec::new(),
            header: layout.header,
            next: None,
            row: 0,
        };
        reader.next = reader.cell()?;
        while reader
            .next
            .as_ref()
            .is_some_and(|cell| u64::from(cell.at.0) < asides.skip)
        {
            reader.next = reader.cell()?;
        }
        if layout.header {
            reader.take_header()?;
        }
        Ok(reader)
    }

    /// The next cell that is not empty.
    fn cell(&mut self) -> Result<Option<Found>, BadFile> {
        let place = Place::of_row(self.row);
        self.sheet.with_dependent_mut(|_, cells| {
            loop {
                let cell = cells
                    .next_cell()
                    .map_err(|e| BadFile::content(place, format!("the sheet is broken: {e}")))?;
                let Some(cell) = cell else {
                    return Ok(None);
                };
                if matches!(cell.get_value(), DataRef::Empty) {
                    continue;
                }
                let at = cell.get_position();
                if at.0 >= MAX_ROWS || at.1 >= MAX_COLUMNS {
                    return Err(BadFile::content(
                        place,
                        "the sheet is broken: a cell lies outside of it",
                    ));
                }
                let mut written = Vec::new();
                let value = value::write(cell.get_value(), &mut written).map(|_| written);
                return Ok(Some(Found { at, value }));
            }
        })
    }

    /// Takes the names of the columns from the first row.
    fn take_header(&mut self) -> Result<(), BadFile> {
        let Some(first) = self.next.take() else {
            return Err(BadFile::content(
                Place::of_row(0),
                "the sheet is empty: there is no header row",
            ));
        };
        let row = first.at.0;
        self.row = u64::from(row) + 1;
        let mut cell = Some(first);
        while let Some(found) = cell.take_if(|found| found.at.0 == row) {
            self.name_column(found)?;
            cell = self.cell()?;
        }
        self.next = cell;
        Ok(())
    }

    fn name_column(&mut self, found: Found) -> Result<(), BadFile> {
        let letters = letters(found.at.1);
        let wrong = |reason: String| {
            Err(BadFile::content(
                Place::of_row(self.row),
                format!("header: {reason}"),
            ))
        };
        let name = match found.value {
            Ok(name) => String::from_utf8_lossy(&name).trim().to_owned(),
            Err(reason) => return wrong(reason),
        };
        if name.is_empty() {
            return Ok(());
        }
        if name.contains(char::is_control) || name.len() > self.limits.name {
            return wrong(format!(
                "the name in column {letters} is too long or holds a line end"
            ));
        }
        if self.columns.find(&name, 0).is_some() {
            return wrong(format!("the column {name} stands twice"));
        }
        let at = found.at.1 as usize;
        if at >= self.limits.columns {
            return wrong(format!(
                "there is a name in column {letters}; {} columns are the most",
                self.limits.columns
            ));
        }
        self.named.resize(self.named.len().max(at + 1), None);
        self.named[at] = Some(self.columns.add(&name));
        Ok(())
    }

    /// Puts a cell into the record.
    fn put(&mut self, found: Found, record: &mut Record) -> Result<(), BadRow> {
        let place = record.place();
        let at = found.at.1 as usize;
        let column = if self.header {
            self.named.get(at).copied().flatten()
        } else if at < self.limits.columns {
            while self.columns.names().len() <= at {
                self.columns
                    .add(&format!("c{}", self.columns.names().len() + 1));
            }
            Some(at)
        } else {
            None
        };
        let value = found.value.as_deref().ok();
        let Some(column) = column else {
            let reason = format!(
                "a value in column {}, which has no name",
                letters(found.at.1)
            );
            return Err(BadRow::new(place, reason)
                .at(letters(found.at.1), value)
                .inexact());
        };
        record.open_cell();
        match &found.value {
            Ok(value) => {
                record.buffer().extend_from_slice(value);
                record.close_text(column);
                Ok(())
            }
            Err(reason) => Err(BadRow::new(place, reason)
                .at(&self.columns.names()[column], None)
                .inexact()),
        }
    }
}

impl Rows for Reader {
    fn columns(&self) -> &[String] {
        self.columns.names()
    }

    fn read(&mut self, record: &mut Record) -> Result<Step, BadFile> {
        let Some(first) = self.next.take() else {
            return Ok(Step::End);
        };
        let row = first.at.0;
        if u64::from(row) < self.row {
            return Err(BadFile::content(
                Place::of_row(self.row),
                "the sheet's rows are out of order",
            ));
        }
        self.row = u64::from(row) + 1;
        record.restart(Place::of_row(self.row));
        let mut fault = None;
        let mut cell = Some(first);
        while let Some(found) = cell.take_if(|found| found.at.0 == row) {
            if let Err(bad) = self.put(found, record) {
                fault.get_or_insert(bad);
            }
            if record.size() > self.limits.row {
                let most = self.limits.row;
                return Err(BadFile::content(
                    record.place(),
                    format!("a row is longer than {most} bytes"),
                ));
            }
            cell = self.cell()?;
        }
        self.next = cell;
        Ok(fault.map_or(Step::Row, |bad| Step::Bad(Box::new(bad))))
    }

    fn place(&self) -> Place {
        Place::of_row(self.row)
    }
}

/// The whole workbook, which a zip's directory at its end makes necessary.
fn gather(mut input: Box<dyn Read>, most: usize) -> Result<Vec<u8>, BadFile> {
    let failed = |e| BadFile::reading(Place::of_row(0), e);
    let wrong = |reason: String| Err(BadFile::content(Place::of_row(0), reason));
    let mut bytes = Vec::new();
    input
        .by_ref()
        .take(8)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.starts_with(&[0xD0, 0xCF, 0x11, 0xE0]) {
        return wrong(
            "this is an .xls of old, or an encrypted workbook; save it as .xlsx without a password"
                .into(),
        );
    }
    if !bytes.starts_with(b"PK") {
        return wrong("this is no workbook (.xlsx)".into());
    }
    input
        .take(most as u64)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() > most {
        return wrong(format!("the workbook is larger than {most} bytes"));
    }
    Ok(bytes)
}

/// The name of the sheet that is meant.
fn choose(workbook: &Workbook, wanted: Option<&str>) -> Result<String, String> {
    let names = workbook.sheet_names();
    let found = match wanted {
        None => names.first(),
        Some(wanted) => names.iter().find(|name| *name == wanted).or_else(|| {
            let number: usize = wanted.parse().ok()?;
            names.get(number.checked_sub(1)?)
        }),
    };
    found.cloned().ok_or_else(|| match wanted {
        None => "the workbook has no sheets".to_owned(),
        Some(wanted) => format!(
            "the workbook has no sheet {wanted}; it has {}",
            names.join(", ")
        ),
    })
}

/// A column as the sheet shows it: A, B, …, Z, AA.
fn letters(column: u32) -> String {
    let mut left = column + 1;
    let mut letters = Vec::new();
    while left > 0 {
        left -= 1;
        letters.push(char::from(
            b'A' + u8::try_from(left % 26).unwrap_or_default(),
        ));
        left /= 26;
    }
    letters.iter().rev().collect()
}
