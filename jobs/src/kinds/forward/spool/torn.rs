//! Finds where the power failed while the newest segment was written. Records that are written over room ([`super::room`]) reach the
//! platter a sector at a time, in no order: a hole of zeros may stand before records that are whole, none of which was
//! acknowledged. They must not count as taken: their sender would never send again what was in the hole.
//!
//! A hole is told from damage by the empty note that stands before whatever is written after a sync: it says that all before it is
//! durable. Zeros to the end of a sector with no such note behind them were never on the disk; with one, they are damage.

use std::{io::Read as _, ops::Range, path::Path, sync::Arc};

use super::{
    quarantine,
    record::Seal,
    scan::{Item, Scan},
};
use crate::{
    disk::{Disk, Entry},
    error::Error,
};

/// What a disk writes whole or not at all, at least.
const SECTOR: u64 = 512;

/// Where the records of a segment end that can have been acknowledged, if others follow behind a hole; those go to the quarantine.
/// Gives the bytes that are cut.
///
/// # Errors
/// When the segment cannot be read, or what is cut not be kept.
pub(super) fn cut(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    entry: &Entry,
    base: u64,
    seal: &Seal,
) -> Result<Option<Range<u64>>, Error> {
    let Some(range) = find(disk, entry, seal)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    let mut file = disk.open(&entry.path)?;
    std::io::copy(&mut (&mut file).take(range.start), &mut std::io::sink())
        .and_then(|_| file.take(range.end - range.start).read_to_end(&mut bytes))
        .map_err(Error::io("read", &entry.path))?;
    quarantine::keep_in(&**disk, dir, base, range.start, &bytes)?;
    log::warn!(
        "{}: the power failed while it was written: what stands behind a hole, {} bytes from {} on, was not acknowledged and is cut; it is kept in the quarantine",
        entry.path.display(),
        bytes.len(),
        range.start
    );
    Ok(Some(range))
}

/// From the first hole with no note of a sync behind it to the last record.
fn find(disk: &Arc<dyn Disk>, entry: &Entry, seal: &Seal) -> Result<Option<Range<u64>>, Error> {
    let length = entry.meta.length;
    let mut scan = Scan::open(Arc::clone(disk), entry.path.clone(), length)?;
    // without a note there was no room yet, or the segment is older than notes are
    let (mut hole, mut end, mut noted) = (None, 0, false);
    loop {
        match scan.peek(seal, length)? {
            Item::Record(head) => {
                if head.is_note() && scan.body().is_empty() {
                    (hole, noted) = (None, true);
                }
                scan.pass();
                end = scan.offset();
            }
            Item::Damage(offset, bytes) => {
                if noted && hole.is_none() && is_hole(offset, &bytes) {
                    hole = Some(offset);
                }
            }
            Item::End => break,
        }
    }
    Ok(hole.filter(|hole| *hole < end).map(|hole| hole..end))
}

/// Whether bytes at this offset are zeros up to the end of a sector.
fn is_hole(offset: u64, bytes: &[u8]) -> bool {
    let mut rest = bytes;
    let mut left = SECTOR - offset % SECTOR;
    while let Some(part) = usize::try_from(left).ok().and_then(|left| rest.get(..left)) {
        if part.iter().all(|byte| *byte == 0) {
            return true;
        }
        rest = &rest[part.len()..];
        left = SECTOR;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_reaches_the_end_of_a_sector() {
        let mut bytes = vec![1; 1024];
        assert!(!is_hole(0, &bytes));
        bytes[512..].fill(0);
        assert!(is_hole(0, &bytes));
        assert!(!is_hole(0, &bytes[..1023]));
        assert!(is_hole(500, &bytes[500..]));
        // the last bytes of a record, in a sector whose rest is whole
        assert!(!is_hole(1, &bytes[..600]));
        assert!(is_hole(511, &[0]));
        assert!(!is_hole(512, &[0; 511]));
    }
}
