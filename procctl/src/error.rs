//! What can go wrong in procctl itself, as told once at its edge. What goes wrong with a job
//! is no error here: it is an event for the plan.

use std::io;
use std::path::{Path, PathBuf};

/// An error of procctl.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be used.
    #[error("{action} {}", path.display())]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A system call without a path failed.
    #[error("{action}")]
    System {
        /// What was being done.
        action: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// Another supervisor has the home.
    #[error("{} is supervised already{}", home.display(), pid.map(|pid| format!(" by process {pid}")).unwrap_or_default())]
    Locked {
        /// The home.
        home: PathBuf,
        /// Its supervisor, where it is known.
        pid: Option<u32>,
    },
    /// No supervisor answers for the home.
    #[error("no procctl runs for {}", home.display())]
    NotRunning {
        /// The home.
        home: PathBuf,
    },
    /// A program was not found or may not be executed.
    #[error("{program}: {}", if *found { "not executable" } else { "not found" })]
    Program {
        /// As it was given.
        program: String,
        /// Whether a file of that name is there.
        found: bool,
    },
    /// The supervisor ended before it was ready.
    #[error("procctl ended before it was ready{}", if said.is_empty() { String::new() } else { format!(": {said}") })]
    StartedInVain {
        /// What it said at last.
        said: String,
    },
    /// The supervisor answered with an error.
    #[error("{0}")]
    Refused(String),
    /// The heartbeat table cannot be used.
    #[error("heartbeat table")]
    Table(#[from] checkproc::Error),
}

impl Error {
    /// An error on a path; for `map_err`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::Io {
            action,
            path,
            source,
        }
    }

    /// An error of a call without a path; for `map_err`.
    pub fn system<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> Error {
        move |source| Error::System {
            action,
            source: source.into(),
        }
    }

    /// The error with all that caused it, on one line.
    pub fn chain(&self) -> String {
        chain(self)
    }

    /// The exit code of procctl, from `sysexits.h` where one fits.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Io { .. } | Error::System { .. } | Error::Table(_) => 74,
            Error::Locked { .. } | Error::StartedInVain { .. } => 75,
            Error::NotRunning { .. } => 69,
            Error::Program { found: true, .. } => 126,
            Error::Program { found: false, .. } => 127,
            Error::Refused(_) => 1,
        }
    }
}

/// An error with all that caused it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
