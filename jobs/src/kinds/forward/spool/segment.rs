//! Segment files: their names, their first bytes, and how one comes into being whole.
//!
//! A segment is called after its first sequence number, twenty digits and `.seg`. It begins with 48 bytes: the line
//! `procctl spool 1` with its end, spool id, first sequence number and time of making (u64, little-endian), four bytes of zeros,
//! CRC-32 of all of that. Notes about sessions follow, then records. It is made under a draft's name, synced, then renamed:
//! there is no segment without its beginning. Zeros may follow the last record: room for more. A segment's records end where the next one's numbers begin; what stands behind
//! that was never acknowledged from there.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::record::{Head, Seal, u32_at, u64_at};
use crate::{
    disk::{Disk, Written},
    error::Error,
};

/// Bytes before the first record.
pub(super) const START: usize = 48;
const TITLE: &[u8; 16] = b"procctl spool 1\n";

/// The first bytes of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) id: u64,
    pub(super) base: u64,
    /// Microseconds since 1970.
    pub(super) made: u64,
}

impl Start {
    pub(super) fn to_bytes(self) -> [u8; START] {
        let mut bytes = [0; START];
        bytes[..16].copy_from_slice(TITLE);
        bytes[16..24].copy_from_slice(&self.id.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.base.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.made.to_le_bytes());
        let sum = crc32fast::hash(&bytes[..44]);
        bytes[44..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// `None` when the bytes are damaged, or the beginning of something else.
    pub(super) fn read(bytes: &[u8]) -> Option<Start> {
        let whole = bytes.len() >= START
            && bytes.starts_with(TITLE)
            && crc32fast::hash(&bytes[..44]) == u32_at(bytes, 44);
        whole.then(|| Start {
            id: u64_at(bytes, 16),
            base: u64_at(bytes, 24),
            made: u64_at(bytes, 32),
        })
    }
}

/// The file of the segment that begins with this number.
pub(super) fn path(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{base:020}.seg"))
}

/// The first number of the segment of this name; `None` when it is no segment's.
pub(super) fn base_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// The name of what becomes `name`: readers of folders skip dot files.
pub(super) fn draft(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!(".{name}.new"))
}

/// Whether this is a draft that a killed process left behind.
pub(super) fn is_draft(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".new")
}

/// Makes a file whole and durable under its name, in the place of one that has it; it stays open for more.
///
/// # Errors
/// With the draft taken away again.
pub(super) fn put(
    disk: &dyn Disk,
    dir: &Path,
    name: &str,
    bytes: &[u8],
) -> Result<Box<dyn Written>, Error> {
    let draft = draft(dir, name);
    disk.remove(&draft)?;
    let mut file = disk.create(&draft)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync())
        .map_err(Error::io("write", &draft))
        .and_then(|()| disk.rename(&draft, &dir.join(name)))
        .and_then(|()| disk.sync_dir(dir));
    match written {
        Ok(()) => Ok(file),
        Err(error) => {
            drop(file);
            // The error that counts is the first one; a draft left over goes at the next attempt.
            let _left = disk.remove(&draft);
            Err(error)
        }
    }
}

/// Makes a small file whole and durable under its name.
///
/// # Errors
/// When the disk refuses.
pub(crate) fn put_file(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    put(disk, dir, name, bytes).map(drop)
}

/// Makes these records a segment of their own in a folder, under the number of the first.
///
/// # Errors
/// When the disk refuses.
pub(crate) fn put_records<'a>(
    disk: &dyn Disk,
    dir: &Path,
    seal: &Seal,
    records: impl Iterator<Item = (Head, &'a [u8])>,
) -> Result<(), Error> {
    let (mut base, mut bytes) = (None, vec![0; START]);
    for (head, body) in records {
        base.get_or_insert(head.seq);
        seal.append(&mut bytes, head, body);
    }
    let Some(base) = base else { return Ok(()) };
    let start = Start {
        id: seal.id(),
        base,
        made: u64::try_from(chrono::Utc::now().timestamp_micros()).unwrap_or(0),
    };
    bytes[..START].copy_from_slice(&start.to_bytes());
    put(disk, dir, &format!("{base:020}.seg"), &bytes).map(drop)
}

/// Whether an error means that there is no room.
pub(crate) fn is_full(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if is_no_room(source))
}

/// The same, of an error of the system's.
pub(super) fn is_no_room(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_start_is_none() {
        let start = Start {
            id: 5,
            base: 9,
            made: 1,
        };
        let bytes = start.to_bytes();
        assert_eq!(Start::read(&bytes), Some(start));
        assert_eq!(Start::read(&bytes[..47]), None);
        for at in 0..START {
            let mut bad = bytes;
            bad[at] ^= 1;
            assert_eq!(Start::read(&bad), None, "byte {at}");
        }
    }

    #[test]
    fn names_say_where_a_segment_begins() {
        let path = path(Path::new("/s"), 42);
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(base_of(name), Some(42));
        for other in ["42.seg", "a.seg", "00000000000000000042.sog", ".seg", ""] {
            assert_eq!(base_of(other), None, "{other}");
        }
        assert!(is_draft(
            draft(Path::new("/s"), name)
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
        ));
    }
}
