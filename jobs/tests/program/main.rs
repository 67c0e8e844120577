//! The program `jobs` as its callers meet it: words on the command line, signals, exit codes, what it prints.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod commands;
mod runs;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use jobs::{disk::RealDisk, state::State};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

/// A home and a heartbeat table of one test alone.
struct Home {
    dir: TempDir,
    table: String,
}

impl Home {
    fn new() -> Home {
        let dir = tempfile::tempdir().unwrap();
        let table = format!("test{}", dir.path().file_name().unwrap().to_string_lossy());
        Home { dir, table }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.write(name, script);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command<S: AsRef<std::ffi::OsStr>>(&self, words: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jobs"));
        command
            .args(words)
            .current_dir(self.dir.path())
            .env("PROCCTL_HOME", self.dir.path())
            .env("PROCCTL_TABLE", &self.table)
            .env_remove("PROCCTL_RUN")
            .env_remove("PROCCTL_SLOT")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run<S: AsRef<std::ffi::OsStr>>(&self, words: &[S]) -> Output {
        self.command(words).output().unwrap()
    }

    fn start<S: AsRef<std::ffi::OsStr>>(&self, words: &[S]) -> Child {
        self.command(words).spawn().unwrap()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for entry in fs::read_dir("/dev/shm").unwrap().flatten() {
            if entry.file_name().to_string_lossy().ends_with(&self.table) {
                fs::remove_file(entry.path()).unwrap();
            }
        }
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits for something to become true.
fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is() {
        assert!(Instant::now() < deadline, "{what}: not within 20 s");
        std::thread::yield_now();
    }
}

/// Sends a signal and waits for the end; gives the exit code and how long it took.
fn end(mut child: Child, signal: Signal) -> (Option<i32>, Duration) {
    let sent = Instant::now();
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    (child.wait().unwrap().code(), sent.elapsed())
}
