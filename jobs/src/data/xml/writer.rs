//! Writes rows as XML.

use std::io;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use db::{Cell, Sheaf};

use super::super::writer::{Column, Form, bytes_of_hex};
use super::chars::{append_attribute, append_text, are_plain, is_name, is_plain, is_text};

/// The tags of one column, made once.
struct Tags {
    /// `<col`, or `<field name="…"` where the column's name is no XML name.
    open: Vec<u8>,
    close: Vec<u8>,
    /// Opening and closing tag around text that stands for itself, as nearly every cell.
    around: [Piece; 2],
    /// The closing tag of the column before and the opening one of this, as there is nothing in between.
    between: Piece,
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
    /// Whether there is a column of bytes, whose text never stands for itself.
    binary: bool,
}

impl Xml {
    pub(crate) fn new(columns: &[Column]) -> Xml {
        let mut tags: Vec<Tags> = columns.iter().map(tags_of).collect();
        for at in 1..tags.len() {
            let between = [&tags[at - 1].close[..], &tags[at].open, b">"].concat();
            tags[at].between = Piece::new(between);
        }
        Xml {
            tags,
            binary: columns.iter().any(|column| column.form == Form::Binary),
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

    /// Whether all cells whose texts are together `text` can be written as they stand, by [`Xml::plain_row`].
    pub(crate) fn writes_plain(&self, text: &[u8]) -> bool {
        !self.binary && are_plain(text)
    }

    /// The row of the cells in `range`, a cell a column, all of which [`Xml::writes_plain`].
    pub(crate) fn plain_row(&self, out: &mut Vec<u8>, cells: &Sheaf, range: Range<usize>) {
        out.extend_from_slice(b"<row>");
        let mut open: Option<&Tags> = None;
        for (tags, place) in self.tags.iter().zip(cells.places(range)) {
            let Some(place) = place else {
                open.take().inspect(|before| before.around[1].append(out));
                continue;
            };
            match open {
                Some(_) => tags.between.append(out),
                None => tags.around[0].append(out),
            }
            append_near(out, cells.text(), place);
            open = Some(tags);
        }
        open.inspect(|last| last.around[1].append(out));
        out.extend_from_slice(b"</row>\n");
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
        between: Piece::new(Vec::new()),
        open,
        close,
        form: column.form,
    }
}

/// Appends the text at this place. A short one goes by a copy of a known length, with some of what follows it, which is taken back.
fn append_near(out: &mut Vec<u8>, text: &[u8], place: Range<usize>) {
    const NEAR: usize = 16;
    match text[place.start..].first_chunk::<NEAR>() {
        Some(near) if place.len() <= NEAR => {
            let end = out.len() + place.len();
            out.extend_from_slice(near);
            out.truncate(end);
        }
        _ => out.extend_from_slice(&text[place]),
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

    #[test]
    fn plain_rows_are_as_all_rows() {
        let names = ["a".to_owned(), "b c".to_owned(), "d".repeat(2 * PADDED)];
        let xml = Xml::new(&names.map(Column::text));
        let long = "long ".repeat(9);
        let texts = [None, Some(&b""[..]), Some(b"x"), Some(long.as_bytes())];
        for case in 0..texts.len().pow(3) {
            let cells = [case % 4, case / 4 % 4, case / 16].map(|at| texts[at]);
            let mut sheaf = Sheaf::default();
            [cells, cells]
                .concat()
                .into_iter()
                .for_each(|cell| sheaf.push(cell));
            let (mut plain, mut want) = (Vec::new(), Vec::new());
            xml.plain_row(&mut plain, &sheaf, 0..3);
            xml.plain_row(&mut plain, &sheaf, 3..6);
            xml.row(&mut want, &cells).unwrap();
            assert_eq!(plain, want.repeat(2));
        }
    }
}
