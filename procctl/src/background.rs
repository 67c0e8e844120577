//! Going into the background: this program is started once more, in a session of its own, away from the
//! terminal, and the one that the user started ends.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::pipe::{PipeFlags, pipe_with};

use crate::error::Error;
use crate::launch::{Launch, c_string};
use crate::program;
use crate::spawn;

/// Tells the copy what it is.
const VARIABLE: &str = "PROCCTL_BACKGROUND";

/// The number on which the copy finds the descriptor that it was given.
pub const GIVEN: i32 = 3;

/// Whether this process is the copy in the background.
pub fn is_here() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// The environment without what was said to the copy alone.
pub fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| name != VARIABLE)
}

/// Starts the copy with these words, in `folder`, with nothing open but `given`.
pub fn enter(
    words: &[OsString],
    folder: &Path,
    given: Option<BorrowedFd<'_>>,
) -> Result<(), Error> {
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(Error::io("open", Path::new("/dev/null")))?;
    // there is nobody to read it: a copy that cannot be executed shows by its silence
    let (_, failures) = pipe_with(PipeFlags::CLOEXEC).map_err(Error::system("make a pipe"))?;
    let failures =
        rustix::io::fcntl_dupfd_cloexec(&failures, 10).map_err(Error::system("make a pipe"))?;
    let zero = || Error::Refused("a zero byte in the words of the command".to_string());
    let environment = std::env::vars_os().map(|(name, value)| {
        let mut line = name;
        line.push("=");
        line.push(value);
        c_string(line)
    });
    let marked = environment.chain([c_string(format!("{VARIABLE}=1"))]);
    spawn::launch(&Launch {
        run: 0,
        programs: vec![c_string(program::own()).ok_or_else(zero)?],
        arguments: words
            .iter()
            .map(c_string)
            .collect::<Option<_>>()
            .ok_or_else(zero)?,
        environment: marked.collect::<Option<_>>().ok_or_else(zero)?,
        folder: c_string(folder).ok_or_else(zero)?,
        umask: None,
        nice: None,
        limits: Vec::new(),
        identity: None,
        input: null.as_fd(),
        output: null.as_fd(),
        errors: null.as_fd(),
        third: given,
        cgroup: None,
        failures: failures.as_fd(),
    })
    .map_err(Error::system("start in the background"))?;
    Ok(())
}
