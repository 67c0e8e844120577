//! Making, checking and replacing tables. A table is built under a name of its own and renamed into place; a bad one is told
//! to be retired and replaced once, however many processes find it bad.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::{CWD, FlockOperation, Mode, RenameFlags};

use crate::Error;
use crate::layout::{self, SLOTS, header};
use crate::process::{self, monotonic_ns};
use crate::shm::{self, Mapping, Object};

/// Why a table is not to be used.
enum Flaw {
    /// Replace it.
    Bad(String),
    /// A newer program made it.
    Newer(u64),
    /// It belongs to another user.
    Foreign(u32),
}

/// Builds a table under a name of its own, then renames it into place: nobody ever sees a half-built one.
fn build(name: &str, uid: u32, flags: RenameFlags) -> Result<Mapping, Error> {
    let draft = format!("{name}.{}-{}", std::process::id(), monotonic_ns());
    let path = shm::path(&draft);
    let failed = |error: io::Error| Error::io("make heartbeat table", &path, error);
    let mapping = Mapping::create(&draft, layout::BYTES).map_err(failed)?;
    let finish = || -> io::Result<()> {
        mapping.reserve(layout::header_range())?;
        rustix::fs::fchmod(mapping.file(), Mode::RUSR | Mode::WUSR)?;
        write_header(mapping.words(), uid);
        if mapping.file().metadata()?.uid() != uid {
            std::os::unix::fs::fchown(mapping.file(), Some(uid), None)?;
        }
        Ok(rustix::fs::renameat_with(
            CWD,
            &path,
            CWD,
            shm::path(name),
            flags,
        )?)
    };
    if let Err(error) = finish() {
        // The draft has never had another user: taking its name away harms nobody.
        fs::remove_file(&path).ok();
        return Err(failed(error));
    }
    Ok(mapping)
}

fn write_header(words: &[AtomicU64], uid: u32) {
    let (boot_high, boot_low) = process::boot_id();
    let constants = [
        (header::MAGIC, layout::MAGIC),
        (header::VERSION, layout::VERSION),
        (header::SLOTS, u64::from(SLOTS)),
        (header::BYTES, layout::BYTES as u64),
        (header::UID, u64::from(uid)),
        (header::BOOT_HIGH, boot_high),
        (header::BOOT_LOW, boot_low),
        (header::CREATED, monotonic_ns()),
    ];
    for (word, value) in constants {
        words[word].store(value, Ordering::Release);
    }
    words[header::CHECKSUM].store(sum(words), Ordering::Release);
}

fn sum(words: &[AtomicU64]) -> u64 {
    layout::checksum(
        words[..header::CHECKSUM]
            .iter()
            .map(|word| word.load(Ordering::Acquire)),
    )
}

/// What to do about a name that cannot be opened: a link of ours is taken away, all else is an error.
fn refuse(path: &Path, uid: u32, error: io::Error) -> Result<(), Error> {
    let Ok(meta) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    let us = rustix::process::geteuid().as_raw();
    if meta.is_symlink() && (us == 0 || us == meta.uid()) && fs::remove_file(path).is_ok() {
        log::warn!(
            "heartbeat table {} was a symbolic link: removed",
            path.display()
        );
        return Ok(());
    }
    if meta.uid() != uid {
        return Err(Error::Foreign {
            path: path.to_path_buf(),
            uid,
            owner: meta.uid(),
        });
    }
    Err(Error::io("open heartbeat table", path, error))
}

/// Is the header that of a table of this user, layout and boot?
fn inspect(words: &[AtomicU64], uid: u32) -> Result<(), Flaw> {
    let bad = |why: &str| Err(Flaw::Bad(why.to_owned()));
    let word = |position: usize| words[position].load(Ordering::Acquire);
    if word(header::MAGIC) != layout::MAGIC {
        return bad("wrong magic");
    }
    if word(header::CHECKSUM) != sum(words) {
        return bad("wrong checksum");
    }
    if word(header::VERSION) > layout::VERSION {
        return Err(Flaw::Newer(word(header::VERSION)));
    }
    let sizes = (
        word(header::VERSION),
        word(header::SLOTS),
        word(header::BYTES),
    );
    if sizes != (layout::VERSION, u64::from(SLOTS), layout::BYTES as u64) {
        return bad("another layout");
    }
    if word(header::UID) != u64::from(uid) {
        return bad("made for another user");
    }
    if (word(header::BOOT_HIGH), word(header::BOOT_LOW)) != process::boot_id() {
        return bad("made before the last boot");
    }
    if word(header::RETIRED) != 0 {
        return bad("retired");
    }
    Ok(())
}

