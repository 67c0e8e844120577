//! Looks a workbook's package over before anything is made of it: every part is unpacked once, and thrown away.
//!
//! What a zip's directory says about sizes is not believed; what comes out is counted. The limits are wider than what
//! Excel itself writes at its own limits (1,048,576 rows, 16,384 columns, 32,767 characters a cell).

use std::io::{Cursor, Read};

use zip::ZipArchive;

/// Parts of a package.
const MAX_PARTS: usize = 10_000;
/// Bytes that all parts together unpack to.
const MAX_TOTAL: u64 = 4 << 30;
/// Bytes that a part unpacks to which is held in memory: shared strings, styles, the list of sheets.
const MAX_HELD: u64 = 96 << 20;
/// Bytes from one `<` to the next.
const MAX_TOKEN: usize = 1 << 20;
/// How many times its packed size a part may unpack to. Rows of a sheet differ at least by their numbers, which keeps
/// real ones below 100.
const MAX_RATIO: u64 = 300;
/// Bytes of a part up to which its ratio does not matter.
const SMALL: u64 = 4 << 20;

/// What is wrong with the package, if anything is.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let mut zip = ZipArchive::new(Cursor::new(bytes))
        .map_err(|e| format!("the workbook's package is broken: {e}"))?;
    if zip.len() > MAX_PARTS {
        return Err(format!("the workbook has more than {MAX_PARTS} parts"));
    }
    let mut total = 0;
    let mut piece = vec![0; 64 << 10];
    for i in 0..zip.len() {
        let mut part = zip
            .by_index(i)
            .map_err(|e| format!("part {} of the workbook's package: {e}", i + 1))?;
        let name = part
            .name()
            .map_err(|e| format!("part {} of the workbook's package: {e}", i + 1))?
            .into_owned();
        if !is_read(&name) {
            continue;
        }
        let packed = part.compressed_size();
        let mut length = Length::default();
        loop {
            let got = part
                .read(&mut piece)
                .map_err(|e| format!("the part {name} of the workbook is broken: {e}"))?;
            if got == 0 {
                break;
            }
            total += got as u64;
            length.add(&piece[..got]);
            length
                .check(packed, !is_sheet(&name), total)
                .map_err(|reason| format!("the part {name} of the workbook {reason}"))?;
        }
    }
    Ok(())
}

/// Whether calamine looks into the part at all; pictures and macros stay packed.
fn is_read(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [".xml", ".rels"]
        .iter()
        .any(|ending| name.ends_with(ending))
}

/// Whether the part passes as a stream.
fn is_sheet(name: &str) -> bool {
    name.to_ascii_lowercase().contains("worksheets/")
}

/// What has been unpacked of a part.
#[derive(Default)]
struct Length {
    bytes: u64,
    /// Bytes since the last `<`.
    token: usize,
    longest: usize,
}

impl Length {
    fn add(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        let mut from = 0;
        for at in memchr::memchr_iter(b'<', piece) {
            self.longest = self.longest.max(self.token + at - from);
            (self.token, from) = (0, at);
        }
        self.token += piece.len() - from;
        self.longest = self.longest.max(self.token);
    }

    fn check(&self, packed: u64, held: bool, total: u64) -> Result<(), String> {
        if self.longest > MAX_TOKEN {
            return Err(format!("has a tag or text of more than {MAX_TOKEN} bytes"));
        }
        if held && self.bytes > MAX_HELD || total > MAX_TOTAL {
            return Err(format!(
                "unpacks to more than {} MB",
                self.bytes.max(total) / 1_000_000
            ));
        }
        if self.bytes > SMALL && self.bytes / packed.max(1) > MAX_RATIO {
            return Err(format!(
                "unpacks to more than {MAX_RATIO} times its size, as no real one does"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn package(name: &str, content: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        content.for_each(|piece| zip.write_all(&piece).unwrap());
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn bombs_are_told_before_they_go_off() {
        let zeros = || std::iter::repeat_n(vec![0; 1 << 20], 200);
        let tags = || std::iter::repeat_n(b"<c/>".repeat(1 << 18), 200);
        for (bytes, word) in [
            (
                package("xl/worksheets/sheet1.xml", zeros()),
                "a tag or text of more",
            ),
            (
                package("xl/sharedStrings.xml", tags()),
                "unpacks to more than",
            ),
            (b"PK\x03\x04 not at all".to_vec(), "broken"),
        ] {
            let reason = check(&bytes).unwrap_err();
            assert!(reason.contains(word), "{reason}");
        }
        check(&package("xl/media/image1.png", zeros())).unwrap();
        check(&package(
            "xl/worksheets/sheet1.xml",
            std::iter::once(b"<c><v>1</v></c>".to_vec()),
        ))
        .unwrap();
    }

    #[test]
    fn what_memory_would_hold_is_bounded() {
        let length = Length {
            bytes: MAX_HELD + 1,
            ..Length::default()
        };
        assert!(length.check(MAX_HELD, true, MAX_HELD).is_err());
        assert!(length.check(MAX_HELD, false, MAX_HELD).is_ok());
        assert!(length.check(MAX_HELD, false, MAX_TOTAL + 1).is_err());
    }
}
