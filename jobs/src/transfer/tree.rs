//! A folder that nothing leads out of: every path is resolved below it by the kernel (openat2 with RESOLVE_BENEATH and
//! RESOLVE_NO_SYMLINKS), so no `..`, no link and no race with somebody who plants links reaches another place.
//!
//! Descriptors of folders are kept while an operation goes on. Which files are taken or written is not decided here.

use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Timestamps},
    io::Errno,
    time::Timespec,
};

use super::{
    listing::{Leaf, Listing},
    name::join,
};
use crate::error::Error;

/// Descriptors of folders that are kept at once.
const KEPT: usize = 64;
/// How every path is resolved.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

/// What is known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Bytes.
    pub(crate) size: u64,
    /// Last written, in nanoseconds since 1970.
    pub(crate) mtime: i64,
    /// Anything about it last changed, in nanoseconds since 1970.
    pub(crate) ctime: i64,
    /// Last read, in nanoseconds since 1970, as far as the file system keeps it.
    pub(crate) atime: i64,
    /// Device and inode.
    pub(crate) inode: (u64, u64),
    /// Permission bits.
    pub(crate) mode: u16,
    /// Whether it is a file, not a folder, link or device.
    pub(crate) regular: bool,
}

impl Stat {
    /// Whether it is still the same file with the same content, as far as its inode and times tell. Reading does not count.
    pub(crate) fn is_same(&self, other: &Stat) -> bool {
        Stat { atime: 0, ..*self } == Stat { atime: 0, ..*other }
    }

    fn of(stat: &rustix::fs::Stat) -> Stat {
        Stat {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: nanos(stat.st_mtime, stat.st_mtime_nsec),
            ctime: nanos(stat.st_ctime, stat.st_ctime_nsec),
            atime: nanos(stat.st_atime, stat.st_atime_nsec),
            inode: (stat.st_dev, stat.st_ino),
            mode: u16::try_from(stat.st_mode & 0o777).unwrap_or(0),
            regular: FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile,
        }
    }
}

/// A time as one number; its parts have other types on other machines.
fn nanos(seconds: i64, nanos: impl TryInto<i64>) -> i64 {
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(nanos.try_into().unwrap_or(0))
}

/// A folder with everything below it.
pub(crate) struct Tree {
    path: PathBuf,
    root: Arc<OwnedFd>,
    folders: Mutex<HashMap<String, Arc<OwnedFd>>>,
    /// Folders in which folders were made that are not durable yet.
    made: Mutex<BTreeSet<String>>,
}

impl Tree {
    /// Opens a folder; the path to it is the operator's own and may hold links.
    pub(crate) fn open(path: &Path) -> Result<Tree, Error> {
        let root = rustix::fs::openat(
            CWD,
            path,
            OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY,
            Mode::empty(),
        )
        .map_err(|error| Error::io("open", path)(error.into()))?;
        Ok(Tree {
            path: path.to_owned(),
            root: Arc::new(root),
            folders: Mutex::default(),
            made: Mutex::default(),
        })
    }

