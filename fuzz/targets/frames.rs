//! What a peer of the transfer protocol says: no bytes make the decoder fall, pass a limit, or name a file outside.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| jobs::transfer::probe(bytes));
