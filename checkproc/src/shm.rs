//! The only `unsafe` room of this crate: a POSIX shared-memory object as a slice of atomic words.
//!
//! It knows nothing of what the words mean. The mapping is handed out as `&[AtomicU64]`, so the rest of the crate
//! can neither tear a word nor read out of bounds. Nothing here ever unlinks an object that is in use.

#![expect(
    unsafe_code,
    reason = "memory that other processes write cannot be had in safe Rust"
)]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use rustix::fs::{FallocateFlags, Mode, OFlags};
use shared_memory::{Shmem, ShmemConf, ShmemError};

/// Where the C library keeps POSIX shared-memory objects on Linux.
const FOLDER: &str = "/dev/shm";

/// The file behind a shared-memory name.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}

/// The folder in which all tables lie.
pub(crate) fn folder() -> &'static Path {
    Path::new(FOLDER)
}

/// What fstat says of an object: enough to decide whether to trust it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Owner of the file.
    pub(crate) uid: u32,
    /// Type and permission bits.
    pub(crate) mode: u32,
    /// Bytes.
    pub(crate) size: u64,
    /// Which file it is.
    pub(crate) inode: u64,
}

/// An object that is open but not yet mapped: look at its facts before trusting its memory.
pub(crate) struct Object {
    name: String,
    file: File,
    facts: Facts,
}

impl Object {
    /// Opens an existing object without following a symbolic link.
    pub(crate) fn open(name: &str) -> io::Result<Object> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::open(path(name), flags, Mode::empty())?);
        let meta = file.metadata()?;
        let facts = Facts {
            uid: meta.uid(),
            mode: meta.mode(),
            size: meta.size(),
            inode: meta.ino(),
        };
        Ok(Object {
            name: name.to_owned(),
            file,
            facts,
        })
    }

    /// What fstat said when it was opened.
    pub(crate) fn facts(&self) -> Facts {
        self.facts
    }

    /// The open file, for locks and ownership.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Maps the object. Fails with `NotFound` if its name has come to mean another file since it was opened.
    pub(crate) fn map(self) -> io::Result<Mapping> {
        let shmem = open_by_name(&self.name)?;
        // The crate opened the name a second time: only the same inode may be read.
        if mapped_inode(shmem.as_ptr())? != Some(self.facts.inode)
            || shmem.len() as u64 != self.facts.size
        {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        Ok(Mapping {
            shmem,
            file: self.file,
            facts: self.facts,
        })
    }
}

/// A mapped object.
pub(crate) struct Mapping {
    shmem: Shmem,
    file: File,
    facts: Facts,
}

// SAFETY: the only thing in `Shmem` that is not Send and Sync is the pointer to the mapping. It stays valid until
// the drop, its memory is reached through atomics alone, and nothing in `Shmem` is changed after `create`/`map`.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Makes a new object of `bytes` zero bytes, mode 0600, and maps it. Fails with `AlreadyExists` if the name is taken.
    pub(crate) fn create(name: &str, bytes: usize) -> io::Result<Mapping> {
        let mut shmem = ShmemConf::new()
            .os_id(format!("/{name}"))
            .size(bytes)
            .create()
            .map_err(|error| from_crate(&error))?;
        // Others keep using the object when we end: its name is taken away by an operator or never.
        shmem.set_owner(false);
        let object = Object::open(name)?;
        if mapped_inode(shmem.as_ptr())? != Some(object.facts.inode) {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        Ok(Mapping {
            shmem,
            file: object.file,
            facts: object.facts,
        })
    }

    /// The memory, as whole 64-bit words.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: the pointer comes from mmap: page-aligned, valid for `len` bytes and for as long as `self.shmem`
        // lives, to which the slice is bound. AtomicU64 has the size and validity of u64, any bit pattern is a
        // value, and every process reaches this memory through atomic accesses only. A file cut short by its own
        // user would raise SIGBUS in processes of that user alone: others' files are never mapped for long.
        unsafe {
            std::slice::from_raw_parts(
                self.shmem.as_ptr().cast::<AtomicU64>(),
                self.shmem.len() / 8,
            )
        }
    }

    /// Sees to it that these words have memory behind them, so that a full tmpfs is an error here and not SIGBUS later.
    pub(crate) fn reserve(&self, words: Range<usize>) -> io::Result<()> {
        let (offset, bytes) = (words.start as u64 * 8, words.len() as u64 * 8);
        Ok(rustix::fs::fallocate(
            self.file.as_fd(),
            FallocateFlags::KEEP_SIZE,
            offset,
            bytes,
        )?)
    }

    /// The open file, for locks and ownership.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Which file is mapped.
    pub(crate) fn inode(&self) -> u64 {
        self.facts.inode
    }
}

