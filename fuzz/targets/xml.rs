//! The XML reader: rows as this project writes them, their older relatives, and rows of foreign files. The first byte
//! of the input chooses.

#![no_main]

mod rows;

use jobs::data::{Format, Layout, XmlLayout};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let layout = match choice {
        b'w' => Layout::Xml(XmlLayout { row: Some(vec!["feed".into(), "list".into(), "item".into()]) }),
        _ => Format::Xml.into(),
    };
    rows::check(&layout, rest);
});