/// Maps an object that its facts and header prove to be a table of this user, or says what is wrong with it.
fn examine(object: Object, uid: u32) -> io::Result<Result<Mapping, Flaw>> {
    let facts = object.facts();
    if facts.mode & libc::S_IFMT != libc::S_IFREG {
        return Ok(Err(Flaw::Bad("not a plain file".to_owned())));
    }
    if facts.uid != uid {
        return Ok(Err(Flaw::Foreign(facts.uid)));
    }
    let sized = Flaw::Bad(format!("{} bytes instead of {}", facts.size, layout::BYTES));
    if facts.size < layout::header_range().len() as u64 * 8 {
        return Ok(Err(sized));
    }
    let mapping = object.map()?;
    let result = if facts.size != layout::BYTES as u64 {
        Err(sized)
    } else if facts.mode & 0o077 != 0 {
        Err(Flaw::Bad(format!(
            "open to others (mode {:o})",
            facts.mode & 0o777
        )))
    } else {
        inspect(mapping.words(), uid)
    };
    if let Err(Flaw::Bad(_)) = result {
        // Those who still beat in it see this and open the new one.
        mapping.words()[header::RETIRED].store(1, Ordering::Release);
    }
    Ok(result.map(|()| mapping))
}

/// Maps an object if it is a table of this user; replaces it if not and if we may.
fn take_or_replace(object: Object, name: &str, uid: u32) -> Result<Mapping, Error> {
    let path = shm::path(name);
    let failed = |error| Error::io("map heartbeat table", &path, error);
    let inode = object.facts().inode;
    let lock = object.file().try_clone().map_err(failed)?;
    let why = match examine(object, uid).map_err(failed)? {
        Ok(mapping) => return Ok(mapping),
        Err(Flaw::Bad(why)) => why,
        Err(Flaw::Newer(found)) => {
            return Err(Error::Newer {
                path,
                found,
                known: layout::VERSION,
            });
        }
        Err(Flaw::Foreign(owner)) if rustix::process::geteuid().is_root() => {
            format!("belongs to uid {owner}")
        }
        Err(Flaw::Foreign(owner)) => return Err(Error::Foreign { path, uid, owner }),
    };
    replace(&lock, inode, name, uid, why)
}

/// Opens the table of this name, making it if there is none and replacing a bad one.
pub(crate) fn open(name: &str, uid: u32) -> Result<Mapping, Error> {
    let path = shm::path(name);
    let mut why = String::from("it comes and goes");
    for _ in 0..50 {
        let result = match Object::open(name) {
            Ok(object) => take_or_replace(object, name, uid),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                build(name, uid, RenameFlags::NOREPLACE)
            }
            Err(error) => {
                refuse(&path, uid, error)?;
                continue;
            }
        };
        match result {
            Ok(mapping) => return Ok(mapping),
            // Somebody else was faster: look again.
            Err(Error::Io { source, .. })
                if matches!(
                    source.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
                ) => {}
            Err(Error::Unsettled { why: flaw, .. }) => why = flaw,
            Err(error) => return Err(error),
        }
    }
    Err(Error::Unsettled { path, why })
}

/// Maps the table of this name as it is, making and replacing nothing. `None`: it is not one to be read.
pub(crate) fn peek(name: &str, uid: u32) -> io::Result<Option<Mapping>> {
    let object = Object::open(name)?;
    let facts = object.facts();
    if facts.uid != uid || facts.size != layout::BYTES as u64 {
        return Ok(None);
    }
    let mapping = object.map()?;
    Ok(inspect(mapping.words(), uid).is_ok().then_some(mapping))
}

/// What is wrong with a table that was good when it was opened.
pub(crate) fn flaw(mapping: &Mapping, name: &str, uid: u32) -> Option<String> {
    match fs::symlink_metadata(shm::path(name)) {
        Ok(meta) if meta.ino() == mapping.inode() => {}
        Ok(_) => return Some("its file was replaced".to_owned()),
        Err(error) => return Some(format!("its file is gone ({error})")),
    }
    match inspect(mapping.words(), uid) {
        Ok(()) => None,
        Err(Flaw::Bad(why)) => Some(why),
        Err(Flaw::Newer(version)) => Some(format!("layout {version}")),
        Err(Flaw::Foreign(owner)) => Some(format!("uid {owner}")),
    }
}

/// Puts a new table in place of a bad one, once, however many processes find it bad at the same time.
fn replace(old: &File, inode: u64, name: &str, uid: u32, why: String) -> Result<Mapping, Error> {
    let path = shm::path(name);
    let unsettled = |why: String| Error::Unsettled {
        path: path.clone(),
        why,
    };
    // The lock is on the bad file itself; who gets it later finds that the name means another file by then.
    if rustix::fs::flock(old, FlockOperation::NonBlockingLockExclusive).is_err() {
        std::thread::sleep(Duration::from_millis(20));
        return Err(unsettled(why));
    }
    if fs::symlink_metadata(&path).map(|meta| meta.ino()).ok() != Some(inode) {
        return Err(unsettled(why));
    }
    let mapping = build(name, uid, RenameFlags::empty())?;
    log::warn!(
        "heartbeat table {} was bad ({why}): retired and replaced",
        path.display()
    );
    Ok(mapping)
}

#[cfg(test)]
#[path = "opening_tests.rs"]
mod tests;
