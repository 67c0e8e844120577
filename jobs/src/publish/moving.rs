//! Files on their way into another folder: durably, and never over a file that is there.

use std::{
    ffi::OsString,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Author, Draft};
use crate::{
    disk::{Disk, folder},
    error::Error,
};

/// Moves a file into a folder, durably, and tells its new path. Nothing is overwritten: a name that is taken gets `.1`,
/// `.2` and so on behind it. On another file system the file is copied, published there, then removed here; a power cut
/// in between leaves both.
///
/// # Errors
/// When the file cannot be moved, or is in that folder already; it is then where it was.
pub fn move_into(
    disk: &Arc<dyn Disk>,
    from: &Path,
    dir: &Path,
    author: &Author,
) -> Result<PathBuf, Error> {
    let mut moved = move_all_into(disk, &[from], dir, author)?;
    Ok(moved.swap_remove(0))
}

/// As [`move_into`] for several files, the folders synced once at the end.
///
/// # Errors
/// As [`move_into`]; those before the failing one may have moved.
pub fn move_all_into(
    disk: &Arc<dyn Disk>,
    files: &[&Path],
    dir: &Path,
    author: &Author,
) -> Result<Vec<PathBuf>, Error> {
    disk.create_dirs(dir)?;
    let mut left: Vec<&Path> = Vec::new();
    let mut moved = Vec::with_capacity(files.len());
    for &from in files {
        if !left.contains(&folder(from)) {
            if is_same(&**disk, folder(from), dir)? {
                return Err(Error::Invalid(format!(
                    "{} is to be moved into {}, where it is already",
                    from.display(),
                    dir.display()
                )));
            }
            left.push(folder(from));
        }
        moved.push(place_into(disk, from, dir, author)?);
    }
    disk.sync_dir(dir)?;
    for old in left {
        disk.sync_dir(old)?;
    }
    Ok(moved)
}

/// Gives a file a free name in a folder; the names are not durable yet.
fn place_into(
    disk: &Arc<dyn Disk>,
    from: &Path,
    dir: &Path,
    author: &Author,
) -> Result<PathBuf, Error> {
    let name = from.file_name().unwrap_or_default().to_owned();
    let place =
        |place: &Path| Ok(disk.rename_new(from, place)? || finish_move(&**disk, from, place)?);
    match first_free(dir, &name, place) {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::CrossesDevices => {
            let to = copy_into(disk, from, dir, &name, author)?;
            disk.sync_dir(dir)?;
            disk.remove(from)?;
            Ok(to)
        }
        to => to,
    }
}

/// A power cut in the middle of a move may leave one file under both names: then only the old name is left to go.
fn finish_move(disk: &dyn Disk, from: &Path, to: &Path) -> Result<bool, Error> {
    let inode = |path: &Path| {
        Ok::<_, Error>(
            disk.look(path)?
                .filter(|meta| meta.regular)
                .map(|meta| meta.inode),
        )
    };
    let (old, new) = (inode(from)?, inode(to)?);
    if old.is_none() || old != new {
        return Ok(false);
    }
    disk.sync_dir(folder(to))?;
    disk.remove(from)
}

/// Whether two paths lead to one file or folder, by whatever names.
///
/// # Errors
/// When one of them cannot be looked at.
pub(crate) fn is_same(disk: &dyn Disk, one: &Path, other: &Path) -> Result<bool, Error> {
    let inode = |path| Ok::<_, Error>(disk.look(path)?.map(|meta| meta.inode));
    let one = inode(one)?;
    Ok(one.is_some() && one == inode(other)?)
}

fn first_free(
    dir: &Path,
    name: &OsString,
    mut place: impl FnMut(&Path) -> Result<bool, Error>,
) -> Result<PathBuf, Error> {
    for number in 0..100_000_u32 {
        let mut name = name.clone();
        if number > 0 {
            name.push(format!(".{number}"));
        }
        let to = dir.join(name);
        if place(&to)? {
            return Ok(to);
        }
    }
    Err(Error::io("find a free name for", dir.join(name))(
        ErrorKind::AlreadyExists.into(),
    ))
}

fn copy_into(
    disk: &Arc<dyn Disk>,
    from: &Path,
    dir: &Path,
    name: &OsString,
    author: &Author,
) -> Result<PathBuf, Error> {
    let mut source = disk.open(from)?;
    let mut draft = Draft::create(disk, &dir.join(name), author)?;
    io::copy(&mut source, &mut draft).map_err(Error::io("copy", from))?;
    let mut sealed = draft.seal()?;
    first_free(dir, name, |to| sealed.rename_new(to))
}
