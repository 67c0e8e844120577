//! JSON: an object a line, or an array of objects. Numbers keep their digits: they never pass through a float.

mod array;
mod object;
mod reader;
mod writer;

pub(super) use array::Reader as Array;
pub(super) use reader::Reader;
pub(super) use writer::Jsonl;
