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
    /// The same with its end: nearly every cell is text that stands for itself.
    whole: Vec<u8>,
    close: Vec<u8>,
    form: Form,
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
    Tags {
        whole: [&open[..], b">"].concat(),
        open,
        close: format!("</{element}>").into_bytes(),
        form: column.form,
    }
}

fn append_cell(out: &mut Vec<u8>, tags: &Tags, text: &[u8]) -> io::Result<()> {
    if tags.form != Form::Binary && is_plain(text) {
        out.reserve(tags.whole.len() + text.len() + tags.close.len());
        out.extend_from_slice(&tags.whole);
        out.extend_from_slice(text);
        out.extend_from_slice(&tags.close);
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
