//! The JSON readers: an object a line, or one array. The first byte of the input chooses.

#![no_main]

mod rows;

use jobs::data::Layout;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else { return };
    rows::check(if choice & 1 == 0 { &Layout::Jsonl } else { &Layout::Json }, rest);
});
