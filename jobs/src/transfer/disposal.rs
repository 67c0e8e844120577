//! What becomes of sources that are safe at the other side. A file that is not the one that was sent any more stays.

use std::collections::BTreeSet;

use super::{
    name::join,
    scan::{Found, Scan},
    tree::Tree,
};
use crate::error::Error;

/// Names that are tried when a moved file's own is taken.
const TRIES: u32 = 100_000;

/// Whether the file is still the one that was sent; said in the log where it is not.
pub(crate) fn is_unchanged(tree: &Tree, scan: &Scan, file: &Found) -> Result<bool, Error> {
    let now = tree.look(&scan.path(&file.name))?;
    let same = now.is_some_and(|now| now.is_same(&file.stat));
    if !same && now.is_some() {
        log::info!(
            "{}: changed after it was sent; left for the next pass",
            file.name
        );
    }
    Ok(same)
}

/// Deletes files; durably, so that none is sent a second time after a power cut.
pub(crate) fn delete(
    tree: &Tree,
    scan: &Scan,
    files: &[Found],
    durable: bool,
) -> Result<(), Error> {
    for file in files {
        if is_unchanged(tree, scan, file)? {
            tree.remove(&scan.path(&file.name))?;
        }
    }
    let folders: BTreeSet<String> = files
        .iter()
        .map(|file| parent(&scan.path(&file.name)))
        .collect();
    if durable {
        sync(tree, &folders)
    } else {
        Ok(())
    }
}

/// Moves files into a folder of the same tree, durably, never over one that is there.
pub(crate) fn shift(tree: &Tree, scan: &Scan, files: &[Found], to: &str) -> Result<(), Error> {
    let mut folders = BTreeSet::new();
    for file in files {
        if !is_unchanged(tree, scan, file)? {
            continue;
        }
        let from = scan.path(&file.name);
        let wanted = join(to, file.name.as_str());
        let mut moved = false;
        for number in 0..TRIES {
            let name = if number == 0 {
                wanted.clone()
            } else {
                format!("{wanted}.{number}")
            };
            if tree.move_new(&from, &name)? {
                moved = true;
                break;
            }
        }
        if !moved {
            log::warn!("{}: every name in {to} is taken", file.name);
        }
        folders.extend([parent(&from), parent(&wanted)]);
    }
    tree.sync_made()?;
    sync(tree, &folders)
}

fn parent(path: &str) -> String {
    path.rsplit_once('/')
        .map_or(String::new(), |(folder, _)| folder.to_owned())
}

fn sync(tree: &Tree, folders: &BTreeSet<String>) -> Result<(), Error> {
    folders
        .iter()
        .try_for_each(|folder| tree.sync_folder(folder))
}
