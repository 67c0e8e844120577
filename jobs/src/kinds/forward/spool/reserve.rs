//! A little room that is given up when the disk is full, so that cursors can still be saved and a new segment begun: without
//! that, nothing could ever be removed from a full disk.

use std::path::Path;

use super::segment;
use crate::{disk::Disk, error::Error};

const NAME: &str = "reserve";
/// The most that it takes, and the least.
const BYTES: u64 = 256 << 10;
const LEAST: u64 = 8 << 10;

/// Puts the room aside if it is not, about as much as a segment, which takes so many bytes; a disk without room for it is no error.
pub(crate) fn keep(disk: &dyn Disk, dir: &Path, segment: u64) {
    let bytes = segment.clamp(LEAST, BYTES);
    let there = disk.look(&dir.join(NAME));
    if there.is_ok_and(|there| there.is_none_or(|there| there.length > bytes)) {
        // It is tried again later; what is wrong with the disk, those tell who write what counts.
        let _later = segment::put(
            disk,
            dir,
            NAME,
            &vec![0; usize::try_from(bytes).unwrap_or(0)],
        );
    }
}

/// Does something that needs a little room; on a full disk it gets the room that was put aside.
///
/// # Errors
/// What the second attempt gives.
pub(super) fn with_room<T>(
    disk: &dyn Disk,
    dir: &Path,
    mut act: impl FnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    match act() {
        Err(error) if segment::is_full(&error) && disk.remove(&dir.join(NAME))? => act(),
        outcome => outcome,
    }
}
