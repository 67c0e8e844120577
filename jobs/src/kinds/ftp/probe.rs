//! Listings as a server that means harm would write them, for a fuzzer: no line makes the parsers fall, and no name leaves its folder.

use std::path::{Component, Path};

use chrono::NaiveDate;

use super::folder::{Content, take_line};
use super::listing::{parse_list, parse_mlsd};
use super::words::Words;

/// Takes bytes for a listing, by MLSD and by LIST, in two encodings, and checks what is let through.
///
/// # Panics
/// When a name is let through that is more than a name.
pub fn probe(bytes: &[u8]) {
    let now = NaiveDate::from_ymd_opt(2026, 2, 28)
        .and_then(|day| day.and_hms_opt(23, 59, 59))
        .expect("a time that there is");
    for words in [Words(encoding_rs::UTF_8), Words(encoding_rs::GBK)] {
        let mut content = Content::default();
        for line in bytes.split(|byte| *byte == b'\n') {
            take_line(words, line, parse_mlsd, &|_| true, &mut content);
            take_line(
                words,
                line,
                |line| parse_list(line, now),
                &|_| true,
                &mut content,
            );
        }
        for entry in content.entries {
            let mut parts = Path::new(&entry.name).components();
            let plain = matches!(
                (parts.next(), parts.next()),
                (Some(Component::Normal(_)), None)
            );
            let clean = !entry.name.contains(['/', '\r', '\n', '\0']);
            assert!(plain && clean, "{:?} is let through", entry.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_through_that_leads_elsewhere() {
        let pieces: [&[u8]; 14] = [
            b"type=file;size=3; ",
            b"type=dir; ",
            b"-rw-r--r-- 1 u g 3 Nov 5 13:46 ",
            b"drwxr-xr-x 2 u g 3 Feb 29 2020 ",
            b"11-05-26  01:46PM <DIR> ",
            b"..",
            b"/",
            b"a",
            b"\0",
            b"\r",
            b"\n",
            b"\xd5\xbe",
            b"\xff",
            b" ",
        ];
        let mut seed = 11_u32;
        for _ in 0..20_000 {
            let mut bytes = Vec::new();
            for _ in 0..6 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                bytes
                    .extend_from_slice(pieces[usize::try_from(seed >> 16).unwrap() % pieces.len()]);
            }
            probe(&bytes);
        }
    }
}
