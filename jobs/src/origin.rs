//! The file that a running job was read from: whether it has changed since, and what it says now.

use std::{
    cell::Cell,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use jobfile::JobFile;

use crate::{error::Error, logging};

/// What changes when a file does: its times, size and inode.
type Stamp = (i64, i64, i64, i64, u64, u64);

/// A job's file and what the command line changed of it.
#[derive(Debug)]
pub struct Origin {
    path: PathBuf,
    home: PathBuf,
    set: Vec<(String, String)>,
    /// As it was when it was last read.
    read: Cell<Option<Stamp>>,
    /// As it was at the last look.
    seen: Cell<Option<Stamp>>,
}

impl Origin {
    /// Of a file, in this home, with these values of it changed. It counts as changed once: who reads it finds out whether it has.
    #[must_use]
    pub fn new(path: &Path, home: &Path, set: &[(String, String)]) -> Origin {
        Origin {
            path: fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()),
            home: home.to_owned(),
            set: set.to_vec(),
            read: Cell::default(),
            seen: Cell::default(),
        }
    }

    /// What the file says, if it has changed and rests: it looks the same as at the last look.
    ///
    /// # Errors
    /// When it is no valid job file now; it is not told again until it changes again.
    pub fn changed(&self) -> Result<Option<JobFile>, Error> {
        let stamp = stamp(&self.path);
        let rests = self.seen.replace(stamp) == stamp;
        if stamp.is_none() || !rests || self.read.get() == stamp {
            return Ok(None);
        }
        self.read.set(stamp);
        let mut file = JobFile::read(&self.path)?;
        for (path, value) in &self.set {
            file.set(path, value)?;
        }
        logging::hide(file.resolve(&self.home)?);
        Ok(Some(file))
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs::metadata(path).ok()?;
    Some((
        meta.mtime(),
        meta.mtime_nsec(),
        meta.ctime(),
        meta.ctime_nsec(),
        meta.size(),
        meta.ino(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once_when_it_rests() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.xml");
        fs::write(&path, "<exec><command>one</command></exec>").unwrap();
        let origin = Origin::new(&path, home.path(), &[]);
        assert!(origin.changed().unwrap().is_none());
        assert!(origin.changed().unwrap().is_some());
        assert!(origin.changed().unwrap().is_none());
        fs::write(&path, "<exec><command>another one</command></exec>").unwrap();
        assert!(origin.changed().unwrap().is_none());
        assert!(origin.changed().unwrap().is_some());
        fs::write(&path, "<exec>").unwrap();
        assert!(origin.changed().unwrap().is_none());
        assert!(origin.changed().is_err());
        assert!(origin.changed().unwrap().is_none());
        fs::remove_file(&path).unwrap();
        assert!(origin.changed().unwrap().is_none());
    }
}
