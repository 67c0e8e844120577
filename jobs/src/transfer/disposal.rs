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

/// What could not be done to a source, which stays where it is.
pub(crate) type Failures = Vec<(Found, Error)>;

/// Deletes files; durably, so that none is sent a second time after a power cut. One that cannot be deleted stops no others.
pub(crate) fn delete(
    tree: &Tree,
    scan: &Scan,
    files: &[Found],
    durable: bool,
) -> Result<Failures, Error> {
    let (mut folders, mut failures) = (BTreeSet::new(), Failures::new());
    for file in files {
        let path = scan.path(&file.name);
        match is_unchanged(tree, scan, file)
            .and_then(|same| if same { tree.remove(&path) } else { Ok(false) })
        {
            Ok(true) => drop(folders.insert(parent(&path))),
            Ok(false) => {}
            Err(error) => failures.push((file.clone(), error)),
        }
    }
    if durable {
        sync(tree, &folders)?;
    }
    Ok(failures)
}

/// Moves files into a folder of the same tree, durably, never over one that is there.
pub(crate) fn shift(
    tree: &Tree,
    scan: &Scan,
    files: &[Found],
    to: &str,
) -> Result<Failures, Error> {
    let (mut folders, mut failures) = (BTreeSet::new(), Failures::new());
    for file in files {
        let wanted = join(to, file.name.as_str());
        match is_unchanged(tree, scan, file).and_then(|same| {
            if same {
                place(tree, &scan.path(&file.name), &wanted)
            } else {
                Ok(())
            }
        }) {
            Ok(()) => folders.extend([parent(&scan.path(&file.name)), parent(&wanted)]),
            Err(error) => failures.push((file.clone(), error)),
        }
    }
    tree.sync_made()?;
    // a folder that nothing was moved into may not be there
    folders.retain(|folder| tree.folder(folder).is_ok());
    sync(tree, &folders)?;
    Ok(failures)
}

/// Moves a file to a name, or to the first free one of those with `.1`, `.2` and so on behind it.
fn place(tree: &Tree, from: &str, wanted: &str) -> Result<(), Error> {
    for number in 0..TRIES {
        let name = match number {
            0 => wanted.to_owned(),
            number => format!("{wanted}.{number}"),
        };
        if tree.move_new(from, &name)? {
            return Ok(());
        }
    }
    Err(Error::io("find a free name for", tree.path(wanted))(
        std::io::ErrorKind::AlreadyExists.into(),
    ))
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
