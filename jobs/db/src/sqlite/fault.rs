//! From SQLite's extended result codes to our error kinds. Looks at numbers, never at messages.

use super::watch::Watch;
use crate::{Constraint, Error, ErrorKind};
use rusqlite::ffi;

/// An error of ours from one of SQLite's, while doing `action`.
pub(super) fn fault(action: impl Into<String>, watch: &Watch, error: rusqlite::Error) -> Error {
    let code = code(&error);
    let kind = match (code, &error) {
        (Some(code), _) => kind_of(code, watch),
        (None, rusqlite::Error::InvalidParameterCount(..) | rusqlite::Error::MultipleStatement) => {
            ErrorKind::Syntax
        }
        (None, _) => ErrorKind::Other,
    };
    // Its own source would only repeat the code in other words.
    let fault = Error::new(kind, action).because(error.to_string());
    match code {
        Some(code) => fault.with_native(format!("sqlite {code}")),
        None => fault,
    }
}

/// As [`fault`], for an error met while preparing: there the generic code speaks of the statement itself.
pub(super) fn refused(action: impl Into<String>, watch: &Watch, error: rusqlite::Error) -> Error {
    let generic = code(&error).is_some_and(|code| code & 0xff == ffi::SQLITE_ERROR);
    let fault = fault(action, watch, error);
    if generic {
        fault.with_kind(ErrorKind::Syntax)
    } else {
        fault
    }
}

/// SQLite's extended result code.
fn code(error: &rusqlite::Error) -> Option<i32> {
    match error {
        rusqlite::Error::SqlInputError { error, .. } => Some(error.extended_code),
        error => error.sqlite_extended_error_code(),
    }
}

fn kind_of(code: i32, watch: &Watch) -> ErrorKind {
    match code {
        ffi::SQLITE_CONSTRAINT_UNIQUE
        | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
        | ffi::SQLITE_CONSTRAINT_ROWID => {
            return ErrorKind::Constraint(Constraint::Unique);
        }
        ffi::SQLITE_CONSTRAINT_NOTNULL => return ErrorKind::Constraint(Constraint::NotNull),
        ffi::SQLITE_CONSTRAINT_CHECK => return ErrorKind::Constraint(Constraint::Check),
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => return ErrorKind::Constraint(Constraint::ForeignKey),
        ffi::SQLITE_CONSTRAINT_DATATYPE => return ErrorKind::Type,
        _ => {}
    }
    match code & 0xff {
        ffi::SQLITE_CONSTRAINT => ErrorKind::Constraint(Constraint::Other),
        ffi::SQLITE_MISMATCH | ffi::SQLITE_TOOBIG => ErrorKind::Type,
        ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED | ffi::SQLITE_SCHEMA => {
            watch.verdict(ErrorKind::Busy)
        }
        ffi::SQLITE_INTERRUPT => watch.verdict(ErrorKind::Cancelled),
        ffi::SQLITE_FULL => ErrorKind::Full,
        ffi::SQLITE_PERM | ffi::SQLITE_READONLY | ffi::SQLITE_AUTH => ErrorKind::Permission,
        ffi::SQLITE_CANTOPEN => ErrorKind::Missing,
        ffi::SQLITE_RANGE => ErrorKind::Syntax,
        ffi::SQLITE_NOTADB => ErrorKind::Invalid,
        _ => ErrorKind::Other,
    }
}
