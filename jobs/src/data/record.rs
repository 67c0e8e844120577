//! One row in one buffer that is used again and again, and the names of its columns.

use std::collections::HashMap;

use db::Cell;

use super::fault::Place;

/// Where a cell lies in the record's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Null,
    Text {
        start: usize,
        end: usize,
    },
    /// Bytes that came as base64: they need not be UTF-8.
    Raw {
        start: usize,
        end: usize,
    },
}

/// A row: cells in the order of the reader's columns, all in one buffer.
#[derive(Clone, Debug, Default)]
pub struct Record {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    place: Place,
    open: usize,
}

impl Record {
    /// An empty record, to be filled by a reader.
    #[must_use]
    pub fn new() -> Record {
        Record::default()
    }

    /// A record of these cells, for rows that come from elsewhere than a file.
    pub fn of<'c>(place: Place, cells: impl IntoIterator<Item = Option<&'c [u8]>>) -> Record {
        let mut record = Record {
            place,
            ..Record::default()
        };
        for (column, cell) in cells.into_iter().enumerate() {
            record.open_cell();
            match cell {
                Some(bytes) => {
                    record.bytes.extend_from_slice(bytes);
                    record.close_text(column);
                }
                None => record.close_null(column),
            }
        }
        record
    }

    /// The cell of a column: `None` is NULL. Columns that the row does not mention are NULL.
    #[must_use]
    pub fn cell(&self, column: usize) -> Cell<'_> {
        match *self.slots.get(column)? {
            Slot::Null => None,
            Slot::Text { start, end } | Slot::Raw { start, end } => Some(&self.bytes[start..end]),
        }
    }

    /// Whether the cell came as base64: its bytes are then the value itself, and need not be text.
    #[must_use]
    pub fn is_raw(&self, column: usize) -> bool {
        matches!(self.slots.get(column), Some(Slot::Raw { .. }))
    }

    /// Rewrites a cell that came as base64 into hex, the written form of binary; leaves others alone. For binary columns.
    pub fn spell_hex(&mut self, column: usize) {
        let Some(&Slot::Raw { start, end }) = self.slots.get(column) else {
            return;
        };
        let begin = self.bytes.len();
        self.bytes.reserve(2 * (end - start));
        let mut piece = [0; 4096];
        for from in (start..end).step_by(piece.len()) {
            let piece = &mut piece[..(end - from).min(4096)];
            piece.copy_from_slice(&self.bytes[from..from + piece.len()]);
            db::form::write_hex(&mut self.bytes, piece);
        }
        self.slots[column] = Slot::Text {
            start: begin,
            end: self.bytes.len(),
        };
    }

    /// Makes a cell NULL.
    pub fn clear_cell(&mut self, column: usize) {
        if let Some(slot) = self.slots.get_mut(column) {
            *slot = Slot::Null;
        }
    }

    /// Cells in the row, those behind the last one mentioned left out.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether the row mentions no cell at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Where the row begins.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }

    /// Bytes of all cells.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of the longest cell.
    pub(super) fn longest(&self) -> usize {
        let length = |slot: &Slot| match *slot {
            Slot::Null => 0,
            Slot::Text { start, end } | Slot::Raw { start, end } => end - start,
        };
        self.slots.iter().map(length).max().unwrap_or_default()
    }

    pub(super) fn restart(&mut self, place: Place) {
        self.bytes.clear();
        self.slots.clear();
        self.place = place;
    }

    pub(super) fn has(&self, column: usize) -> bool {
        !matches!(self.slots.get(column), None | Some(Slot::Null))
    }

    /// Begins a cell; what is appended to [`Record::buffer`] from now on belongs to it until one of the `close`s.
    pub(super) fn open_cell(&mut self) {
        self.open = self.bytes.len();
    }

    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The bytes of the cell that is open.
    pub(super) fn opened(&self) -> &[u8] {
        &self.bytes[self.open..]
    }

    /// The same, to be rewritten in place.
    pub(super) fn opened_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.open..]
    }

    /// Keeps so many bytes of the open cell.
    pub(super) fn shorten_opened(&mut self, length: usize) {
        self.bytes.truncate(self.open + length);
    }

    pub(super) fn close_text(&mut self, column: usize) {
        let slot = Slot::Text {
            start: self.open,
            end: self.bytes.len(),
        };
        self.put(column, slot);
    }

    pub(super) fn close_raw(&mut self, column: usize) {
        let slot = Slot::Raw {
            start: self.open,
            end: self.bytes.len(),
        };
        self.put(column, slot);
    }

    pub(super) fn close_null(&mut self, column: usize) {
        self.bytes.truncate(self.open);
        self.put(column, Slot::Null);
    }

    /// Fills the record with the fields of a line, which has no quotes; tells how many there are.
    pub(super) fn split(&mut self, line: &[u8], delimiter: u8) -> usize {
        self.bytes.extend_from_slice(line);
        let mut start = 0;
        for end in memchr::memchr_iter(delimiter, line) {
            self.slots.push(field(start, end));
            start = end + 1;
        }
        self.slots.push(field(start, line.len()));
        self.slots.len()
    }

    fn put(&mut self, column: usize, slot: Slot) {
        if column == self.slots.len() {
            self.slots.push(slot);
            return;
        }
        if column > self.slots.len() {
            self.slots.resize(column + 1, Slot::Null);
        }
        self.slots[column] = slot;
    }
}

/// An unquoted field: NULL when there is nothing in it.
fn field(start: usize, end: usize) -> Slot {
    if start == end {
        Slot::Null
    } else {
        Slot::Text { start, end }
    }
}

/// Names of columns in the order in which they were met. Rows repeat that order, so the next name is guessed first.
#[derive(Debug, Default)]
pub(super) struct Columns {
    names: Vec<String>,
    index: HashMap<String, usize>,
}

impl Columns {
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The place of `name`, which is likely to be `guess`.
    pub(super) fn find(&self, name: &str, guess: usize) -> Option<usize> {
        match self.names.get(guess) {
            Some(expected) if expected == name => Some(guess),
            _ => self.index.get(name).copied(),
        }
    }

    /// Adds a name that [`Columns::find`] does not know.
    pub(super) fn add(&mut self, name: &str) -> usize {
        let column = self.names.len();
        self.names.push(name.to_owned());
        self.index.insert(name.to_owned(), column);
        column
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_null_until_written() {
        let mut record = Record::new();
        record.restart(Place::START);
        record.open_cell();
        record.buffer().extend_from_slice(b"x");
        record.close_text(2);
        assert_eq!(
            (record.cell(0), record.cell(2), record.cell(9)),
            (None, Some(&b"x"[..]), None)
        );
    }

    #[test]
    fn raw_cells_become_hex_on_request() {
        let mut record = Record::new();
        record.restart(Place::START);
        record.open_cell();
        record.buffer().extend_from_slice(&[0, 0xAB]);
        record.close_raw(0);
        assert!(record.is_raw(0));
        record.spell_hex(0);
        assert_eq!(record.cell(0), Some(&b"00ab"[..]));
        assert!(!record.is_raw(0));
    }
}
