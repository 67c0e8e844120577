//! The CSV reader, with a header and a comma, or otherwise. The first byte of the input chooses.

#![no_main]

mod rows;

use jobs::data::{CsvLayout, Layout};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let layout = CsvLayout {
        delimiter: if choice & 1 == 0 { b',' } else { b'\t' },
        header: choice & 2 == 0,
        ..CsvLayout::default()
    };
    rows::check(&Layout::Csv(layout), rest);
});
