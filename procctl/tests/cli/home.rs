//! A home without a supervisor, its private heartbeat table, and what commands tell.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// Longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A home without a supervisor, and its private heartbeat table.
pub(crate) struct Home {
    pub(crate) folder: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Home {
        let folder = tempfile::tempdir().unwrap();
        for name in ["jobs", "log", "run", "state"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Home { folder }
    }

    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    pub(crate) fn job(&self, name: &str, text: &str) {
        fs::write(self.path("jobs").join(name), text).unwrap();
    }

    pub(crate) fn table(&self) -> String {
        let name = self.folder.path().file_name().unwrap().to_string_lossy();
        format!("cli{}", name.replace('.', ""))
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_procctl"));
        command
            .args(words)
            .env("PROCCTL_HOME", self.folder.path())
            .env("PROCCTL_TABLE", self.table())
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Told {
        Told::from(self.command(words).output().unwrap())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let uid = nix::unistd::geteuid();
        // a command that needs no table has made none
        drop(fs::remove_file(format!(
            "/dev/shm/procctl-heartbeat-{uid}-{}",
            self.table()
        )));
    }
}

/// What a command told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: i32,
}

impl From<Output> for Told {
    fn from(output: Output) -> Told {
        Told {
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code().unwrap(),
        }
    }
}

pub(crate) const GOOD: &str = "<exec every='1h'><command>true</command></exec>";
