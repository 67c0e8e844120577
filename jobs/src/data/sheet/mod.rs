//! Workbooks (`.xlsx`): one sheet's rows, read as a stream by calamine.
//!
//! A workbook is a zip of XML parts, and calamine trusts both. So the whole package is looked over first
//! ([`package`]): what it unpacks to, and how long a single tag or text in it is. Nothing is opened that fails there.

mod package;
mod reader;
#[cfg(test)]
pub(crate) mod tests;
mod value;

pub(super) use reader::Reader;

/// Which sheet of a workbook, and how its rows begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SheetLayout {
    /// Its name, or its number counted from 1. `None`: the first.
    pub sheet: Option<String>,
    /// Whether the first row that is not empty names the columns; else they are `c1`, `c2`, … by their place.
    pub header: bool,
}
