//! The short way through plain rows. Nearly every cell of a data file is `<name>text</name>` with a name met before, no
//! attribute and no reference; such a cell is taken as it stands, about four times as fast as by way of the parser's
//! events. So is `</row>…<row>` between two rows. Anything else is left to the parser, which sees only that whole elements are
//! gone, or that one row element goes on: its own state is the same before and after.

use std::io::{self, BufRead};

use super::super::Limits;
use super::super::record::{Columns, Record};
use super::super::text::Text;
use super::chars::{carries, is_plain};

/// A plain cell at the beginning of the text at hand.
#[derive(Debug, PartialEq, Eq)]
enum Cell<'a> {
    /// Its name, where it is not the expected one, its text, and its length with its tags.
    Whole {
        name: Option<&'a str>,
        value: &'a [u8],
        length: usize,
    },
    /// What is at hand may be the beginning of one.
    Cut,
    Other,
}

/// Takes plain cells into `record` for as long as they come. The parser must stand between two elements. `elements` tells
/// which columns' names can be those of elements.
pub(super) fn take_cells(
    text: &mut Text,
    record: &mut Record,
    columns: &Columns,
    elements: &[bool],
    limits: Limits,
) -> io::Result<()> {
    loop {
        let guess = record.len();
        let expected = columns.names().get(guess).map_or("", String::as_str);
        let (name, value, length) = match cell(text.at_hand(), expected) {
            Cell::Whole {
                name,
                value,
                length,
            } => (name, value, length),
            Cell::Cut => {
                if text.more()? {
                    continue;
                }
                return Ok(());
            }
            Cell::Other => return Ok(()),
        };
        let column = match name {
            None => guess,
            Some(name) => match columns.find(name, guess) {
                Some(column) => column,
                None => return Ok(()),
            },
        };
        let size = record.size() + value.len();
        if !elements[column]
            || record.has(column)
            || value.len() > limits.cell
            || size > limits.row
            || !(is_plain(value) || carries(value))
        {
            return Ok(());
        }
        record.open_cell();
        record.buffer().extend_from_slice(value);
        record.close_text(column);
        text.consume(length);
    }
}

/// Takes the end of a row and the beginning of the next one, if both are plain; tells where that one begins.
pub(super) fn take_seam(text: &mut Text) -> Option<u64> {
    let chunk = text.at_hand();
    let rest = chunk.strip_prefix(b"</row>")?;
    let blank = rest
        .iter()
        .take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r'))
        .count();
    let rest = rest[blank..].strip_prefix(b"<row>")?;
    let length = chunk.len() - rest.len();
    text.consume(length - "<row>".len());
    text.count_newlines();
    let begin = text.offset();
    text.consume("<row>".len());
    Some(begin)
}

/// The plain cell that `chunk` begins with; its name is likely to be `expected`.
fn cell<'a>(chunk: &'a [u8], expected: &str) -> Cell<'a> {
    let Some((&first, inner)) = chunk.split_first() else {
        return Cell::Cut;
    };
    if first != b'<' {
        return Cell::Other;
    }
    let known = !expected.is_empty()
        && inner.get(expected.len()) == Some(&b'>')
        && inner.starts_with(expected.as_bytes());
    let other = match (!known).then(|| name(inner)).transpose() {
        Ok(other) => other,
        Err(cell) => return cell,
    };
    let name = other.unwrap_or(expected);
    let rest = &inner[name.len() + 1..];
    let Some(end) = memchr::memchr3(b'<', b'&', b'\r', rest) else {
        return Cell::Cut;
    };
    let close = &rest[end..];
    let whole = name.len() + "</>".len();
    if close.len() < whole {
        let begun = close.starts_with(b"<") && (close.len() < 2 || close[1] == b'/');
        return if begun { Cell::Cut } else { Cell::Other };
    }
    if !close.starts_with(b"</")
        || &close[2..whole - 1] != name.as_bytes()
        || close[whole - 1] != b'>'
    {
        return Cell::Other;
    }
    Cell::Whole {
        name: other,
        value: &rest[..end],
        length: chunk.len() - close.len() + whole,
    }
}

/// The name of a tag without attributes, from behind its `<`.
fn name(inner: &[u8]) -> Result<&str, Cell<'static>> {
    let Some(length) = memchr::memchr(b'>', inner) else {
        return Err(Cell::Cut);
    };
    let name = &inner[..length];
    let plain = |b: &u8| !matches!(b, b' ' | b'\t' | b'\n' | b'\r' | b'/' | b'!' | b'?' | b'=');
    if !name.iter().all(plain) {
        return Err(Cell::Other);
    }
    std::str::from_utf8(name).map_err(|_| Cell::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(chunk: &'a [u8], expected: &'a str) -> Option<(&'a str, &'a [u8], usize)> {
        match cell(chunk, expected) {
            Cell::Whole {
                name,
                value,
                length,
            } => Some((name.unwrap_or(expected), value, length)),
            Cell::Cut | Cell::Other => None,
        }
    }

    #[test]
    fn only_plain_cells_are_taken() {
        for expected in ["a", "b", "", "aa"] {
            assert_eq!(found(b"<a>1</a><b", expected), Some(("a", &b"1"[..], 8)));
        }
        assert_eq!(
            found("<站>中</站>".as_bytes(), "站"),
            Some(("站", "中".as_bytes(), 14))
        );
        for other in [
            "<a>1</ab>",
            "<a>&lt;</a>",
            "<a>\r</a>",
            "<a><b/></a>",
            "x",
            "</a>",
            "<a b=''>1</a b=''>",
            "<!-- -->",
        ] {
            assert_eq!(cell(other.as_bytes(), "a"), Cell::Other, "{other}");
        }
        for cut in ["", "<", "<a", "<a>", "<a>1", "<a>1<", "<a>1</", "<a>1</a"] {
            assert_eq!(cell(cut.as_bytes(), "a"), Cell::Cut, "{cut}");
        }
    }
}
