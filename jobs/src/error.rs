//! How a run can fail, in the terms that an operator acts on: each case has its exit code of `sysexits.h`.
//! Whoever makes an error says what was being done, and on what; it is printed once, by the program's edge, with its chain of sources.

use std::{error::Error as Source, io, path::PathBuf};

use db::ErrorKind;
use jobfile::{Problem, Problems};

use crate::report::Invalid;

/// The source of an error that came from elsewhere.
pub type Cause = Box<dyn Source + Send + Sync>;

/// Why a run ended without success.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A command line that asks for what there is not (64).
    #[error("{0}")]
    Usage(String),
    /// Input that is bad beyond what the job tolerates (65).
    #[error("{0}")]
    Data(String),
    /// A server or a network that does not answer (69).
    #[error("{what}")]
    Unreachable {
        /// What was being reached.
        what: String,
        /// Why it was not, where there is more to tell.
        source: Option<Cause>,
    },
    /// A fault of this program (70).
    #[error("internal error: {0}")]
    Internal(String),
    /// A local file or folder (74, or 77 when it is a matter of permission).
    #[error("{action} {}", path.display())]
    Io {
        /// What was being done: `write`, `rename`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something that will pass: a lock, a full table, a server that is busy (75).
    #[error("{0}")]
    TryAgain(String),
    /// Something that this user may not do (77).
    #[error("{0}")]
    Permission(String),
    /// The job file asks for what cannot be (78).
    #[error("{0}")]
    Invalid(String),
    /// A parameter that what is there says no to (78); told with its place in the job file.
    #[error("{}", in_one_line(.0))]
    Parameter(Invalid),
    /// The heartbeat table, without which nobody would notice a hang.
    #[error(transparent)]
    Table(checkproc::Error),
    /// A database. What it means follows from the error's kind.
    #[error(transparent)]
    Database(db::Error),
    /// Stopped by a signal at a safe point (128 + the signal).
    #[error("stopped by {}", signal_name(*.0))]
    Stopped(i32),
    /// The command of an `exec` job ended without success (its own code; 128 + the signal that ended it).
    #[error("the command ended with {0}")]
    Command(u8),
}

impl Error {
    /// What a system call on a local path failed with; made for `map_err`.
    pub fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io {
            action,
            path,
            source,
        }
    }

    /// The exit code, of `sysexits.h` where it has one.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) => 64,
            Error::Data(_) => 65,
            Error::Unreachable { .. } => 69,
            Error::Internal(_) => 70,
            Error::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => 77,
            Error::Io { .. } => 74,
            Error::TryAgain(_) => 75,
            Error::Permission(_) => 77,
            Error::Invalid(_) | Error::Parameter(_) => 78,
            Error::Table(error) => match error {
                checkproc::Error::Full { .. } | checkproc::Error::Unsettled { .. } => 75,
                checkproc::Error::Foreign { .. } => 77,
                checkproc::Error::Io { .. } => 74,
                _ => 70,
            },
            Error::Database(error) => database_code(error.kind()),
            Error::Stopped(signal) => u8::try_from(128 + signal).unwrap_or(143),
            Error::Command(code) => *code,
        }
    }

    /// Whether the same run, later, may succeed without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Unreachable { .. } | Error::TryAgain(_) => true,
            Error::Database(error) => error.is_transient(),
            _ => false,
        }
    }

    /// Whether work on another table of the same databases may go well all the same.
    #[must_use]
    pub fn is_of_one_table(&self) -> bool {
        match self {
            Error::Database(error) => !matches!(
                error.kind(),
                db::ErrorKind::Connect | db::ErrorKind::Full | db::ErrorKind::Cancelled
            ),
            Error::Invalid(_) | Error::Parameter(_) | Error::Data(_) | Error::TryAgain(_) => true,
            _ => false,
        }
    }

    /// The error and its sources in one line, outermost first.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(inner) = source {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            source = inner.source();
        }
        text
    }
}

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Error {
        Error::Database(error)
    }
}

impl From<Problems> for Error {
    fn from(problems: Problems) -> Error {
        Error::Invalid(problems.to_string())
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Error {
        Error::Invalid(problem.to_string())
    }
}

/// A parameter that the world says no to: as the error of a run.
impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Error {
        Error::Invalid(in_one_line(&invalid))
    }
}

fn in_one_line(Invalid { at, message }: &Invalid) -> String {
    if at.is_empty() {
        message.clone()
    } else {
        format!("{at}: {message}")
    }
}

fn database_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Constraint(_) | ErrorKind::Type => 65,
        ErrorKind::Connect => 69,
        ErrorKind::Full => 74,
        ErrorKind::Busy | ErrorKind::Timeout | ErrorKind::Cancelled => 75,
        ErrorKind::Permission => 77,
        ErrorKind::Syntax | ErrorKind::Missing | ErrorKind::Invalid => 78,
        ErrorKind::Other => 70,
    }
}

fn signal_name(signal: i32) -> &'static str {
    nix::sys::signal::Signal::try_from(signal).map_or("a signal", |signal| signal.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_sysexits() {
        let io = |kind: io::ErrorKind| Error::io("write", "/x")(kind.into()).exit_code();
        assert_eq!(io(io::ErrorKind::StorageFull), 74);
        assert_eq!(io(io::ErrorKind::PermissionDenied), 77);
        assert_eq!(Error::Stopped(15).exit_code(), 143);
        assert_eq!(Error::Stopped(2).exit_code(), 130);
        assert_eq!(Error::Command(3).exit_code(), 3);
    }

    #[test]
    fn the_chain_names_action_object_and_cause() {
        let error = Error::io("rename", "/data/a.xml")(io::Error::other("no luck"));
        assert_eq!(error.chain(), "rename /data/a.xml: no luck");
        assert_eq!(Error::Stopped(15).to_string(), "stopped by SIGTERM");
    }
}
