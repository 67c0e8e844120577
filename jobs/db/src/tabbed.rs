//! Rows as lines with tabs, as COPY and LOAD DATA take them: a tab between cells, a line feed after each row, `\N` for
//! NULL, a backslash before what would be misread. Format: <https://www.postgresql.org/docs/current/sql-copy.html>, "Text
//! Format". Columns of bytes get PostgreSQL's `\x` in front; who does not want that calls them text.

use crate::{Cell, Kind};
use std::ops::Range;

/// How much of a chunk is kept for a second try.
const CHUNK: usize = 4 << 20;
const CHUNK_ROWS: usize = 50_000;

/// Rows on their way to a server, kept until it has taken them.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) bytes: Vec<u8>,
    /// Each row's ordinal, and where it ends.
    pub(crate) rows: Vec<(u64, usize)>,
}

impl Chunk {
    pub(crate) fn add(&mut self, ordinal: u64, kinds: &[Kind], row: &[Cell<'_>]) {
        write_row(&mut self.bytes, kinds, row);
        self.rows.push((ordinal, self.bytes.len()));
    }

    /// Takes a copy of another chunk's row.
    pub(crate) fn take(&mut self, other: &Chunk, row: usize) {
        self.bytes.extend_from_slice(&other.bytes[other.place(row)]);
        self.rows.push((other.rows[row].0, self.bytes.len()));
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK || self.rows.len() >= CHUNK_ROWS
    }

    /// Where a row's line lies.
    pub(crate) fn place(&self, row: usize) -> Range<usize> {
        let start = row.checked_sub(1).map_or(0, |before| self.rows[before].1);
        start..self.rows[row].1
    }

    /// Where these rows' lines lie, which rise; neighbours together.
    pub(crate) fn places(&self, rows: &[usize]) -> Vec<Range<usize>> {
        let mut places: Vec<Range<usize>> = Vec::new();
        for row in rows {
            let place = self.place(*row);
            match places.last_mut().filter(|last| last.end == place.start) {
                Some(last) => last.end = place.end,
                None => places.push(place),
            }
        }
        places
    }

    /// A row's cells.
    pub(crate) fn cells(&self, row: usize, kinds: &[Kind]) -> Vec<Option<Vec<u8>>> {
        read_row(&self.bytes[self.place(row)], kinds)
    }

    /// One of a row's cells.
    pub(crate) fn cell(&self, row: usize, index: usize, kinds: &[Kind]) -> Option<Vec<u8>> {
        let line = &self.bytes[self.place(row)];
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let cell = line.split(|byte| *byte == b'\t').nth(index)?;
        read_text(cell, kinds[index])
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.rows.clear();
        if self.bytes.capacity() > 2 * CHUNK {
            self.bytes = Vec::new();
        }
    }
}

/// Appends a row.
fn write_row(out: &mut Vec<u8>, kinds: &[Kind], row: &[Cell<'_>]) {
    for (index, (kind, cell)) in kinds.iter().zip(row).enumerate() {
        if index > 0 {
            out.push(b'\t');
        }
        match cell {
            None => out.extend_from_slice(b"\\N"),
            Some(text) => {
                if *kind == Kind::Blob {
                    out.extend_from_slice(b"\\\\x");
                }
                write_text(out, text);
            }
        }
    }
    out.push(b'\n');
}

fn write_text(out: &mut Vec<u8>, mut text: &[u8]) {
    while let Some(at) = text
        .iter()
        .position(|byte| matches!(byte, b'\\' | b'\t' | b'\n' | b'\r'))
    {
        out.extend_from_slice(&text[..at]);
        out.push(b'\\');
        out.push(match text[at] {
            b'\t' => b't',
            b'\n' => b'n',
            b'\r' => b'r',
            other => other,
        });
        text = &text[at + 1..];
    }
    out.extend_from_slice(text);
}

/// Reads a row that [`write_row`] wrote.
fn read_row(line: &[u8], kinds: &[Kind]) -> Vec<Option<Vec<u8>>> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.split(|byte| *byte == b'\t')
        .zip(kinds)
        .map(|(cell, kind)| read_text(cell, *kind))
        .collect()
}

fn read_text(cell: &[u8], kind: Kind) -> Option<Vec<u8>> {
    if cell == b"\\N" {
        return None;
    }
    let mut text = Vec::with_capacity(cell.len());
    let mut bytes = cell.iter();
    while let Some(&byte) = bytes.next() {
        text.push(match byte {
            b'\\' => match bytes.next() {
                Some(b't') => b'\t',
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(&other) => other,
                None => b'\\',
            },
            other => other,
        });
    }
    if kind == Kind::Blob {
        text.drain(..text.len().min(2));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn marks_are_escaped() {
        let mut out = Vec::new();
        write_row(
            &mut out,
            &[Kind::Text, Kind::Blob, Kind::Text],
            &[Some(b"a\tb\\N\n"), Some(b"00ff"), None],
        );
        assert_eq!(
            String::from_utf8_lossy(&out),
            "a\\tb\\\\N\\n\t\\\\x00ff\t\\N\n"
        );
    }

    #[test]
    fn chunks_keep_their_rows_places() {
        let mut chunk = Chunk::default();
        for (ordinal, text) in [(3, "a"), (5, "bcd")] {
            chunk.add(ordinal, &[Kind::Text], &[Some(text.as_bytes())]);
        }
        assert_eq!((chunk.place(0), chunk.place(1)), (0..2, 2..6));
        assert_eq!(
            chunk.places(&[0, 1]).as_slice(),
            std::slice::from_ref(&(0..6))
        );
        assert_eq!(chunk.cells(1, &[Kind::Text]), [Some(b"bcd".to_vec())]);
        assert_eq!(chunk.cell(0, 0, &[Kind::Text]), Some(b"a".to_vec()));
    }

    proptest! {
        #[test]
        fn rows_come_back(row: Vec<Option<Vec<u8>>>, blob: bool) {
            prop_assume!(!row.is_empty());
            let kinds = vec![if blob { Kind::Blob } else { Kind::Text }; row.len()];
            let cells: Vec<Cell<'_>> = row.iter().map(Option::as_deref).collect();
            let mut out = Vec::new();
            write_row(&mut out, &kinds, &cells);
            prop_assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
            prop_assert_eq!(read_row(&out, &kinds), row);
        }
    }
}
