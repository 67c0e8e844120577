//! The supervisor's own log lines: to its standard error where it is in the foreground, and through a
//! pipe to the recorder, who writes `<log>/procctl.log`. A full pipe loses lines; it never blocks.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use log::{LevelFilter, Log, Metadata, Record};
use rustix::pipe::{PipeFlags, pipe_with};

/// The logging face; there is one a process.
static LOG: OwnLog = OwnLog {
    pipe: OnceLock::new(),
    aloud: OnceLock::new(),
};

struct OwnLog {
    pipe: OnceLock<OwnedFd>,
    aloud: OnceLock<bool>,
}

/// Begins to log. `aloud`: to standard error, too. Gives the end of the pipe that the recorder reads.
///
/// `kept` are both ends as they came through an exec in place; without them a new pipe is made.
pub fn begin(aloud: bool, kept: Option<(OwnedFd, OwnedFd)>) -> std::io::Result<OwnedFd> {
    let (read, write) = match kept {
        Some(ends) => ends,
        None => pipe_with(PipeFlags::CLOEXEC)?,
    };
    // only our own end: the recorder's is set by the recorder as it likes
    rustix::io::ioctl_fionbio(&write, true)?;
    // a second supervisor in one process (tests) goes on with the first one's log
    if LOG.pipe.set(write).is_ok() {
        LOG.aloud.get_or_init(|| aloud);
        if log::set_logger(&LOG).is_ok() {
            log::set_max_level(LevelFilter::Info);
        }
    }
    Ok(read)
}

/// The writing end, to be kept over an exec in place.
pub fn pipe() -> Option<&'static OwnedFd> {
    LOG.pipe.get()
}

impl Log for OwnLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let stamp = chrono::Local::now().format("%Y-%m-%d %H:%M:%S%.3f");
        let level = record.level().as_str().to_lowercase();
        let line = format!("{stamp} {level} {}\n", record.args());
        if self.aloud.get() == Some(&true) {
            // a terminal that has gone away must not stop the supervisor
            drop(std::io::stderr().lock().write_all(line.as_bytes()));
        }
        if let Some(pipe) = self.pipe.get() {
            drop(rustix::io::write(pipe, line.as_bytes()));
        }
    }

    fn flush(&self) {}
}