    /// A path below the folder as the system has it, for messages.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() {
            self.path.clone()
        } else {
            self.path.join(name)
        }
    }

    fn failed<'a>(&'a self, action: &'static str, name: &'a str) -> impl Fn(Errno) -> Error + 'a {
        move |error| Error::io(action, self.path(name))(error.into())
    }

    /// Opens a path below the folder.
    fn resolve(&self, name: &str, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        loop {
            match rustix::fs::openat2(&*self.root, name, flags, mode, BENEATH) {
                // a rename somewhere on the way while the kernel looked
                Err(Errno::AGAIN | Errno::INTR) => {}
                // kernels before 5.6, and sandboxes that do not know the call
                Err(Errno::NOSYS | Errno::PERM) => return self.walk(name, flags, mode),
                other => return other,
            }
        }
    }

    /// As openat2 does it, a part at a time: names hold no `..`, and no part may be a link.
    fn walk(&self, name: &str, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
        let mut here = Arc::clone(&self.root);
        let mut parts = name.split('/').peekable();
        while let Some(part) = parts.next() {
            if part == ".." {
                return Err(Errno::XDEV);
            }
            let last = parts.peek().is_none();
            let how = if last {
                flags
            } else {
                OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW
            };
            let next =
                rustix::fs::openat(&*here, part, how, if last { mode } else { Mode::empty() })?;
            if last {
                return Ok(next);
            }
            here = Arc::new(next);
        }
        Err(Errno::NOENT)
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<String, Arc<OwnedFd>>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A folder below the folder; the folder itself by the empty name.
    pub(crate) fn folder(&self, name: &str) -> Result<Arc<OwnedFd>, Error> {
        if name.is_empty() {
            return Ok(Arc::clone(&self.root));
        }
        if let Some(known) = self.kept().get(name) {
            return Ok(Arc::clone(known));
        }
        let fd = self
            .resolve(name, OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty())
            .map_err(self.failed("open", name))?;
        let fd = Arc::new(fd);
        let mut kept = self.kept();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(name.to_owned(), Arc::clone(&fd));
        Ok(fd)
    }

    /// As [`Tree::folder`]; made with its parents if it is not there.
    pub(crate) fn make_folder(&self, name: &str) -> Result<Arc<OwnedFd>, Error> {
        match self.folder(name) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        let (parent, leaf) = name.rsplit_once('/').unwrap_or(("", name));
        let above = self.make_folder(parent)?;
        match rustix::fs::mkdirat(&*above, leaf, Mode::from_raw_mode(0o777)) {
            Ok(()) => {
                self.made
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(parent.to_owned());
            }
            Err(Errno::EXIST) => {}
            Err(error) => return Err(self.failed("create", name)(error)),
        }
        self.folder(name)
    }

    /// Forgets the descriptors that are kept: somebody has removed folders.
    pub(crate) fn forget_folders(&self) {
        self.kept().clear();
    }

    /// What is known of a path; `None` when there is nothing, not even its folder.
    pub(crate) fn look(&self, name: &str) -> Result<Option<Stat>, Error> {
        let (folder, leaf) = name.rsplit_once('/').unwrap_or(("", name));
        let folder = match self.folder(folder) {
            Ok(folder) => folder,
            Err(Error::Io { source, .. })
                if matches!(
                    source.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        match rustix::fs::statat(&*folder, leaf, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Stat::of(&stat))),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(self.failed("look at", name)(error)),
        }
    }

    /// Opens a file for reading; pipes, devices and links are refused.
    pub(crate) fn read(&self, name: &str) -> Result<(File, Stat), Error> {
        let (folder, leaf) = name.rsplit_once('/').unwrap_or(("", name));
        let folder = self.folder(folder)?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&*folder, leaf, flags, Mode::empty())
            .map_err(self.failed("open", name))?;
        let stat = self.stat(&fd, name)?;
        if !stat.regular {
            return Err(Error::io("open", self.path(name))(
                io::ErrorKind::InvalidInput.into(),
            ));
        }
        Ok((File::from(fd), stat))
    }

    /// What is known of an open file.
    pub(crate) fn stat(&self, file: impl AsFd, name: &str) -> Result<Stat, Error> {
        rustix::fs::fstat(file)
            .map(|stat| Stat::of(&stat))
            .map_err(self.failed("look at", name))
    }

    /// Opens a file for writing and reading, making it if it is not there; `fresh` empties it. Never through a link.
    pub(crate) fn write(
        &self,
        folder: &OwnedFd,
        leaf: &str,
        mode: u16,
        fresh: bool,
    ) -> io::Result<File> {
        let mut flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        if fresh {
            flags |= OFlags::TRUNC;
        }
        let mode = Mode::from_raw_mode(u32::from(mode & 0o777 | 0o600));
        Ok(File::from(rustix::fs::openat(folder, leaf, flags, mode)?))
    }

    /// What a folder holds, in name order; names that are not UTF-8 apart. What is neither file nor folder is left out.
    pub(crate) fn list(&self, name: &str) -> Result<Listing, Error> {
        let folder = self.folder(name)?;
        let failed = self.failed("list", name);
        let mut listing = Listing::default();
        for entry in Dir::read_from(&*folder).map_err(&failed)? {
            let entry = entry.map_err(&failed)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let kind = match entry.file_type() {
                // some file systems do not tell
                FileType::Unknown => {
                    match rustix::fs::statat(&*folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                        Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                        Err(_) => continue,
                    }
                }
                kind => kind,
            };
            if !matches!(kind, FileType::RegularFile | FileType::Directory) {
                continue;
            }
            let folder = kind == FileType::Directory;
            match name.to_str() {
                Ok(name) => listing.push(Leaf { name, folder }),
                Err(_) => listing.push_strange(name.to_string_lossy().into_owned(), folder),
            }
        }
        listing.sort();
        Ok(listing)
    }

    /// Gives a file another name in its own folder, in place of what is there.
    pub(crate) fn rename(&self, folder: &str, from: &str, to: &str) -> Result<(), Error> {
        let fd = self.folder(folder)?;
        rustix::fs::renameat(&*fd, from, &*fd, to)
            .map_err(|error| self.failed("publish", &join(folder, to))(error))
    }

    /// Moves a file, never over one that is there: `false` then.
    pub(crate) fn move_new(&self, from: &str, to: &str) -> Result<bool, Error> {
        let part = |name: &str| {
            name.rsplit_once('/')
                .map_or((String::new(), name.to_owned()), |(a, b)| {
                    (a.to_owned(), b.to_owned())
                })
        };
        let ((source, old), (target, new)) = (part(from), part(to));
        let (source, target) = (self.folder(&source)?, self.make_folder(&target)?);
        match rustix::fs::renameat_with(
            &*source,
            old.as_str(),
            &*target,
            new.as_str(),
            RenameFlags::NOREPLACE,
        ) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(self.failed("move", from)(error)),
        }
    }

    /// Removes a file; `false` when it was not there.
    pub(crate) fn remove(&self, name: &str) -> Result<bool, Error> {
        let (folder, leaf) = name.rsplit_once('/').unwrap_or(("", name));
        let folder = self.folder(folder)?;
        match rustix::fs::unlinkat(&*folder, leaf, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(self.failed("remove", name)(error)),
        }
    }

    /// Notes that a file was used just now, where eviction goes by that.
    pub(crate) fn touch(&self, name: &str) -> Result<(), Error> {
        let (folder, leaf) = name.rsplit_once('/').unwrap_or(("", name));
        let folder = self.folder(folder)?;
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: rustix::fs::UTIME_NOW,
            },
            last_modification: Timespec {
                tv_sec: 0,
                tv_nsec: rustix::fs::UTIME_OMIT,
            },
        };
        rustix::fs::utimensat(&*folder, leaf, &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(self.failed("touch", name))
    }

    /// Makes the names in a folder durable.
    pub(crate) fn sync_folder(&self, name: &str) -> Result<(), Error> {
        let folder = self.folder(name)?;
        rustix::fs::fsync(&*folder).map_err(self.failed("sync", name))
    }

    /// Makes the folders durable that were made here.
    pub(crate) fn sync_made(&self) -> Result<(), Error> {
        let made = std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner));
        made.iter().try_for_each(|folder| self.sync_folder(folder))
    }

    /// Makes everything durable that was written to this file system: one call for many files.
    pub(crate) fn sync_all(&self) -> Result<(), Error> {
        rustix::fs::syncfs(&*self.root).map_err(self.failed("sync", ""))
    }
}

