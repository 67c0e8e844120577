//! Files that are there whole or not at all: written under a temporary name beside their place, synced, renamed.
//!
//! **Guarantee**: a reader that skips dot files never sees half a file, at no moment and after no power cut. When
//! [`Draft::publish`], [`publish_all`] or [`move_into`] has returned, the file survives a power cut under its new name.
//! **Its end**: a folder on a file system that renames in two steps, and readers that open dot files.
//!
//! A draft of a killed run is found by its name, which carries job and run, and swept by the job's next run: only
//! one process works on a job at a time.

mod moving;

pub(crate) use moving::is_same;
pub use moving::{move_all_into, move_into};

use std::{
    fmt,
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    disk::{Disk, Written, folder},
    error::Error,
};

/// How a draft's name ends.
pub(crate) const SUFFIX: &str = ".part";
/// No job's name holds it, so a draft's name comes apart in one way only.
pub(crate) const MARK: char = '~';
/// The longest name that file systems of Linux take, in bytes.
const LONGEST: usize = 255;

/// Whose drafts are whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The job's name.
    pub job: String,
    /// The run's number; the process id for a run by hand.
    pub run: u64,
}

impl Author {
    /// The temporary name of what will be called `name`.
    pub(crate) fn draft(&self, name: &str) -> String {
        let tail = format!("{MARK}{}{MARK}{}{SUFFIX}", self.job, self.run);
        if name.len() + tail.len() < LONGEST {
            format!(".{name}{tail}")
        } else {
            // the hash keeps long names apart
            let hash = blake3::hash(name.as_bytes()).to_hex();
            format!(".{}{tail}", &hash[..32])
        }
    }

    /// Whether `name` is a draft of this job, of whichever run.
    pub(crate) fn wrote(&self, name: &str) -> bool {
        let Some(inner) = name
            .strip_prefix('.')
            .and_then(|name| name.strip_suffix(SUFFIX))
        else {
            return false;
        };
        let mut parts = inner.rsplitn(3, MARK);
        let run = parts.next().is_some_and(|run| run.parse::<u64>().is_ok());
        run && parts.next() == Some(self.job.as_str()) && parts.next().is_some()
    }
}

/// Removes the drafts that killed runs of this job left in `dir`; tells how many. No error when the folder is not there.
///
/// # Errors
/// When the folder cannot be read, or a draft not removed.
pub fn sweep_drafts(disk: &dyn Disk, dir: &Path, author: &Author) -> Result<usize, Error> {
    sweep_drafts_but(disk, dir, author, |_| false)
}

/// As [`sweep_drafts`], sparing those that somebody goes on with.
///
/// # Errors
/// As [`sweep_drafts`].
pub(crate) fn sweep_drafts_but(
    disk: &dyn Disk,
    dir: &Path,
    author: &Author,
    spared: impl Fn(&Path) -> bool,
) -> Result<usize, Error> {
    if disk.look(dir)?.is_none() {
        return Ok(0);
    }
    let mut swept = 0;
    for entry in disk.list(dir)? {
        let stale = !entry.meta.folder && author.wrote(&entry.name()) && !spared(&entry.path);
        if stale && disk.remove(&entry.path)? {
            log::info!(
                "removed {}, left by a run that was killed",
                entry.path.display()
            );
            swept += 1;
        }
    }
    Ok(swept)
}

/// A file being written under its temporary name. Dropped, it is removed.
pub struct Draft {
    leftover: Leftover,
    file: Box<dyn Written>,
    target: PathBuf,
    length: u64,
}

/// The temporary file, removed when dropped unless it was renamed.
struct Leftover {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    there: bool,
}

impl Drop for Leftover {
    fn drop(&mut self) {
        if self.there
            && let Err(error) = self.disk.remove(&self.path)
        {
            log::warn!("{}; the next run removes it", error.chain());
        }
    }
}

impl Draft {
    /// Begins a file that is to be published as `target`. Its folder is made if need be.
    ///
    /// # Errors
    /// When the folder or the temporary file cannot be made, or `target` ends in no UTF-8 name.
    pub fn create(disk: &Arc<dyn Disk>, target: &Path, author: &Author) -> Result<Draft, Error> {
        let name = target
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or_else(|| {
                Error::Data(format!("{}: not a file name in UTF-8", target.display()))
            })?;
        let path = target.with_file_name(author.draft(name));
        disk.create_dirs(folder(target))?;
        let file = match disk.create(&path) {
            // the process ids of runs by hand come round again; the dead run's draft is ours to remove
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::AlreadyExists => {
                disk.remove(&path)?;
                disk.create(&path)?
            }
            created => created?,
        };
        let leftover = Leftover {
            disk: Arc::clone(disk),
            path,
            there: true,
        };
        Ok(Draft {
            leftover,
            file,
            target: target.to_owned(),
            length: 0,
        })
    }

