//! Dead letters: records that the centre refused for good, in segment files `dead/NAME/FIRST.seg`, so that the same tools read them.

use std::path::{Path, PathBuf};

use super::load::Load;
use crate::{
    error::Error,
    kinds::forward::spool::{Shelf, put_records},
};

/// The folder of a deliver's dead letters.
pub(crate) fn folder(spool: &Path, name: &str) -> PathBuf {
    spool.join("dead").join(name)
}

/// Who has the trouble that there are dead letters of this deliver.
pub(crate) fn trouble(name: &str) -> String {
    format!("{name} dead letters")
}

/// Whether there are none, since an operator took them away.
///
/// # Errors
/// When the folder cannot be looked at.
pub(crate) fn is_empty(shelf: &Shelf, name: &str) -> Result<bool, Error> {
    let dir = folder(&shelf.dir, name);
    Ok(shelf.disk.look(&dir)?.is_none() || shelf.disk.list(&dir)?.is_empty())
}

/// Makes these records durable among the dead letters.
///
/// # Errors
/// When the disk refuses.
pub(super) fn keep(shelf: &Shelf, name: &str, load: &Load) -> Result<(), Error> {
    let dir = folder(&shelf.dir, name);
    shelf.disk.create_dirs(&dir)?;
    let records = (0..load.len()).map(|at| (load.heads[at], load.record(at)));
    put_records(&*shelf.disk, &dir, &shelf.seal, records)
}
