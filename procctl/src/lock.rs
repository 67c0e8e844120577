//! The lock on a home: one supervisor at a time. Held by a descriptor, so it ends with the
//! process however that ends, and is kept over an exec in place.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use checkproc::process::ProcStat;
use rustix::fs::{FlockOperation, flock};

/// How a try to lock came out.
#[derive(Debug)]
pub enum Locked {
    /// It is ours as long as the file is open.
    Ours(File),
    /// Another supervisor has it; its pid where it could be read.
    Taken(Option<u32>),
}

/// How long a lock without a living owner is waited for: a child of a supervisor that was killed
/// has it until it executes its program.
const PATIENCE: Duration = Duration::from_secs(5);

/// The time between two tries.
const PAUSE: Duration = Duration::from_millis(5);

/// Takes the lock file at `path` and writes our pid into it.
pub fn take(path: &Path) -> io::Result<Locked> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    let end = Instant::now() + PATIENCE;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let owner = read_pid(&mut file)?;
                let lives = |pid| ProcStat::read(pid).is_ok_and(|stat| !stat.is_zombie());
                if owner.is_some_and(lives) || Instant::now() >= end {
                    return Ok(Locked::Taken(owner));
                }
                std::thread::sleep(PAUSE);
            }
            Err(error) => return Err(error.into()),
        }
    }
    // a full disk must not keep the supervisor from starting: the pid is only a courtesy
    if let Err(error) = write_pid(&mut file) {
        log::warn!("write our pid into {}: {error}", path.display());
    }
    Ok(Locked::Ours(file))
}

fn read_pid(file: &mut File) -> io::Result<Option<u32>> {
    let mut text = String::new();
    file.rewind()?;
    file.take(32).read_to_string(&mut text)?;
    Ok(text.trim().parse().ok())
}

/// The lock as it came through an exec in place.
pub fn resume(descriptor: OwnedFd) -> File {
    File::from(descriptor)
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("procctl.lock");
        let first = take(&path).unwrap();
        assert!(matches!(first, Locked::Ours(_)));
        match take(&path).unwrap() {
            Locked::Taken(pid) => assert_eq!(pid, Some(std::process::id())),
            Locked::Ours(_) => panic!("two owners"),
        }
        drop(first);
        assert!(matches!(take(&path).unwrap(), Locked::Ours(_)));
    }
}
