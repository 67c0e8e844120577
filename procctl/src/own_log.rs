//! The way of the supervisor's own log lines: through a pipe to the recorder, who writes
//! `<log>/procctl.log`. A full pipe loses lines; it never blocks.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::pipe::{PipeFlags, pipe_with};

use crate::logging::{self, Taker};

/// The end of the pipe into which lines go; there is one a process.
static PIPE: OnceLock<OwnedFd> = OnceLock::new();

/// Whether lines go to standard error, too.
static ALOUD: AtomicBool = AtomicBool::new(false);

struct OwnLines;

impl Taker for OwnLines {
    fn take(&self, line: Vec<u8>) {
        if let Some(pipe) = PIPE.get() {
            let _lost_if_full = rustix::io::write(pipe, &line);
        }
    }
}

/// Begins to log. `aloud`: to standard error, too. Gives the end of the pipe that the recorder reads.
///
/// `kept` are both ends as they came through an exec in place; without them a new pipe is made.
pub fn begin(home: &Path, aloud: bool, kept: Option<(OwnedFd, OwnedFd)>) -> io::Result<OwnedFd> {
    let (read, write) = match kept {
        Some(ends) => ends,
        None => pipe_with(PipeFlags::CLOEXEC)?,
    };
    // only our own end: the recorder sets its end as it likes
    rustix::io::ioctl_fionbio(&write, true)?;
    // a second supervisor in one process goes on with the first one's log
    if PIPE.set(write).is_ok() {
        ALOUD.store(aloud, Ordering::Relaxed);
        logging::start(home, Some(Box::new(OwnLines)), aloud);
    }
    Ok(read)
}

/// Whether lines go to standard error, too.
pub fn is_aloud() -> bool {
    ALOUD.load(Ordering::Relaxed)
}

/// The writing end, to be kept over an exec in place.
pub fn pipe() -> Option<&'static OwnedFd> {
    PIPE.get()
}
