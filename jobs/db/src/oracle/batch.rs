//! Rows on their way to the server, in one buffer: no cell has memory of its own. Knows no statement.

use super::target::Target;
use crate::{Cell, Reject};
use oracledb::ToDbValue;
use std::borrow::Cow;
use std::ops::Range;

/// How many rows and bytes are sent at once.
const ROWS: usize = 1000;
const BYTES: usize = 1 << 20;
/// A value longer than this is no VARCHAR2 or RAW to every server.
const TEXT: usize = 4000;
const RAW: usize = 2000;

/// One cell: as it was pushed, and as Oracle reads it where that is something else.
#[derive(Debug, Clone, Default)]
struct Held {
    pushed: Option<Range<usize>>,
    read: Option<Range<usize>>,
}

/// Rows, kept until the server has taken them.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    cells: Vec<Held>,
    ordinals: Vec<u64>,
}

/// A value to bind.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bound<'b> {
    Text(Option<&'b str>),
    Bytes(Option<&'b [u8]>),
}

impl<'b> Bound<'b> {
    pub(super) fn value(&'b self) -> &'b dyn ToDbValue {
        match self {
            Bound::Text(text) => text,
            Bound::Bytes(bytes) => bytes,
        }
    }

    /// Whether it is too long to stand in a query.
    pub(super) fn is_long(&self) -> bool {
        match self {
            Bound::Text(text) => text.is_some_and(|text| text.len() > TEXT),
            Bound::Bytes(bytes) => bytes.is_some_and(|bytes| bytes.len() > RAW),
        }
    }
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.ordinals.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= ROWS || self.bytes.len() >= BYTES
    }

    /// Takes a row as it was pushed, with each cell as it is read; the two are of one length.
    pub(super) fn add(&mut self, ordinal: u64, row: &[Cell<'_>], read: &[Option<Cow<'_, [u8]>>]) {
        for (cell, read) in row.iter().zip(read) {
            let pushed = cell.map(|text| self.keep(text));
            let read = match read {
                Some(Cow::Borrowed(same)) if cell.is_some_and(|text| std::ptr::eq(*same, text)) => {
                    pushed.clone()
                }
                Some(other) => Some(self.keep(other)),
                None => None,
            };
            self.cells.push(Held { pushed, read });
        }
        self.ordinals.push(ordinal);
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        from..self.bytes.len()
    }

    /// A row's cells.
    fn held(&self, row: usize) -> &[Held] {
        let columns = self.cells.len() / self.len().max(1);
        &self.cells[row * columns..(row + 1) * columns]
    }

    /// The values of these rows, one after the other.
    pub(super) fn bound(&self, rows: Range<usize>, targets: &[Target]) -> Vec<Bound<'_>> {
        let row = |row| {
            let both = self.held(row).iter().zip(targets);
            both.map(|(held, target)| {
                let bytes = held.read.clone().map(|range| &self.bytes[range]);
                if target.is_bytes() {
                    return Bound::Bytes(bytes);
                }
                // targets make text of text
                Bound::Text(bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()))
            })
        };
        rows.flat_map(row).collect()
    }

    /// A row's cells as they were pushed.
    pub(super) fn pushed(&self, row: usize) -> Vec<Cell<'_>> {
        let cells = self.held(row).iter();
        cells
            .map(|held| held.pushed.clone().map(|range| &self.bytes[range]))
            .collect()
    }

    pub(super) fn reject(&self, row: usize, error: crate::Error) -> Reject {
        Reject::new(self.ordinals[row], &self.pushed(row), error)
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.cells.clear();
        self.ordinals.clear();
        if self.bytes.capacity() > 4 * BYTES {
            self.bytes = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::charset::Charset;
    use crate::{ColumnInfo, Kind};

    #[test]
    fn rows_are_kept_as_pushed_and_as_read() {
        let column = |kind, declared: &str| ColumnInfo {
            declared: declared.to_owned(),
            ..ColumnInfo::new("c", kind)
        };
        let columns = [column(Kind::Text, "CLOB"), column(Kind::Blob, "BLOB")];
        let targets = columns.map(|column| Target::new(&column, Charset::All));
        let mut batch = Batch::default();
        let rows: [[Cell<'_>; 2]; 2] = [[Some(b"a"), Some(b"00ff")], [None, None]];
        for (ordinal, row) in (7..).zip(&rows) {
            let both = row.iter().zip(&targets);
            let read: Vec<_> = both
                .map(|(cell, target)| cell.and_then(|text| target.readable(text).ok()))
                .collect();
            batch.add(ordinal, row, &read);
        }
        assert_eq!(batch.pushed(0), rows[0]);
        let bound = batch.bound(0..2, &targets);
        assert!(matches!(
            bound[..],
            [
                Bound::Text(Some("a")),
                Bound::Bytes(Some(&[0, 255])),
                Bound::Text(None),
                Bound::Bytes(None)
            ]
        ));
        assert!(!bound[1].is_long() && Bound::Bytes(Some(&[0; 2001])).is_long());
        let error = crate::Error::new(crate::ErrorKind::Type, "loading");
        assert_eq!(batch.reject(1, error).ordinal, 8);
        batch.clear();
        assert!(batch.len() == 0 && !batch.is_full());
    }
}
