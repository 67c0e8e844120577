//! What an error of ours is for the other side: a code, and words without paths of this machine.

use std::io;

use super::message::{Code, Refusal};
use crate::error::Error;

/// Why a file could not be taken in.
pub(crate) type Refused<T> = Result<T, Refusal>;

/// What an error is for the other side.
pub(crate) fn refusal(error: &Error) -> Refusal {
    match error {
        Error::Io { action, source, .. } => io_refusal(action, source),
        Error::Stopped(_) => Refusal::new(Code::Stopping, "the other side is shutting down"),
        Error::Data(_) => Refusal::new(Code::Protocol, "the protocol was broken"),
        _ => Refusal::new(Code::Failed, "the other side failed; its log says why"),
    }
}

/// What a failed system call is for the other side.
pub(crate) fn io_refusal(action: &str, error: &io::Error) -> Refusal {
    let code = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Code::Full,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Code::Forbidden,
        io::ErrorKind::NotFound => Code::Missing,
        io::ErrorKind::InvalidFilename
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory => Code::Name,
        _ if error.raw_os_error() == Some(libc::ELOOP)
            || error.raw_os_error() == Some(libc::EXDEV) =>
        {
            Code::Name
        }
        _ => Code::Failed,
    };
    Refusal::new(code, format!("{action}: {error}"))
}
