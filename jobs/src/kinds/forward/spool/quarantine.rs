//! The quarantine: bytes of a segment that are no record, each run in a file named by its place,
//! `quarantine/SEGMENT-OFFSET.bad`, so that nothing that could still tell something is thrown away.

use std::path::Path;

use super::{segment, shelf::Shelf};
use crate::{disk::Disk, error::Error};

/// The folder in the spool's folder.
pub(crate) const FOLDER: &str = "quarantine";

/// Keeps what stood at a place; what is kept already stays.
///
/// # Errors
/// When it cannot be written for another reason than a full disk: then the bytes stay in their segment as long as
/// that is there, which is said.
pub(super) fn keep(shelf: &Shelf, base: u64, offset: u64, bytes: &[u8]) -> Result<(), Error> {
    keep_in(&*shelf.disk, &shelf.dir, base, offset, bytes)
}

pub(super) fn keep_in(
    disk: &dyn Disk,
    dir: &Path,
    base: u64,
    offset: u64,
    bytes: &[u8],
) -> Result<(), Error> {
    let dir = dir.join(FOLDER);
    let name = format!("{base:020}-{offset}.bad");
    if disk.look(&dir.join(&name))?.is_some() {
        return Ok(());
    }
    let kept = disk
        .create_dirs(&dir)
        .and_then(|()| segment::put(disk, &dir, &name, bytes).map(drop));
    match kept {
        Err(error) if segment::is_full(&error) => {
            log::error!("no room for the quarantine: {}", error.chain());
            Ok(())
        }
        kept => kept,
    }
}
