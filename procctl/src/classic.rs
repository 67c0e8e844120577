//! The classic form, `procctl SECONDS PROGRAM ARG…`: a program is run again and again for ever, with
//! no home, no table and no socket. `kill -9` ends the loop and leaves the program alone.

use std::ffi::{CString, OsString};
use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{AccessFlags, Pid, access};

use crate::background;
use crate::error::Error;
use crate::launch::{self, Launch, NOT_EXECUTED};
use crate::spawn;

/// The pause after a program that could not even be executed, where the wanted one is shorter:
/// it may come back (a new version is being installed), but a busy loop helps nobody.
const SHORTEST_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Detaches and runs `command` for ever, sleeping `pause` after each end. Comes back in the process that
/// the user started; the loop itself never does.
///
/// A program that is not there is an error before anything is detached.
pub fn run(pause: Duration, command: &[OsString]) -> Result<(), Error> {
    let folder = std::env::current_dir().map_err(Error::io("find", Path::new(".")))?;
    let (program, _) = command.split_first().ok_or(Error::Program {
        program: String::new(),
        found: false,
    })?;
    let programs = find(&program.to_string_lossy(), &folder)?;
    if !background::is_here() {
        let words: Vec<OsString> = std::env::args_os().collect();
        return background::enter(&words, &folder, None);
    }
    spawn::ignore_signals();
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(Error::io("open", Path::new("/dev/null")))?;
    repeat(pause, &programs, command, &folder, &null)
}

/// The executable files that `program` may mean; an error names what is wrong with it.
fn find(program: &str, folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let path = std::env::var("PATH").ok();
    let all = launch::candidates(program, path.as_deref(), folder);
    let files: Vec<PathBuf> = all.into_iter().filter(|file| file.is_file()).collect();
    let found = !files.is_empty();
    let good: Vec<PathBuf> = files
        .into_iter()
        .filter(|file| access(file, AccessFlags::X_OK).is_ok())
        .collect();
    if good.is_empty() {
        return Err(Error::Program {
            program: program.to_string(),
            found,
        });
    }
    Ok(good)
}

fn repeat(
    pause: Duration,
    programs: &[PathBuf],
    command: &[OsString],
    folder: &Path,
    null: &File,
) -> ! {
    let words = |words: Vec<&[u8]>| -> Vec<CString> {
        // neither arguments nor environment of this process can hold a zero byte
        let words = words.into_iter().map(CString::new);
        words.filter_map(Result::ok).collect()
    };
    let environment: Vec<Vec<u8>> = background::environment()
        .map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat())
        .collect();
    let paths = programs.iter().map(|path| path.as_os_str().as_bytes());
    let launch = Launch {
        run: 0,
        programs: words(paths.collect()),
        arguments: words(command.iter().map(|word| word.as_bytes()).collect()),
        environment: words(environment.iter().map(Vec::as_slice).collect()),
        folder: launch::c_string(folder).unwrap_or_default(),
        umask: None,
        nice: None,
        limits: Vec::new(),
        identity: None,
        input: null.as_fd(),
        output: null.as_fd(),
        errors: null.as_fd(),
        third: None,
        cgroup: None,
        failures: null.as_fd(),
    };
    loop {
        let executed = match spawn::launch(&launch) {
            Ok(born) => {
                drop(born.pidfd);
                await_end(born.pid) != NOT_EXECUTED
            }
            // no process to be had just now: try again
            Err(_) => false,
        };
        let least = match executed {
            true => Duration::ZERO,
            false => SHORTEST_AFTER_FAILURE,
        };
        std::thread::sleep(pause.max(least));
    }
}

/// Waits for the child; its exit code, or 0 when a signal ended it.
fn await_end(pid: i32) -> i32 {
    loop {
        match waitpid(Pid::from_raw(pid), None) {
            Ok(WaitStatus::Exited(_, code)) => return code,
            Ok(WaitStatus::Signaled(..)) => return 0,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_and_forbidden_programs_are_told_apart() {
        let folder = Path::new("/");
        let missing = find("no-such-program", folder).unwrap_err();
        assert_eq!(missing.exit_code(), 127);
        let forbidden = find("/etc/passwd", folder).unwrap_err();
        assert_eq!(forbidden.exit_code(), 126);
        assert!(!find("sh", folder).unwrap().is_empty());
    }
}
