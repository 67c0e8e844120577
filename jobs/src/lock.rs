//! Only one process works on one job: a lock on `<state>/JOB.lock`, held for as long as the process lives.
//! The lock is the kernel's, on the open file; the number in the file is only for people.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::{Errno, FdFlags, fcntl_setfd},
};

use crate::error::Error;

/// The lock on a job's name; let go when dropped, or when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Takes the lock of a job; makes the folder of states if need be.
    ///
    /// # Errors
    /// [`Error::TryAgain`] with the holder's pid when another process works on the job.
    pub fn take(state: &Path, job: &str) -> Result<Lock, Error> {
        fs::create_dir_all(state).map_err(Error::io("create", state))?;
        let path = state.join(format!("{job}.lock"));
        let mut file = open(&path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(busy(job, &mut file)),
            Err(errno) => return Err(Error::io("lock", &path)(errno.into())),
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(Error::io("write", &path))?;
        Ok(Lock(file))
    }

    /// Lets the lock outlive this program's image: whatever is exec'd in its place holds it.
    ///
    /// # Errors
    /// When the system refuses, which it does not.
    pub fn keep_over_exec(&self) -> Result<(), Error> {
        fcntl_setfd(&self.0, FdFlags::empty())
            .map_err(|errno| Error::Internal(format!("keep the lock over exec: {errno}")))
    }
}

fn open(path: &PathBuf) -> Result<File, Error> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(Error::io("open", path))
}

fn busy(job: &str, file: &mut File) -> Error {
    let mut holder = String::new();
    // Without the holder's pid the message is still true.
    let known = file.take(20).read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
    let who = if known {
        format!(" (pid {})", holder.trim())
    } else {
        String::new()
    };
    Error::TryAgain(format!("job {job} is being run by another process{who}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_one_hears_who_is_first() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take(dir.path(), "a").unwrap();
        let error = Lock::take(dir.path(), "a").unwrap_err();
        assert_eq!(error.exit_code(), 75);
        assert!(
            error.to_string().contains(&std::process::id().to_string()),
            "{error}"
        );
        Lock::take(dir.path(), "b").unwrap();
        drop(first);
        Lock::take(dir.path(), "a").unwrap();
    }
}
