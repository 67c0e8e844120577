//! Which files are due: found folder by folder, never by way of a symbolic link.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::params::{Files, is_refused};
use crate::context::Context;
use crate::disk::Entry;
use crate::error::Error;

/// Folders inside each other that are looked into.
const MAX_DEPTH: usize = 64;
/// How long the listing of one folder may take.
const LISTING: Duration = Duration::from_secs(600);
/// Endings of files that are packed already.
const PACKED: [&str; 12] = [
    ".gz", ".zst", ".bz2", ".xz", ".lz4", ".lzma", ".Z", ".zip", ".7z", ".tgz", ".txz", ".tbz",
];

/// The folder of a rule as the system knows it, links resolved.
///
/// # Errors
/// [`Error::Invalid`] when it is one that may not be swept, however it was written.
pub(super) fn root(cx: &Context, files: &Files) -> Result<PathBuf, Error> {
    let dir = cx.path(&files.dir);
    // A folder that is not there, or is on a disk of a test's own, is called what the job file calls it.
    let real = dir.canonicalize().unwrap_or_else(|_| dir.clone());
    if is_refused(&real) {
        return Err(Error::Invalid(format!(
            "{} is not to be swept",
            real.display()
        )));
    }
    Ok(real)
}

/// Calls `each` for every folder of a rule with the files in it that are due, folder by folder in name order.
pub(super) fn folders(
    cx: &Context,
    root: &Path,
    files: &Files,
    mut each: impl FnMut(&Path, Vec<Entry>) -> Result<(), Error>,
) -> Result<(), Error> {
    let disk = cx.disk();
    if disk.look(root)?.is_none() {
        log::warn!("{}: there is no such folder", root.display());
        return Ok(());
    }
    let now = SystemTime::from(cx.now());
    let mut waiting = vec![(root.to_owned(), 1)];
    while let Some((dir, depth)) = waiting.pop() {
        cx.checkpoint()?;
        let listing = cx.step("list a folder", LISTING);
        let entries = match disk.list(&dir) {
            Ok(entries) => entries,
            // One that went away, or may not be read, is no reason to leave the others alone.
            Err(error) if dir != root => {
                log::warn!("{}", error.chain());
                continue;
            }
            Err(error) => return Err(error),
        };
        drop(listing);
        if files.recurse && depth < MAX_DEPTH {
            let below = entries
                .iter()
                .filter(|entry| entry.meta.folder && !entry.meta.link);
            waiting.extend(below.rev().map(|entry| (entry.path.clone(), depth + 1)));
        }
        let due = entries
            .into_iter()
            .filter(|entry| is_due(entry, files, now))
            .collect();
        each(&dir, due)?;
    }
    Ok(())
}

fn is_due(entry: &Entry, files: &Files, now: SystemTime) -> bool {
    let Some(name) = entry.path.file_name().and_then(|name| name.to_str()) else {
        return false;
    };
    // A time ahead of the clock is no age.
    let age = now.duration_since(entry.meta.modified).ok();
    entry.meta.regular
        && !name.starts_with('.')
        && age.is_some_and(|age| age >= files.older.0)
        && files.pattern.matches(name)
        && (files.action.packing().is_none() || !is_packed(name))
}

fn is_packed(name: &str) -> bool {
    PACKED.iter().any(|ending| name.ends_with(ending))
}