    /// Goes on behind what an earlier draft of the same author, number and all, holds; begins one where there is none.
    /// For those whose number says that the bytes are the same: of the same source, written since the machine started.
    ///
    /// # Errors
    /// As [`Draft::create`].
    pub(crate) fn resume(
        disk: &Arc<dyn Disk>,
        target: &Path,
        author: &Author,
    ) -> Result<Draft, Error> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(author.draft(&name));
        let Some(meta) = disk.look(&path)?.filter(|meta| meta.regular) else {
            return Draft::create(disk, target, author);
        };
        Ok(Draft {
            file: disk.append(&path)?,
            leftover: Leftover {
                disk: Arc::clone(disk),
                path,
                there: true,
            },
            target: target.to_owned(),
            length: meta.length,
        })
    }

    /// Leaves an unfinished draft there, to be gone on with.
    pub(crate) fn keep(mut self) {
        self.leftover.there = false;
    }

    /// Takes back all that was written; writing begins anew.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn restart(&mut self) -> Result<(), Error> {
        self.file
            .cut(0)
            .map_err(Error::io("cut", &self.leftover.path))?;
        self.length = 0;
        Ok(())
    }

    /// Bytes so far.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Where it is, under its temporary name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.leftover.path
    }

    /// Syncs the bytes; the file is complete, but not yet to be seen.
    ///
    /// # Errors
    /// When the disk cannot keep the bytes; the draft is removed, for a second sync would prove nothing.
    pub fn seal(mut self) -> Result<Sealed, Error> {
        self.file
            .sync()
            .map_err(Error::io("sync", &self.leftover.path))?;
        Ok(Sealed {
            leftover: self.leftover,
            target: self.target,
            length: self.length,
        })
    }

    /// Publishes the file in place of what is there; tells its length in bytes.
    ///
    /// # Errors
    /// When it cannot be made durable. Then the file may or may not be there: publish the same content again.
    pub fn publish(self) -> Result<u64, Error> {
        let disk = Arc::clone(&self.leftover.disk);
        let sealed = self.seal()?;
        let (length, dir) = (sealed.length, folder(&sealed.target).to_owned());
        sealed.rename()?;
        disk.sync_dir(&dir)?;
        Ok(length)
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.file.write(bytes)?;
        self.length += u64::try_from(taken).unwrap_or(0);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Draft({})", self.target.display())
    }
}

/// A complete file that is not yet to be seen. Dropped, it is removed.
pub struct Sealed {
    leftover: Leftover,
    target: PathBuf,
    length: u64,
}

impl Sealed {
    /// Bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Where it is now, under its temporary name.
    #[must_use]
    pub fn draft(&self) -> &Path {
        &self.leftover.path
    }

    /// Lets go of the draft: it stays, whatever happens to the process, for one who has written down where it is.
    pub fn keep(mut self) {
        self.leftover.there = false;
    }

    /// Where it will be.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Chooses another name in the same folder: how many parts there are is known only at the end.
    #[must_use]
    pub fn named(mut self, name: &str) -> Sealed {
        self.target.set_file_name(name);
        self
    }

    fn rename(mut self) -> Result<(), Error> {
        self.leftover
            .disk
            .rename(&self.leftover.path, &self.target)?;
        self.leftover.there = false;
        Ok(())
    }

    /// Publishes the file unless its name is taken: `false` then, and the draft is removed.
    ///
    /// # Errors
    /// As [`Draft::publish`].
    pub fn publish_new(mut self) -> Result<bool, Error> {
        let target = self.target.clone();
        let published = self.rename_new(&target)?;
        if published {
            self.leftover.disk.sync_dir(folder(&target))?;
        }
        Ok(published)
    }

    /// Publishes unless the name is taken; `false` then, and the draft is kept for another name.
    fn rename_new(&mut self, target: &Path) -> Result<bool, Error> {
        let renamed = self.leftover.disk.rename_new(&self.leftover.path, target)?;
        self.leftover.there = !renamed;
        Ok(renamed)
    }
}

/// Publishes files in their order, in place of what is there, each folder synced once at the end; tells their bytes in all.
///
/// # Errors
/// As [`Draft::publish`]; those before the failing one may be seen.
pub fn publish_all(disk: &dyn Disk, files: Vec<Sealed>) -> Result<u64, Error> {
    let mut dirs: Vec<PathBuf> = Vec::new();
    let mut length = 0;
    for file in files {
        let dir = folder(&file.target);
        if !dirs.iter().any(|known| known == dir) {
            dirs.push(dir.to_owned());
        }
        length += file.length;
        file.rename()?;
    }
    for dir in dirs {
        disk.sync_dir(&dir)?;
    }
    Ok(length)
}

#[cfg(test)]
mod tests;
