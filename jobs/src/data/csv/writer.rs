//! Writes RFC 4180: a header, quotes where they are needed; empty text is quoted, NULL is not. Lines end with LF alone,
//! which every reader takes and Unix tools need.

use std::io;

use db::Cell;

use super::super::writer::{Column, utf8};

/// The layout of a CSV file.
pub(crate) struct Csv {
    header: Vec<u8>,
}

impl Csv {
    pub(crate) fn new(columns: &[Column]) -> Csv {
        let mut header = Vec::new();
        for (i, column) in columns.iter().enumerate() {
            if i > 0 {
                header.push(b',');
            }
            // Blanks around a name and control characters in it count in quotes alone.
            let name = column.name.as_str();
            if name.trim() == name && !name.contains(char::is_control) {
                append_field(&mut header, name.as_bytes());
            } else {
                append_quoted(&mut header, name.as_bytes());
            }
        }
        header.extend_from_slice(b"\n");
        Csv { header }
    }

    pub(crate) fn open(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.header);
    }

    /// A row of one NULL is an empty line, which the reader takes as such where there is one column.
    #[expect(clippy::unused_self, reason = "the same face as the other layouts")]
    pub(crate) fn row(&self, out: &mut Vec<u8>, cells: &[Cell<'_>]) -> io::Result<()> {
        for (i, cell) in cells.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            match cell {
                None => {}
                Some(text) if is_plain(text) => out.extend_from_slice(text),
                Some(text) => append_field(out, utf8(text)?.as_bytes()),
            }
        }
        out.extend_from_slice(b"\n");
        Ok(())
    }
}

/// Whether a text is ASCII that needs no quotes: nearly every cell, and this is all that is then asked of it.
fn is_plain(text: &[u8]) -> bool {
    let quoted = |byte: u8| byte >= 0x80 || matches!(byte, b',' | b'"' | b'\r' | b'\n');
    !text.is_empty() && !text.iter().any(|byte| quoted(*byte))
}

fn append_field(out: &mut Vec<u8>, text: &[u8]) {
    let plain = !text.is_empty()
        // A file that begins with U+FEFF would lose it as a byte order mark.
        && !text.starts_with("\u{FEFF}".as_bytes())
        && !text.iter().any(|b| matches!(b, b',' | b'"' | b'\r' | b'\n'));
    if plain {
        out.extend_from_slice(text);
    } else {
        append_quoted(out, text);
    }
}

fn append_quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'"', rest) {
        out.extend_from_slice(&rest[..=at]);
        out.push(b'"');
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Compression, Format, Reading, Writer};

    #[test]
    fn names_of_any_characters_come_back() {
        let names = ["a\u{8}b", " c ", "d\u{7f}", "e\nf", "\"g\",h"];
        let columns = names.map(Column::text);
        let writer = Writer::new(Vec::new(), Format::Csv, Compression::None, &columns);
        let bytes = writer.unwrap().finish().unwrap();
        let rows = Reading::of(Format::Csv, "").open(Box::new(std::io::Cursor::new(bytes)));
        assert_eq!(rows.unwrap().columns(), names);
        let bare = Reading::of(Format::Csv, "").open(Box::new(&b"a\x08b,c\n1,2\n"[..]));
        assert!(bare.is_err());
        // an attribute would bring another name back
        let columns = ["\u{ffff}"].map(Column::text);
        assert!(Writer::new(Vec::new(), Format::Xml, Compression::None, &columns).is_err());
    }
}
