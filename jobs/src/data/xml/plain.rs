//! The short way through plain cells. Nearly every cell of a data file is `<name>text</name>` with a name met before,
//! no attribute and no reference, whole in the buffer; such a cell is taken as it stands, about four times as fast as
//! by way of the parser's events. Anything else is left to the parser, which sees only that whole elements are gone.

use std::io::BufRead;

use super::super::Limits;
use super::super::record::{Columns, Record};
use super::super::text::Text;
use super::chars::carries;

/// Takes plain cells into `record` for as long as they come. The parser must stand between two elements.
pub(super) fn take_cells(text: &mut Text, record: &mut Record, columns: &Columns, limits: Limits) {
    loop {
        let chunk = text.at_hand();
        let Some((name, value)) = cell(chunk) else {
            return;
        };
        let Some(column) = columns.find(name, record.len()) else {
            return;
        };
        if record.has(column) || record.size() > limits.row || !carries(value) {
            return;
        }
        record.open_cell();
        record.buffer().extend_from_slice(value);
        record.close_text(column);
        let whole = name.len() * 2 + value.len() + "<></>".len();
        text.consume(whole);
    }
}

/// The name and the text of the plain cell that `chunk` begins with.
fn cell(chunk: &[u8]) -> Option<(&str, &[u8])> {
    let inner = chunk.strip_prefix(b"<")?;
    let length = memchr::memchr(b'>', inner)?;
    let (name, rest) = (&inner[..length], &inner[length + 1..]);
    let end = memchr::memchr3(b'<', b'&', b'\r', rest)?;
    let close = rest[end..].strip_prefix(b"</")?.strip_prefix(name)?;
    if close.first() != Some(&b'>') {
        return None;
    }
    if name
        .iter()
        .any(|b| matches!(b, b' ' | b'\t' | b'\n' | b'/' | b'!' | b'?' | b'='))
    {
        return None;
    }
    Some((std::str::from_utf8(name).ok()?, &rest[..end]))
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn only_plain_cells_are_taken() {
        assert_eq!(cell(b"<a>1</a><b"), Some(("a", &b"1"[..])));
        assert_eq!(
            cell("<站>中</站>".as_bytes()),
            Some(("站", "中".as_bytes()))
        );
        for other in [
            "",
            "<",
            "<a",
            "<a>",
            "<a>1</a",
            "<a>1</ab>",
            "<a>&lt;</a>",
            "<a>\r</a>",
            "<a><b/></a>",
            "x",
            "</a>",
            "<a b=''>1</a b=''>",
        ] {
            assert_eq!(cell(other.as_bytes()), None, "{other}");
        }
    }
}
