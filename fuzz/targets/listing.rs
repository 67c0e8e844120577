//! Listings of FTP servers: no line makes the parsers fall, no name that is let through leaves its folder.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| jobs::kinds::ftp::probe(bytes));
