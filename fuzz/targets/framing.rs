//! What senders say to `forward`, cut anywhere: nothing is taken that was not said, and what is undecided stays short.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<u8>, Vec<u8>)| {
    let (cuts, bytes) = input;
    jobs::kinds::forward::probe(&cuts, &bytes);
});
