//! Delimited text: RFC 4180 with a header, NULL told apart from the empty string.
//!
//! Written by hand because that difference lives in the quotes: an unquoted empty field is NULL, `""` is empty text.
//! The `csv` crate drops the quotes before its caller sees the field.

mod reader;
mod scan;
mod writer;

pub(super) use reader::Reader;
pub(super) use writer::Csv;