/// The time of last writing as the kernel takes it, with the time of last reading set to now.
pub(crate) fn written_at(mtime: i64) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_NOW,
        },
        last_modification: Timespec {
            tv_sec: mtime.div_euclid(1_000_000_000),
            tv_nsec: mtime.rem_euclid(1_000_000_000),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_leads_out() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("root");
        fs::create_dir_all(root.join("in")).unwrap();
        fs::write(home.path().join("secret"), "x").unwrap();
        symlink(home.path(), root.join("out")).unwrap();
        symlink("in", root.join("inside")).unwrap();
        symlink(home.path().join("secret"), root.join("link")).unwrap();
        let tree = Tree::open(&root).unwrap();
        assert!(
            tree.folder("out").is_err()
                && tree.folder("inside").is_err()
                && tree.folder("..").is_err()
        );
        assert!(
            tree.walk("out", OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
                .is_err()
        );
        assert!(
            tree.walk(
                "../secret",
                OFlags::RDONLY | OFlags::NOFOLLOW,
                Mode::empty()
            )
            .is_err()
        );
        assert!(tree.read("link").is_err() && tree.read("out/secret").is_err());
        assert!(
            tree.write(&tree.folder("").unwrap(), "link", 0o600, true)
                .is_err()
        );
        assert_eq!(fs::read(home.path().join("secret")).unwrap(), b"x");
        assert!(tree.list("").unwrap().iter().all(|leaf| leaf.name == "in"));
    }

    #[test]
    fn folders_are_made_and_files_moved() {
        let home = tempfile::tempdir().unwrap();
        let tree = Tree::open(home.path()).unwrap();
        let folder = tree.make_folder("a/b/c").unwrap();
        drop(tree.write(&folder, "x", 0o644, true).unwrap());
        tree.sync_made().unwrap();
        assert!(
            tree.look("a/b/c/x")
                .unwrap()
                .is_some_and(|stat| stat.regular && stat.size == 0)
        );
        assert!(tree.move_new("a/b/c/x", "d/x").unwrap());
        drop(tree.write(&folder, "x", 0o644, true).unwrap());
        assert!(!tree.move_new("a/b/c/x", "d/x").unwrap());
        assert!(tree.remove("d/x").unwrap() && !tree.remove("d/x").unwrap());
        assert_eq!(tree.look("e/f/g").unwrap(), None);
    }
}
