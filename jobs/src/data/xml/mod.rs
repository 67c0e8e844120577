//! Rows in XML: `<data><row><col>text</col>…</row>…</data>` and its older relatives.

mod cell;
mod chars;
mod foreign;
mod markup;
mod plain;
mod reader;
mod row;
mod writer;

pub(super) use chars::is_text;
pub(super) use reader::Reader;
pub(super) use writer::Xml;
