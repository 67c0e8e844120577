//! Writes an object a line. Every column stands in every object, NULL as `null`. Numbers are bare where their text is
//! JSON as it stands (`NaN` and `007` are not, and become strings); booleans, written `1` and `0` elsewhere, become
//! `true` and `false`. All of it reads back as the text it was.

use std::io;

use db::Cell;

use super::super::writer::{Column, Form, bytes_of_hex, utf8};
use super::object::is_number;

/// The layout of a JSON Lines file.
pub(crate) struct Jsonl {
    /// `{"name":` for the first column, `,"name":` for the others.
    keys: Vec<(Vec<u8>, Form)>,
}

impl Jsonl {
    pub(crate) fn new(columns: &[Column]) -> io::Result<Jsonl> {
        let mut keys = Vec::with_capacity(columns.len());
        for (i, column) in columns.iter().enumerate() {
            let mut key = if i == 0 { b"{".to_vec() } else { b",".to_vec() };
            serde_json::to_writer(&mut key, &column.name)?;
            key.push(b':');
            keys.push((key, column.form));
        }
        Ok(Jsonl { keys })
    }

    pub(crate) fn row(&self, out: &mut Vec<u8>, cells: &[Cell<'_>]) -> io::Result<()> {
        for ((key, form), cell) in self.keys.iter().zip(cells) {
            out.extend_from_slice(key);
            match cell {
                None => out.extend_from_slice(b"null"),
                Some(b"1") if *form == Form::Boolean => out.extend_from_slice(b"true"),
                Some(b"0") if *form == Form::Boolean => out.extend_from_slice(b"false"),
                // a boolean of MySQL may be any small number
                Some(text) if matches!(form, Form::Number | Form::Boolean) && is_number(text) => {
                    out.extend_from_slice(text)
                }
                Some(text) => {
                    if *form == Form::Binary {
                        bytes_of_hex(text)?;
                    }
                    serde_json::to_writer(&mut *out, utf8(text)?)?;
                }
            }
        }
        out.extend_from_slice(b"}\n");
        Ok(())
    }
}