/// Opens through the crate; a size of 0 (EINVAL from mmap) means that its maker has not sized it yet.
fn open_by_name(name: &str) -> io::Result<Shmem> {
    let mut tries = 0;
    loop {
        match ShmemConf::new().os_id(format!("/{name}")).open() {
            Ok(mut shmem) => {
                shmem.set_owner(false);
                return Ok(shmem);
            }
            Err(ShmemError::MapOpenFailed(code))
                if code == libc::EINVAL.unsigned_abs() && tries < 100 =>
            {
                tries += 1;
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            Err(error) => return Err(from_crate(&error)),
        }
    }
}

fn from_crate(error: &ShmemError) -> io::Error {
    match error {
        ShmemError::MapCreateFailed(code)
        | ShmemError::MapOpenFailed(code)
        | ShmemError::UnknownOsError(code) => {
            io::Error::from_raw_os_error(i32::try_from(*code).unwrap_or(libc::EIO))
        }
        ShmemError::MappingIdExists => io::Error::from(io::ErrorKind::AlreadyExists),
        other => io::Error::other(other.to_string()),
    }
}

/// The inode mapped at `address`, from `/proc/self/maps`.
fn mapped_inode(address: *const u8) -> io::Result<Option<u64>> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let prefix = format!("{:x}-", address.addr());
    let line = maps
        .lines()
        .find(|line| line.trim_start_matches('0').starts_with(&prefix));
    Ok(line
        .and_then(|line| line.split_ascii_whitespace().nth(4))
        .and_then(|inode| inode.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn two_mappings_of_a_name_are_the_same_memory() {
        let name = format!("procctl-test-shm-{}", std::process::id());
        let first = Mapping::create(&name, 8192).unwrap();
        first.reserve(0..8).unwrap();
        let object = Object::open(&name).unwrap();
        assert_eq!(
            (object.facts().size, object.facts().mode & 0o777),
            (8192, 0o600)
        );
        let second = object.map().unwrap();
        first.words()[7].store(42, Ordering::Release);
        assert_eq!(second.words()[7].load(Ordering::Acquire), 42);
        assert_eq!(
            (second.words().len(), second.inode()),
            (1024, first.inode())
        );
        assert_eq!(
            Mapping::create(&name, 8192).err().unwrap().kind(),
            io::ErrorKind::AlreadyExists
        );
        std::fs::remove_file(path(&name)).unwrap();
        assert_eq!(
            Object::open(&name).err().unwrap().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn a_name_that_changes_hands_is_not_mapped() {
        let name = format!("procctl-test-swap-{}", std::process::id());
        let _first = Mapping::create(&name, 4096).unwrap();
        let object = Object::open(&name).unwrap();
        std::fs::remove_file(path(&name)).unwrap();
        let _second = Mapping::create(&name, 4096).unwrap();
        assert_eq!(object.map().err().unwrap().kind(), io::ErrorKind::NotFound);
        std::fs::remove_file(path(&name)).unwrap();
    }

    #[test]
    fn a_link_is_not_followed() {
        let name = format!("procctl-test-link-{}", std::process::id());
        std::os::unix::fs::symlink("/etc/hostname", path(&name)).unwrap();
        assert!(Object::open(&name).is_err());
        std::fs::remove_file(path(&name)).unwrap();
    }
}
