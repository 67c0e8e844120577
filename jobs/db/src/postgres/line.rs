//! One row as COPY sends it to this side: a line of text with tabs between cells, `\N` for NULL, a backslash before what would
//! be misread. Format: <https://www.postgresql.org/docs/current/sql-copy.html>, "Text Format".
//!
//! The cheapest way to get rows: one message a row, no text looked at but for its tabs and backslashes.

use super::fault::Trouble;
use super::spelling::Spelling;
use crate::Cell;
use bytes::Bytes;
use std::ops::Range;

/// Where a cell's written form is.
#[derive(Debug)]
enum Place {
    Null,
    /// In the line as it came.
    Lent(Range<usize>),
    /// In the buffer.
    Written(Range<usize>),
}

/// The row that is lent.
#[derive(Debug, Default)]
pub(super) struct Line {
    bytes: Bytes,
    places: Vec<Place>,
    buffer: Vec<u8>,
}

impl Line {
    /// Takes a row in, which has as many cells as there are spellings.
    pub(super) fn read(&mut self, bytes: Bytes, spellings: &[Spelling]) -> Result<(), Trouble> {
        self.places.clear();
        self.buffer.clear();
        self.bytes = bytes;
        let line = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        let mut marks = memchr::memchr2_iter(b'\t', b'\\', line);
        let mut from = 0;
        for spelling in spellings {
            if from > line.len() {
                return Err(odd_width());
            }
            let mut escapes = false;
            let to = loop {
                match marks.next() {
                    Some(at) if line[at] == b'\t' => break at,
                    Some(_) => escapes = true,
                    None => break line.len(),
                }
            };
            let place = place(&line[from..to], from, escapes, *spelling, &mut self.buffer);
            self.places.push(place);
            from = to + 1;
        }
        if from == line.len() + 1 {
            Ok(())
        } else {
            Err(odd_width())
        }
    }

    pub(super) fn cell(&self, index: usize) -> Cell<'_> {
        match &self.places[index] {
            Place::Null => None,
            Place::Lent(range) => Some(&self.bytes[range.clone()]),
            Place::Written(range) => Some(&self.buffer[range.clone()]),
        }
    }
}

fn odd_width() -> Trouble {
    Trouble::Unfit("a row has another number of cells than the query has columns".to_owned())
}

/// The written form of a cell that begins at `from`.
fn place(
    cell: &[u8],
    from: usize,
    escapes: bool,
    spelling: Spelling,
    buffer: &mut Vec<u8>,
) -> Place {
    let begin = buffer.len();
    if escapes {
        if cell == b"\\N" {
            return Place::Null;
        }
        let plain = unescape(cell);
        if !spelling.rewrite(&plain, buffer) {
            buffer.extend_from_slice(spelling.lend(&plain));
        }
        return Place::Written(begin..buffer.len());
    }
    if spelling.rewrites() && spelling.rewrite(cell, buffer) {
        return Place::Written(begin..buffer.len());
    }
    match spelling {
        Spelling::Truth | Spelling::Bytes => {
            buffer.extend_from_slice(spelling.lend(cell));
            Place::Written(begin..buffer.len())
        }
        Spelling::Same | Spelling::Float | Spelling::Zone => Place::Lent(from..from + cell.len()),
    }
}

/// What a cell with backslashes means.
fn unescape(cell: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(cell.len());
    let mut bytes = cell.iter();
    while let Some(&byte) = bytes.next() {
        plain.push(match (byte, byte == b'\\') {
            (_, false) => byte,
            _ => match bytes.next() {
                Some(b'b') => 8,
                Some(b'f') => 12,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'v') => 11,
                Some(&other) => other,
                None => b'\\',
            },
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(line: &'static str, spellings: &[Spelling]) -> Option<Vec<Option<String>>> {
        let mut row = Line::default();
        row.read(Bytes::from_static(line.as_bytes()), spellings)
            .ok()
            .map(|()| {
                let text = |cell: &[u8]| String::from_utf8(cell.to_vec()).unwrap();
                (0..row.places.len())
                    .map(|index| row.cell(index).map(text))
                    .collect()
            })
    }

    #[test]
    fn lines_come_apart_at_their_tabs() {
        let same = [Spelling::Same; 4];
        let row =
            |cells: [Option<&str>; 4]| Some(cells.map(|cell| cell.map(str::to_owned)).to_vec());
        assert_eq!(
            read("1\t\\N\t\tx y\n", &same),
            row([Some("1"), None, Some(""), Some("x y")])
        );
        let marks = "a\\tb\t\\\\N\t\\b\\f\\n\\r\\v\t站\\\\\n";
        assert_eq!(
            read(marks, &same),
            row([
                Some("a\tb"),
                Some("\\N"),
                Some("\u{8}\u{c}\n\r\u{b}"),
                Some("站\\")
            ])
        );
        assert_eq!(read("1\t2\t3\n", &same), None);
        assert_eq!(read("1\t2\t3\t4\t5\n", &same), None);
        assert_eq!(read("\n", &same[..1]), Some(vec![Some(String::new())]));
    }

    #[test]
    fn cells_are_respelled() {
        let kinds = [
            Spelling::Truth,
            Spelling::Bytes,
            Spelling::Float,
            Spelling::Zone,
            Spelling::Float,
        ];
        let cells = [
            "1",
            "00ff",
            "1000000000000000",
            "2026-01-01 00:00:00+00:00",
            "0.5",
        ];
        let want = cells.map(|cell| Some(cell.to_owned())).to_vec();
        assert_eq!(
            read("t\t\\\\x00ff\t1e+15\t2026-01-01 00:00:00+00\t0.5\n", &kinds),
            Some(want)
        );
    }

    proptest! {
        #[test]
        fn no_line_breaks_it(line: Vec<u8>, width in 0_usize..5) {
            let mut row = Line::default();
            if row.read(Bytes::from(line), &vec![Spelling::Same; width]).is_ok() {
                for index in 0..row.places.len() {
                    let _ = row.cell(index);
                }
            }
        }
    }
}
