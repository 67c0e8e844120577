//! What ends a command without success, and the exit code that says so (`sysexits.h`).

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use jobfile::Problems;

use crate::control::client;
use crate::history::Unreadable;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The words of the command line make no sense.
    #[error("{0}")]
    Usage(String),
    /// No job has the name; with a hint where one is near.
    #[error("no job is called {name}{hint}")]
    NoSuchJob {
        /// As it was given.
        name: String,
        /// `; did you mean …?`, or nothing.
        hint: String,
    },
    /// Settings or job files are wrong.
    #[error("{0}")]
    Problems(Problems),
    /// The supervisor did not do it.
    #[error(transparent)]
    Control(#[from] client::Error),
    /// The supervisor itself.
    #[error(transparent)]
    Supervisor(#[from] crate::error::Error),
    /// The history.
    #[error(transparent)]
    History(#[from] Unreadable),
    /// A log.
    #[error("read the log {}", path.display())]
    Log {
        /// Its file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The recorder's own end.
    #[error("record")]
    Recorder(#[source] io::Error),
    /// The program `jobs` could not check what it must.
    #[error("check job files with {}", program.display())]
    Check {
        /// The program.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Standard output.
    #[error("write the answer: {0}")]
    Output(String),
}

impl Failure {
    /// The error with all that caused it, on one line.
    pub fn chain(&self) -> String {
        crate::error::chain(self)
    }

    /// The exit code.
    pub fn exit_code(&self) -> ExitCode {
        let of_io = |error: &io::Error| match error.kind() {
            io::ErrorKind::PermissionDenied => 77,
            _ => 74,
        };
        ExitCode::from(match self {
            Failure::Usage(_) | Failure::NoSuchJob { .. } => 64,
            Failure::Problems(_) => 78,
            Failure::Control(client::Error::NotRunning { .. } | client::Error::Lost(_)) => 69,
            Failure::Control(client::Error::Denied { .. }) => 77,
            Failure::Control(client::Error::Refused(_)) => 1,
            Failure::Supervisor(error) => error.exit_code(),
            Failure::History(_) | Failure::Output(_) => 74,
            Failure::Log { source, .. } | Failure::Check { source, .. } => of_io(source),
            Failure::Recorder(_) => 74,
        })
    }
}
