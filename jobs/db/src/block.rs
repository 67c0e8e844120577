//! Some rows of cells in one piece of memory, as they are gathered before they go on. Pure.

use crate::Cell;
use std::ops::Range;

/// Rows one after the other, each of `width` cells.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    width: usize,
    bytes: Vec<u8>,
    /// Where each cell lies; `None` is NULL.
    places: Vec<Option<Range<usize>>>,
}

impl Block {
    /// An empty one for rows of `width` cells.
    pub(crate) fn new(width: usize) -> Self {
        Block {
            width,
            ..Block::default()
        }
    }

    /// Adds the next cell; `write` appends its text.
    pub(crate) fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let from = self.bytes.len();
        write(&mut self.bytes);
        self.places.push(Some(from..self.bytes.len()));
    }

    /// Adds a NULL as the next cell.
    pub(crate) fn add_null(&mut self) {
        self.places.push(None);
    }

    /// Adds a whole row.
    pub(crate) fn push(&mut self, row: &[Cell<'_>]) {
        for cell in row {
            match cell {
                Some(text) => self.add(|out| out.extend_from_slice(text)),
                None => self.add_null(),
            }
        }
    }

    /// How many whole rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.places.len().checked_div(self.width).unwrap_or(0)
    }

    /// How many bytes of text there are.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn cell(&self, row: usize, column: usize) -> Cell<'_> {
        let place = self.places.get(row * self.width + column)?.as_ref()?;
        self.bytes.get(place.clone())
    }

    /// How many cells a row has.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn row(&self, row: usize) -> Vec<Cell<'_>> {
        (0..self.width)
            .map(|column| self.cell(row, column))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back() {
        let mut block = Block::new(2);
        let rows: [[Cell<'_>; 2]; 2] = [[Some(b"a"), None], [Some(b""), Some("站".as_bytes())]];
        for row in &rows {
            block.push(row);
        }
        assert_eq!((block.rows(), block.size()), (2, 4));
        assert_eq!(block.row(0), rows[0]);
        assert_eq!(block.row(1), rows[1]);
        assert_eq!(Block::new(0).rows(), 0);
    }
}
