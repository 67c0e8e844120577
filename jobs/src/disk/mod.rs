//! The disk as jobs see it: a face so small that a fake can stand in for it and forget, at any operation, what was
//! not synced. All code that promises durability (publishing, state, ledgers of files) goes through it.
//!
//! What the face promises is what POSIX promises after a power cut, no more: a file's bytes are safe after
//! [`Written::sync`], its name after [`Disk::sync_dir`] on its folder, a rename shows either name whole.

mod early;
mod fake;
mod real;

pub use fake::{FakeDisk, Power};
pub use real::RealDisk;

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::{error::Error, writers::Writers};

/// Files and folders. Every error names the action and the path.
pub trait Disk: Send + Sync {
    /// Makes a file that must not be there yet, for writing.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] among others.
    fn create(&self, path: &Path) -> Result<Box<dyn Written>, Error>;

    /// Opens a file that is there for writing behind its end.
    ///
    /// # Errors
    /// When it is not there or may not be written.
    fn append(&self, path: &Path) -> Result<Box<dyn Written>, Error>;

    /// Opens a file for reading.
    ///
    /// # Errors
    /// When it is not there or may not be read.
    fn open(&self, path: &Path) -> Result<Box<dyn Read + Send>, Error>;

    /// Writes over the first bytes of a file that is there, durably; it takes no room that the file does not have.
    ///
    /// # Errors
    /// The file may hold anything then, be it after a loss of power or a sync that failed: put another in its place.
    fn overwrite(&self, path: &Path, bytes: &[u8]) -> Result<(), Error>;

    /// Gives a file another name, on the same file system; a file of that name is replaced in one step.
    ///
    /// # Errors
    /// [`io::ErrorKind::CrossesDevices`] among others.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), Error>;

    /// As [`Disk::rename`], but never replaces: `false` when the name is taken.
    ///
    /// # Errors
    /// As [`Disk::rename`].
    fn rename_new(&self, from: &Path, to: &Path) -> Result<bool, Error>;

    /// Removes a file; `false` when it was not there.
    ///
    /// # Errors
    /// When it may not be removed.
    fn remove(&self, path: &Path) -> Result<bool, Error>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// When the system cannot say that they are.
    fn sync_dir(&self, dir: &Path) -> Result<(), Error>;

    /// Makes a file's bytes durable, whoever wrote them.
    ///
    /// # Errors
    /// When the system cannot say that they are.
    fn sync_file(&self, path: &Path) -> Result<(), Error>;

    /// Makes a folder and its parents, durably; no error when it is there.
    ///
    /// # Errors
    /// When it cannot be made.
    fn create_dirs(&self, dir: &Path) -> Result<(), Error>;

    /// What a folder holds, in name order, dot files included. What vanishes while one looks is left out.
    ///
    /// # Errors
    /// When the folder cannot be read.
    fn list(&self, dir: &Path) -> Result<Vec<Entry>, Error>;

    /// Gives a file the times, permissions and, where that is allowed, the owner of another one.
    ///
    /// # Errors
    /// When times or permissions cannot be set.
    fn dress(&self, path: &Path, like: &Path) -> Result<(), Error>;

    /// Sets the time of a file's last write; durable with its next sync.
    ///
    /// # Errors
    /// When it cannot be set.
    fn set_modified(&self, path: &Path, time: SystemTime) -> Result<(), Error>;

    /// Files that are open for writing at this moment, as far as that can be seen.
    fn writers(&self) -> Writers;

    /// What is known of a path; `None` when there is nothing.
    ///
    /// # Errors
    /// When the system does not tell.
    fn look(&self, path: &Path) -> Result<Option<Meta>, Error>;
}

/// A file that is being written. Its bytes go to the disk as they come; buffer above it.
pub trait Written: Write + Send {
    /// Makes its bytes durable.
    ///
    /// # Errors
    /// After an error the bytes may be lost although a second call says otherwise: give the file up.
    fn sync(&mut self) -> io::Result<()>;

    /// Makes its bytes durable, and of what is known about it only what reading them takes: not its times.
    ///
    /// # Errors
    /// As [`Written::sync`].
    fn sync_data(&mut self) -> io::Result<()> {
        self.sync()
    }

    /// Sees to it that so many bytes of zeros lie behind what was written, durably; writing goes on where it was, over them. What is
    /// written over bytes that are there takes less time to sync than what makes a file longer; until that sync, each sector of it
    /// may be there or still be zeros, in no order. For files made by [`Disk::create`].
    ///
    /// # Errors
    /// As [`Written::sync`], and when there is no room; some of the zeros may be there.
    fn lay_room(&mut self, bytes: u64) -> io::Result<()>;

    /// Takes back what is behind the first `length` bytes, zeros too; writing goes on there.
    ///
    /// # Errors
    /// When the system refuses.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its whole path.
    pub path: PathBuf,
    /// What is known of it.
    pub meta: Meta,
}

impl Entry {
    /// The last part of the path; a name that is not UTF-8 shows with replacement characters.
    #[must_use]
    pub fn name(&self) -> String {
        self.path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }
}

/// What the disk knows of a file or folder; of a symbolic link, what it points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Bytes.
    pub length: u64,
    /// When it was last written.
    pub modified: SystemTime,
    /// When anything about it last changed, be it its name; tools that copy times cannot set this one back.
    pub changed: SystemTime,
    /// Device and inode: the same for every name of one file.
    pub inode: (u64, u64),
    /// Whether it is a folder.
    pub folder: bool,
    /// Whether the path is a symbolic link.
    pub link: bool,
    /// Whether the path is a file: no folder, link, pipe, socket or device.
    pub regular: bool,
}

/// The folder that a path is in: `.` for a bare name.
#[must_use]
pub fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
