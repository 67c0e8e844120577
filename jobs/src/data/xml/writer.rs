//! Writes rows as XML.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use db::Cell;

use super::super::writer::{Column, Form, bytes_of_hex};
use super::chars::{append_attribute, append_text, is_name, is_plain, is_text};

/// The tags of one column, made once.
struct Tags {
    /// `<col`, or `<field name="…"` where the column's name is no XML name.
    open: Vec<u8>,
    close: Vec<u8>,
    /// Opening and closing tag around text that stands for itself, as nearly every cell.
    around: [Piece; 2],
    form: Form,
}

/// A piece of text that is appended over and over: a short one by a copy of a known length, which costs a third of one of any length.
struct Piece {
    padded: [u8; PADDED],
    text: Vec<u8>,
}

const PADDED: usize = 32;

impl Piece {
    fn new(text: Vec<u8>) -> Piece {
        let mut padded = [0; PADDED];
        let short = text.len().min(PADDED);
        padded[..short].copy_from_slice(&text[..short]);
        Piece { padded, text }
    }

    fn append(&self, out: &mut Vec<u8>) {
        if self.text.len() > PADDED {
            out.extend_from_slice(&self.text);
        } else {
            let end = out.len() + self.text.len();
            out.extend_from_slice(&self.padded);
            out.truncate(end);
        }
    }
}

/// The layout `<data><row><col>text</col>…</row>…</data>`.
pub(crate) struct Xml {
    tags: Vec<Tags>,
}

impl Xml {
    pub(crate) fn new(columns: &[Column]) -> Xml {
        Xml {
            tags: columns.iter().map(tags_of).collect(),
        }
    }

    pub(crate) fn open(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<data>\n");
    }

    pub(crate) fn row(&self, out: &mut Vec<u8>, cells: &[Cell<'_>]) -> io::Result<()> {
        out.extend_from_slice(b"<row>");
        for (tags, cell) in self.tags.iter().zip(cells) {
            if let Some(text) = cell {
                append_cell(out, tags, text)?;
            }
        }
        out.extend_from_slice(b"</row>\n");
        Ok(())
    }

    /// A row with attributes of its own, whose cells bring their names along.
    pub(crate) fn free_row<'a>(
        out: &mut Vec<u8>,
        attributes: &[(&str, &str)],
        cells: impl Iterator<Item = (&'a str, &'a [u8])>,
    ) -> io::Result<()> {
        out.extend_from_slice(b"<row");
        for (name, value) in attributes {
            append_attribute(out, name, value);
        }
        out.push(b'>');
        for (name, text) in cells {
            append_cell(
                out,
                &tags_of(&Column {
                    name: name.to_owned(),
                    form: Form::Text,
                }),
                text,
            )?;
        }
        out.extend_from_slice(b"</row>\n");
        Ok(())
    }

    pub(crate) fn close(out: &mut Vec<u8>) {
        out.extend_from_slice(b"</data>\n");
    }
}

fn tags_of(column: &Column) -> Tags {
    let mut open = b"<".to_vec();
    let element = if is_name(&column.name) {
        column.name.as_str()
    } else {
        "field"
    };
    open.extend_from_slice(element.as_bytes());
    if !is_name(&column.name) {
        append_attribute(&mut open, "name", &column.name);
    }
    let close = format!("</{element}>").into_bytes();
    Tags {
        around: [[&open[..], b">"].concat(), close.clone()].map(Piece::new),
        open,
        close,
        form: column.form,
    }
}

fn append_cell(out: &mut Vec<u8>, tags: &Tags, text: &[u8]) -> io::Result<()> {
    if tags.form != Form::Binary && is_plain(text) {
        let [before, after] = &tags.around;
        before.append(out);
        out.extend_from_slice(text);
        after.append(out);
        return Ok(());
    }
    out.extend_from_slice(&tags.open);
    if tags.form == Form::Binary {
        append_base64(out, &bytes_of_hex(text)?);
    } else if is_text(text) {
        out.push(b'>');
        append_text(out, text);
    } else {
        append_base64(out, text);
    }
    out.extend_from_slice(&tags.close);
    Ok(())
}

fn append_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(b" enc=\"base64\">");
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_any_length_are_whole() {
        for length in [1, PADDED - 3, PADDED - 2, PADDED, 3 * PADDED] {
            let name = "n".repeat(length);
            let xml = Xml::new(&[Column::text(&name)]);
            let mut out = Vec::new();
            xml.row(&mut out, &[Some(b"text")]).unwrap();
            let want = format!("<row><{name}>text</{name}></row>\n");
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
    }
}
